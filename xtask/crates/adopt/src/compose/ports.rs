//! `ports` and `expose`.

use super::Reading;
use super::source::Made;
use super::yaml::Node;
use crate::known;
use crate::sketch::{Place, Service};
use model::port::{FurtherPort, Speaks};

/// A wider range of ports is nothing that a file has a line for each of.
const MOST: u16 = 16;

/// A port that a service is reached at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) own: u16,
    pub(crate) udp: bool,
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
                Some(text) => ports.add(&text, true),
                None => ports.add_long(node, plain),
            }
        }
        for text in service.get("expose").one_or_more().iter().filter_map(Node::text) {
            ports.add(&plain(text), false);
        }
        ports
    }

    /// The port of TCP that the service is known by, and those besides.
    pub(crate) fn main(&self) -> (Option<Port>, Vec<Port>) {
        let streams = || self.all.iter().filter(|port| !port.udp);
        let http = streams().find(|port| port.published && known::is_http(port.own));
        let main = http.or_else(|| streams().find(|port| port.published)).or(streams().next()).copied();
        let others = self.all.iter().filter(|port| Some(**port) != main).copied().collect();
        (main, others)
    }

    fn add_long(&mut self, node: &Node, plain: &dyn Fn(&str) -> String) {
        let text = |key: &str| node.get(key).text().map(plain);
        let own = text("target").unwrap_or_default();
        let shown = text("published").map_or_else(|| own.clone(), |published| format!("{published}:{own}"));
        let protocol = text("protocol").map(|protocol| format!("/{protocol}")).unwrap_or_default();
        self.add(&format!("{shown}{protocol}"), true);
    }

    /// `[[ADDRESS:][PUBLISHED]:]OWN[/PROTOCOL]`, each of them a port or a range.
    fn add(&mut self, text: &str, published: bool) {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let mut parts = numbers.rsplit(':');
        let own = parts.next().and_then(range);
        let of_machine = parts.next().and_then(range);
        let (Some((first, last)), "tcp" | "udp") = (own, protocol) else {
            return self.others.push(text.to_owned());
        };
        let is_wide = last - first >= MOST;
        if is_wide {
            self.others.push(format!("{text} (all but its first)"));
        }
        for own in first..=if is_wide { first } else { last } {
            let of_machine = of_machine.and_then(|(start, end)| {
                // A range of the machine for one port is a choice.
                let number = start.checked_add(own - first)?;
                (number <= end).then_some(number)
            });
            let udp = protocol == "udp";
            if !self.all.iter().any(|port| (port.own, port.udp) == (own, udp)) {
                self.all.push(Port { own, udp, of_machine, published });
            }
        }
    }
}

impl Reading<'_> {
    pub(super) fn port(&mut self, service: &mut Service, node: &Node, made: &Made) {
        let ports = Ports::read(node, &|text| self.variables.plain(text));
        let (main, others) = ports.main();
        match main {
            Some(main) => {
                service.port = Some(main.own);
                service.host_port = main.of_machine;
                service.public = main.published && known::is_http(main.own);
                if main.published && !service.public {
                    let note = format!(
                        "{} was published; that is no HTTP, which is what a cluster lets in, so only services of its system \
                         reach it. `public = true` publishes it in containers.",
                        main.own
                    );
                    service.note(Place::Public, note);
                }
            }
            // Of several that an image exposes, the one that everybody knows.
            None => service.port = made.usual.or(made.ports.first().copied()),
        }
        let more: Vec<String> = made
            .ports
            .iter()
            .filter(|port| main.is_none() && service.port != Some(**port))
            .map(u16::to_string)
            .collect();
        if !more.is_empty() {
            let note = format!("{} exposes {}, too: `[services.NAME.ports]` has several.", made.by, more.join(", "));
            service.note(Place::Port, note);
        }
        let (carried, left): (Vec<Port>, Vec<Port>) = others.into_iter().partition(|_| service.port.is_some());
        if carried.iter().any(|port| port.published) {
            let note = "Of these only the first is published, as in a cluster there is no more. `public = true` in the line of \
                        another publishes it in containers, and takes `targets = [\"containers\"]`.";
            service.note(Place::Ports, note);
        }
        service.ports.extend(carried.into_iter().map(Port::further));
        for port in left {
            let note =
                format!("{}/udp is not carried over: what has a port of UDP has one of TCP here, too.", port.own);
            service.note(Place::Port, note);
        }
        for other in ports.others {
            service.note(Place::Port, format!("`{other}` is not carried over: no port of TCP or UDP, or too many."));
        }
    }
}

impl Port {
    /// As a service has it besides its main one.
    fn further(self) -> (String, FurtherPort) {
        let speaks = if self.udp { Speaks::Udp } else { Speaks::Tcp };
        let host_port = self.of_machine.unwrap_or(self.own);
        (format!("{speaks}-{}", self.own), FurtherPort { port: self.own, host_port, speaks, public: false })
    }
}

/// The first and the last of `8000-8010` or `8000`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port != 0);
    number(first).zip(number(last)).filter(|(first, last)| first <= last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::yaml;

    fn read(text: &str) -> Ports {
        Ports::read(&yaml::read(text).unwrap(), &str::to_owned)
    }

    fn port(own: u16, of_machine: Option<u16>, published: bool) -> Port {
        Port { own, udp: false, of_machine, published }
    }

    #[test]
    fn ports_are_read_in_all_their_forms() {
        let text = "ports: ['127.0.0.1:8080:80', 53:53/udp, 9000-9001:9100-9101, 22, {target: 5432, published: '15432'}, \
                    1000-1999:1000-1999, x, '7000-7009:70', 53:53/sctp]\nexpose: [80, '3000']\n";
        let ports = read(text);
        let wanted = [
            port(80, Some(8080), true),
            Port { udp: true, ..port(53, Some(53), true) },
            port(9100, Some(9000), true),
            port(9101, Some(9001), true),
            port(22, None, true),
            port(5432, Some(15432), true),
            port(1000, Some(1000), true),
            port(70, Some(7000), true),
            port(3000, None, false),
        ];
        assert_eq!(ports.all, wanted);
        assert_eq!(ports.others, ["1000-1999:1000-1999 (all but its first)", "x", "53:53/sctp"]);
        assert_eq!(ports.main().0, Some(wanted[0]));
    }

    #[test]
    fn a_service_is_known_by_what_a_browser_can_open() {
        let ports = read("ports: ['5432:5432', '8080:8080']\n");
        assert_eq!(ports.main(), (Some(port(8080, Some(8080), true)), vec![port(5432, Some(5432), true)]));
        assert_eq!(read("ports: ['5432:5432']\nexpose: [80]\n").main().0, Some(port(5432, Some(5432), true)));
        assert_eq!(read("ports: ['5000:5000/udp', '5000:5000']\n").main().0, Some(port(5000, Some(5000), true)));
        assert_eq!(read("image: x\n").main(), (None, vec![]));
        assert_eq!(read("ports: ['51820:51820/udp']\n").main().0, None);
    }
}
