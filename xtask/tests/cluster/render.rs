//! Plain manifests: the same bytes each time, and what the cluster takes.

use super::deployment::Deployment;
use super::sandbox::scratch;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SYSTEMS: [&str; 5] = ["epoch", "invoices", "messages", "shortener", "web"];

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_owned();
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

#[test]
fn manifests_are_the_same_each_time_and_what_the_cluster_takes() {
    let Some(deployment) = Deployment::new("rendered") else { return };
    let out = scratch().join("e2e-cluster-rendered");
    let render = || {
        let _ = std::fs::remove_dir_all(&out);
        deployment.sandbox.xtask(["render", "--out", &out.to_string_lossy()]).success();
        files(&out)
    };
    let first = render();
    assert!(first.len() > 50, "{:?}", first.keys());
    assert!(first == render());
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
