//! What the commands print for others: what a rehearsal shows, and the JSON that others rely on.

use super::cli::refused;
use super::sandbox::{Run, Sandbox};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[track_caller]
fn has_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no `{key}` in {value:#}");
    }
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list `{key}` in {value:#}"))
}

// Rehearsals.

/// Every file below a folder, with what would change were it written.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let metadata = entry.metadata().unwrap();
        files.insert(entry.path(), (metadata.len(), metadata.modified().unwrap()));
        if metadata.is_dir() {
            files.extend(snapshot(&entry.path()));
        }
    }
    files
}

#[test]
fn a_dry_run_from_nothing_prints_settings_and_lines_and_touches_nothing() {
    let sandbox = Sandbox::with_own_copy("cli-dry");
    std::fs::write(sandbox.root.join("deploy/environments/cli-dry.local.toml"), "bind = \"127.0.0.2\"\n").unwrap();
    let before = snapshot(&sandbox.root);
    let rehearse = |args: &[&str]| {
        let mut command = sandbox.command(args);
        // Whoever runs it fails.
        Run::of(command.env("CARGO", "/nowhere/cargo").env("CARGO_TARGET_DIR", "/shared/target")).success()
    };
    let text = rehearse(&["deploy", "epoch", "--dry-run", "--set", "env.LOG=debug"]).stdout;
    for line in [
        "    bind = 127.0.0.2  (deploy/environments/cli-dry.local.toml:1)",
        "    deployment_id = cli-dry  (default)",
        "    env.LOG = debug  (--set)",
        "    ports = free  (deploy/environments/cli-dry.toml:2)",
        "    $ /nowhere/cargo build --keep-going '--message-format=json' --bins --package epoch \
         --target-dir .slipway/cli-dry/built --config 'build.build-dir=\"/shared/target\"'",
        "start:epoch  start `epoch` and wait until it is ready  (after ports, supervisor, build)",
    ] {
        assert!(text.lines().any(|printed| printed == line), "no `{line}` in:\n{text}");
    }
    let document = rehearse(&["deploy", "--dry-run", "--json"]).json();
    assert_eq!((&document["schema"], &document["dry_run"]), (&Value::from(1), &Value::from(true)));
    let build = list(&document, "steps").iter().find(|step| step["id"] == "build").unwrap();
    assert_eq!(build["would"][0]["run"][0], "/nowhere/cargo");
    rehearse(&["teardown", "--dry-run"]);
    rehearse(&["plan"]);
    rehearse(&["status"]);
    assert_eq!(snapshot(&sandbox.root), before);
}

#[test]
fn a_dry_run_of_a_teardown_names_what_is_there_and_leaves_it() {
    let sandbox = Sandbox::new("cli-dry-teardown");
    sandbox.xtask(["deploy", "epoch"]).success();
    let pid = sandbox.processes().len();
    let text = sandbox.xtask(["teardown", "--dry-run"]).success().stdout;
    assert!(text.contains("    - remove `.slipway/cli-dry-teardown/logs/epoch.log`"), "{text}");
    assert!(!text.contains("shortener.log"), "only what is there:\n{text}");
    let document = sandbox.xtask(["teardown", "--dry-run", "--json"]).success().json();
    assert_eq!(document["dry_run"], true);
    assert_eq!(sandbox.processes().len(), pid);
    assert_eq!(sandbox.status("epoch")["state"], "running");
}

// Documents.

#[test]
fn the_documents_of_a_deployment_have_their_shapes() {
    let sandbox = Sandbox::new("cli-json");
    let deploy = sandbox.xtask(["deploy", "epoch", "web", "--json"]).success().json();
    has_keys(&deploy, &["schema", "run", "env", "result", "systems", "steps", "failure"]);
    assert_eq!((&deploy["schema"], &deploy["env"]), (&Value::from(1), &Value::from("cli-json")));
    for step in list(&deploy, "steps") {
        has_keys(step, &["id", "result", "seconds", "reason"]);
    }
    let results: Vec<_> = list(&deploy, "systems").iter().map(|system| (&system["name"], &system["result"])).collect();
    assert_eq!(results, [(&"epoch".into(), &"deployed".into()), (&"web".into(), &"skipped".into())]);

    let status = sandbox.xtask(["status", "epoch", "--json"]).success().json();
    has_keys(&status, &["schema", "env", "target", "systems"]);
    assert_eq!(status["target"], "host");
    let service = &status["systems"][0]["services"][0];
    has_keys(service, &["name", "state", "version", "replicas", "restarts", "url", "via"]);
    assert_eq!((&service["replicas"]["ready"], &service["replicas"]["want"]), (&Value::from(1), &Value::from(1)));

    let plan = sandbox.xtask(["plan", "--json"]).success().json();
    assert_eq!(list(&plan, "systems").len(), 5);
    let smoke = sandbox.xtask(["smoke", "--json"]).success().json();
    assert_eq!((&smoke["schema"], &smoke["systems"][0]["ok"]), (&Value::from(1), &Value::from(true)));

    let receipt = sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!((&receipt["schema"], &receipt["result"]), (&Value::from(1), &Value::from("clean")));
    assert!(!list(&receipt, "removed").is_empty() && list(&receipt, "survivors").is_empty());
}

#[test]
fn the_documents_about_the_machine_and_the_repository_have_their_shapes() {
    let sandbox = Sandbox::with_own_copy("cli-checks");
    let doctor = sandbox.xtask(["doctor", "--json"]).json();
    has_keys(&doctor, &["schema", "ok", "summary", "checks"]);
    has_keys(&doctor["summary"], &["pass", "warn", "fail", "skip"]);
    for check in list(&doctor, "checks") {
        has_keys(check, &["id", "outcome", "found", "want", "detail", "fix", "ms"]);
    }
    let ci = sandbox.xtask(["ci", "--only", "spec", "--json"]).success().json();
    assert_eq!((&ci["schema"], &ci["ok"]), (&Value::from(1), &Value::from(true)));
    assert_eq!(list(&ci, "checks").len(), 1);
    refused(sandbox.xtask(["ci", "--only", "sepc", "--json"]), 2, &["unknown check `sepc`; did you mean `spec`?"]);
}

#[test]
fn a_system_that_cannot_run_here_is_not_called_deployed() {
    let sandbox = Sandbox::new("cli-web");
    let cause = "`web` cannot run in environment `cli-web`: `web` is a public image, which only runs in containers";
    for args in [&["deploy", "web"][..], &["deploy", "web", "--json"], &["deploy", "web", "--dry-run"]] {
        refused(sandbox.xtask(args), 3, &[cause, "`--env`", "`containers`"]);
    }
    let deploy_first = "`cargo xtask deploy web --env cli-web` comes first";
    refused(sandbox.xtask(["smoke", "web"]), 1, &["`web` is not deployed in environment `cli-web`", deploy_first]);
    refused(sandbox.xtask(["logs", "epoch"]), 1, &["`cargo xtask status --env cli-web` shows what runs"]);
}
