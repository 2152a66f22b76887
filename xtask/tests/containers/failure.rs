//! What goes wrong in containers, and what the commands make of it: the cause first, and the version that was good
//! serves on.

use super::client::Hammer;
use super::contract::Deployed;
use super::contract::document::{edit, step};
use super::deployment::{Deployment, kill};
use super::sandbox::{Run, eventually, failure, get};

#[track_caller]
fn cause(run: &Run) -> String {
    failure(run)["cause"].as_str().unwrap().to_owned()
}

// Services that stop working.

#[test]
fn a_container_that_is_killed_is_started_again_and_counted() {
    let deployment = skip::unless!(Deployment::new("killed"));
    deployment.deploy(&["epoch"]);
    assert_eq!(deployment.sandbox.status("epoch")["restarts"], 0);
    let before = deployment.pid("epoch");
    kill(before);
    deployment.restarted("epoch");
    assert_ne!(deployment.pid("epoch"), before);
    assert_eq!(get(&deployment.sandbox.via("epoch"), "/").unwrap().0, 200);
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}

#[test]
fn a_container_that_fails_its_probes_is_started_again_and_counted() {
    let deployment = skip::unless!(Deployment::new("unhealthy"));
    deployment.deploy(&["epoch", "--set", "env.FAULT=unhealthy-after=1"]);
    eventually("a restart", || {
        let status = deployment.sandbox.status("epoch");
        if status["restarts"].as_u64() >= Some(1) { Ok(()) } else { Err(status.to_string()) }
    });
    deployment.deploy(&["epoch"]);
    let status = deployment.sandbox.status("epoch");
    assert_eq!((&status["state"], &status["restarts"]), (&"running".into(), &0.into()), "{status:#}");
    assert_eq!(deployment.running("epoch").len(), 1);
}

// A bad version never replaces a good one.

#[test]
fn a_version_that_never_becomes_ready_leaves_the_old_one_serving() {
    let deployment = skip::unless!(Deployment::new("never-ready"));
    deployment.deploy(&["epoch"]);
    let old = deployment.container("epoch")["Id"].clone();
    let hammer = Hammer::start(&deployment.sandbox.via("epoch"), 100);
    let run = deployment.faulty("epoch", "never-ready");
    for seen in hammer.until_answered("epoch") {
        assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
    }
    let failure = failure(&run);
    assert_eq!((&failure["step"], &failure["code"]), (&"start:epoch".into(), &"service-not-ready".into()));
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.starts_with("`epoch` was not ready within 10 s; last answer: GET /readyz: 503 "), "{cause}");
    assert!(cause.contains("`FAULT` is `never-ready`"), "{cause}");
    assert!(cause.contains("the version that ran before serves on"), "{cause}");
    assert_eq!(deployment.container("epoch")["Id"], old);
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}

#[test]
fn a_version_that_crashes_at_start_is_told_by_its_exit_and_its_last_words() {
    let deployment = skip::unless!(Deployment::new("crash"));
    let first = cause(&deployment.faulty("epoch", "crash-at-start"));
    assert!(first.starts_with("`epoch` exited with code 1 before it was ready\n"), "{first}");
    assert!(first.contains("`FAULT` is `crash-at-start`") && !first.contains("serves on"), "{first}");
    assert!(deployment.running("epoch").is_empty());

    deployment.deploy(&["epoch"]);
    let update = cause(&deployment.faulty("epoch", "crash-at-start"));
    assert!(update.contains("the version that ran before serves on"), "{update}");
    assert_eq!(update.matches("crash-at-start").count(), 1, "only what this start has said: {update}");
    assert_eq!(deployment.running("epoch").len(), 1);
}

// What nobody could know before it ran.

/// The port after these words.
#[track_caller]
fn port_after(cause: &str, words: &str) -> u16 {
    let rest = cause.strip_prefix(words).unwrap_or_else(|| panic!("{cause}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{cause}"))
}

#[test]
fn a_service_on_another_port_than_declared_is_told_with_both() {
    let deployment = skip::unless!(Deployment::new("port"));
    deployment.deploy(&["epoch"]);
    let failure = failure(&deployment.faulty("epoch", "wrong-port"));
    assert_eq!(failure["code"], "wrong-port");
    let real = port_after(failure["cause"].as_str().unwrap(), "`epoch` is declared on port 1337, but listens on ");
    assert_ne!(real, 1337);
    assert_eq!(get(&deployment.sandbox.via("epoch"), "/").unwrap().0, 200);
}

#[test]
fn an_image_on_another_port_than_declared_is_told_with_both() {
    let deployment = skip::unless!(Deployment::with_own_copy("image-port"));
    let system = deployment.sandbox.root.join("deploy/systems/web.toml");
    // Such as one guesses of an image that serves HTTP.
    edit(&system, "\nport = 8080\n", "\nport = 80\n");
    edit(&system, "ready = { http = \"/\" }\n", "ready = { http = \"/\" }\nready_within = \"10s\"\n");
    let failure = failure(&deployment.sandbox.xtask(["deploy", "web", "--json"]).exits(1));
    assert_eq!(failure["code"], "wrong-port", "{failure:#}");
    let real = port_after(failure["cause"].as_str().unwrap(), "`web` is declared on port 80, but listens on ");
    assert_eq!(real, 8080);
    // What the failure has said is all it takes.
    edit(&system, "\nport = 80\n", &format!("\nport = {real}\n"));
    assert_eq!(deployment.deploy(&["web"])["result"], "deployed");
}

#[test]
fn a_command_that_is_not_in_the_image_is_named() {
    let deployment = skip::unless!(Deployment::with_own_copy("command"));
    let system = deployment.sandbox.root.join("deploy/systems/web.toml");
    edit(&system, "[services.web.container]\n", "[services.web.container]\ncommand = [\"no-such-program\"]\n");
    let failure = failure(&deployment.sandbox.xtask(["deploy", "web", "--json"]).exits(1));
    assert_eq!(failure["step"], "start:web");
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.lines().next().unwrap().contains("`no-such-program`"), "{cause}");
    assert!(deployment.running("web").is_empty());
}

// The supervisor.

#[test]
fn a_killed_supervisor_is_replaced_and_nothing_runs_twice() {
    let deployment = skip::unless!(Deployment::new("supervisor"));
    deployment.deploy(&["epoch"]);
    let old = deployment.supervisor();
    kill(old);
    eventually("the loss of the supervisor in the status", || {
        let status = deployment.sandbox.status("epoch");
        if status["state"] == "running" { Err(status.to_string()) } else { Ok(()) }
    });
    let document = deployment.deploy(&["epoch"]);
    assert_eq!(document["result"], "deployed");
    assert_eq!(step(&document, "smoke:epoch")["result"], "done");
    assert_ne!(deployment.supervisor(), old);
    assert_eq!(deployment.running("epoch").len(), 1);
    assert_eq!(get(&deployment.sandbox.via("epoch"), "/").unwrap().0, 200);
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}
