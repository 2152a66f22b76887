//! Objects without what the cluster changes by itself, so that equal releases have equal objects.

use kube::object;
use kube::path;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Set by Helm on everything that a release owns.
const RELEASE: &str = "meta.helm.sh/release-name";
/// What `kubectl rollout restart` sets. What runs afterwards is the same; to take it back would restart it again.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// Annotations that controllers write for themselves or for people to read, and `kubectl` to know what it did. All
/// others count: on an Ingress they decide who is let in.
const NOTES: [&str; 14] = [
    "autoscaling.alpha.kubernetes.io/",
    "cloud.google.com/",
    "control-plane.alpha.kubernetes.io/",
    "deployment.kubernetes.io/",
    "endpoints.kubernetes.io/",
    "field.cattle.io/",
    "ingress.kubernetes.io/",
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubernetes.io/change-cause",
    "metallb.io/ip-allocated-from-pool",
    "metallb.universe.tf/ip-allocated-from-pool",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "volume.kubernetes.io/",
];
const TEMPLATE_ANNOTATIONS: &str = "/spec/template/metadata/annotations";

/// Whether a release made it, and not a hand that copied its labels.
pub(super) fn is_released(found: &Value) -> bool {
    !object::annotation(found, RELEASE).is_empty()
}

/// The objects of a release in their normal form and order.
pub(super) fn release(found: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut objects: Vec<Value> = found.map(normal).collect();
    let scaled = scaled(&objects);
    for found in &mut objects {
        drop_replicas(found, &scaled);
    }
    let order = |kind: &str| path::RELEASED.iter().position(|known| known.name == kind);
    objects.sort_by_key(|found| (order(object::text(found, "/kind")), object::name(found).to_owned()));
    objects
}

/// The workloads that autoscalers among these objects give their replicas, by kind and name.
pub(super) fn scaled<'a>(objects: impl IntoIterator<Item = &'a Value>) -> BTreeSet<(String, String)> {
    let autoscalers = objects.into_iter().filter(|found| found["kind"] == path::AUTOSCALER.name);
    let target = |found: &Value, key: &str| object::text(found, &format!("/spec/scaleTargetRef/{key}")).to_owned();
    autoscalers.map(|found| (target(found, "kind"), target(found, "name"))).collect()
}

pub(super) fn is_scaled(found: &Value, scaled: &BTreeSet<(String, String)>) -> bool {
    scaled.contains(&(object::text(found, "/kind").to_owned(), object::name(found).to_owned()))
}

pub(super) fn drop_replicas(found: &mut Value, scaled: &BTreeSet<(String, String)>) {
    if is_scaled(found, scaled) {
        remove(found, "/spec", "replicas");
    }
}

fn normal(mut found: Value) -> Value {
    let metadata = found["metadata"].take();
    let mut kept = json!({"name": metadata["name"], "namespace": metadata["namespace"]});
    kept["labels"] = metadata["labels"].clone();
    kept["annotations"] = kept_annotations(&metadata["annotations"]);
    found["metadata"] = kept;
    remove(&mut found, "", "status");
    remove(&mut found, TEMPLATE_ANNOTATIONS, RESTARTED);
    if found["kind"] == path::SERVICE.name {
        drop_addresses(&mut found);
    } else if found["kind"] == path::SERVICE_ACCOUNT.name {
        // Tokens that old clusters make.
        remove(&mut found, "", "secrets");
    } else if found["kind"] == path::CLAIM.name {
        remove(&mut found, "/spec", "volumeName");
    } else if found["kind"] == path::STATEFUL_SET.name {
        for claim in found.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten()
        {
            remove(claim, "", "status");
        }
    }
    drop_empty(&mut found);
    found
}

fn kept_annotations(annotations: &Value) -> Value {
    let kept = annotations.as_object().into_iter().flatten().filter(|(key, _)| !is_note(key));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}

fn is_note(annotation: &str) -> bool {
    NOTES.iter().any(|known| annotation.starts_with(known))
}

/// The cluster hands these out; a Service that is made anew gets others.
fn drop_addresses(service: &mut Value) {
    if object::text(service, "/spec/clusterIP") != "None" {
        remove(service, "/spec", "clusterIP");
        remove(service, "/spec", "clusterIPs");
    }
    remove(service, "/spec", "healthCheckNodePort");
    for port in service.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        remove(port, "", "nodePort");
    }
}

/// Whether something is set to nothing or not set at all makes no difference, where the API says one and people or an
/// older API the other. An empty object may mean something (`emptyDir`, `podSelector`) and stays, but in metadata.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                let bare =
                    matches!(key.as_str(), "labels" | "annotations") && value.as_object().is_some_and(Map::is_empty);
                !value.is_null() && !bare
            });
            map.values_mut().for_each(drop_empty);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

pub(super) fn remove(value: &mut Value, parent: &str, key: &str) {
    if let Some(map) = value.pointer_mut(parent).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

/// The proven object as it is to be written over the live one: what the cluster has decided by itself stays.
pub(super) fn over(proven: &Value, live: &Value, keep_replicas: bool) -> Value {
    let mut wanted = proven.clone();
    let mut metadata = live["metadata"].clone();
    metadata["labels"] = proven["metadata"]["labels"].clone();
    metadata["annotations"] = proven["metadata"]["annotations"].clone();
    let notes = live["metadata"]["annotations"].as_object().into_iter().flatten();
    for (key, value) in notes.filter(|(key, _)| is_note(key)) {
        metadata["annotations"][key] = value.clone();
    }
    wanted["metadata"] = metadata;
    for (parent, key) in [
        (TEMPLATE_ANNOTATIONS, RESTARTED),
        ("/spec", "clusterIP"),
        ("/spec", "clusterIPs"),
        ("/spec", "healthCheckNodePort"),
        ("/spec", "volumeName"),
        ("", "secrets"),
    ] {
        keep(&mut wanted, live, parent, key);
    }
    if keep_replicas {
        keep(&mut wanted, live, "/spec", "replicas");
    }
    keep_node_ports(&mut wanted, live);
    wanted
}

/// Takes over a field that the proven form leaves out.
fn keep(wanted: &mut Value, live: &Value, parent: &str, key: &str) {
    let Some(value) = live.pointer(parent).and_then(|parent| parent.get(key)) else { return };
    if parent == TEMPLATE_ANNOTATIONS {
        let template = &mut wanted["spec"]["template"]["metadata"]["annotations"];
        if template.get(key).is_none() {
            template[key] = value.clone();
        }
    } else if let Some(map) = wanted.pointer_mut(parent).and_then(Value::as_object_mut) {
        map.entry(key).or_insert_with(|| value.clone());
    }
}

fn keep_node_ports(wanted: &mut Value, live: &Value) {
    let kind = object::text(wanted, "/spec/type").to_owned();
    let has_them = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    for port in wanted.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let same = |other: &&Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        let before = object::list(live, "/spec/ports").iter().find(same).map(|other| other["nodePort"].clone());
        if let Some(number) = before.filter(|number| has_them && !number.is_null()) {
            port["nodePort"] = number;
        }
    }
}
