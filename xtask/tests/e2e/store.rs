//! Where a system keeps its state is decided once: a program that appears on PATH or leaves it moves nothing.

use super::sandbox::{Run, Sandbox, scratch};
use super::stage::Stage;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A program that stands for a database, in a folder of its own; it goes when dropped.
struct Store(PathBuf);

impl Store {
    fn new(name: &str) -> Self {
        let folder = scratch().join(format!("{name}-on-path"));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("slipway-store");
        let script = "#!/bin/sh\n[ -z \"$KEEP\" ] || echo kept > \"$KEEP/file\"\n\
                      exec python3 -m http.server --bind 127.0.0.1 \"$PORT\"\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn path(&self) -> std::ffi::OsString {
        let path = std::env::var_os("PATH").unwrap();
        std::env::join_paths(std::iter::once(self.0.clone()).chain(std::env::split_paths(&path))).unwrap()
    }

    fn with(&self, sandbox: &Sandbox, args: &[&str]) -> Run {
        Run::of(sandbox.command(args).env("PATH", self.path()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn stage(name: &str) -> Stage {
    let stage = Stage::new(name, &["teller", "other"]);
    let pin = "store = \"docker.io/library/redis:7\"\n";
    std::fs::write(stage.sandbox.root.join("deploy/images.toml"), pin).unwrap();
    stage.declare("teller", 1, &with_store("store", ""));
    stage.declare("other", 3, "");
    stage
}

/// What a service declares that keeps its state in another where there is one, and else in a place of its own.
fn with_store(name: &str, more: &str) -> String {
    format!(
        "needs = [\"{name}\"]\nenv = {{ STORE = \"${{{name}.url}}\", OWN = \"${{data}}\" }}\n\n\
         [services.{name}]\nimage = \"store\"\nport = 2\npresence = \"when-available\"\nready = {{ http = \"/\" }}\n{more}\
         env = {{ KEEP = \"${{data}}\" }}\nprovides = {{ url = \"http://${{host}}:${{port}}\" }}\n\n\
         [services.{name}.host]\nprograms = [\"slipway-store\"]\nenable = \"install it\"\n\n\
         [services.{name}.container]\nuser = \"999:999\"\n"
    )
}

fn has_store(sandbox: &Sandbox) -> bool {
    sandbox.status("store")["state"] == "running"
}

fn decided(home: &Path) -> Value {
    let text = std::fs::read_to_string(home.join("presence.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["store"].clone()
}

#[test]
fn a_program_that_appears_on_path_moves_no_state_until_that_is_asked_for() {
    let (stage, store) = (stage("appears"), Store::new("appears"));
    let sandbox = &stage.sandbox;
    sandbox.xtask(["deploy"]).success();
    assert_eq!(decided(&sandbox.home()), false);
    assert_eq!(store.with(sandbox, &["deploy", "--json"]).success().json()["result"], "unchanged");
    store.with(sandbox, &["deploy", "--set", "env.CHANGED=1"]).success();
    assert!(!has_store(sandbox));
    let plan = store.with(sandbox, &["plan"]).success().stdout;
    assert!(plan.contains("deploy --move-state teller"), "{plan}");
    let doctor = store.with(sandbox, &["doctor", "--json"]).json();
    let check = doctor["checks"].as_array().unwrap().iter().find(|check| check["id"] == "state.store.store").cloned();
    assert_eq!(check.unwrap()["outcome"], "warn");
    // It is said that nothing is carried over, and asked.
    let asked = store.with(sandbox, &["deploy", "--move-state", "teller"]).exits(2);
    assert!(asked.stderr.contains("begins with none"), "{}", asked.stderr);
    store.with(sandbox, &["deploy", "--move-state", "teller", "--yes"]).success();
    assert!(has_store(sandbox));
    assert_eq!(decided(&sandbox.home()), true);
    // Without its record, as an earlier version has left it, what was proven last tells.
    std::fs::remove_file(sandbox.home().join("presence.json")).unwrap();
    sandbox.xtask(["deploy", "teller", "--json"]).exits(1);
    store.with(sandbox, &["deploy"]).success();
    assert!(has_store(sandbox));
}

#[test]
fn a_program_that_leaves_path_is_a_failure_of_its_system_alone() {
    let (stage, store) = (stage("leaves"), Store::new("leaves"));
    let sandbox = &stage.sandbox;
    store.with(sandbox, &["deploy"]).success();
    assert_eq!(decided(&sandbox.home()), true);
    stage.answer("other", "one too");
    let failed = sandbox.xtask(["deploy", "--json"]).exits(1).json();
    assert_eq!(failed["failure"]["code"], "state-unavailable", "{failed:#}");
    let result = |name: &str| {
        let systems = failed["systems"].as_array().unwrap();
        systems.iter().find(|system| system["name"] == name).unwrap()["result"].clone()
    };
    assert_eq!((result("teller"), result("other")), ("failed".into(), "deployed".into()), "{failed:#}");
    assert!(has_store(sandbox), "what runs goes on");
    sandbox.xtask(["deploy", "teller", "--move-state", "teller", "--yes"]).success();
    assert_eq!(decided(&sandbox.home()), false);
}

#[test]
fn a_store_that_is_renamed_is_the_same_and_one_that_is_removed_takes_no_state_with_it() {
    let (stage, store) = (stage("renamed-store"), Store::new("renamed-store"));
    let sandbox = &stage.sandbox;
    let kept = |name: &str| sandbox.home().join("data").join(name).join("file").is_file();
    store.with(sandbox, &["deploy"]).success();
    assert!(kept("store"));
    stage.declare("teller", 1, &with_store("vault", "was = [\"store\"]\n"));
    store.with(sandbox, &["deploy"]).success();
    assert_eq!(sandbox.status("vault")["state"], "running");
    assert!(kept("vault") && !kept("store"));

    stage.declare("teller", 1, "env = { OWN = \"${data}\" }\n");
    let from = "`teller` keeps its state in `vault` (";
    let told =
        |words: &str| [from, "would begin with nothing in a place of its own"].iter().all(|why| words.contains(why));
    let how = "deploy teller --move-state teller";
    let plan = store.with(sandbox, &["plan"]).success().stdout;
    assert!(told(&plan) && plan.contains(how), "{plan}");
    let failed = store.with(sandbox, &["deploy", "--json"]).exits(1).json();
    let failure = &failed["failure"];
    assert_eq!(failure["code"], "state-moves", "{failed:#}");
    assert!(told(failure["cause"].as_str().unwrap()), "{failed:#}");
    assert!(failure["hint"].as_str().unwrap().contains(how), "{failed:#}");
    assert_eq!(sandbox.status("vault")["state"], "running", "what runs goes on");
    store.with(sandbox, &["deploy", "teller", "--move-state", "teller", "--yes"]).success();
    assert!(kept("vault"), "what it stored is kept");
    assert_eq!(store.with(sandbox, &["deploy", "--json"]).success().json()["result"], "unchanged");
}
