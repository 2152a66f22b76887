//! The values of a release, as the chart in `helm/app` takes them (`values.schema.json` there says the same).

use super::names::{PUBLIC, entrances};
use super::release_spec::{ReleaseSpec, WorkloadSpec};
use super::{assets, egress, jobs, ports};
use model::allowance::Allowance;
use model::cluster::{NameServer, NameServerPlace};
use model::container::FILES;
use model::container::{Container, Cpu, Memory, NONROOT, User};
use model::job::Job;
use model::name::ServiceName;
use model::public_name::PublicName;
use model::system::{Probe, Scale};
use model::volume::{DATA, Volume, Volumes};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most that a writable path in memory may hold, as in containers. It counts against the container's memory, too.
const WRITABLE: Memory = Memory(64 << 20);
/// The volume of a service that stores something, where the spec names no size, since most targets know no such limit.
const VOLUME: &str = "1Gi";
/// How long a replica that is to end goes on answering, so that everybody who sends it requests has heard of it first.
/// Ingress controllers and kube-proxy hear of it within a second or two.
const DRAIN_SECONDS: u64 = 5;
/// Where services of this repository tell their metrics.
const METRICS: &str = "/metrics";

/// What the chart is given for a release: nothing in it changes unless the release does.
pub(super) fn of(wanted: &ReleaseSpec) -> Value {
    let services: Map<String, Value> =
        wanted.parts.iter().map(|part| (part.service.name.to_string(), service(wanted, part))).collect();
    let mut values = json!({
        "system": wanted.system.as_str(),
        "deploymentId": wanted.deployment_id,
        "filesPath": FILES,
        "services": services,
    });
    let job = |job: &Job| {
        let of = wanted.parts.iter().find(|part| part.service.name == job.of)?;
        let service = &values["services"][job.of.as_str()];
        Some((job.name.to_string(), jobs::values(wanted, job, of, service, seconds(of.service.stop_within))))
    };
    let jobs: Map<String, Value> = wanted.jobs.iter().filter_map(job).collect();
    if !jobs.is_empty() {
        values["jobs"] = jobs.into();
    }
    if let Some(exposure) = &wanted.exposure {
        let namespaces = Some(&exposure.from_namespace).filter(|namespace| !namespace.is_empty());
        values["ingress"] = json!({
            "annotations": exposure.annotations,
            "sources": {"namespaces": namespaces.into_iter().collect::<Vec<_>>(), "cidrs": exposure.from_cidrs},
        });
        if !exposure.class.is_empty() {
            values["ingress"]["class"] = json!(exposure.class);
        }
    }
    if !wanted.dns.is_empty() {
        values["dns"] = json!({"servers": wanted.dns.iter().map(name_server).collect::<Vec<_>>()});
    }
    if !wanted.pull_secrets.is_empty() {
        values["imagePullSecrets"] = json!(wanted.pull_secrets);
    }
    if let Some(class) = &wanted.storage_class {
        values["storageClass"] = json!(class);
    }
    values
}

fn name_server(server: &NameServer) -> Value {
    match &server.place {
        NameServerPlace::Pods { namespace, label, value } => {
            json!({"namespace": namespace, "labels": {label: value}, "port": server.port})
        }
        NameServerPlace::Network(cidr) => json!({"cidr": cidr, "port": server.port}),
    }
}

fn service(wanted: &ReleaseSpec, part: &WorkloadSpec) -> Value {
    let name = &part.service.name;
    let container = &part.service.container;
    let image = wanted.images.get(name);
    let mut values = json!({
        "image": image.map_or("", |image| image.reference.as_str()),
        "http": is_http(part),
        "replicas": part.replicas,
        "needs": needs(wanted, part),
        "env": env(wanted, part),
        "args": container.command.iter().chain(&part.args).collect::<Vec<_>>(),
        "files": part.files,
        "resources": resources(container),
        "probes": probes(part),
        "writable": writable(container),
        "lowPorts": container.low_ports,
        "drainSeconds": if drains(wanted, part) { drain_seconds(wanted) } else { 0 },
        "stopSeconds": seconds(part.service.stop_within),
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            values[key] = value;
        }
    };
    // A label with nothing in it would say that the version is known to be none.
    let version = image.map(|image| image.version.as_str()).filter(|version| !version.is_empty());
    set("port", part.service.port.map(|port| json!(port)));
    set("ports", ports::values(&part.service));
    set("version", version.map(|version| json!(version)));
    set("team", part.service.team.as_ref().map(|team| json!(team.as_str())));
    set("public", (part.service.public && wanted.exposure.is_some()).then(|| public(wanted, part)));
    set(
        "aliases",
        (!part.service.aliases.is_empty()).then(|| part.service.aliases.iter().map(ServiceName::as_str).collect()),
    );
    set("allow", container.allow.as_ref().map(allowed));
    set("command", Some(&container.entrypoint).filter(|words| !words.is_empty()).map(|words| json!(words)));
    set("user", user(part).map(|user| json!({"uid": user.uid, "gid": user.gid})));
    set("scale", scaled(part).map(|scale| autoscaling(part, scale)));
    set("storage", part.stores.then(|| storage(&part.volumes)));
    set("metrics", (part.is_own() && part.service.port.is_some()).then(|| json!({"path": METRICS})));
    let balancer = wanted.grants.get(name).and_then(|grants| grants.balancer.clone());
    set("balancer", balancer.filter(|_| part.service.has_public_port()));
    let granted = wanted.grants.get(name).map(|grants| grants.egress.clone()).unwrap_or_default();
    let egress: Vec<Value> = granted.into_iter().chain(egress::rules(&part.service.reaches, &part.listen)).collect();
    set("egress", (!egress.is_empty()).then(|| json!(egress)));
    let secret = wanted.secrets.get(name);
    set("secret", secret.map(|secret| json!({"name": secret.name, "env": secret.env, "files": secret.files})));
    set("assets", assets::values(part, secret.map(|secret| secret.name.as_str()), user(part).is_some()));
    values
}

/// Those that it reaches: of the services that it could do without, those that are there.
fn needs<'a>(wanted: &'a ReleaseSpec, part: &WorkloadSpec) -> Vec<&'a str> {
    let reached = |other: &WorkloadSpec| other.service.port.is_some();
    let needed = |other: &&WorkloadSpec| part.service.needs.contains(&other.service.name) && reached(other);
    wanted.parts.iter().filter(needed).map(|other| other.service.name.as_str()).collect()
}

fn is_http(part: &WorkloadSpec) -> bool {
    part.service.ready.is_http()
}

/// Whether requests come to it that would be lost if it ended the moment it is told to. What stores something is
/// replaced with a gap in any case, and one that nobody calls has none to lose.
fn drains(wanted: &ReleaseSpec, part: &WorkloadSpec) -> bool {
    let called = wanted.parts.iter().any(|other| other.service.needs.contains(&part.service.name));
    is_http(part) && !part.stores && (part.service.public || called)
}

/// The name and the paths where they are others than those of most: its own, and all.
fn public(wanted: &ReleaseSpec, part: &WorkloadSpec) -> Value {
    let (name, declared) = (&part.service.name, &part.service.public_name);
    let mut public = wanted.host(name).map_or_else(|| json!({}), |host| json!({"host": host}));
    if let Some(annotations) = wanted.annotations.get(name).filter(|annotations| !annotations.is_empty()) {
        public["annotations"] = json!(annotations);
    }
    let own = PublicName::own(name);
    if declared.name != own.name {
        public["name"] = json!(declared.name.as_str());
    }
    if declared.paths != own.paths {
        public["paths"] = json!(declared.paths);
    }
    if (&declared.name, &declared.paths) != (&own.name, &own.paths) {
        public["annotations"][PUBLIC] = json!(entrances(declared).collect::<Vec<_>>().join(" "));
    }
    public
}

/// Without its reason: another one is no reason to start anything anew.
fn allowed(allow: &Allowance) -> Value {
    json!({"root": allow.root, "writableRoot": allow.writable_root, "capabilities": allow.capabilities})
}

/// What the values of a service, as the chart was given them, allow it.
pub(super) fn allowed_in(values: &Value) -> Option<Allowance> {
    let allow = &values["allow"];
    let capabilities = allow["capabilities"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Some(Allowance {
        root: allow["root"] == true,
        writable_root: allow["writableRoot"] == true,
        capabilities,
        why: String::new(),
    })
}

/// One volume with those beside it. The first of all services was `data`, and has its name by itself.
fn storage(volumes: &Volumes) -> Value {
    let one = |(name, volume): (&String, &Volume)| {
        let size = volume.size.map_or_else(|| VOLUME.to_owned(), |size| size.to_string());
        let mut one = json!({"path": volume.at, "size": size});
        if name != DATA {
            one["name"] = json!(name);
        }
        one
    };
    let (first, rest): (Vec<_>, Vec<_>) = volumes.iter().partition(|(name, _)| *name == DATA);
    let mut all = first.into_iter().chain(rest).map(one);
    let mut storage = all.next().unwrap_or_default();
    let more: Vec<Value> = all.collect();
    if !more.is_empty() {
        storage["more"] = json!(more);
    }
    storage
}

/// What the environment sets wins over what the platform gives.
fn env(wanted: &ReleaseSpec, part: &WorkloadSpec) -> BTreeMap<String, String> {
    let granted = wanted.grants.get(&part.service.name).map(|grants| grants.env.clone()).unwrap_or_default();
    let granted = granted.into_iter().filter(|(name, _)| !part.secret_env.contains_key(name));
    granted.chain(part.env.clone()).collect()
}

fn drain_seconds(wanted: &ReleaseSpec) -> u64 {
    wanted.exposure.as_ref().and_then(|exposure| exposure.drain_seconds).unwrap_or(DRAIN_SECONDS)
}

/// `None` for a public image that names its own: it has been looked at before, and is a number.
fn user(part: &WorkloadSpec) -> Option<User> {
    part.service.container.user.or_else(|| part.is_own().then_some(NONROOT))
}

/// The memory that is asked for is all of it: memory cannot be taken back, so a node must not promise it twice. Of the
/// processors a tenth is asked for, since these services wait most of the time and a laptop has to hold all of them; a
/// limit stays above it, as on every other target, for what runs wild must not starve its neighbours. It is far above
/// what is used under load, so that nobody is throttled in normal work.
fn resources(container: &Container) -> Value {
    json!({
        "memory": container.memory.to_string(),
        "cpu": container.cpu.to_string(),
        "cpuRequest": requested(container.cpu).to_string(),
    })
}

pub(super) fn requested(cpu: Cpu) -> Cpu {
    Cpu((cpu.0 / 10).max(10))
}

fn writable(container: &Container) -> Vec<Value> {
    let size = WRITABLE.min(container.memory).to_string();
    container.writable.iter().map(|path| json!({"path": path, "size": size})).collect()
}

/// How it grows, for one of which there can be several at all.
fn scaled(part: &WorkloadSpec) -> Option<&Scale> {
    let several = !part.stores && part.service.replicas != Some(1);
    part.service.scale.as_ref().filter(|_| several)
}

/// Both the spec and Kubernetes speak of what a container has asked for: as much as it gets on a node that is full.
fn autoscaling(part: &WorkloadSpec, scale: &Scale) -> Value {
    json!({
        "max": scale.max.max(part.replicas),
        "cpuUtilization": scale.cpu,
        "settleSeconds": seconds(scale.settle),
    })
}

fn probes(part: &WorkloadSpec) -> Value {
    let health = &part.service.container.health;
    let mut probes = json!({"startSeconds": seconds(part.service.ready_within).max(1)});
    for (which, asked) in [("ready", &part.service.ready), ("live", &part.service.live)] {
        match asked {
            // What a pod has to do is not to end, which nobody asks it.
            Probe::Runs(long) => probes["runsSeconds"] = json!(seconds(*long)),
            asked => probes[which] = probe(asked, health),
        }
    }
    probes
}

/// Kubernetes can open a connection, but not talk over it; a command within the container can, where there is one.
fn probe(probe: &Probe, health: &[String]) -> Value {
    match probe {
        Probe::Http { path } => json!({"http": path}),
        Probe::Tcp { send: None, expect: None } => json!({"tcp": true}),
        Probe::Tcp { .. } if health.is_empty() => json!({"tcp": true}),
        Probe::Tcp { .. } => json!({"exec": health}),
        Probe::Command(words) => json!({"exec": words}),
        Probe::Runs(_) => Value::Null,
    }
}

/// In whole seconds, which is all that Kubernetes counts in; never less than what is meant.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample_values;
    use super::*;

    /// The services of a system with so many replicas.
    fn services(system: &str, replicas: u32) -> Value {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let environment = model::environment(root, "cluster", &[format!("replicas={replicas}")]).unwrap();
        let spec = model::load(root).unwrap();
        let system = spec.systems.iter().find(|known| known.name.as_str() == system).unwrap();
        sample_values(system, &environment).unwrap()["services"].take()
    }

    #[test]
    fn what_is_shared_by_several_replicas_is_needed_only_where_there_are_several() {
        let one = services("invoices", 1);
        assert_eq!((&one["ledger"], &one["invoice-app"]["needs"]), (&Value::Null, &json!(["payment-provider"])));
        assert_eq!(one["invoice-app"]["storage"], json!({"path": "/data", "size": "1Gi"}));
        let several = services("invoices", 2);
        assert_eq!(several["invoice-app"]["storage"], Value::Null);
        let mut needs: Vec<&str> =
            several["invoice-app"]["needs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        needs.sort_unstable();
        assert_eq!(needs, ["ledger", "payment-provider"]);
        assert_eq!(several["ledger"]["secret"], json!({"name": "ledger-sample", "env": [], "files": ["redis.conf"]}));
    }

    #[test]
    fn what_is_allowed_is_found_again_in_the_values() {
        let capabilities = ["CHOWN".to_owned()].into();
        let allow = Allowance { root: true, writable_root: false, capabilities, why: String::new() };
        assert_eq!(allowed_in(&json!({"allow": allowed(&allow)})), Some(allow));
        assert_eq!(allowed_in(&json!({"port": 1})), None);
    }

    #[test]
    fn each_volume_has_its_folder_and_size() {
        let volume =
            |at: &str, size: Option<&str>| Volume { at: at.to_owned(), size: size.map(|size| size.parse().unwrap()) };
        let named = |volumes: Vec<(&str, Volume)>| {
            storage(&volumes.into_iter().map(|(name, volume)| (name.to_owned(), volume)).collect())
        };
        let cache = ("cache", volume("/cache", None));
        let both = named(vec![cache.clone(), ("data", volume("/var/lib/data", Some("5Gi")))]);
        let beside = json!({"name": "cache", "path": "/cache", "size": "1Gi"});
        assert_eq!(both, json!({"path": "/var/lib/data", "size": "5Gi", "more": [beside]}));
        assert_eq!(named(vec![cache]), beside);
    }

    #[test]
    fn services_listen_where_the_cluster_has_its_addresses() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let environment = model::environment(root, "cluster", &["listen=::".to_owned()]).unwrap();
        let spec = model::load(root).unwrap();
        let system = |name: &str| spec.systems.iter().find(|known| known.name.as_str() == name).unwrap();
        let values = sample_values(system("messages"), &environment).unwrap();
        assert_eq!(values["services"]["producer"]["env"]["LISTEN_ADDRESS"], "::");
        assert_eq!(values["services"]["emulator"]["args"][1], "::");
        assert_eq!(services("messages", 2)["producer"]["env"]["LISTEN_ADDRESS"], "0.0.0.0");
    }

    #[test]
    fn a_service_grows_from_what_the_environment_says() {
        let scale = |replicas| services("epoch", replicas)["epoch"]["scale"].clone();
        assert_eq!(scale(2), json!({"max": 6, "cpuUtilization": 70, "settleSeconds": 300}));
        assert_eq!(scale(8)["max"], 8);
        assert_eq!([10, 99, 250, 2000].map(|cpu| requested(Cpu(cpu)).0), [10, 10, 25, 200]);
    }

    #[test]
    fn only_one_whose_requests_would_be_lost_drains() {
        let drains =
            |system: &str, service: &str, replicas| services(system, replicas)[service]["drainSeconds"].clone();
        assert_eq!(drains("epoch", "epoch", 2), 5);
        assert_eq!(drains("invoices", "payment-provider", 2), 5);
        // It stores something then, so that there is a gap anyway.
        assert_eq!(drains("invoices", "invoice-app", 1), 0);
        assert_eq!(drains("shortener", "redis", 2), 0);
        // Nobody calls it.
        assert_eq!(drains("messages", "consumer", 2), 0);
    }

    #[test]
    fn what_a_connection_cannot_tell_is_asked_within_the_container() {
        let talk = Probe::Tcp { send: Some("PING\r\n".to_owned()), expect: None };
        let health = ["redis-cli", "ping"].map(str::to_owned);
        assert_eq!(probe(&talk, &health), json!({"exec": ["redis-cli", "ping"]}));
        assert_eq!(probe(&talk, &[]), json!({"tcp": true}));
        assert_eq!(probe(&Probe::Tcp { send: None, expect: None }, &health), json!({"tcp": true}));
        assert_eq!(probe(&Probe::Http { path: "/".to_owned() }, &health), json!({"http": "/"}));
    }

    #[test]
    fn seconds_are_never_fewer_than_meant() {
        assert_eq!([0, 1, 1000, 1001].map(|ms| seconds(Duration::from_millis(ms))), [0, 1, 1, 2]);
    }
}
