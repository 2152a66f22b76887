//! Judges what a real cluster said when each failure was made on purpose (Kubernetes v1.34).

use super::evidence::{Evidence, Expected, Log, Node};
use super::finding::Finding;
use super::judge::{distinct, judge};
use kube::object::name;
use serde_json::Value;
use shim::ports::Sockets;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// What was recorded of a failure, by the name of its service.
pub(in super::super) fn recorded(service: &str) -> Evidence {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnostics/fixtures").join(service);
    let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    let mut take = |key: &str, kind: &str| -> Vec<Value> {
        let mut items = match file[key].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        // As the lists of the API are read.
        items.iter_mut().for_each(|item| item["kind"] = kind.into());
        items
    };
    Evidence {
        system: Some("shop".parse().unwrap()),
        services: vec![expected(service)],
        deployments: take("deployments", "Deployment"),
        stateful_sets: take("stateful_sets", "StatefulSet"),
        replica_sets: take("replica_sets", "ReplicaSet"),
        pods: take("pods", "Pod"),
        events: take("events", "Event"),
        claims: take("claims", "PersistentVolumeClaim"),
        quotas: take("quotas", "ResourceQuota"),
        nodes: vec![node("node-1", 7_936_220 << 10)],
        ..Evidence::default()
    }
}

fn expected(service: &str) -> Expected {
    Expected { name: service.parse().unwrap(), port: Some(8000), needs: Vec::new(), ready_within: READY_WITHIN }
}

fn node(name: &str, memory: u64) -> Node {
    let taken = memory / 2;
    Node {
        name: name.to_owned(),
        is_ready: true,
        takes_pods: true,
        cpu: 2000,
        memory,
        cpu_taken: 100,
        memory_taken: taken,
    }
}

fn first(evidence: &Evidence) -> Finding {
    distinct(judge(evidence)).into_iter().next().unwrap()
}

#[track_caller]
fn is(service: &str, code: &str, cause: &str) -> Finding {
    let found = first(&recorded(service));
    assert_eq!((found.code, found.cause.as_str()), (code, cause));
    found
}

/// What the newest pod says and where it listens.
fn with(service: &str, log: &str, sockets: Option<Sockets>) -> Evidence {
    let mut evidence = recorded(service);
    let pods: Vec<String> = evidence.newest().map(|pod| name(pod).to_owned()).collect();
    for pod in pods {
        let said = Log { current: log.to_owned(), previous: log.to_owned() };
        evidence.logs.insert((pod.clone(), service.to_owned()), said);
        evidence.sockets.extend(sockets.clone().map(|sockets| (pod, sockets)));
    }
    evidence
}

fn listens(open: &[u16], inside: &[u16]) -> Option<Sockets> {
    Some(Sockets { open: open.iter().copied().collect(), inside: inside.iter().copied().collect() })
}

#[test]
fn what_is_well_has_no_finding() {
    assert_eq!(judge(&recorded("fine")), []);
    assert_eq!(judge(&recorded("sts")), []);
}

#[test]
fn images_that_cannot_be_pulled() {
    let gone = is(
        "image-gone",
        "image-pull",
        "the image `registry.example/shop/nowhere:1` of `image-gone` is not in its registry: \
         registry.example/shop/nowhere:1: not found",
    );
    assert_eq!(gone.debounce, Duration::ZERO);
    let name = is(
        "image-name",
        "image-pull",
        "the image of `image-name` has an invalid name: \"docker.io/library/Busybox::1\": invalid reference format: \
         repository name (library/Busybox) must be lowercase",
    );
    assert_eq!(name.debounce, Duration::ZERO);
}

#[test]
fn a_node_that_had_not_what_it_signs_in_with_tries_again() {
    let mut evidence = recorded("image-gone");
    assert_eq!(first(&evidence).debounce, Duration::ZERO);
    let mut event = evidence.events[0].clone();
    event["reason"] = "FailedToRetrieveImagePullSecret".into();
    event["message"] =
        "Unable to retrieve some image pull secrets (shop-pull); attempting to pull the image may not succeed.".into();
    evidence.events.push(event);
    assert!(first(&evidence).debounce > Duration::from_secs(10));
}

#[test]
fn a_registry_that_is_away_may_come_back() {
    let host = first(&recorded("image-host"));
    assert_eq!(host.code, "image-pull");
    assert!(host.cause.ends_with("which `image-host` runs: Head \"https://registry.invalid/v2/app/manifests/1\": dial tcp: lookup registry.invalid on 10.255.255.53:53: no such host"), "{}", host.cause);
    assert!(host.debounce > Duration::from_secs(10));
}

#[test]
fn images_for_another_platform() {
    is(
        "image-index",
        "image-platform",
        "the image `registry.example/shop/arm-index:1` of `image-index` is not made for the node's platform: no match for \
         platform in manifest: not found",
    );
    let evidence = with("image-arch", "exec /program: exec format error", None);
    let found = first(&evidence);
    assert_eq!(found.code, "image-platform");
    assert_eq!(found.cause, "the image of `image-arch` is made for another platform than its node: exec format error");
}

#[test]
fn users_that_a_container_may_not_run_as() {
    let root = is(
        "root",
        "image-user",
        "`root` may not run as the user of its image: container has runAsNonRoot and image will run as root",
    );
    assert!(root.hint.contains("[services.root.container]"), "{}", root.hint);
    is(
        "image-user",
        "image-user",
        "`image-user` may not run as the user of its image: container has runAsNonRoot and image has non-numeric user (app), \
         cannot verify user is non-root",
    );
}

#[test]
fn a_crash_has_its_code_and_last_words() {
    let evidence = with("crash", "starting\n\ncannot open the file\n", None);
    let found = first(&evidence);
    assert_eq!(found.code, "crash");
    assert_eq!(found.cause, "`crash` crashed: exit code 3, its last words: starting | cannot open the file");
    assert_eq!(found.debounce, Duration::ZERO);
    is(
        "exec-missing",
        "crash",
        "`exec-missing` cannot be started: exec: \"/nowhere\": stat /nowhere: no such file or directory",
    );
}

#[test]
fn a_crash_may_be_for_want_of_what_is_needed() {
    let mut evidence = recorded("crash");
    let mut needed = recorded("silent");
    evidence.services[0].needs.push("silent".parse().unwrap());
    evidence.services.insert(0, expected("silent"));
    for (all, more) in [
        (&mut evidence.deployments, &mut needed.deployments),
        (&mut evidence.replica_sets, &mut needed.replica_sets),
        (&mut evidence.pods, &mut needed.pods),
        (&mut evidence.events, &mut needed.events),
    ] {
        all.append(more);
    }
    let found = judge(&evidence);
    let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["probe-failed", "crash"]);
    assert!(found[1].debounce >= Duration::from_secs(60));
}

#[test]
fn memory_has_its_limit() {
    let found = is("oom", "oom-killed", "`oom` was killed because it ran out of memory: its limit is 24Mi");
    assert!(found.hint.contains("deploy/systems/shop.toml"), "{}", found.hint);
}

#[test]
fn no_node_takes_it() {
    let found = is(
        "memory",
        "unschedulable",
        "no node takes `memory`: 0/1 nodes are available: 1 Insufficient memory; it wants 64Gi of memory, the largest node \
         has 7.5Gi of memory",
    );
    assert!(found.debounce < Duration::from_secs(15));
    is(
        "selector",
        "unschedulable",
        "no node takes `selector`: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector",
    );
    // A larger node that is full.
    let mut evidence = recorded("memory");
    evidence.nodes = vec![node("big", 96 << 30), Node { takes_pods: false, ..node("reserved", 960 << 30) }];
    assert!(
        first(&evidence).cause.ends_with("it wants 64Gi of memory, the most that a node has free is 48Gi of memory")
    );
}

#[test]
fn room_that_others_are_leaving_is_waited_for() {
    let mut evidence = recorded("memory");
    let mut going = evidence.pods[0].clone();
    going["metadata"]["deletionTimestamp"] = "2026-11-21T17:00:00Z".into();
    evidence.pods.push(going);
    assert!(first(&evidence).debounce >= Duration::from_secs(30));
}

#[test]
fn a_process_that_was_ended_for_its_probe_did_not_crash() {
    let found = first(&recorded("wrong-live"));
    assert_eq!((found.code, found.debounce), ("probe-failed", Duration::ZERO));
    assert_eq!(found.cause, "`wrong-live` runs and does not listen on its port 8000");
}

#[test]
fn a_node_that_is_being_added_is_waited_for() {
    let mut evidence = recorded("memory");
    let mut event = evidence.events[0].clone();
    event["reason"] = "TriggeredScaleUp".into();
    evidence.events.push(event);
    assert!(first(&evidence).debounce > Duration::from_secs(120));
}

#[test]
fn who_listens_elsewhere_is_told_where() {
    let found = first(&with("wrong-port", "", listens(&[9000], &[])));
    assert_eq!(found.code, "wrong-port");
    assert_eq!(found.cause, "nothing listens on port 8000 of `wrong-port`, it listens on port 9000");
    let found = first(&with("loopback", "", listens(&[], &[8000])));
    assert_eq!((found.code, found.cause.contains("127.0.0.1 alone")), ("wrong-port", true));
    // It was restarted for that, which is not its crash.
    let found = first(&with("wrong-live", "", listens(&[9000, 9001], &[])));
    assert_eq!(found.code, "wrong-port");
    assert_eq!(found.cause, "nothing listens on port 8000 of `wrong-live`, it listens on ports 9000, 9001");
}

#[test]
fn who_listens_nowhere_or_answers_wrongly_is_not_ready() {
    is("silent", "probe-failed", "`silent` runs and does not listen on its port 8000");
    let found = first(&with("silent", "", listens(&[], &[])));
    assert_eq!(found.cause, "`silent` runs and does not listen on its port 8000, nor on any other");
    let found = is("not-found", "probe-failed", "`not-found` runs and is not ready: `GET /nope` answers 404");
    assert_eq!(found.debounce, READY_WITHIN);
    let mut evidence = recorded("not-found");
    let pods: Vec<String> = evidence.newest().map(|pod| name(pod).to_owned()).collect();
    evidence.answers.extend(pods.into_iter().map(|pod| (pod, "no such page".to_owned())));
    assert!(first(&evidence).cause.ends_with("answers 404: no such page"));
}

#[test]
fn a_service_has_its_time_once_what_it_needs_serves() {
    let waiting = |need: &str| {
        let mut evidence = recorded("not-found");
        let other = recorded(need);
        evidence.deployments.extend(other.deployments);
        evidence.services[0].needs.push(need.parse().unwrap());
        let found = judge(&evidence).into_iter().find(|finding| finding.code == "probe-failed").unwrap();
        (found.debounce, found.about.ends_with(" without what it needs"))
    };
    assert_eq!(waiting("silent"), (Duration::MAX, true));
    assert_eq!(waiting("fine"), (READY_WITHIN, false));
}

#[test]
fn pods_that_may_not_be_made() {
    is(
        "quota",
        "quota",
        "no pod of `quota` can be made: exceeded quota: small, requested: requests.memory=200Mi, used: requests.memory=0, \
         limited: requests.memory=100Mi",
    );
    is(
        "quota-unset",
        "quota",
        "no pod of `quota-unset` can be made: failed quota: small: must specify requests.memory for: quota-unset",
    );
    let found = first(&recorded("psp"));
    assert_eq!(found.code, "admission-refused");
    assert!(
        found.cause.starts_with("no pod of `psp` can be made: violates PodSecurity \"restricted:latest\": privileged"),
        "{}",
        found.cause
    );
}

#[test]
fn volumes_without_a_class() {
    is(
        "storage-class",
        "no-storage-class",
        "the volume of `storage-class` is to be of the storage class `fast`, which the cluster does not have",
    );
    is(
        "storage-none",
        "no-storage-class",
        "the volume of `storage-none` has no storage class, and the cluster no default one",
    );
}

#[test]
fn what_is_referred_to_and_missing() {
    is(
        "config",
        "config-missing",
        "`config` refers to a missing Secret, ConfigMap or key: configmap \"settings\" not found",
    );
    is(
        "config-mount",
        "config-missing",
        "`config-mount` refers to a missing Secret, ConfigMap or key: secret \"keys\" not found",
    );
    is(
        "config-key",
        "config-missing",
        "`config-key` refers to a missing Secret, ConfigMap or key: couldn't find key nope in Secret shop-config-key/given",
    );
}

#[test]
fn a_node_that_does_not_answer_comes_first() {
    let mut evidence = recorded("silent");
    evidence.nodes[0].is_ready = false;
    assert_eq!(first(&evidence).code, "node-gone");
}

#[test]
fn pods_of_an_earlier_release_tell_nothing() {
    let evidence = recorded("wrong-port");
    assert_eq!((evidence.pods.len(), evidence.newest().count()), (2, 1));
    // A change that the cluster has not looked at yet has no pods at all.
    let mut unseen = recorded("crash");
    unseen.deployments[0]["metadata"]["generation"] = 99.into();
    let found = first(&unseen);
    assert_eq!(
        (found.code, found.cause.as_str()),
        ("not-ready", "`crash` has 0 of 1 replicas ready; no pod of it is there")
    );
}

#[test]
fn every_code_that_is_found_is_in_the_table() {
    let table: BTreeSet<&str> = super::codes::CODES.iter().map(|(code, _)| *code).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnostics/fixtures");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        for finding in judge(&recorded(path.file_stem().unwrap().to_str().unwrap())) {
            assert!(table.contains(finding.code), "{}", finding.code);
        }
    }
}
