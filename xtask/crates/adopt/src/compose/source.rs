//! What a service of a compose file is made of: a Dockerfile or an image, and what that says of it.

use super::Reading;
use super::yaml::Node;
use crate::look::Looked;
use crate::names::{image_name, reference};
use crate::sketch::Source;
use crate::{dockerfile, known};
use model::container::User;
use std::collections::BTreeMap;
use std::fs;

/// What is said of a service by what it is made of.
#[derive(Default)]
pub(super) struct Made {
    /// As `USER` has it, empty for none; `None` where nobody can tell.
    pub(super) user: Option<String>,
    pub(super) ports: Vec<u16>,
    pub(super) volumes: Vec<String>,
    pub(super) health: Option<String>,
    /// The folder that it works in.
    pub(super) folder: Option<String>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) by: &'static str,
    /// Where it comes from.
    pub(super) repository: Option<String>,
    /// Where it listens, though nobody says so.
    pub(super) usual: Option<u16>,
}

impl Reading<'_> {
    pub(super) fn plain(&self, node: &Node) -> Option<String> {
        node.text().map(|text| self.variables.plain(text))
    }

    pub(super) fn source(&mut self, node: &Node) -> Result<(Source, Made), String> {
        let build = node.get("build");
        if build.is_null() {
            let text = self.plain(node.get("image")).ok_or("it has neither `build` nor `image`")?;
            return self.image(&text);
        }
        let text = |key: &str| self.plain(build.get(key));
        let context = self.plain(build).or_else(|| text("context")).unwrap_or_else(|| ".".to_owned());
        if !build.get("dockerfile_inline").is_null() {
            return Err("its Dockerfile stands in the compose file; put it into a file of its own".to_owned());
        }
        let folder = self.within(&context).filter(|folder| self.repository.root.join(folder).is_dir());
        let folder = folder.ok_or_else(|| format!("its build context `{context}` is no folder of this repository"))?;
        let args = self.arguments(build.get("args"));
        let (file, target) = (text("dockerfile"), text("target"));
        let path = self.repository.root.join(&folder).join(file.as_deref().unwrap_or("Dockerfile"));
        let read = fs::read_to_string(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
        let said = dockerfile::read(&read, target.as_deref(), &args);
        let number = |(name, number): (&String, &String)| Some((name.clone(), number.parse().ok()?));
        let made = Made {
            ports: said.ports,
            volumes: said.volumes.into_iter().collect(),
            health: said.health,
            folder: said.folder,
            users: said.users.iter().filter_map(number).collect(),
            user: Some(said.user.unwrap_or_default()),
            by: "its Dockerfile",
            repository: None,
            usual: said.base.as_deref().and_then(|base| known::port(base.split([':', '@']).next().unwrap_or(base))),
        };
        let folder = if folder.is_empty() { ".".to_owned() } else { folder };
        Ok((Source::Dockerfile { folder, file, target, args }, made))
    }

    fn arguments(&self, node: &Node) -> BTreeMap<String, String> {
        let of_map = |(name, value): &(String, Node)| Some((name.clone(), self.plain(value)?));
        let of_list = |text: &str| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), self.variables.plain(value)))
        };
        let listed = node.items().iter().filter_map(Node::text).filter_map(of_list);
        node.entries().iter().filter_map(of_map).chain(listed).collect()
    }

    fn image(&mut self, text: &str) -> Result<(Source, Made), String> {
        let pin = reference(text).map_err(|why| format!("its image `{text}`: {why}"))?;
        let looked = (self.look)(&pin);
        let repository = pin.repository.to_string();
        let usual = known::port(&repository);
        let Looked { user, ports, volumes, users, .. } = looked.clone().unwrap_or_default();
        let name = image_name(&pin, self.repository.images, &self.sketch.images);
        if !self.repository.images.contains_key(&name) {
            self.sketch.images.insert(name.clone(), pin);
        }
        let made = Made {
            user: looked.is_some().then_some(user),
            ports: ports.into_iter().collect(),
            volumes: volumes.into_iter().collect(),
            users,
            by: "its image",
            repository: Some(repository),
            usual,
            ..Made::default()
        };
        Ok((Source::Image(name), made))
    }
}
