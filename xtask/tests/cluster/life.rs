//! From nothing to proven and back: all systems at once, and what the cluster holds before and after.

use super::contract::{self, Deployed};
use super::deployment::{Deployment, cluster};
use super::kubectl::{Cluster, text};
use super::sandbox::get;
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
    let cluster = skip::unless!(cluster());
    let deployment = Deployment::alone("all").unwrap();
    // A namespace that is there already is used, and stays.
    let foreign = Foreign::new(cluster, deployment.namespace("web"));
    let before = foreign.versions();
    contract::comes_up(&deployment, &[]);
    let releases = SYSTEMS.map(|system| deployment.helm_release(system));
    assert!(releases.iter().all(|(number, status)| *number == 1 && status == "deployed"), "{releases:?}");
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

fn logs_are_those_of_all_pods(deployment: &Deployment) {
    let log = deployment.sandbox.xtask(["logs", "epoch"]).success().stdout;
    for pod in deployment.pods("epoch", "epoch") {
        assert!(log.contains(text(&pod, "/metadata/name")), "{log}");
    }
    let none = deployment.sandbox.xtask(["logs", "epoch", "--since", "1ms"]).success().stdout;
    assert!(none.len() < log.len(), "{none}");
}

#[test]
fn a_change_is_made_and_taken_back() {
    let deployment = skip::unless!(Deployment::alone("rollback"));
    contract::a_teardown_of_nothing_is_clean(&deployment);
    contract::a_change_is_made_and_taken_back(&deployment);
}

#[test]
fn a_teardown_of_one_system_keeps_the_other() {
    let deployment = skip::unless!(Deployment::new("one"));
    contract::a_teardown_of_one_system_keeps_the_other(&deployment, [("epoch", "epoch"), ("web", "web")]);
}

#[test]
fn kept_data_is_found_again_by_a_later_deploy() {
    let deployment = skip::unless!(Deployment::new("kept"));
    let receipt = contract::kept_data_is_found_again(&deployment, &[]);
    let kept = receipt["kept"].as_array().unwrap();
    let sized = |kind: &str| kept.iter().find(|kept| kept["kind"] == kind).map(|kept| kept["bytes"].clone());
    assert_eq!(sized("PersistentVolumeClaim"), Some(json!(1 << 30)), "{receipt:#}");
    assert_eq!(sized("namespace"), Some(Value::Null), "{receipt:#}");
    let again = deployment.sandbox.xtask(["teardown", "--yes", "--keep-data"]).success().stdout;
    assert!(again.contains("data-redis-0 of shortener (1.0 GB)"), "{again}");
}

#[test]
fn a_renamed_service_takes_the_place_of_the_old_one() {
    let deployment = skip::unless!(Deployment::with_own_copy("renamed"));
    contract::a_renamed_service_takes_the_place_of_the_old_one(&deployment, |old| {
        assert_eq!(get(old, "/").unwrap().0, 200, "the old one serves until the new one is proven");
    });
    contract::a_system_without_a_file_goes_by_its_name(&deployment);
}

#[test]
fn a_lost_ledger_is_found_again_by_the_label() {
    let deployment = skip::unless!(Deployment::new("lost"));
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
