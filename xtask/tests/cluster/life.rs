//! From nothing to proven and back: all systems at once, and what the cluster holds before and after.

use super::deployment::{Deployment, cluster};
use super::kubectl::{Cluster, text};
use super::sandbox::{eventually, get, post};
use serde_json::{Value, json};

const SYSTEMS: [&str; 5] = ["epoch", "invoices", "messages", "shortener", "web"];

/// What somebody else has in the same cluster, and wants to find as it was.
struct Foreign {
    cluster: &'static Cluster,
    namespace: String,
}

impl Foreign {
    fn new(cluster: &'static Cluster, namespace: String) -> Self {
        let metadata = |name: &str| json!({"name": name, "namespace": namespace, "labels": {"owner": "somebody"}});
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        cluster
            .apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("kept"), "data": {"a": "b"}}));
        cluster.apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata("kept"), "spec": {"ports": [{"port": 80}]},
        }));
        Self { cluster, namespace }
    }

    fn versions(&self) -> Vec<String> {
        let named = |kind: &str| self.cluster.json(["get", kind, "kept", "--namespace", &self.namespace]);
        let namespace = self.cluster.json(["get", "namespace", &self.namespace]);
        let objects = [namespace, named("configmap"), named("service")];
        objects.iter().map(|object| text(object, "/metadata/resourceVersion").to_owned()).collect()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.cluster.run(["delete", "namespace", &self.namespace, "--wait=true"]);
    }
}

#[test]
fn all_systems_go_from_nothing_to_proven_and_leave_the_cluster_as_it_was() {
    let Some(cluster) = cluster() else { return };
    let deployment = Deployment::alone("all").unwrap();
    // A namespace that is there already is used, and stays.
    let foreign = Foreign::new(cluster, deployment.namespace("web"));
    let before = foreign.versions();
    let first = deployment.deploy(&[]);
    assert_eq!(first["result"], "deployed", "{first:#}");
    for system in first["systems"].as_array().unwrap() {
        assert_eq!(system["result"], "deployed", "{first:#}");
    }
    all_run(&deployment);
    all_is_proven(&deployment);
    again_is_nothing_to_do(&deployment);
    public_services_do_what_they_are_for(&deployment);
    logs_are_those_of_all_pods(&deployment);

    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!((&receipt["result"], &receipt["survivors"]), (&"clean".into(), &json!([])), "{receipt:#}");
    assert!(!receipt["removed"].as_array().unwrap().is_empty());
    assert!(!deployment.sandbox.home().exists());
    let left = deployment.everything();
    assert_eq!(left, [format!("namespace/{}", foreign.namespace)], "only the one that was there before");
    assert_eq!(foreign.versions(), before);
    let volumes = cluster.json(["get", "persistentvolumes"])["items"].as_array().unwrap().clone();
    let mine = |volume: &&Value| text(volume, "/spec/claimRef/namespace").starts_with(&deployment.namespace(""));
    assert_eq!(volumes.iter().find(mine), None);
}

fn all_run(deployment: &Deployment) {
    // A service that grows begins with one, and its autoscaler takes some seconds to say how many there are to be.
    eventually("two of each that can have several", || {
        let grown = |service: &str| deployment.sandbox.status(service)["replicas"]["ready"] == 2;
        if ["epoch", "shortener"].into_iter().all(grown) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let status = deployment.sandbox.xtask(["status", "--json"]).success().json();
    assert_eq!(status["target"], "kubernetes");
    let systems = status["systems"].as_array().unwrap();
    let names: Vec<_> = systems.iter().map(|system| system["name"].as_str().unwrap()).collect();
    assert_eq!(names, SYSTEMS);
    for service in systems.iter().flat_map(|system| system["services"].as_array().unwrap()) {
        assert_eq!(service["state"], "running", "{service:#}");
        let alone = ["redis", "ledger", "emulator", "consumer"].iter().any(|name| service["name"] == *name);
        let wanted = if alone { 1 } else { 2 };
        assert_eq!(service["replicas"], json!({"ready": wanted, "want": wanted}), "{service:#}");
    }
}

fn all_is_proven(deployment: &Deployment) {
    let smoke = deployment.sandbox.xtask(["smoke", "--json"]).success().json();
    for system in smoke["systems"].as_array().unwrap() {
        assert_eq!(system["ok"], true, "{system:#}");
        let checks = system["checks"].as_array().unwrap();
        checks.iter().for_each(|check| assert_eq!(check["outcome"], "passed", "{check:#}"));
    }
}

fn again_is_nothing_to_do(deployment: &Deployment) {
    let releases = || SYSTEMS.map(|system| deployment.helm_release(system));
    let before = releases();
    assert!(before.iter().all(|(number, status)| *number == 1 && status == "deployed"), "{before:?}");
    let mut run = deployment.sandbox.start(["deploy", "--json"]);
    assert!(run.wait_for(|record| record["event"] == "finished"));
    let commands: Vec<Value> = run.records().into_iter().filter(|record| record["event"] == "command").collect();
    let document = run.finish().success().json();
    assert_eq!(document["result"], "unchanged", "{document:#}");
    assert_eq!(commands, Vec::<Value>::new(), "nothing was run");
    assert_eq!(releases(), before);
    let plan = deployment.sandbox.xtask(["plan", "--json"]).success().json();
    for system in plan["systems"].as_array().unwrap() {
        assert_eq!(system["services"], json!([]), "{plan:#}");
    }
}

fn public_services_do_what_they_are_for(deployment: &Deployment) {
    let (status, body) = get(&deployment.place("epoch"), "/").unwrap();
    assert!(status == 200 && body.contains("The current epoch time"), "{status} {body}");
    let shortener = deployment.place("shortener");
    let (status, made) = post(&shortener, "/api/urls", &json!({"url": "https://example.com/x"})).unwrap();
    assert_eq!(status, 201, "{made}");
    let app = deployment.place("invoice-app");
    assert_eq!(post(&app, "/invoices/pay", &json!({})).unwrap(), (200, json!({})));
    let (_, invoices) = get(&app, "/invoices").unwrap();
    assert!(!invoices.contains("false"), "all are paid, whichever replica is asked: {invoices}");
    assert_eq!(get(&deployment.place("web"), "/").unwrap().0, 200);
}

fn logs_are_those_of_all_pods(deployment: &Deployment) {
    let log = deployment.sandbox.xtask(["logs", "epoch"]).success().stdout;
    for pod in deployment.pods("epoch", "epoch") {
        assert!(log.contains(text(&pod, "/metadata/name")), "{log}");
    }
    assert!(log.contains("starting"), "{log}");
    let none = deployment.sandbox.xtask(["logs", "epoch", "--since", "1ms"]).success().stdout;
    assert!(none.len() < log.len(), "{none}");
}

#[test]
fn what_was_stored_is_kept_when_asked_for() {
    let Some(deployment) = Deployment::new("kept") else { return };
    deployment.deploy(&["shortener"]);
    let (_, made) =
        post(&deployment.place("shortener"), "/api/urls", &json!({"url": "https://example.com/kept"})).unwrap();
    let code = format!("/{}", made["code"].as_str().unwrap());
    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--keep-data", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert!(!receipt["kept"].as_array().unwrap().is_empty(), "{receipt:#}");
    deployment.deploy(&["shortener"]);
    let place = deployment.place("shortener");
    let (status, body) = eventually("the link", || match get(&place, &code) {
        Ok(answer) if answer.0 == 307 => Ok(answer),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(status, 307, "{body}");
}

#[test]
fn a_lost_ledger_is_found_again_by_the_label() {
    let Some(deployment) = Deployment::new("lost") else { return };
    deployment.deploy(&["epoch"]);
    std::fs::remove_dir_all(deployment.sandbox.home()).unwrap();
    let found = deployment.sandbox.xtask(["teardown", "--verify", "--json"]).exits(1).json();
    let survivors = found["survivors"].as_array().unwrap();
    let namespace = deployment.namespace("epoch");
    assert!(survivors.iter().any(|found| found["id"].as_str().unwrap().contains(&namespace)), "{found:#}");
    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.everything(), Vec::<String>::new());
}
