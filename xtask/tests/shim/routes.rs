//! Which instance is to serve is written before its predecessor ends, and taken back when an edge does not go by it. The
//! engine is the fake one, and so is the edge: it confirms everything until it is told otherwise.

use crate::fake::{Fake, placed};
use crate::scratch::{await_candidate, eventually, service};
use base::os;
use model::name::ServiceName;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use supervisor::{Client, Confirm, LaunchSpec, LaunchStrategy, Route, State};

struct Routed {
    fake: Fake,
    client: Client,
    file: PathBuf,
}

fn edge() -> ServiceName {
    "edge".parse().unwrap()
}

impl Routed {
    /// With an edge that runs.
    fn new(name: &str) -> Self {
        let fake = Fake::new(name);
        let client = fake.scratch.supervisor();
        let file = fake.scratch.dir.join("routes.yml");
        let mut spec = placed(fake.spec("edge"), |place| {
            place.prefix = "edge".to_owned();
            place.relays = vec!["/readyz".to_owned()];
        });
        spec.service = edge();
        let number = client.start(&spec).unwrap();
        eventually("the edge is ready", || client.promote(&edge(), number).ok());
        Self { fake, client, file }
    }

    fn spec(&self, version: &str) -> LaunchSpec {
        let mut spec = self.fake.spec(version);
        let LaunchStrategy::Container { route, .. } = &mut spec.style else { panic!("not a container") };
        *route = Some(Route {
            file: self.file.clone(),
            text: "{container} {instance}".to_owned(),
            confirm: Some(Confirm { edge: edge(), path: "/readyz".to_owned() }),
        });
        spec
    }

    fn candidate(&self, version: &str) -> u64 {
        let number = self.client.start(&self.spec(version)).unwrap();
        eventually("the candidate is ready", || {
            let all = self.client.status().unwrap();
            let ours = all.into_iter().find(|status| status.service == service())?;
            ours.candidate.filter(|candidate| candidate.instance == number && candidate.state == State::Ready)
        });
        number
    }

    fn written(&self) -> Option<String> {
        std::fs::read_to_string(&self.file).ok()
    }
}

#[test]
fn a_route_is_written_when_its_instance_takes_over_and_goes_with_the_service() {
    let routed = Routed::new("routes");
    let first = routed.candidate("v1");
    assert_eq!(routed.written(), None);
    routed.client.promote(&service(), first).unwrap();
    assert_eq!(routed.written(), Some(format!("fixture-{first} {first}")));
    let second = routed.candidate("v2");
    assert_eq!(routed.written(), Some(format!("fixture-{first} {first}")));
    routed.client.promote(&service(), second).unwrap();
    assert_eq!(routed.written(), Some(format!("fixture-{second} {second}")));
    routed.client.stop(&service()).unwrap();
    assert_eq!(routed.written(), None);
}

#[test]
fn a_route_is_written_again_when_its_instance_was_started_again() {
    let routed = Routed::new("renewed");
    let mut spec = routed.spec("v1");
    let LaunchStrategy::Container { route: Some(route), .. } = &mut spec.style else { panic!("no route") };
    route.text = "{host}".to_owned();
    let number = routed.client.start(&spec).unwrap();
    eventually("it takes over", || routed.client.promote(&service(), number).ok());
    assert_eq!(routed.written().as_deref(), Some("127.0.0.1"));
    std::fs::write(&routed.file, "an address that is no longer so").unwrap();
    let process = os::identity(routed.fake.pid(&format!("fixture-{number}")).unwrap()).unwrap();
    os::signal(&process, Signal::SIGKILL);
    eventually("the route is as it should be", || (routed.written().as_deref() == Some("127.0.0.1")).then_some(()));
}

#[test]
fn a_route_that_the_edge_does_not_go_by_is_taken_back_and_the_old_version_serves_on() {
    let routed = Routed::new("refused");
    let first = routed.candidate("v1");
    routed.client.promote(&service(), first).unwrap();
    let second = routed.candidate("v2");
    routed.fake.scratch.tell("edge", "unready");
    let refused = std::thread::scope(|scope| {
        let promotion = scope.spawn(|| routed.client.promote(&service(), second).unwrap_err().to_string());
        // Everybody else is answered meanwhile.
        eventually("the new route is tried", || {
            let there = routed.written() == Some(format!("fixture-{second} {second}"));
            (routed.client.status().unwrap().len() == 2 && there).then_some(())
        });
        promotion.join().unwrap()
    });
    let route = routed.file.display();
    assert_eq!(refused, format!("`edge` does not use the route `{route}` within 5 s: told not to be ready"));
    assert_eq!(routed.written(), Some(format!("fixture-{first} {first}")));
    routed.client.discard(&service(), second).unwrap();
    assert_eq!(routed.fake.containers().len(), 2, "the edge and the old version");

    routed.client.stop(&edge()).unwrap();
    let third = routed.client.start(&routed.spec("v3")).unwrap();
    await_candidate(&routed.client, State::Ready);
    let refused = routed.client.promote(&service(), third).unwrap_err().to_string();
    assert!(refused.ends_with("within 5 s: `edge` does not run"), "{refused}");
}
