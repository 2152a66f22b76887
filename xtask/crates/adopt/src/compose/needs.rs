//! What a service needs of others: what the file says of it, and what its own texts and sources name.

use super::yaml::Node;
use super::{Reading, mentions};
use crate::listens;
use crate::sketch::{Place, Service, Source};

impl Reading<'_> {
    pub(super) fn needs(&mut self, service: &mut Service, node: &Node) {
        let depends = node.get("depends_on");
        let mut needs: Vec<String> = depends.entries().iter().map(|(name, _)| name.clone()).collect();
        needs.extend(depends.items().iter().filter_map(|name| self.plain(name)));
        for link in node.get("links").items().iter().filter_map(|link| self.plain(link)) {
            let (name, alias) = link.split_once(':').unwrap_or((&link, ""));
            if !alias.is_empty() && alias != name {
                service.note(
                    Place::Needs,
                    format!("It knows `{name}` as `{alias}`: give that service `aliases = [\"{alias}\"]`."),
                );
            }
            needs.push(name.to_owned());
        }
        for name in needs {
            match self.names.get(&name).map(ToString::to_string) {
                Some(name) if service.needs.contains(&name) || name == service.name.as_str() => {}
                Some(name) => service.needs.push(name),
                None => service.note(Place::Needs, format!("It needs `{name}`, which is not carried over.")),
            }
        }
    }

    /// Adds those that a service has to reach though the file does not say so: there all reach each other.
    pub(super) fn find_needs(&mut self) {
        for index in 0..self.sketch.services.len() {
            for other in 0..self.sketch.services.len() {
                let name = self.sketch.services[other].name.to_string();
                // What needs each other would never begin.
                if index == other || self.leads(&name, self.sketch.services[index].name.as_str()) {
                    continue;
                }
                let service = &self.sketch.services[index];
                if service.needs.contains(&name) {
                    continue;
                }
                let Some(place) = self.names_it(service, other) else { continue };
                let service = &mut self.sketch.services[index];
                service.note(Place::Needs, format!("That it needs `{name}` is said by {place} alone."));
                service.needs.push(name);
            }
        }
    }

    /// Says which services nobody is known to need, for whom that is not plain.
    pub(super) fn say_unneeded(&mut self) {
        if self.sketch.services.len() < 2 {
            return;
        }
        let needed: Vec<String> = self.sketch.services.iter().flat_map(|service| service.needs.clone()).collect();
        for service in &mut self.sketch.services {
            let name = service.name.to_string();
            if service.port.is_some() && !service.public && !needed.contains(&name) {
                let note = format!(
                    "Nobody is known to need it, and in a cluster only those that do reach it: `needs = [\"{name}\"]` there."
                );
                service.note(Place::Public, note);
            }
        }
    }

    /// Whether `from` needs `to`, itself or by what it needs.
    fn leads(&self, from: &str, to: &str) -> bool {
        let mut left = vec![from.to_owned()];
        let mut seen = Vec::new();
        while let Some(name) = left.pop() {
            if name == to {
                return true;
            }
            if !seen.contains(&name) {
                let needs = self.sketch.services.iter().filter(|service| service.name.as_str() == name);
                left.extend(needs.flat_map(|service| service.needs.clone()));
                seen.push(name);
            }
        }
        false
    }

    /// Where a service names another one as somebody to connect to.
    fn names_it(&self, service: &Service, other: usize) -> Option<String> {
        let other = &self.sketch.services[other];
        let mut names = vec![self.original(other.name.as_str())];
        names.extend(other.aliases.iter().cloned());
        let named = |text: &str| names.iter().any(|name| mentions::is_host(name, text));
        let variable = service.env.iter().find(|(variable, value)| {
            mentions::is_for_host(variable) && names.iter().any(|name| value == &name) || named(value)
        });
        if let Some((variable, _)) = variable {
            return Some(format!("`{variable}`"));
        }
        if self.texts(service).iter().any(|text| named(text)) {
            return Some("its arguments or files".to_owned());
        }
        let Source::Dockerfile { folder, .. } = &service.source else { return None };
        let sources = listens::sources(&self.repository.root.join(folder));
        sources.into_iter().find(|(_, text)| named(text)).map(|(file, _)| format!("`{file}`"))
    }
}
