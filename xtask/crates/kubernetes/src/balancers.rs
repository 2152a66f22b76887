//! The load balancers that public further ports have: a Service of type LoadBalancer for each service that has any, to
//! which something beside Kubernetes itself has to give an address: a cloud, MetalLB, k3s.
//!
//! Many clusters have nothing of the kind, and none of them says so. What runs there serves all the same, so that a
//! release never fails for want of an address: it is waited for as long as somebody seems to be at it, and what was seen
//! last is told.

use super::Kubernetes;
use super::names::SERVICE;
use super::release_spec::{ReleaseSpec, WorkloadSpec};
use anyhow::Result;
use base::error::Fault;
use engine::backend::PortStatus;
use engine::plan::Preview;
use engine::plan::pace::every;
use engine::plan::runner::StepCx;
use kube::{Api, object, path};
use model::name::ServiceName;
use model::port::{FurtherPort, FurtherPorts};
use model::system::Service;
use serde_json::Value;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// What the chart says of them in a label.
const COMPONENT: &str = "app.kubernetes.io/component";
const BALANCER: &str = "balancer";
/// How long an address may take once somebody is at it: clouds take one to three minutes.
const WITHIN: Duration = Duration::from_secs(300);
/// How long nobody may give a sign of it. Whoever serves them puts a finalizer or an event on one within a second or two.
const SILENT_WITHIN: Duration = Duration::from_secs(20);
const OFTEN: Duration = Duration::from_secs(1);

pub(super) fn is_balancer(service: &Value) -> bool {
    object::label(service, COMPONENT) == BALANCER
}

/// The address from outside that one was given.
fn address(balancer: &Value) -> Option<&str> {
    let given = |key| object::text(balancer, &format!("/status/loadBalancer/ingress/0/{key}"));
    ["hostname", "ip"].into_iter().map(given).find(|text| !text.is_empty())
}

/// `172.31.77.5:25565`, `[2001:db8::5]:25565`
fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn public(ports: &FurtherPorts) -> impl Iterator<Item = (&String, &FurtherPort)> {
    ports.iter().filter(|(_, further)| further.public)
}

/// The names of the public further ports of a service: "`game`, `voice`".
fn named(service: &Service) -> String {
    public(&service.ports).map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// How the further ports of a service are reached. `balancer` is the Service of its public ones.
pub(super) fn ports(service: &Service, balancer: Option<&Value>) -> Vec<PortStatus> {
    let outside = |(name, further): (&String, &FurtherPort)| {
        let given = balancer.and_then(address);
        let missing = || match balancer.and_then(|balancer| node_port(balancer, name)) {
            Some(port) => format!("its load balancer has no address; port {port} of every node leads there"),
            None => "its load balancer has no address".to_owned(),
        };
        (given.map(|host| joined(host, further.host_port)), given.is_none().then(missing))
    };
    let one = |(name, further): (&String, &FurtherPort)| {
        let inside = || (Some(joined(service.name.local(), further.port)), None);
        let (address, detail) = if further.public { outside((name, further)) } else { inside() };
        PortStatus { name: name.clone(), speaks: further.speaks, public: further.public, address, detail }
    };
    service.ports.iter().map(one).collect()
}

/// The port that every node of the cluster has for one of them.
fn node_port(balancer: &Value, name: &str) -> Option<u64> {
    let port = object::list(balancer, "/spec/ports").iter().find(|port| port["name"] == *name)?;
    port["nodePort"].as_u64()
}

/// What a release makes for the public further ports of services, in words, and what is known of whether they get an
/// address: "has a load balancer for `game`, …".
pub(super) fn foretold<'s>(
    core: &Kubernetes,
    services: impl Iterator<Item = &'s Service>,
) -> Vec<(ServiceName, String)> {
    let with: Vec<&Service> = services.filter(|service| service.has_public_port()).collect();
    if with.is_empty() {
        return Vec::new();
    }
    // Who may not look at all Services, or has no cluster yet, is told the same as where there are none.
    let all = core.platform.is_there().ok().filter(|there| *there).and_then(|_| core.access.api().ok());
    let all = all.and_then(|api| api.list(&path::SERVICE.everywhere(), "").ok()).unwrap_or_default();
    let prospect = prospect(&all);
    let told = |service: &&Service| format!("has a load balancer for {}{prospect}", named(service));
    with.iter().map(|service| (service.name.clone(), told(service))).collect()
}

/// The same of a whole release.
pub(super) fn preview(core: &Kubernetes, parts: &[WorkloadSpec]) -> impl Iterator<Item = Preview> {
    let all = foretold(core, parts.iter().map(|part| &part.service)).into_iter();
    all.map(|(service, words)| Preview::Do(format!("`{service}` {words}")))
}

/// Whether the cluster gives load balancers an address, by all its Services.
fn prospect(all: &[Value]) -> &'static str {
    let balancers = || all.iter().filter(|service| object::text(service, "/spec/type") == "LoadBalancer");
    match balancers().next() {
        Some(_) if balancers().any(|balancer| address(balancer).is_some()) => "",
        Some(_) => {
            ", which no load balancer of this cluster has an address for so far; without one it is reached at a port of \
             every node, and the deploy says which"
        }
        None => {
            ", if the cluster gives it an address; without one it is reached at a port of every node, and the deploy \
             says which"
        }
    }
}

/// Waits until the load balancers of a release have an address, and tells which have none.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn wait(core: &Kubernetes, cx: &StepCx<'_>, wanted: &ReleaseSpec) -> Result<()> {
    let with: Vec<&WorkloadSpec> = wanted.parts.iter().filter(|part| part.service.has_public_port()).collect();
    if with.is_empty() {
        return Ok(());
    }
    let api = core.access.api()?;
    let (began, left) = (Instant::now(), RefCell::new(Vec::new()));
    cx.status("waiting for the load balancers of public ports to have an address");
    let ask = every(OFTEN, || {
        left.replace(without_address(&api, &wanted.namespace)?);
        let over = |left: &Pending| began.elapsed() >= if left.is_cared_for { WITHIN } else { SILENT_WITHIN };
        Ok(left.borrow().iter().all(over).then_some(()))
    });
    cx.wait_for(WITHIN + SILENT_WITHIN, ask, || Fault::failed("no-balancer", "no load balancer was seen"))?;
    let of = |pending: &Pending| with.iter().find(|part| part.service.name.as_str() == pending.service);
    for (pending, part) in left.borrow().iter().filter_map(|pending| Some((pending, of(pending)?))) {
        cx.news(pending.told(&part.service, began.elapsed()));
    }
    Ok(())
}

/// A load balancer without an address.
#[derive(Debug, PartialEq)]
struct Pending {
    service: String,
    object: Value,
    /// Somebody has put something on it.
    is_cared_for: bool,
    /// What was said of it last.
    said: Option<String>,
}

fn without_address(api: &Api, namespace: &str) -> Result<Vec<Pending>> {
    let told = |refusal| kube::fault("look at the load balancers", &refusal);
    let mut found = api.list(&path::SERVICE.within(namespace), &format!("{COMPONENT}={BALANCER}")).map_err(told)?;
    found.retain(|balancer| address(balancer).is_none() && !object::is_going(balancer));
    let pending = |balancer: Value| {
        let fields = format!("involvedObject.kind=Service,involvedObject.name={}", object::name(&balancer));
        let place = path::with_query(&path::EVENT.within(namespace), &[("fieldSelector", &fields)]);
        // Events only explain; who may not see them is told less.
        Pending::of(balancer, &api.list(&place, "").unwrap_or_default())
    };
    Ok(found.into_iter().map(pending).collect())
}

impl Pending {
    fn of(object: Value, events: &[Value]) -> Self {
        let last = events.iter().max_by_key(|event| {
            let of = |pointer| Some(object::text(event, pointer)).filter(|time| !time.is_empty());
            of("/series/lastObservedTime").or(of("/lastTimestamp")).or(of("/eventTime"))
        });
        let said = last.map(|event| format!("{}: {}", object::text(event, "/reason"), object::text(event, "/message")));
        let is_cared_for = said.is_some() || !object::list(&object, "/metadata/finalizers").is_empty();
        Self { service: object::label(&object, SERVICE).to_owned(), object, is_cared_for, said }
    }

    fn told(&self, service: &Service, waited: Duration) -> String {
        let (ports, waited) = (named(service), waited.as_secs());
        let seen = match (&self.said, self.is_cared_for) {
            (Some(said), _) => format!("the last that was said of it is `{said}`"),
            (None, true) => "somebody is at it and says nothing".to_owned(),
            (None, false) => "nothing in this cluster serves load balancers, it seems".to_owned(),
        };
        let ways = public(&service.ports).filter_map(|(name, _)| {
            Some(format!("port {} of every node leads to `{name}`", node_port(&self.object, name)?))
        });
        let way = ways.collect::<Vec<_>>().join(", ");
        let way = if way.is_empty() { String::new() } else { format!("; {way}") };
        format!(
            "{ports} of `{}` has no address from outside after {waited} s (Service `{}`): {seen}. It runs all the same{way}",
            service.name,
            object::name(&self.object)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::port::Speaks;
    use serde_json::json;

    fn service() -> Service {
        let values = json!({"port": 80, "ports": [
            {"name": "admin", "port": 9000, "protocol": "TCP"},
            {"name": "game", "port": 25565, "protocol": "UDP", "publicPort": 2556},
        ]});
        super::super::recalled::service(&"api".parse().unwrap(), &values)
    }

    fn balancer(ingress: &Value) -> Value {
        json!({
            "metadata": {"name": "api-balancer", "labels": {SERVICE: "api"}},
            "spec": {"type": "LoadBalancer", "ports": [{"name": "game", "nodePort": 31234}]},
            "status": {"loadBalancer": {"ingress": [ingress]}},
        })
    }

    #[test]
    fn a_public_port_is_at_the_address_that_its_load_balancer_was_given() {
        let at = |ingress: &Value| ports(&service(), Some(&balancer(ingress)))[1].address.clone();
        assert_eq!(at(&json!({"ip": "10.0.0.5"})).as_deref(), Some("10.0.0.5:2556"));
        assert_eq!(at(&json!({"ip": "2001:db8::5"})).as_deref(), Some("[2001:db8::5]:2556"));
        assert_eq!(at(&json!({"hostname": "a.elb.example"})).as_deref(), Some("a.elb.example:2556"));
        let [admin, game] = ports(&service(), Some(&balancer(&Value::Null))).try_into().unwrap();
        assert_eq!((admin.address.as_deref(), admin.public, admin.speaks), (Some("api:9000"), false, Speaks::Tcp));
        assert_eq!((game.address, game.speaks), (None, Speaks::Udp));
        assert!(game.detail.unwrap().contains("port 31234 of every node"));
    }

    #[test]
    fn what_was_seen_last_of_one_without_an_address_is_told() {
        let event = |time: &str, reason: &str| json!({"lastTimestamp": time, "reason": reason, "message": "words"});
        let told = |object: Value, events: &[Value]| {
            let pending = Pending::of(object, events);
            (pending.is_cared_for, pending.told(&service(), Duration::from_secs(20)))
        };
        let (cared, words) = told(balancer(&Value::Null), &[]);
        assert!(!cared && words.starts_with("`game` of `api` has no address from outside after 20 s"), "{words}");
        assert!(words.ends_with("It runs all the same; port 31234 of every node leads to `game`"), "{words}");
        let events =
            [event("2026-01-01T00:00:02Z", "SyncLoadBalancerFailed"), event("2026-01-01T00:00:01Z", "Ensuring")];
        let (cared, words) = told(balancer(&Value::Null), &events);
        assert!(cared && words.contains("`SyncLoadBalancerFailed: words`"), "{words}");
        let mut held = balancer(&Value::Null);
        held["metadata"]["finalizers"] = json!(["service.kubernetes.io/load-balancer-cleanup"]);
        assert!(told(held, &[]).0);
    }

    #[test]
    fn a_cluster_without_addresses_is_seen_beforehand() {
        let (with, without) = (balancer(&json!({"ip": "10.0.0.5"})), balancer(&Value::Null));
        assert_eq!(prospect(&[without.clone(), with]), "");
        assert!(prospect(&[without]).contains("no load balancer of this cluster has an address"));
        assert!(prospect(&[json!({"spec": {"type": "ClusterIP"}})]).contains("if the cluster gives it an address"));
    }
}
