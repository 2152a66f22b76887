//! Plain manifests are what the cluster takes.

use super::deployment::Deployment;
use super::sandbox::scratch;
use serde_json::json;

const SYSTEMS: [&str; 5] = ["epoch", "invoices", "messages", "shortener", "web"];

#[test]
fn manifests_are_what_the_cluster_takes() {
    let deployment = skip::unless!(Deployment::new("rendered"));
    let out = scratch().join("e2e-cluster-rendered");
    let _ = std::fs::remove_dir_all(&out);
    deployment.sandbox.xtask(["render", "--out", &out.to_string_lossy()]).success();
    let environment = out.join(&deployment.sandbox.env);
    for system in SYSTEMS {
        // An object is not taken before its namespace is there.
        let namespace = deployment.namespace(system);
        let metadata = json!({"name": namespace, "labels": {"deployment_id": deployment.id()}});
        deployment.cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
        let folder = environment.join(system);
        let folder = folder.to_string_lossy();
        let run = deployment.cluster.run(["apply", "--dry-run=server", "--validate=strict", "--kustomize", &folder]);
        let run = run.success();
        assert!(run.stdout.contains("deployment.apps/"), "{system}: {}", run.stdout);
    }
    std::fs::remove_dir_all(&out).unwrap();
}
