//! `ports` and `expose`.

use super::yaml::Node;
use crate::known;

/// A port of TCP that a service is reached at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) own: u16,
    /// The one of the machine, where it is published and that is said.
    pub(crate) of_machine: Option<u16>,
    pub(crate) published: bool,
}

/// All ports that are named, and what cannot be one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) all: Vec<Port>,
    pub(crate) others: Vec<String>,
}

impl Ports {
    pub(crate) fn read(service: &Node, plain: &dyn Fn(&str) -> String) -> Self {
        let mut ports = Self::default();
        for node in service.get("ports").one_or_more() {
            match node.text().map(plain) {
                Some(text) => ports.add(&text, &text, true),
                None => ports.add_long(node, plain),
            }
        }
        for text in service.get("expose").one_or_more().iter().filter_map(Node::text) {
            let text = plain(text);
            ports.add(&text, &text, false);
        }
        ports
    }

    /// The port that the service is known by, and those besides.
    pub(crate) fn main(&self) -> (Option<Port>, Vec<Port>) {
        let http = self.all.iter().find(|port| port.published && known::is_http(port.own));
        let main = http.or_else(|| self.all.iter().find(|port| port.published)).or(self.all.first()).copied();
        let others = self.all.iter().filter(|port| Some(port.own) != main.map(|main| main.own)).copied().collect();
        (main, others)
    }

    fn add_long(&mut self, node: &Node, plain: &dyn Fn(&str) -> String) {
        let text = |key: &str| node.get(key).text().map(plain);
        let own = text("target").unwrap_or_default();
        let shown = text("published").map_or_else(|| own.clone(), |published| format!("{published}:{own}"));
        let protocol = text("protocol").map(|protocol| format!("/{protocol}")).unwrap_or_default();
        self.add(&format!("{shown}{protocol}"), &format!("{shown}{protocol}"), true);
    }

    /// `[[ADDRESS:][PUBLISHED]:]OWN[/PROTOCOL]`, each of them a port or a range.
    fn add(&mut self, text: &str, shown: &str, published: bool) {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let mut parts = numbers.rsplit(':');
        let (own, of_machine) = (parts.next().unwrap_or_default(), parts.next());
        let first = |range: &str| range.split('-').next().unwrap_or_default().trim().parse::<u16>().ok();
        match (first(own).filter(|port| *port != 0), protocol) {
            (Some(own), "tcp") => {
                let of_machine = of_machine.and_then(first).filter(|port| *port != 0);
                if !self.all.iter().any(|port| port.own == own) {
                    self.all.push(Port { own, of_machine, published });
                }
            }
            _ => self.others.push(shown.to_owned()),
        }
        if own.contains('-') {
            self.others.push(format!("{shown} (all but its first)"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::yaml;

    fn read(text: &str) -> Ports {
        Ports::read(&yaml::read(text).unwrap(), &str::to_owned)
    }

    fn port(own: u16, of_machine: Option<u16>, published: bool) -> Port {
        Port { own, of_machine, published }
    }

    #[test]
    fn ports_are_read_in_all_their_forms() {
        let text = "ports: ['127.0.0.1:8080:80', 53:53/udp, 9000-9001:9000-9001, 22, {target: 5432, published: '15432'}]\n\
                    expose: [80, '3000']\n";
        let ports = read(text);
        let wanted = [
            port(80, Some(8080), true),
            port(9000, Some(9000), true),
            port(22, None, true),
            port(5432, Some(15432), true),
            port(3000, None, false),
        ];
        assert_eq!(ports.all, wanted);
        assert_eq!(ports.others, ["53:53/udp", "9000-9001:9000-9001 (all but its first)"]);
        assert_eq!(ports.main().0, Some(wanted[0]));
    }

    #[test]
    fn a_service_is_known_by_what_a_browser_can_open() {
        let ports = read("ports: ['5432:5432', '8080:8080']\n");
        assert_eq!(ports.main(), (Some(port(8080, Some(8080), true)), vec![port(5432, Some(5432), true)]));
        assert_eq!(read("ports: ['5432:5432']\nexpose: [80]\n").main().0, Some(port(5432, Some(5432), true)));
        assert_eq!(read("image: x\n").main(), (None, vec![]));
    }
}
