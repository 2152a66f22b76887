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

#[test]
fn secrets_of_an_environment_are_in_no_manifest() {
    skip::unless!(skip::program(&["helm"], "XTASK_REQUIRE_HELM"));
    let sandbox = Sandbox::with_own_copy("rendered-secrets");
    let out = scratch().join("e2e-rendered-secrets");
    let local = sandbox.root.join("deploy/environments/cluster.local.toml");
    std::fs::write(&local, "[env]\nDB_PASS = \"plant-1\"\nLOG = \"debug\"\nURL = \"http://u:plant-2@h/\"\n").unwrap();
    let render = |token: &str| {
        let _ = std::fs::remove_dir_all(&out);
        let mut command = program(&sandbox.root);
        command.args(["render", "--env", "cluster", "--out"]).arg(&out).env("KUBECONFIG", "/dev/null");
        command.args(["--set", "registry=registry.example.com/slipway", "--set", "pull_secrets=ci/regcred"]);
        Run::of(command.args(["--set", &format!("services.epoch.env.API_TOKEN={token}")])).success();
        files(&out)
    };
    let first = render("plant-3");
    for (path, text) in &first {
        let text = String::from_utf8_lossy(text);
        assert!(!text.contains("plant-"), "{}:\n{text}", path.display());
    }
    let text = |path: &str| String::from_utf8_lossy(&first[Path::new(path)]).replace('"', "");
    let workload = text("cluster/epoch/deployment-epoch.yaml");
    for part in [
        "value: debug",
        "key: env.DB_PASS",
        "key: env.API_TOKEN",
        "key: env.URL",
        "name: epoch-secrets",
        "name: regcred",
    ] {
        assert!(workload.contains(part), "{part}:\n{workload}");
    }
    assert!(!text("cluster/web/deployment-web.yaml").contains("API_TOKEN"));
    assert!(text("cluster/epoch/README.md").contains("env.DB_PASS: <DB_PASS of the environment>"));
    // Not even whether one has changed is told.
    assert!(first == render("plant-4"));
    std::fs::remove_dir_all(&out).unwrap();
}
