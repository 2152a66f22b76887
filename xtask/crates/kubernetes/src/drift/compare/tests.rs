use super::super::normal::{over, release};
use super::*;
use serde_json::json;

/// As the API gives a Deployment back.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "epoch", "namespace": "epoch", "uid": "u", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "helm"}],
            "labels": {"app.kubernetes.io/name": "epoch", "deployment_id": "d"},
            "annotations": {"meta.helm.sh/release-name": "epoch", "deployment.kubernetes.io/revision": "3"},
        },
        "spec": {
            "replicas": 2,
            "template": {
                "metadata": {"creationTimestamp": null, "labels": {"a": "b"}},
                "spec": {
                    "containers": [{
                        "name": "epoch", "image": "r/epoch@sha256:1", "args": ["--a", "b"],
                        "env": [{"name": "PORT", "value": "1337"}, {"name": "LOG", "value": "info"}],
                        "ports": [{"containerPort": 1337, "protocol": "TCP", "name": "http"}],
                        "volumeMounts": [{"mountPath": "/tmp", "name": "t"}, {"mountPath": "/data", "name": "t"}],
                    }],
                    "volumes": [{"name": "t", "emptyDir": {}}],
                    "tolerations": [{"operator": "Exists"}],
                },
            },
        },
        "status": {"readyReplicas": 2},
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "epoch", "namespace": "epoch", "labels": {"app.kubernetes.io/name": "epoch"},
            "annotations": {"meta.helm.sh/release-name": "epoch"},
        },
        "spec": {"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{"port": 80, "targetPort": "http"}]},
    })
}

fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "epoch", "namespace": "epoch", "annotations": {"meta.helm.sh/release-name": "epoch"}},
        "spec": {"minReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "epoch"}},
    })
}

fn all() -> Vec<Value> {
    vec![deployment(), service(), autoscaler()]
}

fn captured(objects: Vec<Value>) -> Vec<Value> {
    release(objects.into_iter())
}

/// What is said when `edit` was done to the live object at this place of the list.
fn after(objects: Vec<Value>, index: usize, edit: impl Fn(&mut Value)) -> Vec<String> {
    let proven = captured(objects.clone());
    let mut live = objects;
    edit(&mut live[index]);
    differences(&proven, &captured(live)).into_iter().map(|d| format!("{}: {}", d.object, d.what)).collect()
}

fn set(pointer: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |object| *object.pointer_mut(pointer).unwrap() = value.clone()
}

fn insert(pointer: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |object| object.pointer_mut(pointer).unwrap().as_array_mut().unwrap().insert(0, value.clone())
}

const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn what_the_cluster_changes_is_no_difference() {
    assert_eq!(after(all(), 0, |_| {}), [""; 0]);
    let unnoticed: [(&'static str, Value); 5] = [
        ("/status", json!({})),
        ("/metadata/resourceVersion", json!("8")),
        ("/metadata/managedFields", json!([])),
        ("/spec/replicas", json!(5)),
        ("/metadata/annotations/deployment.kubernetes.io~1revision", json!("4")),
    ];
    for (pointer, value) in unnoticed {
        assert_eq!(after(all(), 0, set(pointer, value)), [""; 0], "{pointer}");
    }
    let restarted = json!({"kubectl.kubernetes.io/restartedAt": "now"});
    let restart = |object: &mut Value| object["spec"]["template"]["metadata"]["annotations"] = restarted.clone();
    assert_eq!(after(all(), 0, restart), [""; 0]);
    assert_eq!(after(all(), 1, set("/spec/clusterIP", json!("10.0.0.9"))), [""; 0]);
    let controller = |object: &mut Value| object["metadata"]["annotations"]["field.cattle.io/x"] = json!("1");
    assert_eq!(after(all(), 1, controller), [""; 0]);
}

#[test]
fn replicas_count_where_no_autoscaler_owns_them() {
    let said = after(vec![deployment(), service()], 0, set("/spec/replicas", json!(5)));
    assert_eq!(said, ["Deployment epoch: `spec.replicas` is `5`, proven was `2`"]);
    // One that was removed by hand is a difference itself; what it has set is none.
    let there = captured(vec![deployment(), service()]);
    let said: Vec<_> = differences(&captured(all()), &there).into_iter().map(|d| (d.object, d.what)).collect();
    assert_eq!(said, [("HorizontalPodAutoscaler epoch".to_owned(), "is gone".to_owned())]);
}

#[test]
fn each_edit_is_one_difference() {
    let said = |edit: &dyn Fn(&mut Value)| {
        let said = after(all(), 0, edit);
        assert_eq!(said.len(), 1, "{said:?}");
        said[0].replace("Deployment epoch: ", "")
    };
    let container = "`spec.template.spec.containers[epoch]";
    assert_eq!(
        said(&set("/spec/template/spec/containers/0/image", json!("x"))),
        format!("{container}.image` is `x`, proven was `r/epoch@sha256:1`")
    );
    assert_eq!(
        said(&insert("/spec/template/spec/containers/0/env", json!({"name": "A", "value": "1"}))),
        format!("{container}.env[A]` was added: `{{\"name\":\"A\",\"value\":\"1\"}}`")
    );
    assert_eq!(
        said(&insert("/spec/template/spec/containers/0/env", json!({"name": "API_TOKEN", "value": "1"}))),
        format!("{container}.env[API_TOKEN]` was added")
    );
    assert_eq!(
        said(&set("/spec/template/spec/containers/0/env/1/value", json!("debug"))),
        format!("{container}.env[LOG].value` is `debug`, proven was `info`")
    );
    assert_eq!(
        said(&set("/spec/template/spec/containers/0/args", json!(["--a"]))),
        format!("{container}.args` is `[\"--a\"]`, proven was `[\"--a\",\"b\"]`")
    );
    let label = set("/metadata/labels/app.kubernetes.io~1name", json!("z"));
    assert_eq!(said(&label), "`metadata.labels[app.kubernetes.io/name]` is `z`, proven was `epoch`");
    let sidecar = insert("/spec/template/spec/containers", json!({"name": "spy", "image": "i"}));
    assert!(said(&sidecar).starts_with("`spec.template.spec.containers[spy]` was added: `{"));
}

/// Every leaf of every object is changed in turn, and taken away in turn, and found as one difference or as one of those
/// things that are the cluster's.
#[test]
fn no_edit_goes_unnoticed() {
    let objects = vec![deployment(), service()];
    let cluster = |at: &str| {
        let of_cluster = ["/status", "/metadata/uid", "/metadata/resourceVersion", "/metadata/generation"];
        let notes = ["/metadata/creationTimestamp", "/metadata/managedFields", "/spec/template/metadata/creation"];
        let addresses = ["/spec/clusterIP", "/metadata/annotations/deployment.kubernetes.io", "/apiVersion"];
        let identity = ["/kind", "/metadata/name", "/metadata/namespace"];
        let mut all = of_cluster.iter().chain(&notes).chain(&addresses).chain(&identity);
        all.any(|prefix| at.starts_with(prefix) && !at.starts_with("/metadata/names/"))
    };
    let mut tried = 0;
    for (index, object) in objects.iter().enumerate() {
        for at in leaves(object, "").into_iter().filter(|at| !cluster(at)) {
            let changed = |object: &mut Value| *object.pointer_mut(&at).unwrap() = json!("changed by hand");
            assert!(!after(objects.clone(), index, changed).is_empty(), "changed {at}");
            let gone = |object: &mut Value| {
                let (parent, key) = at.rsplit_once('/').unwrap();
                match object.pointer_mut(parent).unwrap() {
                    Value::Object(map) => drop(map.remove(&key.replace("~1", "/"))),
                    Value::Array(list) => drop(list.remove(key.parse().unwrap())),
                    _ => unreachable!(),
                }
            };
            assert!(!after(objects.clone(), index, gone).is_empty(), "taken away {at}");
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
}

fn leaves(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().flat_map(|(key, value)| leaves(value, &format!("{at}/{}", key.replace('/', "~1")))).collect()
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().flat_map(|(index, value)| leaves(value, &format!("{at}/{index}"))).collect()
        }
        _ => vec![at.to_owned()],
    }
}

#[test]
fn another_order_is_a_difference() {
    let said = after(all(), 0, |object| {
        object.pointer_mut(&format!("{CONTAINER}/env")).unwrap().as_array_mut().unwrap().reverse();
    });
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn what_a_hand_has_made_is_told_until_it_is_known() {
    let mut made = service();
    made["metadata"]["name"] = json!("mine");
    made["metadata"]["annotations"] = json!({});
    let proven = captured(all());
    let there = captured(all().into_iter().chain([made]).collect());
    let said = differences(&proven, &there);
    assert_eq!((said[0].object.as_str(), said[0].what.as_str()), ("Service mine", "was added by hand"));
    assert_eq!(said[0].service.as_deref(), Some("epoch"));
    assert_eq!(differences(&there, &there), []);
    assert_eq!(differences(&there, &proven), []);
}

#[test]
fn secrets_and_long_lists_are_kept_short() {
    let secret = |value: &str| json!({"kind": "Secret", "data": {"password": value}});
    assert_eq!(told(&secret("b2xk"), &secret("bmV3")), ["`data.password` has another value than proven"]);
    let data = |value: &str| {
        let data: serde_json::Map<_, _> = (0..20).map(|n| (format!("k{n:02}"), json!(value))).collect();
        json!({"kind": "ConfigMap", "data": data})
    };
    let said = told(&data("a"), &data("b"));
    assert_eq!((said.len(), said[10].as_str()), (11, "and 10 more"));
    let text = |end: &str| json!({"data": {"a": format!("{}{end}", "same ".repeat(100))}});
    let said = told(&text("x"), &text("y"));
    assert!(said[0].len() < 120 && said[0].contains("y`, proven was"), "{said:?}");
}

#[test]
fn what_is_written_back_keeps_what_the_cluster_decides() {
    let mut live = deployment();
    live["spec"]["replicas"] = json!(7);
    live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("by hand");
    live["spec"]["template"]["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/restartedAt": "now"});
    live["metadata"]["annotations"]["by"] = json!("hand");
    let proven = captured(all());
    let wanted = over(&proven[1], &live, true);
    assert_eq!(proven[1]["kind"], "Deployment");
    assert_eq!(wanted["spec"]["replicas"], 7);
    assert_eq!(wanted["metadata"]["resourceVersion"], "7");
    assert_eq!(wanted["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    assert_eq!(wanted["metadata"]["annotations"].get("by"), None);
    assert_eq!(wanted["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"], "now");
    assert_eq!(differences(&proven, &captured(vec![wanted, service(), autoscaler()])), []);
    let mut live = service();
    live["spec"]["type"] = json!("NodePort");
    live["spec"]["ports"][0]["nodePort"] = json!(30001);
    let wanted = over(&proven[0], &live, false);
    assert_eq!(wanted["spec"]["clusterIP"], "10.0.0.7");
    assert_eq!(wanted["spec"]["ports"][0].get("nodePort"), None);
}
