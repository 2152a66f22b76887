//! Services as a proven release had them, for what no file declares any more.

use super::records::{StatePlace, VerifiedRelease};
use super::release_spec::WorkloadSpec;
use super::values::allowed_in;
use model::container::Container;
use model::name::{ServiceName, SystemName};
use model::public_name::PublicName;
use model::system::{Presence, Probe, Service, Source, System, TargetKind};
use model::volume::Volumes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A system by its proven release. Its contract is not known.
pub(super) fn system(name: &SystemName, proven: &VerifiedRelease) -> System {
    System {
        name: name.clone(),
        description: String::new(),
        services: parts(proven).into_iter().map(|part| part.service).collect(),
        smoke: Vec::new(),
        denied: Vec::new(),
        jobs: Vec::new(),
        was: BTreeSet::new(),
    }
}

/// The services of a proven release.
pub(super) fn parts(proven: &VerifiedRelease) -> Vec<WorkloadSpec> {
    let services = super::recorded::services(proven);
    let called =
        |need: ServiceName| services.keys().find(|known| known.as_str() == need.as_str()).cloned().unwrap_or(need);
    let mut parts: Vec<WorkloadSpec> = services.iter().map(|(name, values)| part(name, values)).collect();
    for part in &mut parts {
        part.service.needs = std::mem::take(&mut part.service.needs).into_iter().map(called).collect();
    }
    parts
}

fn part(name: &ServiceName, values: &Value) -> WorkloadSpec {
    WorkloadSpec {
        service: service(name, values),
        replicas: number(&values["replicas"]).unwrap_or(1),
        stores: values["storage"].is_object(),
        volumes: Volumes::new(),
        state: values["storage"].is_object().then_some(StatePlace::Own),
        env: BTreeMap::new(),
        listen: String::new(),
        args: Vec::new(),
        files: BTreeMap::new(),
        placed: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        given: BTreeSet::new(),
        secret_files: BTreeMap::new(),
    }
}

pub(super) fn service(name: &ServiceName, values: &Value) -> Service {
    let port = values["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let seconds = |value: &Value| Duration::from_secs(value.as_u64().unwrap_or_default());
    let needs = values["needs"].as_array().into_iter().flatten();
    Service {
        name: name.clone(),
        aliases: BTreeSet::new(),
        // Its image is the one that was released; where that came from does not matter.
        source: Source::Image { image: String::new(), host: None },
        run: None,
        port,
        host_port: port,
        ports: super::ports::recalled(values),
        public: values["public"].is_object(),
        public_name: public_name(name, &values["public"]),
        team: None,
        needs: needs.filter_map(|need| need.as_str()?.parse().ok()).collect(),
        // The rules of its network stay those that were released.
        reaches: Vec::new(),
        presence: Presence::Always,
        managed: None,
        targets: BTreeSet::from(TargetKind::ALL),
        env: BTreeMap::new(),
        provides: BTreeMap::new(),
        secrets: BTreeMap::new(),
        files: BTreeMap::new(),
        args: Vec::new(),
        ready: probe(&values["probes"], "ready", port.is_some()),
        live: probe(&values["probes"], "live", port.is_some()),
        ready_within: seconds(&values["probes"]["startSeconds"]),
        stop_within: seconds(&values["stopSeconds"]),
        replicas: number(&values["replicas"]),
        scale: None,
        container: Container { allow: allowed_in(values), ..Container::default() },
        was: BTreeSet::new(),
    }
}

/// As the chart was given it.
pub(super) fn public_name(service: &ServiceName, public: &Value) -> PublicName {
    let own = PublicName::own(service);
    let paths = public["paths"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let paths: BTreeSet<String> = paths.collect();
    let name = public["name"].as_str().and_then(|name| name.parse().ok());
    PublicName { name: name.unwrap_or(own.name), paths: if paths.is_empty() { own.paths } else { paths }, ..own }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn probe(probes: &Value, which: &str, has_port: bool) -> Probe {
    let value = &probes[which];
    match value["http"].as_str() {
        Some(path) => Probe::Http { path: path.to_owned() },
        None if has_port => Probe::Tcp { send: None, expect: None },
        None => match serde_json::from_value(value["exec"].clone()) {
            Ok(words) => Probe::Command(words),
            Err(_) => Probe::Runs(Duration::from_secs(probes["runsSeconds"].as_u64().unwrap_or_default())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_is_what_the_chart_was_given() {
        let values = json!({
            "port": 8081, "replicas": 2, "needs": ["ledger"], "stopSeconds": 10, "public": {"host": "a.b"},
            "probes": {"startSeconds": 30, "ready": {"http": "/readyz"}, "live": {"tcp": true}},
        });
        let part = part(&"app".parse().unwrap(), &values);
        let service = &part.service;
        assert_eq!((part.replicas, part.stores, service.port, service.public), (2, false, Some(8081), true));
        assert_eq!(service.ready, Probe::Http { path: "/readyz".to_owned() });
        assert_eq!((service.ready_within, service.stop_within), (Duration::from_secs(30), Duration::from_secs(10)));
        assert_eq!(service.needs, ["ledger".parse::<ServiceName>().unwrap()]);
    }
}
