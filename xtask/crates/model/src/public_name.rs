//! Where a public service is reached from outside: under a name, at the paths that are its own. Several services may share
//! a name; whichever of them has the longest path that a request begins with gets it.

use super::decode::{At, Table, Value};
use super::error::quoted;
use super::name::ServiceName;
use super::service_file::DraftService;
use super::system::{Probe, Reference, Service, System, TargetKind, Template};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicName {
    pub name: ServiceName,
    /// Each stands for itself and all below it.
    pub paths: BTreeSet<String>,
    /// Which of those that share the name has what there is one of for all of them, such as a port.
    pub holder: ServiceName,
    /// Whether there are others.
    pub is_shared: bool,
}

impl PublicName {
    /// Everything under the name that the service has in its file: what it is told from others by is not seen from outside.
    pub fn own(service: &ServiceName) -> Self {
        let paths = BTreeSet::from(["/".to_owned()]);
        Self { name: service.in_file(), paths, holder: service.clone(), is_shared: false }
    }

    /// What is opened first: its shortest path.
    pub fn first_path(&self) -> &str {
        self.paths.iter().min_by_key(|path| path.len()).map_or("/", String::as_str)
    }

    /// Whether requests for this path come to it.
    pub fn has(&self, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        self.paths.iter().any(|own| is_below(path, own))
    }

    /// For state that outlives a run.
    pub fn to_json(&self) -> Json {
        json!({
            "name": self.name.as_str(), "paths": self.paths, "holder": self.holder.as_str(), "is_shared": self.is_shared,
        })
    }

    /// `None` when the value was not made by [`PublicName::to_json`].
    pub fn from_json(value: &Json) -> Option<Self> {
        let name = |key: &str| value[key].as_str()?.parse().ok();
        let paths = value["paths"].as_array()?.iter().map(|path| path.as_str().map(str::to_owned));
        let is_shared = value["is_shared"].as_bool()?;
        Some(Self { name: name("name")?, paths: paths.collect::<Option<_>>()?, holder: name("holder")?, is_shared })
    }
}

fn is_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Service {
    /// Whether it has the port at which its public name is reached, where there is one.
    pub fn holds_public_name(&self) -> bool {
        self.public && self.public_name.holder == self.name
    }

    /// Where others of its system reach one that is not public, by its name.
    pub fn internal_url(&self) -> Option<String> {
        self.port.map(|port| format!("http://{}:{port}", self.name))
    }

    /// Whether it is told somewhere where it is reached from outside.
    pub fn tells_public_url(&self) -> bool {
        self.templates().flat_map(Template::references).any(|reference| *reference == Reference::PublicUrl)
    }

    /// The path at which it is asked from outside whether it is ready; none where that is not among its own.
    pub fn asked_from_outside(&self) -> Option<&str> {
        let path = match &self.ready {
            Probe::Http { path } => path,
            Probe::Tcp { .. } | Probe::Command(_) | Probe::Runs(_) => "/",
        };
        self.public_name.has(path).then_some(path)
    }
}

impl System {
    /// Has each service know who shares its public name on a target.
    pub fn settle_public_names(&mut self, target: Option<TargetKind>) {
        let here = |service: &&Service| service.public && target.is_none_or(|target| service.targets.contains(&target));
        let known: Vec<Service> = self.services.iter().filter(here).cloned().collect();
        for service in &mut self.services {
            let sharing = || known.iter().filter(|other| other.public_name.name == service.public_name.name);
            let holder = sharing().min_by_key(|other| (other.public_name.first_path().len(), other.name.clone()));
            let holder = holder.map_or_else(|| service.name.clone(), |holder| holder.name.clone());
            service.public_name.is_shared = sharing().count() > 1;
            service.public_name.holder = holder;
        }
    }

    /// Why the names that its services share cannot be had on a target, if they cannot.
    pub fn cannot_share(&self, target: TargetKind, has_domain: bool) -> Option<String> {
        let shared = self.services.iter().find(|service| service.public && service.public_name.is_shared)?;
        let name = &shared.public_name.name;
        match target {
            TargetKind::Host => {
                Some(format!("its services share the public name `{name}` by path, which takes a proxy, and `host` has none"))
            }
            TargetKind::Eks if !has_domain => Some(format!(
                "its services share the public name `{name}`, which takes a `domain`: without one each has a load balancer"
            )),
            TargetKind::Eks => self.entangled().map(|(one, other)| {
                format!("`{one}` and `{other}` each have a path below one of the other, which a load balancer cannot tell apart")
            }),
            TargetKind::Containers | TargetKind::Kubernetes => None,
        }
    }

    /// Two services of one name, neither of which can be looked for before the other.
    fn entangled(&self) -> Option<(&ServiceName, &ServiceName)> {
        let public: Vec<&Service> = self.services.iter().filter(|service| service.public).collect();
        let below = |one: &Service, other: &Service| {
            let (own, theirs) = (&one.public_name, &other.public_name);
            let first = |path: &String| theirs.paths.iter().any(|above| above != path && is_below(path, above));
            own.name == theirs.name && own.paths.iter().any(first)
        };
        let pairs = public.iter().flat_map(|one| public.iter().map(move |other| (*one, *other)));
        let mut pairs = pairs.filter(|(one, other)| one.name != other.name);
        pairs.find(|(one, other)| below(one, other) && below(other, one)).map(|(one, other)| (&one.name, &other.name))
    }
}

/// What `public` says: whether it is, and as what.
pub(super) struct Said<'d> {
    pub(super) public: bool,
    pub(super) name: PublicName,
    pub(super) at: Option<At<'d>>,
}

pub(super) fn read<'d>(table: &Table<'d>, service: &ServiceName) -> Said<'d> {
    let mut name = PublicName::own(service);
    let value = table.optional("public");
    let public = value.as_ref().is_some_and(|value| match value.is_table() {
        true => read_table(value, &mut name).is_some(),
        false => value.boolean().unwrap_or_default(),
    });
    Said { public, name, at: value.map(|value| value.at) }
}

fn read_table(value: &Value<'_>, public: &mut PublicName) -> Option<()> {
    value.table(|table| {
        if let Some(name) = table.optional("name").and_then(|value| value.parse()) {
            public.name = name;
        }
        let Some(listed) = table.optional("paths") else { return };
        let values = listed.list().unwrap_or_default();
        if values.is_empty() {
            listed.report("names no path; leave it out for all of them");
        }
        public.paths = values.iter().filter_map(|value| value.checked(&check_path)).collect();
    })
}

/// What every proxy takes for the beginning of a path.
fn check_path(text: &str) -> Result<(), String> {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
    let is_path = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
    if text == "/" || is_path && !text.contains("/.") {
        return Ok(());
    }
    Err(format!("{} is not a path such as `/` or `/api/v1`, of letters, digits, `-`, `.`, `_` and `~`", quoted(text)))
}

/// Reports paths that two services of a system have, and names that are shared by one that nobody can tell apart by path.
pub(super) fn check(drafts: &[DraftService<'_>]) {
    let public: Vec<_> = drafts.iter().filter(|draft| draft.service.public).collect();
    for (index, draft) in public.iter().enumerate() {
        let (service, own) = (&draft.service, &draft.service.public_name);
        let at = draft.public_at.as_ref().unwrap_or(&draft.at);
        for other in public[..index].iter().filter(|other| other.service.public_name.name == own.name) {
            let theirs = &other.service.public_name.paths;
            if let Some(path) = own.paths.intersection(theirs).next() {
                at.report(format!("`{path}` of the name `{}` is that of `{}` already", own.name, other.service.name));
            }
        }
        let is_shared =
            public.iter().any(|other| other.service.name != service.name && other.service.public_name.name == own.name);
        let is_parted = is_shared || !own.paths.contains("/");
        if is_parted && !service.ready.is_http() {
            at.report("only what speaks HTTP can be told apart by path: it takes `ready = { http = \"/\" }`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, paths: &[&str]) -> PublicName {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        PublicName { paths, ..PublicName::own(&name.parse().unwrap()) }
    }

    #[test]
    fn a_path_stands_for_all_below_it() {
        let api = named("shop", &["/api", "/v1/x"]);
        for (path, is_its) in
            [("/api", true), ("/api/", true), ("/api/a?b=/", true), ("/apis", false), ("/", false), ("/v1", false)]
        {
            assert_eq!(api.has(path), is_its, "{path}");
        }
        assert!(named("shop", &["/"]).has("/any"));
        assert_eq!((api.first_path(), named("a", &["/"]).first_path()), ("/api", "/"));
    }

    #[test]
    fn it_survives_being_kept() {
        let name = PublicName { is_shared: true, holder: "web".parse().unwrap(), ..named("shop", &["/a", "/b"]) };
        assert_eq!(PublicName::from_json(&name.to_json()), Some(name));
        assert_eq!(PublicName::from_json(&json!(null)), None);
    }

    #[test]
    fn only_plain_paths_are_taken() {
        for path in ["/", "/api", "/a/b.c", "/~x"] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in ["", "api", "/api/", "//", "/a b", "/a`", "/a/../b", "/a?b", "/{x}"] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_tells_a_service_from_others_is_not_seen_from_outside() {
        let (service, shop): (ServiceName, _) = ("web".parse().unwrap(), "shop".parse().unwrap());
        for told_apart in [service.marked(&shop), service.qualified(&shop)] {
            assert_eq!(PublicName::own(&told_apart).name, service);
        }
    }
}
