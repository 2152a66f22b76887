//! Plain manifests, made without a cluster.

use super::sandbox::{Run, Sandbox, program, scratch};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
fn manifests_are_the_same_each_time_and_need_no_cluster() {
    skip::unless!(skip::program(&["helm"], "XTASK_REQUIRE_HELM"));
    let sandbox = Sandbox::with_own_copy("rendered");
    let out = scratch().join("e2e-rendered");
    let render = || {
        let _ = std::fs::remove_dir_all(&out);
        let mut command = program(&sandbox.root);
        command.args(["render", "--env", "cluster", "--out"]).arg(&out).env("KUBECONFIG", "/dev/null");
        Run::of(command.args(["--set", "registry=registry.example.com/slipway"])).success();
        files(&out)
    };
    let first = render();
    assert!(first.len() > 50, "{:?}", first.keys());
    assert!(first == render());
    for system in ["epoch", "invoices", "messages", "shortener", "web"] {
        let file = format!("cluster/{system}/namespace.yaml");
        let namespace = first.get(Path::new(&file)).unwrap_or_else(|| panic!("{file} in {:?}", first.keys()));
        let namespace = String::from_utf8_lossy(namespace);
        assert!(namespace.contains("pod-security.kubernetes.io/enforce: restricted\n"), "{namespace}");
    }
    std::fs::remove_dir_all(&out).unwrap();
}
