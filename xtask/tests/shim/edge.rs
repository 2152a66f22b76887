//! The edge of the public image: one container follows another without a lost request.

use crate::engine::{BUSYBOX, PORT, Stage, proc};
use crate::load;
use crate::scratch::{eventually, free_address};
use model::name::ServiceName;
use model::public_name::PublicName;
use model::system::Probe;
use shim::edge;
use shim::edge::{Edge, Fronted};
use shim::{Mount, Publish, Run, RunSpec};
use skip::Found;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use supervisor::{Client, Confirm, LaunchSpec, LaunchStrategy, Route, ServiceStatus, State};

const TRAEFIK: &str = "docker.io/library/traefik:v3.5";
/// Says which version it is after a while.
const SLOW: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nsleep 1\necho slow VERSION\n";

struct Fronts {
    stage: Stage,
    client: Client,
    edge: Edge,
    routes: PathBuf,
    /// Where the public service is published.
    public: SocketAddr,
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn find(client: &Client, service: &ServiceName) -> Option<ServiceStatus> {
    client.status().unwrap().into_iter().find(|status| status.service == *service)
}

impl Fronts {
    /// For an edge in front of `shop`, which is public, and `stock`, which others need on the same port.
    fn new(test: &str) -> Found<Self> {
        let stage = Stage::new(test, &[BUSYBOX, TRAEFIK])?;
        let client = stage.scratch.supervisor();
        let fronted = |service: &str, is_public: bool| Fronted {
            service: name(service),
            port: PORT,
            public: is_public.then(|| PublicName::own(&name(service))),
            http: true,
            aliases: vec![service.to_owned()],
            further: Vec::new(),
        };
        let edge = Edge { fronted: vec![fronted("shop", true), fronted("stock", false)] };
        let routes = stage.folder("routes", &[]);
        Ok(Self { stage, client, edge, routes, public: free_address() })
    }

    fn with_edge(test: &str) -> Found<Self> {
        let fronts = Self::new(test)?;
        fronts.start_edge(fronts.edge.args());
        Ok(fronts)
    }

    fn start_edge(&self, args: Vec<String>) {
        let run = RunSpec {
            aliases: vec!["shop".to_owned(), "stock".to_owned()],
            publish: vec![Publish { at: self.public, port: self.edge.public_port(&name("shop")).unwrap(), udp: false }],
            mounts: vec![Mount::Bind { source: self.routes.clone(), at: edge::ROUTES.to_owned() }],
            args,
            memory: "128Mi".parse().unwrap(),
            ..self.stage.run_spec(TRAEFIK)
        };
        let mut spec = self.stage.spec("edge", &run);
        let LaunchStrategy::Container { place, .. } = &mut spec.style else { panic!("not a container") };
        place.prefix = format!("{}-edge", self.stage.id);
        place.port = self.edge.admin_port();
        place.relays = vec![edge::CONFIRMATIONS.to_owned()];
        (spec.ready, spec.live) =
            (Probe::Http { path: edge::PING.to_owned() }, Probe::Http { path: edge::PING.to_owned() });
        self.deploy(&LaunchSpec { service: name("edge"), ..spec });
    }

    fn spec(&self, service: &str, version: &str) -> LaunchSpec {
        let slow = SLOW.replace("VERSION", version);
        let files = [("readyz", "x"), ("livez", "x"), ("index.html", version), ("cgi-bin/slow", slow.as_str())];
        let (mut spec, _) = self.stage.server(version, &files);
        spec.service = name(service);
        let LaunchStrategy::Container { place, route, .. } = &mut spec.style else { panic!("not a container") };
        place.prefix = format!("{}-{service}", self.stage.id);
        *route = Some(Route {
            file: self.routes.join(edge::route_file(&spec.service)),
            text: self.edge.route(&spec.service).unwrap(),
            confirm: Some(Confirm { edge: name("edge"), path: edge::confirmation(&spec.service) }),
        });
        spec
    }

    /// Kills a container and waits until it is back.
    fn crash(&self, service: &str) {
        let current = || find(&self.client, &name(service))?.current;
        let before = current().unwrap();
        let container = format!("{}-{service}-{}", self.stage.id, before.instance);
        self.stage.run(&self.stage.engine.command().args(["kill", "--signal", "KILL", &container]));
        eventually("it is back", || {
            current().filter(|now| now.restarts > before.restarts && now.state == State::Ready)
        });
    }

    /// Returns how long the promotion took.
    fn deploy(&self, spec: &LaunchSpec) -> Duration {
        let number = self.client.start(spec).unwrap();
        eventually("the candidate is ready", || {
            let candidate = find(&self.client, &spec.service)?.candidate?;
            assert_ne!(candidate.state, State::Failed, "{candidate:#?}");
            (candidate.state == State::Ready).then_some(())
        });
        let started = Instant::now();
        self.client.promote(&spec.service, number).unwrap();
        started.elapsed()
    }
}

#[test]
fn no_request_is_lost_while_one_container_follows_another() {
    let fronts = skip::unless!(Fronts::with_edge("edge"));
    fronts.deploy(&fronts.spec("shop", "v1"));
    assert_eq!(load::get(fronts.public, "/").unwrap(), "v1");
    let (took, tally) = load::during(fronts.public, || {
        ["v2", "v3", "v4"].map(|version| {
            let slow = std::thread::scope(|scope| {
                let slow = scope.spawn(|| load::get(fronts.public, "/cgi-bin/slow").unwrap());
                let took = fronts.deploy(&fronts.spec("shop", version));
                (slow.join().unwrap(), took)
            });
            // From here on only the new version answers.
            assert_eq!(load::get(fronts.public, "/").unwrap(), version);
            slow
        })
    });
    eprintln!("promotions: {took:?}; {:?}", tally.answers);
    assert_eq!(tally.lost, [""; 0], "{:?}", tally.answers);
    assert_eq!(tally.answers.keys().collect::<Vec<_>>(), ["v1", "v2", "v3", "v4"]);
    fronts.client.shutdown(&[name("shop"), name("edge")]).unwrap();
    assert_eq!(fronts.stage.containers(), [""; 0]);
    assert_eq!(std::fs::read_dir(&fronts.routes).unwrap().count(), 0);
}

#[test]
fn a_request_in_flight_is_answered_by_the_version_that_took_it() {
    let fronts = skip::unless!(Fronts::with_edge("flight"));
    fronts.deploy(&fronts.spec("shop", "v1"));
    let number = fronts.client.start(&fronts.spec("shop", "v2")).unwrap();
    await_that_ready(&fronts, number);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| load::get(fronts.public, "/cgi-bin/slow").unwrap());
        // It has reached the old version when that runs the script.
        let old = format!("{}-shop-{}", fronts.stage.id, number - 1);
        let engine = &fronts.stage.engine;
        eventually("the request is being answered", || {
            let processes = proc().read(&engine.exec(&old, &["ps"])).ok()?;
            processes.contains("slow").then_some(())
        });
        fronts.client.promote(&name("shop"), number).unwrap();
        assert_eq!(slow.join().unwrap(), "slow v1");
    });
    assert_eq!(load::get(fronts.public, "/").unwrap(), "v2");
}

fn await_that_ready(fronts: &Fronts, number: u64) {
    eventually("the candidate is ready", || {
        let candidate = find(&fronts.client, &name("shop"))?.candidate?;
        (candidate.instance == number && candidate.state == State::Ready).then_some(())
    });
}

#[test]
fn services_with_one_port_are_told_apart_by_their_names() {
    let fronts = skip::unless!(Fronts::with_edge("names"));
    fronts.deploy(&fronts.spec("shop", "shop-1"));
    fronts.deploy(&fronts.spec("stock", "stock-1"));
    for (service, version) in [("shop", "shop-1"), ("stock", "stock-1")] {
        let url = format!("http://{service}:{PORT}/");
        let run = RunSpec {
            args: ["busybox", "wget", "-q", "-O", "-", &url].map(str::to_owned).to_vec(),
            ..fronts.stage.run_spec(BUSYBOX)
        };
        // Names are made known beside the container that has them, and on a busy machine a moment later.
        let mut clients = 0;
        let answer = eventually("the name leads there", || {
            clients += 1;
            let args = fronts.stage.engine.run(&format!("{}-{service}-client-{clients}", fronts.stage.id), &run);
            proc().read(&fronts.stage.engine.command().args(args)).ok()
        });
        assert_eq!(answer, version);
    }
    // Another service than the public one is not reached from outside.
    assert_eq!(load::get(fronts.public, "/").unwrap(), "shop-1");
}

#[test]
fn an_edge_that_is_started_again_serves_what_was_in_force() {
    let fronts = skip::unless!(Fronts::with_edge("again"));
    fronts.deploy(&fronts.spec("shop", "v1"));
    fronts.crash("edge");
    assert_eq!(load::get(fronts.public, "/").unwrap(), "v1");
    fronts.deploy(&fronts.spec("shop", "v2"));
    assert_eq!(load::get(fronts.public, "/").unwrap(), "v2");
}

#[test]
fn a_service_that_is_started_again_is_reached_where_it_then_is() {
    let fronts = skip::unless!(Fronts::with_edge("moved"));
    fronts.deploy(&fronts.spec("shop", "v1"));
    fronts.crash("shop");
    eventually("the edge gets to it", || load::get(fronts.public, "/").ok().filter(|answer| answer == "v1"));
    fronts.deploy(&fronts.spec("shop", "v2"));
    assert_eq!(load::get(fronts.public, "/").unwrap(), "v2");
}

#[test]
fn an_edge_that_does_not_see_changes_is_told_to_look() {
    let fronts = skip::unless!(Fronts::new("blind"));
    let blind = |arg: String| arg.replace("watch=true", "watch=false");
    fronts.start_edge(fronts.edge.args().into_iter().map(blind).collect());
    let took = fronts.deploy(&fronts.spec("shop", "v1"));
    assert!(took >= Duration::from_secs(1), "it saw the change within {took:?}");
    assert_eq!(load::get(fronts.public, "/").unwrap(), "v1");
}
