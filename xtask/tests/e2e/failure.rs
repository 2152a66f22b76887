//! What goes wrong, and what the commands make of it: the cause first, and the version that was good serves on.

use super::client::Hammer;
use super::sandbox::{Run, Sandbox, eventually, failure, get};
use super::stage::Stage;
use base::os;
use nix::sys::signal::Signal;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A deploy of a service that is told to fail.
fn faulty(sandbox: &Sandbox, fault: &str) -> Run {
    let fault = format!("env.FAULT={fault}");
    sandbox.xtask(["deploy", "epoch", "--json", "--set", &fault]).exits(1)
}

#[track_caller]
fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} in the right place of:\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

pub(crate) fn count(sandbox: &Sandbox, word: &str) -> usize {
    sandbox.processes().iter().filter(|process| process.command.contains(word)).count()
}

pub(crate) fn supervisor(sandbox: &Sandbox) -> os::ProcessId {
    let all = sandbox.processes();
    let found: Vec<_> = all.iter().filter(|process| process.command.contains("__supervise")).collect();
    assert_eq!(found.len(), 1, "{all:?}");
    found[0].id.clone()
}

// A bad version never replaces a good one.

#[test]
fn a_service_that_never_becomes_ready_leaves_the_old_one_serving() {
    let sandbox = Sandbox::impatient("never-ready");
    sandbox.xtask(["deploy", "epoch"]).success();
    let hammer = Hammer::start(&sandbox.via("epoch"), 500);
    let run = faulty(&sandbox, "never-ready");
    for seen in hammer.until_answered("epoch") {
        assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
        assert!(seen.bodies.len() > 100, "only {} requests", seen.bodies.len());
    }
    let failure = failure(&run);
    assert_eq!((&failure["step"], &failure["code"]), (&"start:epoch".into(), &"service-not-ready".into()));
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.starts_with("`epoch` was not ready within 3 s; last answer: GET /readyz: 503 "), "{cause}");
    assert_in_order(cause, &["`FAULT` is `never-ready`", "the version that ran before serves on", "its last words:"]);
    assert_eq!(failure["hint"], "`cargo xtask logs epoch --env never-ready` has all it said");
    assert_eq!(count(&sandbox, "/epoch/"), 1);
    let again = sandbox.xtask(["deploy", "epoch", "--json"]).success().json();
    assert_eq!(again["result"], "unchanged", "{again:#}");
}

#[test]
fn a_service_that_crashes_at_start_is_told_by_its_exit_and_its_last_words() {
    let sandbox = Sandbox::new("crash");
    let first = faulty(&sandbox, "crash-at-start");
    let failure_of_first = failure(&first);
    assert_eq!(failure_of_first["code"], "service-crashed");
    let cause = failure_of_first["cause"].as_str().unwrap();
    assert!(cause.starts_with("`epoch` exited with code 1 before it was ready\n"), "{cause}");
    assert_in_order(cause, &["its last words:", "`FAULT` is `crash-at-start`"]);
    assert!(!cause.contains("serves on"), "nothing ran before: {cause}");
    assert_eq!(count(&sandbox, "/epoch/"), 0);

    sandbox.xtask(["deploy", "epoch"]).success();
    let update = faulty(&sandbox, "crash-at-start");
    let cause = failure(&update)["cause"].as_str().unwrap().to_owned();
    assert_in_order(&cause, &["exited with code 1", "the version that ran before serves on", "its last words:"]);
    // Only what this start has said, not what an earlier one did.
    assert_eq!(cause.matches("crash-at-start").count(), 1, "{cause}");
    assert_eq!(sandbox.status("epoch")["state"], "running");
}

#[test]
fn a_service_on_the_wrong_port_is_told_with_both_ports() {
    let sandbox = Sandbox::impatient("wrong-port");
    sandbox.xtask(["deploy", "epoch"]).success();
    let via = sandbox.via("epoch");
    let (_, declared) = via.rsplit_once(':').unwrap();
    let failure = failure(&faulty(&sandbox, "wrong-port"));
    assert_eq!(failure["code"], "wrong-port");
    let cause = failure["cause"].as_str().unwrap();
    let start = format!("`epoch` is declared on port {declared}, but listens on ");
    let real = cause.strip_prefix(&start).unwrap_or_else(|| panic!("{cause}"));
    let real: u16 = real.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
    assert_ne!(real.to_string(), declared);
    assert_eq!(get(&via, "/").unwrap().0, 200);
}

#[test]
fn an_update_that_breaks_its_contract_goes_back_to_the_proven_revision_by_itself() {
    let stage = Stage::new("goes-back", &["teller"]);
    let sandbox = &stage.sandbox;
    sandbox.xtask(["deploy"]).success();
    let (via, version) = (sandbox.via("teller"), sandbox.status("teller")["version"].clone());
    stage.answer("teller", "two");
    let failure = failure(&sandbox.xtask(["deploy", "--json"]).exits(1));
    assert_eq!(failure["step"], "smoke:teller");
    let cause = failure["cause"].as_str().unwrap();
    assert_in_order(cause, &["it says one", "two", "revision 1 serves again"]);
    assert_eq!(get(&via, "/").unwrap(), (200, "one".to_owned()));
    assert_eq!(sandbox.status("teller")["version"], version);
    assert_eq!(count(sandbox, "/teller/"), 1);
    stage.answer("teller", "one");
    assert_eq!(sandbox.xtask(["deploy", "--json"]).success().json()["result"], "unchanged");
}

#[test]
fn a_system_of_which_one_service_fails_goes_back_as_a_whole() {
    let stage = Stage::new("as-a-whole", &["first", "second"]);
    let sandbox = &stage.sandbox;
    let declare = |behaviour: &str| {
        let text = format!(
            "description = \"Two services\"\n\
             [services.first]\ncrate = \"first\"\nport = 1\n\
             [services.second]\ncrate = \"second\"\nport = 2\nneeds = [\"first\"]\n\
             env = {{ BEHAVIOUR = \"{behaviour}\" }}\n\
             [[smoke]]\nname = \"it answers\"\nservice = \"first\"\nrequest = \"GET /\"\nstatus = 200\n"
        );
        std::fs::write(sandbox.root.join("deploy/systems/first.toml"), text).unwrap();
    };
    std::fs::remove_file(sandbox.root.join("deploy/systems/second.toml")).unwrap();
    declare("fine");
    sandbox.xtask(["deploy"]).success();
    stage.answer("first", "two");
    declare("crashes");
    let failure = failure(&sandbox.xtask(["deploy", "--json"]).exits(1));
    assert_eq!(failure["step"], "start:second");
    let cause = failure["cause"].as_str().unwrap();
    assert_in_order(cause, &["`second` exited with code 7", "revision 1 serves again"]);
    for service in ["first", "second"] {
        assert_eq!(get(&sandbox.via(service), "/").unwrap(), (200, "one".to_owned()));
        assert_eq!(count(sandbox, &format!("/{service}/")), 1);
    }
    declare("fine");
    sandbox.xtask(["deploy"]).success();
    assert_eq!(get(&sandbox.via("first"), "/").unwrap(), (200, "two".to_owned()));
}

#[test]
fn a_first_version_that_breaks_its_contract_is_not_taken_for_proven() {
    let stage = Stage::new("never-good", &["teller"]);
    let sandbox = &stage.sandbox;
    stage.answer("teller", "two");
    for _ in 0..2 {
        let failure = failure(&sandbox.xtask(["deploy", "--json"]).exits(1));
        assert_eq!(failure["step"], "smoke:teller");
        assert!(!failure["cause"].as_str().unwrap().contains("serves again"), "{failure:#}");
    }
    stage.answer("teller", "one");
    assert_eq!(sandbox.xtask(["deploy", "--json"]).success().json()["result"], "deployed");
}

// What keeps a system from being started keeps no other from it.

#[test]
fn a_crate_that_does_not_compile_fails_its_system_alone_with_the_compilers_words() {
    let stage = Stage::new("compile-error", &["sound", "broken"]);
    let sandbox = &stage.sandbox;
    stage.source("broken", "fn main() {\n    let number: u32 = \"text\";\n}\n");
    let run = sandbox.xtask(["deploy", "--json"]).exits(1);
    let failure = failure(&run);
    assert_eq!((&failure["step"], &failure["code"]), (&"start:broken".into(), &"build-failed".into()));
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.starts_with("`broken` does not compile:\n"), "{cause}");
    assert_in_order(cause, &["error[E0308]: mismatched types", "app/broken/src/main.rs:2", "expected `u32`"]);
    let document = run.json();
    let result = |name: &str| {
        let systems = document["systems"].as_array().unwrap();
        systems.iter().find(|system| system["name"] == name).unwrap()["result"].clone()
    };
    assert_eq!((result("sound"), result("broken")), ("deployed".into(), "failed".into()), "{document:#}");
    assert_eq!(get(&sandbox.via("sound"), "/").unwrap(), (200, "one".to_owned()));

    stage.answer("broken", "one");
    let fixed = sandbox.xtask(["deploy", "--json"]).success().json();
    let start = |name: &str| {
        let steps = fixed["steps"].as_array().unwrap();
        steps.iter().find(|step| step["id"] == format!("start:{name}")).unwrap()["result"].clone()
    };
    assert_eq!((start("sound"), start("broken")), ("unchanged".into(), "done".into()), "{fixed:#}");
}

#[test]
fn a_crate_that_stops_compiling_leaves_what_runs_alone() {
    let stage = Stage::new("compile-later", &["teller"]);
    let sandbox = &stage.sandbox;
    sandbox.xtask(["deploy"]).success();
    stage.source("teller", "fn main() { nonsense }\n");
    let failure = failure(&sandbox.xtask(["deploy", "--json"]).exits(1));
    assert_eq!(failure["code"], "build-failed");
    assert!(failure["cause"].as_str().unwrap().contains("cannot find value `nonsense`"), "{failure:#}");
    assert_eq!(get(&sandbox.via("teller"), "/").unwrap(), (200, "one".to_owned()));
}

#[test]
fn what_does_not_compile_is_no_matter_of_those_that_are_built_already() {
    let stage = Stage::new("compile-alone", &["sound", "broken"]);
    let sandbox = &stage.sandbox;
    sandbox.xtask(["deploy"]).success();
    stage.source("broken", "fn main() { nonsense }\n");
    let document = sandbox.xtask(["deploy", "--json"]).exits(1).json();
    let results: Vec<_> = document["systems"].as_array().unwrap().iter().map(|system| &system["result"]).collect();
    assert_eq!(results, ["failed", "unchanged"], "{document:#}");
    assert_eq!(document["failure"]["step"], "start:broken", "{document:#}");
}

#[test]
fn a_taken_port_is_told_with_its_holder_before_anything_is_started() {
    let stage = Stage::new("port-taken", &["teller", "other"]);
    let sandbox = &stage.sandbox;
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage.declare("teller", port, "");
    stage.declare("other", free, "");
    let environment = sandbox.root.join("deploy/environments/port-taken.toml");
    std::fs::write(environment, "target = \"host\"\nports = \"declared\"\n").unwrap();
    let run = sandbox.xtask(["deploy", "--json"]).exits(1);
    let failure = failure(&run);
    assert_eq!((&failure["step"], &failure["code"]), (&"ports:teller".into(), &"port-in-use".into()));
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.starts_with(&format!("port {port} of `teller` is held by `")), "{cause}");
    assert!(cause.contains(&format!("(process {}", std::process::id())), "{cause}");
    let hint = "stop it, or let the system choose: `cargo xtask deploy --set ports=free --env port-taken`; to keep it, \
                `ports = \"free\"` in `deploy/environments/port-taken.local.toml`";
    assert_eq!(failure["hint"], hint);
    let named = sandbox.xtask(["deploy", "teller"]).exits(1);
    let again = "`cargo xtask deploy teller --set ports=free --env port-taken`";
    assert!(named.stderr.contains(again), "{}", named.stderr);
    // Nothing of it is built or started, and the other goes on.
    assert!(!sandbox.home().join("artifacts/teller").exists(), "something was built");
    assert_eq!((count(sandbox, "/teller/"), count(sandbox, "/other/")), (0, 1));
    assert_eq!(get(&sandbox.via("other"), "/").unwrap(), (200, "one".to_owned()));

    drop(holder);
    sandbox.xtask(["deploy"]).success();
    assert_eq!(sandbox.via("teller"), format!("127.0.0.1:{port}"));
    assert_eq!(sandbox.xtask(["deploy", "--json"]).success().json()["result"], "unchanged");
}

#[test]
fn a_kept_binary_that_has_vanished_is_made_again() {
    let stage = Stage::new("vanished", &["teller"]);
    let sandbox = &stage.sandbox;
    sandbox.xtask(["deploy"]).success();
    let process = |word: &str| {
        let all = sandbox.processes();
        all.into_iter().find(|process| process.command.contains(word)).map(|process| process.id)
    };
    let before = process("/teller/").unwrap();
    std::fs::remove_dir_all(sandbox.home().join("artifacts")).unwrap();
    // While it is gone, the service cannot be started again, and says why.
    os::signal(&before, Signal::SIGKILL);
    let status = eventually("a failed service", || match sandbox.status("teller") {
        status if status["state"] == "failed" && status["restarts"].as_u64() > Some(1) => Ok(status),
        other => Err(other.to_string()),
    });
    assert!(status["detail"].as_str().unwrap().contains("cannot start `"), "{status:#}");
    let again = sandbox.xtask(["deploy", "--json"]).success().json();
    assert_eq!(again["result"], "deployed");
    assert_eq!(get(&sandbox.via("teller"), "/").unwrap(), (200, "one".to_owned()));
    assert_eq!((count(sandbox, "/teller/"), sandbox.status("teller")["restarts"].as_u64()), (1, Some(0)));
}

// The supervisor.

#[test]
fn a_supervisor_killed_while_a_version_starts_is_replaced_by_the_next_deploy() {
    let sandbox = Sandbox::impatient("beheaded");
    sandbox.xtask(["deploy", "epoch"]).success();
    let via = sandbox.via("epoch");
    let mut update = sandbox.start(["deploy", "epoch", "--json", "--set", "env.FAULT=never-ready"]);
    assert!(update.wait_for(|record| {
        let text = record["text"].as_str().unwrap_or_default();
        record["event"] == "status" && record["step"] == "start:epoch" && text.contains("503")
    }));
    let killed = supervisor(&sandbox);
    os::signal(&killed, Signal::SIGKILL);
    let failure = failure(&update.finish().exits(1));
    assert_eq!(failure["code"], "supervisor-gone", "{failure:#}");
    let cause = failure["cause"].as_str().unwrap();
    assert_in_order(cause, &["the supervisor", &killed.pid.to_string()]);
    assert_eq!(get(&via, "/").unwrap().0, 200, "its services outlive it");

    let next = sandbox.xtask(["deploy", "epoch", "--json"]).success();
    assert!(next.stderr.contains("of one that was killed"), "{}", next.stderr);
    assert_ne!(supervisor(&sandbox), killed);
    assert_eq!(count(&sandbox, "/epoch/"), 1, "{:?}", sandbox.processes());
    assert_eq!(get(&via, "/").unwrap().0, 200);
}

// Hostile services.

#[test]
fn a_service_that_ignores_sigterm_is_killed_after_its_time() {
    let stage = Stage::new("deaf", &["teller"]);
    let sandbox = &stage.sandbox;
    stage.declare("teller", 1, "stop_within = \"1s\"\nenv = { BEHAVIOUR = \"deaf\" }");
    sandbox.xtask(["deploy"]).success();
    let old = sandbox.processes().into_iter().find(|process| process.command.contains("/teller/")).unwrap();
    let started = Instant::now();
    sandbox.xtask(["deploy", "--set", "env.X=1"]).success();
    assert!(!os::is_alive(&old.id));
    let receipt = sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean");
    let took = started.elapsed();
    assert!(Duration::from_secs(2) <= took && took < Duration::from_secs(20), "{took:?}");
    assert!(sandbox.processes().is_empty(), "{:?}", sandbox.processes());
}

#[test]
fn what_a_service_has_started_goes_with_it_even_when_it_has_left_its_group() {
    let stage = Stage::new("forks", &["teller"]);
    let sandbox = &stage.sandbox;
    stage.declare("teller", 1, "env = { BEHAVIOUR = \"forks\" }");
    sandbox.xtask(["deploy"]).success();
    assert_eq!(count(sandbox, "sleep 1000"), 2);
    let run = sandbox.xtask(["teardown", "--yes", "--json"]).success();
    assert_eq!(run.json()["result"], "clean");
    assert!(sandbox.processes().is_empty(), "{:?}", sandbox.processes());
    assert!(!sandbox.home().exists());
}
