//! The edge: a proxy from Traefik's public image that keeps the ports of services open while one container follows
//! another. Its arguments never change with a version; which instance serves is a file in a folder that it watches.
//!
//! Every such file also has a route of its own that answers once the file is in force, so that an old instance ends
//! only when no new request can get to it.

use model::name::ServiceName;
use model::public_name::PublicName;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// Where the edge's container has the folder of routes.
pub const ROUTES: &str = "/etc/slipway/routes";
/// What a shim of the edge has to relay, so that routes can be confirmed.
pub const CONFIRMATIONS: &str = "/slipway/";
/// Where the edge says whether it is well, on its admin port.
pub const PING: &str = "/ping";
/// How long requests in flight may take when the edge itself ends.
const GRACE: Duration = Duration::from_secs(10);
/// Ports from here on are those of the public entry points, as far as no service has them inside.
const FIRST_PUBLIC: u16 = 20_000;
/// More than the edge gives to what stands for all paths.
const LEAST_PRIORITY: usize = 100;
/// The admin port is the next below that is free.
const LAST_ADMIN: u16 = 19_999;

/// A service that is reached through an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fronted {
    pub service: ServiceName,
    /// The port it listens on in its own container.
    pub port: u16,
    /// Where it is reached from outside: at an entry point that is to be published.
    pub public: Option<PublicName>,
    /// Otherwise nothing is known of what it speaks, and bytes are passed on as they come.
    pub http: bool,
    /// The names by which others on the network reach it through the edge, on `port`. Empty: nobody needs it.
    pub aliases: Vec<String>,
    /// What of it is public besides, each with an entry point of its own.
    pub further: Vec<Further>,
}

/// A further port of a service that is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Further {
    /// What it is called where ports are counted.
    pub name: ServiceName,
    /// The port in the service's own container.
    pub port: u16,
    pub udp: bool,
}

/// What an edge is in front of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub fronted: Vec<Fronted>,
}

impl Edge {
    /// The ports on which services are reached from within their network.
    fn internal_ports(&self) -> BTreeSet<u16> {
        self.fronted.iter().filter(|fronted| !fronted.aliases.is_empty()).map(|fronted| fronted.port).collect()
    }

    /// The port inside the edge's container that is to be published for a public service, and for all that share its name.
    pub fn public_port(&self, service: &ServiceName) -> Option<u16> {
        let internal = self.internal_ports();
        let ports = (FIRST_PUBLIC..=u16::MAX).filter(|port| !internal.contains(port));
        let holders = self.fronted.iter().filter(|fronted| fronted.holds_public_name()).map(|fronted| &fronted.service);
        let further = self.further().map(|further| &further.name);
        let wanted = match self.fronted.iter().find(|fronted| fronted.service == *service) {
            Some(fronted) => &fronted.public.as_ref()?.holder,
            None => service,
        };
        holders.chain(further).zip(ports).find(|(name, _)| *name == wanted).map(|(_, port)| port)
    }

    fn further(&self) -> impl Iterator<Item = &Further> {
        self.fronted.iter().flat_map(|fronted| &fronted.further)
    }

    /// Whether what is published by this name comes as datagrams.
    pub fn is_udp(&self, name: &ServiceName) -> bool {
        self.further().any(|further| further.udp && further.name == *name)
    }

    /// Where it answers [`PING`] and confirms routes. Not to be published to others.
    pub fn admin_port(&self) -> u16 {
        let internal = self.internal_ports();
        (1..=LAST_ADMIN).rev().find(|port| !internal.contains(port)).unwrap_or(LAST_ADMIN)
    }

    /// The arguments of Traefik.
    pub fn args(&self) -> Vec<String> {
        let public = self.fronted.iter().filter_map(|fronted| self.public_port(&fronted.service));
        let ports: BTreeSet<u16> = public.chain(self.internal_ports()).collect();
        let mut args: Vec<String> =
            ports.into_iter().flat_map(|port| entry_point(&entry_point_name(port), port)).collect();
        let further = self.further().filter_map(|further| Some((self.public_port(&further.name)?, further.udp)));
        args.extend(further.flat_map(|(port, udp)| match udp {
            true => vec![format!("--entrypoints.{}.address=:{port}/udp", entry_point_name(port))],
            false => entry_point(&entry_point_name(port), port).into(),
        }));
        args.extend(entry_point(ADMIN, self.admin_port()));
        let rest = [
            &format!("--ping.entrypoint={ADMIN}"),
            &format!("--providers.file.directory={ROUTES}"),
            "--providers.file.watch=true",
            "--providers.providersthrottleduration=0s",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--log.level=WARN",
        ];
        args.extend(rest.map(str::to_owned));
        args
    }

    /// The command that tells inside whether it is well.
    pub fn health(&self) -> Vec<String> {
        let address = format!("--entrypoints.{ADMIN}.address=:{}", self.admin_port());
        let ping = format!("--ping.entrypoint={ADMIN}");
        ["traefik", "healthcheck", &ping, &address].map(str::to_owned).into()
    }

    /// The file that sends requests for a service to one of its instances, with `{host}` for where that is and
    /// `{instance}` for its number. `None` for a service that is not reached through the edge.
    pub fn route(&self, service: &ServiceName) -> Option<String> {
        let fronted = self.fronted.iter().find(|fronted| fronted.service == *service)?;
        let path = confirmation(service);
        let mut routers =
            json!({format!("{service}-in-force"): router(ADMIN, &format!("Path(`{path}`)"), "ping@internal")});
        if !fronted.http {
            let mut routes = json!({"http": {"routers": routers}});
            if let Some(port) = self.public_port(service) {
                routes["tcp"] = pass_on(fronted, port);
            }
            self.add_further(fronted, &mut routes);
            return Some(format!("{routes:#}\n"));
        }
        if let Some(port) = self.public_port(service) {
            routers.as_object_mut()?.extend(fronted.public_routers(&entry_point_name(port)));
        }
        if !fronted.aliases.is_empty() {
            let hosts: Vec<String> = fronted.aliases.iter().map(|alias| format!("Host(`{alias}`)")).collect();
            routers[format!("{service}-internal")] =
                router(&entry_point_name(fronted.port), &hosts.join(" || "), service.as_str());
        }
        let url = format!("http://{{host}}:{}", fronted.port);
        let services: Value =
            json!({service.as_str(): {"loadBalancer": {"servers": [{"url": url}], "passHostHeader": true}}});
        let mut routes = json!({"http": {"routers": routers, "services": services}});
        self.add_further(fronted, &mut routes);
        // JSON is YAML, and has no `{{`, which the edge would take for a template.
        Some(format!("{routes:#}\n"))
    }

    /// Adds what passes on whatever comes to further ports.
    fn add_further(&self, fronted: &Fronted, routes: &mut Value) {
        for Further { name, port, udp } in &fronted.further {
            let Some(entry) = self.public_port(name).map(entry_point_name) else { continue };
            // The edge takes no dots in these.
            let to = name.as_str().replace('.', "--");
            let (kind, mut route) = (if *udp { "udp" } else { "tcp" }, json!({"entryPoints": [entry], "service": to}));
            if !udp {
                route["rule"] = json!("HostSNI(`*`)");
            }
            routes[kind]["routers"][format!("{to}-public")] = route;
            routes[kind]["services"][to] =
                json!({"loadBalancer": {"servers": [{"address": format!("{{host}}:{port}")}]}});
        }
    }
}

impl Fronted {
    fn holds_public_name(&self) -> bool {
        self.public.as_ref().is_some_and(|public| public.holder == self.service)
    }

    /// Those of its paths. Left alone the edge looks for the longest rule first.
    fn public_routers(&self, entry: &str) -> Vec<(String, Value)> {
        let service = self.service.as_str();
        let one = |(number, path): (usize, &String)| {
            if path == "/" {
                return (format!("{service}-public"), router(entry, "PathPrefix(`/`)", service));
            }
            let mut router = router(entry, &format!("Path(`{path}`) || PathPrefix(`{path}/`)"), service);
            router["priority"] = json!(LEAST_PRIORITY + path.len());
            (format!("{service}-public-{number}"), router)
        };
        self.public.iter().flat_map(|public| public.paths.iter().enumerate().map(one)).collect()
    }
}

fn router(entry: &str, rule: &str, to: &str) -> Value {
    json!({"entryPoints": [entry], "rule": rule, "service": to})
}

/// Whatever comes to `port` goes to the service.
fn pass_on(fronted: &Fronted, port: u16) -> Value {
    let service = fronted.service.as_str();
    let server = json!({"address": format!("{{host}}:{}", fronted.port)});
    json!({
        // Without TLS there is no name to tell connections apart by.
        "routers": {format!("{service}-public"): router(&entry_point_name(port), "HostSNI(`*`)", service)},
        "services": {service: {"loadBalancer": {"servers": [server]}}},
    })
}

/// The name of a service's file in the folder of routes.
pub fn route_file(service: &ServiceName) -> String {
    format!("{service}.yml")
}

/// The path that answers once the route to an instance is in force; `{instance}` stands for its number.
pub fn confirmation(service: &ServiceName) -> String {
    format!("{CONFIRMATIONS}{service}/{{instance}}")
}

const ADMIN: &str = "admin";

fn entry_point_name(port: u16) -> String {
    format!("port-{port}")
}

fn entry_point(name: &str, port: u16) -> [String; 3] {
    let grace = GRACE.as_secs();
    [
        format!("--entrypoints.{name}.address=:{port}"),
        format!("--entrypoints.{name}.transport.lifecycle.gracetimeout={grace}s"),
        // A request may take as long as its service allows.
        format!("--entrypoints.{name}.transport.respondingtimeouts.readtimeout=0s"),
    ]
}

/// The arguments with which its image tries to connect to an address: it asks there whether an edge is well.
pub fn reach(to: SocketAddr) -> Vec<String> {
    vec!["healthcheck".to_owned(), "--ping=true".to_owned(), format!("--entrypoints.traefik.address={to}")]
}

/// Whether it got through, whatever it was answered; `None` when its words tell of no try.
pub fn reached(success: bool, words: &str) -> Option<bool> {
    let answered = success || words.contains("Bad healthcheck status");
    let failed = words.contains("Error calling healthcheck");
    let never_there = ["dial tcp", "deadline exceeded", "Client.Timeout"].iter().any(|sign| words.contains(sign));
    (answered || failed).then_some(answered || !never_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        text.parse().unwrap()
    }

    fn fronted(service: &str, port: u16, public: bool, aliases: &[&str]) -> Fronted {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        let public = public.then(|| PublicName::own(&name(service)));
        Fronted { service: name(service), port, public, http: true, aliases, further: Vec::new() }
    }

    fn edge() -> Edge {
        let shop = fronted("shop", 8000, true, &[]);
        let stock = fronted("stock", 8000, false, &["stock", "depot"]);
        Edge { fronted: vec![shop, stock, fronted("mail", 20_000, true, &["mail"])] }
    }

    #[test]
    fn ports_are_open_for_the_public_and_for_those_within() {
        let entry = |name: &str, port: u16| {
            let values = [format!("address=:{port}"), "transport.lifecycle.gracetimeout=10s".to_owned()];
            let values = values.into_iter().chain(["transport.respondingtimeouts.readtimeout=0s".to_owned()]);
            values.map(|value| format!("--entrypoints.{name}.{value}")).collect::<Vec<_>>()
        };
        let rest = [
            "--ping.entrypoint=admin",
            "--providers.file.directory=/etc/slipway/routes",
            "--providers.file.watch=true",
            "--providers.providersthrottleduration=0s",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--log.level=WARN",
        ];
        let ports = [8000, 20_000, 20_001, 20_002].map(|port| entry(&format!("port-{port}"), port));
        let admin = entry("admin", 19_999);
        let wanted: Vec<String> = ports.concat().into_iter().chain(admin).chain(rest.map(str::to_owned)).collect();
        assert_eq!(edge().args(), wanted);
    }

    #[test]
    fn no_port_is_for_two_things() {
        // `mail` has the first public port inside, so the public ports begin behind it.
        let edge = edge();
        assert_eq!(
            ["shop", "stock", "mail"].map(|service| edge.public_port(&name(service))),
            [Some(20_001), None, Some(20_002)]
        );
        let crowded = Edge { fronted: vec![fronted("a", 19_999, false, &["a"]), fronted("b", 19_998, true, &["b"])] };
        assert_eq!(crowded.admin_port(), 19_997);
        assert_eq!(crowded.health()[3], "--entrypoints.admin.address=:19997");
    }

    #[test]
    fn those_that_share_a_name_have_one_port_and_the_longest_path_wins() {
        let sharing = |service: &str, paths: &[&str]| {
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            let public = PublicName { paths, holder: name("shop"), is_shared: true, ..PublicName::own(&name("shop")) };
            Fronted { public: Some(public), ..fronted(service, 80, true, &[]) }
        };
        let edge = Edge {
            fronted: vec![sharing("api", &["/api", "/v1"]), sharing("shop", &["/"]), fronted("x", 80, true, &[])],
        };
        let ports = ["api", "shop", "x"].map(|service| edge.public_port(&name(service)));
        assert_eq!(ports, [Some(20_000), Some(20_000), Some(20_001)]);
        let route = |service: &str| -> Value { serde_json::from_str(&edge.route(&name(service)).unwrap()).unwrap() };
        let api = &route("api")["http"]["routers"];
        assert_eq!(
            api["api-public-0"],
            json!({
                "entryPoints": ["port-20000"], "priority": 104, "rule": "Path(`/api`) || PathPrefix(`/api/`)", "service": "api",
            })
        );
        assert_eq!(api["api-public-1"]["rule"], "Path(`/v1`) || PathPrefix(`/v1/`)");
        assert_eq!(route("shop")["http"]["routers"]["shop-public"]["rule"], "PathPrefix(`/`)");
    }

    #[test]
    fn what_is_not_known_to_speak_http_is_passed_on_as_it_comes() {
        let edge = Edge { fronted: vec![Fronted { http: false, ..fronted("store", 6379, true, &[]) }] };
        let route: Value = serde_json::from_str(&edge.route(&name("store")).unwrap()).unwrap();
        let router =
            |entry: &str, rule: &str, service: &str| json!({"entryPoints": [entry], "rule": rule, "service": service});
        let wanted = json!({
            "http": {"routers": {"store-in-force": router("admin", "Path(`/slipway/store/{instance}`)", "ping@internal")}},
            "tcp": {
                "routers": {"store-public": router("port-20000", "HostSNI(`*`)", "store")},
                "services": {"store": {"loadBalancer": {"servers": [{"address": "{host}:6379"}]}}},
            },
        });
        assert_eq!(route, wanted);
    }

    #[test]
    fn further_ports_have_entry_points_behind_those_of_services() {
        let further = |port: &str, number, udp| Further { name: name("game").port(port), port: number, udp };
        let game = Fronted {
            further: vec![further("world", 25565, false), further("query", 25565, true)],
            ..fronted("game", 8080, true, &[])
        };
        let edge = Edge { fronted: vec![game, fronted("shop", 8000, true, &[])] };
        let port = |port: &str| edge.public_port(&name("game").port(port));
        assert_eq!((port("world"), port("query"), port("none")), (Some(20_002), Some(20_003), None));
        assert!(edge.is_udp(&name("game").port("query")) && !edge.is_udp(&name("game").port("world")));
        let args = edge.args();
        assert!(args.contains(&"--entrypoints.port-20002.address=:20002".to_owned()), "{args:?}");
        assert!(args.contains(&"--entrypoints.port-20003.address=:20003/udp".to_owned()), "{args:?}");
        let route: Value = serde_json::from_str(&edge.route(&name("game")).unwrap()).unwrap();
        let to = |name: &str| json!({name: {"loadBalancer": {"servers": [{"address": "{host}:25565"}]}}});
        let router = json!({"entryPoints": ["port-20003"], "service": "game--query"});
        assert_eq!(route["udp"], json!({"routers": {"game--query-public": router}, "services": to("game--query")}));
        assert_eq!(route["tcp"]["routers"]["game--world-public"]["rule"], "HostSNI(`*`)");
        assert_eq!(route["tcp"]["services"], to("game--world"));
        assert_eq!(route["http"]["routers"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_route_is_for_one_service_by_port_and_name() {
        let route = |service: &str| -> Value { serde_json::from_str(&edge().route(&name(service)).unwrap()).unwrap() };
        let router =
            |entry: &str, rule: &str, service: &str| json!({"entryPoints": [entry], "rule": rule, "service": service});
        let shop = route("shop");
        let routers = json!({
            "shop-in-force": router("admin", "Path(`/slipway/shop/{instance}`)", "ping@internal"),
            "shop-public": router("port-20001", "PathPrefix(`/`)", "shop"),
        });
        assert_eq!(shop["http"]["routers"], routers);
        let servers = json!({"loadBalancer": {"servers": [{"url": "http://{host}:8000"}], "passHostHeader": true}});
        assert_eq!(shop["http"]["services"], json!({"shop": servers}));
        let inside = router("port-8000", "Host(`stock`) || Host(`depot`)", "stock");
        assert_eq!(route("stock")["http"]["routers"]["stock-internal"], inside);
        assert_eq!(route("stock")["http"]["routers"].as_object().unwrap().len(), 2);
        assert_eq!(edge().route(&name("other")), None);
        assert!(!edge().route(&name("shop")).unwrap().contains("{{"), "the edge would take it for a template");
        assert_eq!(
            (route_file(&name("shop")), confirmation(&name("shop"))),
            ("shop.yml".into(), "/slipway/shop/{instance}".into())
        );
    }

    #[test]
    fn what_is_no_edge_is_reached_all_the_same() {
        let line = reach("10.89.11.2:6379".parse().unwrap());
        assert_eq!(line.join(" "), "healthcheck --ping=true --entrypoints.traefik.address=10.89.11.2:6379");
        let asked = |why: &str| format!("Error calling healthcheck: Head \"http://10.89.11.2:6379/ping\": {why}");
        for (words, expected) in [
            (asked("EOF"), Some(true)),
            (asked("net/http: HTTP/1.x transport connection broken: malformed HTTP response \"-ERR\""), Some(true)),
            ("Bad healthcheck status: 404 Not Found".to_owned(), Some(true)),
            (asked("dial tcp 10.89.11.2:6379: connect: connection refused"), Some(false)),
            (asked("dial tcp 10.89.11.2:6379: connect: no route to host"), Some(false)),
            (asked("context deadline exceeded (Client.Timeout exceeded while awaiting headers)"), Some(false)),
            ("exec: \"healthcheck\": executable file not found".to_owned(), None),
        ] {
            assert_eq!(reached(false, &words), expected, "{words}");
        }
        assert_eq!(reached(true, "OK: http://10.89.11.2:6379/ping"), Some(true));
    }
}
