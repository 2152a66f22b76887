//! What goes wrong in a cluster, and what the commands make of it: the cause first, and the version that was good serves
//! on.

use super::client::Hammer;
use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::Deployment;
use super::sandbox::{Run, eventually, failure, get, program};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;

/// Deploys `epoch`, then something bad over it under load. The first cause of the failure, after a look at whether the
/// good version served all the while and is the release again.
#[track_caller]
fn bad_over_good(deployment: &Deployment, spoil: impl FnOnce(&Path), args: &[&str]) -> (Run, Value) {
    deployment.deploy(&["epoch"]);
    let place = deployment.place("epoch");
    let version = deployment.sandbox.status("epoch")["version"].clone();
    let hammer = Hammer::start(&place, 50);
    spoil(&deployment.sandbox.root);
    let run = deployment.fails(&[&["epoch"], args].concat());
    for seen in hammer.until_answered("epoch") {
        assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
    }
    assert_eq!(get(&place, "/").unwrap().0, 200);
    assert_eq!(deployment.sandbox.status("epoch")["version"], version);
    let (_, status) = deployment.helm_release("epoch");
    assert_eq!(status, "deployed");
    let failure = failure(&run);
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.contains("revision 1 serves"), "{cause}");
    (run, failure)
}

#[test]
fn a_crash_is_told_by_its_exit_and_its_last_words() {
    let deployment = skip::unless!(Deployment::new("crash"));
    let (run, failure) = bad_over_good(&deployment, |_| {}, &["--set", "env.FAULT=crash-at-start"]);
    let cause = failure["cause"].as_str().unwrap();
    assert_eq!(failure["code"], "crash", "{cause}");
    assert!(cause.starts_with("`epoch` ") && cause.contains("`FAULT` is `crash-at-start`"), "{cause}");
    // Everything that was gathered is on disk.
    let named = run.stderr.split("all that was gathered is in `").nth(1).and_then(|rest| rest.split('`').next());
    let bundle = Path::new(named.unwrap_or_else(|| panic!("{}", run.stderr)));
    assert!(bundle.join("findings.json").is_file() && bundle.join("logs").is_dir(), "{}", bundle.display());
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}

#[test]
fn a_wrong_port_is_told_with_the_right_one() {
    let deployment = skip::unless!(Deployment::new("port"));
    let (_, failure) = bad_over_good(&deployment, |_| {}, &["--set", "env.FAULT=wrong-port"]);
    let cause = failure["cause"].as_str().unwrap();
    assert_eq!(failure["code"], "wrong-port", "{cause}");
    assert!(cause.contains("1337") && cause.contains("listens on"), "{cause}");
}

#[test]
fn an_image_on_another_port_than_declared_is_told_with_both() {
    let deployment = skip::unless!(Deployment::with_own_copy("image-port"));
    let system = deployment.sandbox.root.join("deploy/systems/web.toml");
    // Such as one guesses of an image that serves HTTP.
    edit(&system, "\nport = 8080\n", "\nport = 80\n");
    edit(&system, "ready = { http = \"/\" }\n", "ready = { http = \"/\" }\nready_within = \"10s\"\n");
    let failure = failure(&deployment.fails(&["web"]));
    assert_eq!(failure["code"], "wrong-port", "{failure:#}");
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.starts_with("nothing listens on port 80 of `web`, it listens on port 8080"), "{cause}");
    assert!(failure["hint"].as_str().unwrap().starts_with("set `port` in `[services.web]`"), "{failure:#}");
    edit(&system, "\nport = 80\n", "\nport = 8080\n");
    assert_eq!(deployment.deploy(&["web"])["result"], "deployed");
}

#[test]
fn a_version_that_is_never_ready_is_told_by_what_it_answers() {
    let deployment = skip::unless!(Deployment::new("unready"));
    let (_, failure) = bad_over_good(&deployment, |_| {}, &["--set", "env.FAULT=never-ready"]);
    let cause = failure["cause"].as_str().unwrap();
    assert_eq!(failure["code"], "probe-failed", "{cause}");
    assert!(cause.contains("503"), "{cause}");
}

#[test]
fn what_no_node_has_room_for_is_told_at_once() {
    let deployment = skip::unless!(Deployment::with_own_copy("room"));
    let greedy = |root: &Path| {
        edit(&root.join("deploy/systems/epoch.toml"), "memory = \"64Mi\"", "memory = \"640Gi\"");
    };
    let (_, failure) = bad_over_good(&deployment, greedy, &[]);
    let cause = failure["cause"].as_str().unwrap();
    assert_eq!(failure["code"], "unschedulable", "{cause}");
    assert!(cause.contains("memory") && cause.contains("640Gi"), "{cause}");
}

#[test]
fn an_image_that_is_not_there_is_told_by_its_name() {
    let deployment = skip::unless!(Deployment::with_own_copy("image"));
    deployment.deploy(&["web"]);
    let place = deployment.place("web");
    let images = deployment.sandbox.root.join("deploy/images.toml");
    edit(&images, "gradyent/tech-interview:latest", "gradyent/tech-interview:no-such-tag");
    let run = deployment.fails(&["web"]);
    let failure = failure(&run);
    assert_eq!(failure["code"], "image-pull", "{failure:#}");
    assert!(failure["cause"].as_str().unwrap().contains("no-such-tag"), "{failure:#}");
    assert_eq!(get(&place, "/").unwrap().0, 200);
}

#[test]
fn a_first_release_that_fails_leaves_none() {
    let deployment = skip::unless!(Deployment::new("first"));
    let run = deployment.fails(&["epoch", "--set", "env.FAULT=crash-at-start"]);
    assert_eq!(failure(&run)["code"], "crash");
    assert_eq!(deployment.helm_release("epoch"), (0, String::new()));
    eventually("no pod of it", || {
        let pods = deployment.pods("epoch", "epoch");
        if pods.is_empty() { Ok(()) } else { Err(format!("{pods:#?}")) }
    });
    assert_eq!(deployment.deploy(&["epoch"])["result"], "deployed");
}

#[test]
fn a_release_that_a_dead_owner_left_pending_is_repaired() {
    let deployment = skip::unless!(Deployment::new("pending"));
    deployment.deploy(&["epoch"]);
    // What a Helm that was killed in the middle leaves behind.
    let record = deployment.cluster.json([
        "get",
        "secret",
        "sh.helm.release.v1.epoch.v1",
        "--namespace",
        &deployment.namespace("epoch"),
    ]);
    let mut pending = record.clone();
    pending["metadata"] = serde_json::json!({
        "name": "sh.helm.release.v1.epoch.v2", "namespace": deployment.namespace("epoch"),
        "labels": {"owner": "helm", "name": "epoch", "status": "pending-upgrade", "version": "2"},
    });
    deployment.cluster.apply(&pending);
    let run = deployment.sandbox.xtask(["deploy", "epoch", "--json", "--set", "env.LOG=debug"]).success();
    assert!(run.stderr.contains("pending-upgrade"), "it says so: {}", run.stderr);
    assert_eq!(deployment.helm_release("epoch"), (2, "deployed".to_owned()));
}

/// The holder of the deployment's lease, and how often that has changed.
fn lease(deployment: &Deployment) -> (String, u64) {
    let leases = deployment.cluster.list("leases", &deployment.namespace(&format!("slipway-{}", deployment.id())));
    let lease = leases.iter().find(|lease| lease["metadata"]["name"] == "slipway").unwrap();
    let spec = &lease["spec"];
    (spec["holderIdentity"].as_str().unwrap_or_default().to_owned(), spec["leaseTransitions"].as_u64().unwrap())
}

#[test]
fn a_run_that_was_suspended_past_its_lease_changes_nothing_more_and_says_who_has_it() {
    let deployment = skip::unless!(Deployment::new("suspended"));
    deployment.deploy(&["epoch"]);
    let slow = ["deploy", "epoch", "--json", "--set", "env.FAULT=never-ready"];
    let mut first = deployment.sandbox.start(slow);
    assert!(first.wait_for(|record| record["event"] == "started" && record["step"] == "release:epoch"));
    first.signal(Signal::SIGSTOP);
    // It does not renew its lease, and is outlived.
    let other = deployment.elsewhere();
    let environment = &deployment.sandbox.env;
    let taken = Run::of(program(&other).args(["deploy", "epoch", "--json", "--env", environment])).success();
    assert!(taken.stderr.contains("taking over from "), "{}", taken.stderr);
    let (release, before) = (deployment.helm_release("epoch"), lease(&deployment));
    first.signal(Signal::SIGCONT);
    let end = first.finish().exits(1);
    let failure = failure(&end);
    assert_eq!(failure["code"], "lease-lost", "{failure:#}");
    assert!(failure["cause"].as_str().unwrap().contains("`cargo xtask deploy`"), "{failure:#}");
    assert_eq!((deployment.helm_release("epoch"), lease(&deployment)), (release, before));
    let again = Run::of(program(&other).args(["deploy", "epoch", "--json", "--env", environment])).success();
    assert_eq!(again.json()["result"], "unchanged", "{}", again.stderr);
    std::fs::remove_dir_all(other).unwrap();
}

#[test]
fn a_second_run_at_the_same_time_is_refused_from_another_machine_too() {
    let deployment = skip::unless!(Deployment::new("lease"));
    deployment.deploy(&["epoch"]);
    // One that takes longer than its owner's next sign of life.
    let mut running = deployment.sandbox.start(["deploy", "epoch", "--json", "--set", "env.FAULT=never-ready"]);
    assert!(running.wait_for(|record| record["event"] == "started" && record["step"] == "release:epoch"));
    let other = deployment.elsewhere();
    let refused = Run::of(program(&other).args(["deploy", "epoch", "--env", &deployment.sandbox.env])).exits(3);
    assert!(refused.stderr.contains("is held by"), "{}", refused.stderr);
    running.finish().exits(1);
    std::fs::remove_dir_all(other).unwrap();
}
