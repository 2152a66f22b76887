//! From nothing to proven and back, command by command, mostly with `epoch`.

use super::client::Hammer;
use super::contract::document::{code, commands, deploy, edit, step};
use super::contract::{self, Deployed};
use super::sandbox::{Sandbox, eventually, get, post};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::File;
use supervisor::{Client, Connection, InstanceStatus};

// What a test looks at.

/// How the supervisor says a service is doing.
fn instance(sandbox: &Sandbox, service: &str) -> Option<InstanceStatus> {
    let Connection::Live(client) = Client::connect(&sandbox.home()) else { return None };
    let all = client.status().unwrap();
    all.into_iter().find(|status| status.service.as_str() == service).and_then(|status| status.current)
}

/// The process of a service.
pub(crate) fn pid(sandbox: &Sandbox, service: &str) -> u32 {
    eventually("a process", || instance(sandbox, service).and_then(|instance| instance.pid).ok_or_else(String::new))
}

fn supervisor(sandbox: &Sandbox) -> u32 {
    match Client::connect(&sandbox.home()) {
        Connection::Live(client) => client.process().pid,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn kill(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
}

fn epoch_says(sandbox: &Sandbox) -> String {
    get(&sandbox.via("epoch"), "/").unwrap().1
}

#[track_caller]
fn unchanged(sandbox: &Sandbox, args: &[&str]) {
    let document = deploy(sandbox, args);
    assert_eq!(document["result"], "unchanged", "{document:#}");
    assert_eq!(commands(sandbox, &document), Vec::<Value>::new());
}

// Deploy, again, and teardown.

#[test]
fn systems_go_from_nothing_to_proven_and_back() {
    let sandbox = Sandbox::new("life");
    contract::comes_up(&sandbox, &["epoch", "invoices"]);
    sandbox.ends_clean();
}

#[test]
fn a_second_deploy_builds_nothing_and_restarts_nothing() {
    let sandbox = Sandbox::new("life-again");
    deploy(&sandbox, &["epoch"]);
    let (service, supervisor_before) = (pid(&sandbox, "epoch"), supervisor(&sandbox));
    unchanged(&sandbox, &["epoch"]);
    let steps = deploy(&sandbox, &["epoch"])["steps"].clone();
    assert!(steps.as_array().unwrap().iter().all(|step| step["result"] == "unchanged"), "{steps:#}");
    assert_eq!((pid(&sandbox, "epoch"), supervisor(&sandbox)), (service, supervisor_before));
    let proven = deploy(&sandbox, &["epoch", "--verify"]);
    assert_eq!(step(&proven, "smoke:epoch")["result"], "done");
    assert_eq!(pid(&sandbox, "epoch"), service);
}

#[test]
fn a_change_is_made_and_taken_back() {
    let sandbox = Sandbox::new("life-back");
    contract::a_teardown_of_nothing_is_clean(&sandbox);
    contract::a_change_is_made_and_taken_back(&sandbox);
}

#[test]
fn a_teardown_of_one_system_keeps_the_other() {
    let sandbox = Sandbox::new("life-one");
    let systems = [("epoch", "epoch"), ("invoices", "invoice-app")];
    contract::a_teardown_of_one_system_keeps_the_other(&sandbox, systems);
}

#[test]
fn a_system_that_goes_leaves_nothing_on_disk() {
    let sandbox = Sandbox::new("life-disk");
    deploy(&sandbox, &["epoch", "invoices"]);
    let of_epoch = ["logs/epoch.log", "artifacts/epoch"].map(|path| sandbox.home().join(path));
    assert!(of_epoch.iter().all(|path| path.exists()));
    sandbox.xtask(["teardown", "epoch", "--yes"]).success();
    assert!(!of_epoch.iter().any(|path| path.exists()));
}

#[test]
fn a_look_for_survivors_lists_what_is_there_and_changes_nothing() {
    let sandbox = Sandbox::new("life-verify");
    deploy(&sandbox, &["epoch"]);
    let service = pid(&sandbox, "epoch");
    let receipt = sandbox.xtask(["teardown", "--verify", "--json"]).exits(1).json();
    assert_eq!(receipt["result"], "survivors");
    let survivors = receipt["survivors"].as_array().unwrap();
    let process = survivors.iter().find(|found| found["id"] == format!("epoch ({service})")).unwrap();
    assert_eq!(process["remove"], "cargo xtask teardown epoch --env life-verify", "a `kill` would be undone");
    assert_eq!(process["owner"], "epoch");
    assert_eq!(pid(&sandbox, "epoch"), service);
    unchanged(&sandbox, &["epoch"]);
    sandbox.xtask(["teardown", "--yes"]).success();
    let receipt = sandbox.xtask(["teardown", "--verify", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean");
}

#[test]
fn what_a_lost_state_folder_leaves_running_is_found() {
    let sandbox = Sandbox::new("life-lost");
    deploy(&sandbox, &["epoch"]);
    let service = pid(&sandbox, "epoch");
    kill(supervisor(&sandbox));
    std::fs::remove_dir_all(sandbox.home()).unwrap();
    let receipt = sandbox.xtask(["teardown", "--verify", "--json"]).exits(1).json();
    let survivors = receipt["survivors"].as_array().unwrap();
    assert!(survivors.iter().any(|found| found["remove"] == format!("kill {service}")), "{receipt:#}");
    kill(service);
}

#[test]
fn kept_data_is_found_again_by_a_later_deploy() {
    let sandbox = Sandbox::new("life-data");
    contract::kept_data_is_found_again(&sandbox, &[]);
    sandbox.ends_clean();
}

#[test]
fn a_renamed_service_takes_the_place_of_the_old_one() {
    let sandbox = Sandbox::with_own_copy("life-rename");
    contract::a_renamed_service_takes_the_place_of_the_old_one(&sandbox, |_| {});
    contract::a_system_without_a_file_goes_by_its_name(&sandbox);
}

/// The code of a new short link.
pub(crate) fn shorten(sandbox: &Sandbox, url: &str) -> String {
    let (status, document) = post(&sandbox.via("shortener"), "/api/urls", &json!({"url": url})).unwrap();
    assert_eq!(status, 201);
    code(&document)
}

// A change, the way back, and a move.

#[test]
fn a_change_replaces_its_service_alone_loses_no_request_and_can_be_taken_back() {
    let mut sandbox = Sandbox::with_own_copy("life-change");
    deploy(&sandbox, &["epoch", "shortener"]);
    what_a_build_cannot_see_changes_nothing(&sandbox);
    a_change_replaces_its_service_alone(&sandbox);
    a_rollback_goes_to_and_fro(&sandbox);
    a_moved_checkout_builds_nothing(&mut sandbox);
}

fn what_a_build_cannot_see_changes_nothing(sandbox: &Sandbox) {
    let now = std::time::SystemTime::now();
    File::options().write(true).open(sandbox.root.join("app/epoch/src/main.rs")).unwrap().set_modified(now).unwrap();
    std::fs::write(sandbox.root.join("NOTES.md"), "Nothing that a build reads.").unwrap();
    let other = sandbox.root.join("app/money/src/lib.rs");
    edit(&other, "//! ", "//! Edited. ");
    unchanged(sandbox, &["epoch", "shortener"]);
}

fn a_change_replaces_its_service_alone(sandbox: &Sandbox) {
    let (epoch, shortener) = (pid(sandbox, "epoch"), pid(sandbox, "shortener"));
    edit(&sandbox.root.join("app/epoch/src/main.rs"), "text: epoch.to_string()", "text: format!(\"{epoch} sharp\")");
    let plan = sandbox.xtask(["plan", "epoch", "shortener", "--json"]).success().json();
    let results: Vec<_> = plan["systems"].as_array().unwrap().iter().map(|system| &system["result"]).collect();
    assert_eq!(results, ["changes", "unchanged"]);
    let why = plan["systems"][0]["services"][0]["why"].to_string();
    assert!(why.contains("app/epoch/src/main.rs"), "{why}");

    let hammer = Hammer::start(&sandbox.via("epoch"), 500);
    let document = deploy(sandbox, &["epoch", "shortener"]);
    let seen = hammer.until_answered("sharp");
    assert_eq!(step(&document, "start:epoch")["result"], "done");
    assert_eq!(step(&document, "start:shortener")["result"], "unchanged");
    assert_ne!(pid(sandbox, "epoch"), epoch);
    assert_eq!(pid(sandbox, "shortener"), shortener);
    for seen in seen {
        assert_eq!(seen.failures, Vec::<String>::new());
        assert!(!seen.bodies[0].contains("sharp"), "it was asked before the change, too");
    }
}

#[test]
fn a_first_revision_has_none_before_it_whatever_the_settings() {
    let sandbox = Sandbox::new("life-first");
    deploy(&sandbox, &["invoices"]);
    let place = sandbox.via("invoice-app");
    // What one service is told of the other has its port.
    for settings in [&[][..], &["--set", "ports=declared"]] {
        let run = sandbox.xtask([&["rollback", "invoices"], settings].concat()).exits(1);
        assert!(run.stderr.contains("`invoices` has no earlier revision that was proven healthy"), "{}", run.stderr);
    }
    assert_eq!(sandbox.via("invoice-app"), place);
}

fn a_rollback_goes_to_and_fro(sandbox: &Sandbox) {
    let back = sandbox.xtask(["rollback", "epoch", "--json"]).success().json();
    assert_eq!(step(&back, "smoke:epoch")["result"], "done", "it is proven");
    assert_eq!(commands(sandbox, &back), Vec::<Value>::new(), "its binary was kept");
    assert!(!epoch_says(sandbox).contains("sharp"));
    // The revision before the one that runs now is the edited one.
    let run = sandbox.xtask(["rollback", "epoch"]).success();
    assert!(run.stdout.contains("`epoch` is back at revision 2, as revision 4"), "{}", run.stdout);
    assert!(epoch_says(sandbox).contains("sharp"));
    sandbox.xtask(["rollback", "epoch"]).success();
    assert!(!epoch_says(sandbox).contains("sharp"));
    let document = deploy(sandbox, &["epoch"]);
    assert_eq!(step(&document, "build")["result"], "unchanged");
    assert!(epoch_says(sandbox).contains("sharp"), "a deploy brings what the sources say");
}

fn a_moved_checkout_builds_nothing(sandbox: &mut Sandbox) {
    let old = sandbox.processes();
    let elsewhere = sandbox.root.with_file_name("life-moved");
    std::fs::rename(&sandbox.root, &elsewhere).unwrap();
    sandbox.root = elsewhere;
    eventually("an end of what ran in the old place", || {
        let left: Vec<_> = old.iter().filter(|process| base::os::is_alive(&process.id)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    let document = deploy(sandbox, &["epoch", "shortener"]);
    assert_eq!(step(&document, "build")["result"], "unchanged", "{document:#}");
    assert_eq!(commands(sandbox, &document), Vec::<Value>::new());
    assert!(epoch_says(sandbox).contains("sharp"));
}

// Mishaps.

#[test]
fn a_service_that_is_killed_is_started_again_and_counted() {
    let sandbox = Sandbox::new("life-killed");
    deploy(&sandbox, &["epoch"]);
    assert_eq!(sandbox.status("epoch")["restarts"], 0);
    let before = pid(&sandbox, "epoch");
    kill(before);
    eventually("a restart", || {
        let status = sandbox.status("epoch");
        if status["restarts"] == 1 && status["state"] == "running" { Ok(()) } else { Err(status.to_string()) }
    });
    assert_ne!(pid(&sandbox, "epoch"), before);
    unchanged(&sandbox, &["epoch"]);
}

#[test]
fn a_service_that_fails_its_probes_is_started_again_and_counted() {
    let sandbox = Sandbox::new("life-unhealthy");
    let unhealthy = ["epoch", "--set", "env.FAULT=unhealthy-after=1"];
    deploy(&sandbox, &unhealthy);
    eventually("a restart", || {
        let status = sandbox.status("epoch");
        if status["restarts"].as_u64() >= Some(1) { Ok(()) } else { Err(status.to_string()) }
    });
    let reason = instance(&sandbox, "epoch").unwrap().reason.unwrap();
    assert!(reason.starts_with("3 liveness probes failed: GET /livez: 500"), "{reason}");
    deploy(&sandbox, &["epoch"]);
    assert_eq!(
        (&sandbox.status("epoch")["state"], &sandbox.status("epoch")["restarts"]),
        (&"running".into(), &0.into())
    );
}

#[test]
fn a_killed_supervisor_is_replaced_and_nothing_runs_twice() {
    let sandbox = Sandbox::new("life-supervisor");
    deploy(&sandbox, &["epoch"]);
    let (old, orphan) = (supervisor(&sandbox), pid(&sandbox, "epoch"));
    kill(old);
    let status = eventually("the loss of the supervisor in the status", || {
        let status = sandbox.status("epoch");
        if status["state"] == "running" { Err(status.to_string()) } else { Ok(status) }
    });
    let detail = status["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&orphan.to_string()), "the process that nobody looks after: {status:#}");
    let document = deploy(&sandbox, &["epoch"]);
    assert_eq!(document["result"], "deployed");
    assert_eq!(step(&document, "build")["result"], "unchanged");
    let processes = sandbox.processes();
    assert_eq!(processes.len(), 2, "a supervisor and a service: {processes:?}");
    assert!(processes.iter().all(|process| ![old, orphan].contains(&process.id.pid)));
    unchanged(&sandbox, &["epoch"]);
}
