//! `doctor` on machines in all sorts of conditions.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod engine;
#[path = "../shim/program.rs"]
mod program;
mod scratch;

use scratch::{Doctor, Scratch};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Installs Redis as far as this test is concerned, and tells what it was asked.
const BREW: &str = "echo \"$@\" >> \"$here/brew.log\"\n\
    printf '#!/bin/sh\\necho Redis server v=7.2.0\\n' > \"$here/redis-server\"\n/bin/chmod +x \"$here/redis-server\"";

fn outcome(doctor: &Doctor, id: &str) -> String {
    doctor.check(id)["outcome"].as_str().unwrap().to_owned()
}

fn ids(document: &Value) -> Vec<String> {
    document["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_machine_with_what_is_needed_is_ready_and_left_as_it_was() {
    let scratch = Scratch::new();
    let before = scratch.snapshot();
    let doctor = scratch.doctor(&["--json"]);
    let document = doctor.document();
    assert_eq!(doctor.code(), 0, "{document:#}");
    assert_eq!((&document["schema"], &document["ok"]), (&json!(1), &json!(true)));
    assert_eq!(doctor.stderr(), "");
    assert!(scratch.snapshot() == before, "doctor has changed the repository");
}

#[test]
fn the_document_has_stable_ids_and_every_field() {
    let document = Scratch::new().doctor(&["--json"]).document();
    let known = "repo.spec repo.lock repo.writable repo.disk tool.cargo tool.rustc tool.cc tool.git tool.rustfmt \
        tool.clippy tool.redis tool.python tool.engine tool.kubectl tool.helm tool.cluster tool.terraform tool.aws \
        machine.platform port.epoch state.lease state.ledger state.supervisor";
    let ids = ids(&document);
    assert_eq!(ids, known.split_whitespace().collect::<Vec<_>>());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    for check in document["checks"].as_array().unwrap() {
        let keys: BTreeSet<_> = check.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["id", "outcome", "found", "want", "detail", "fix", "ms"]), "{check:#}");
        assert!(check["fix"].is_array() && check["ms"].is_u64(), "{check:#}");
        let count = document["summary"][check["outcome"].as_str().unwrap()].as_u64().unwrap();
        assert!(count > 0, "{check:#} is not in the summary");
        if ["warn", "fail"].contains(&check["outcome"].as_str().unwrap()) {
            assert!(!check["fix"].as_array().unwrap().is_empty(), "{check:#} does not say how to mend it");
        }
    }
}

#[test]
fn people_and_scripts_are_told_of_the_same_checks() {
    let scratch = Scratch::new();
    let document = scratch.doctor(&["--json"]).document();
    let text = scratch.doctor(&["--verbose"]).stdout();
    let marks = |mark: &str| text.lines().filter(|line| line.starts_with(&format!("  {mark} "))).count();
    let shown = json!({"pass": marks("✓"), "warn": marks("!"), "fail": marks("✗"), "skip": marks("-")});
    assert_eq!(shown, document["summary"], "{text}");
}

#[test]
fn what_the_environment_does_not_need_is_no_line_for_people() {
    let scratch = Scratch::new();
    assert_eq!(scratch.doctor(&["--json"]).check("tool.helm")["detail"], "not needed for `local`");
    let text = scratch.doctor(&[]).stdout();
    assert!(!text.contains("helm"), "{text}");
    assert!(text.trim_end().ends_with("next: cargo xtask deploy"), "{text}");
}

#[test]
fn a_missing_optional_tool_is_a_warning_with_a_fix() {
    let scratch = Scratch::new();
    scratch.script("brew", "exit 1");
    let doctor = scratch.doctor(&["--json"]);
    assert_eq!(doctor.code(), 0);
    let redis = doctor.check("tool.redis");
    assert_eq!((&redis["outcome"], &redis["fix"]), (&json!("warn"), &json!(["brew install redis"])));
    assert!(redis["detail"].as_str().unwrap().contains("shortener"));
    assert_eq!(outcome(&doctor, "tool.python"), "warn");
}

#[test]
fn a_missing_required_tool_is_a_failure_with_a_fix() {
    let scratch = Scratch::new();
    scratch.remove("cc");
    scratch.script("apt-get", "touch \"$here/apt.log\"");
    let doctor = scratch.doctor(&["--json"]);
    assert_eq!(doctor.code(), 1);
    let cc = doctor.check("tool.cc");
    assert_eq!((&cc["outcome"], &cc["found"]), (&json!("fail"), &Value::Null));
    assert!(cc["fix"][0].as_str().unwrap().ends_with("apt-get install --yes build-essential"), "{cc:#}");
    let text = scratch.doctor(&[]).stdout();
    assert!(text.contains("  ✗ cc missing") && text.contains("    fix: "), "{text}");
    assert!(text.contains("not ready for `local`: 1 failure"), "{text}");
}

#[test]
fn an_old_tool_fails_alone_with_found_and_wanted() {
    let scratch = Scratch::new();
    scratch.script("cargo", "echo 'cargo 1.60.0 (d1fd9fe2c 2022-03-01)'");
    let doctor = scratch.doctor(&["--json"]);
    assert_eq!(doctor.code(), 1);
    let cargo = doctor.check("tool.cargo");
    assert_eq!(
        (&cargo["outcome"], &cargo["found"], &cargo["want"]),
        (&json!("fail"), &json!("1.60.0"), &json!(">=1.91.0"))
    );
    assert_eq!(outcome(&doctor, "repo.lock"), "skip", "what cargo says depends on cargo");
}

#[test]
fn an_old_program_does_not_count_when_another_will_do() {
    let scratch = Scratch::new();
    scratch.script("redis-server", "echo 'Redis server v=4.0.9 sha=00000000:0 malloc=libc bits=64'");
    let redis = scratch.doctor(&["--json"]).check("tool.redis");
    assert_eq!((&redis["outcome"], &redis["found"]), (&json!("warn"), &json!("redis-server 4.0.9")));
    scratch.script("valkey-server", "echo 'Valkey server v=8.0.1 sha=00000000:0 malloc=libc bits=64'");
    let redis = scratch.doctor(&["--json"]).check("tool.redis");
    assert_eq!((&redis["outcome"], &redis["found"]), (&json!("pass"), &json!("valkey-server 8.0.1")));
}

#[test]
fn a_tool_that_hangs_is_ended_at_its_deadline_and_the_others_report() {
    let scratch = Scratch::new();
    scratch.script("redis-server", "echo $$ > \"$here/pid\"\nexec /bin/sleep 60");
    let started = Instant::now();
    let doctor = scratch.doctor(&["--json"]);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    let redis = doctor.check("tool.redis");
    assert!(redis["detail"].as_str().unwrap().contains("no answer within 5 s"), "{redis:#}");
    assert!(redis["ms"].as_u64().unwrap() >= 5000);
    assert_eq!((outcome(&doctor, "tool.git").as_str(), doctor.code()), ("pass", 0));
    let pid = scratch.trace("pid").unwrap().trim().parse().unwrap();
    let gone = |id| base::os::wait_gone(&id, Instant::now() + Duration::from_secs(5));
    assert!(base::os::identity(pid).is_none_or(gone), "the hanging tool still runs");
}

#[test]
fn a_tool_that_crashes_is_quoted() {
    let scratch = Scratch::new();
    scratch.script("cc", "echo 'error: the license is not agreed to' >&2\nexit 69");
    scratch.script("git", "kill -SEGV $$");
    let doctor = scratch.doctor(&["--json"]);
    assert_eq!((outcome(&doctor, "tool.cc").as_str(), doctor.code()), ("fail", 1));
    assert_eq!(
        doctor.check("tool.cc")["detail"],
        "`cc` ended with exit status: 69: error: the license is not agreed to"
    );
    assert!(doctor.check("tool.git")["detail"].as_str().unwrap().contains("signal: 11"));
}

#[test]
fn a_version_that_cannot_be_read_is_no_failure() {
    let scratch = Scratch::new();
    scratch.script("cc", "echo 'a compiler'");
    assert_eq!(outcome(&scratch.doctor(&["--json"]), "tool.cc"), "warn");
}

#[test]
fn an_unknown_environment_is_a_usage_error() {
    let doctor = Scratch::new().doctor(&["--env", "locla", "--json"]);
    assert_eq!((doctor.code(), doctor.stdout().as_str()), (2, ""));
    assert!(doctor.stderr().contains("did you mean `local`?"), "{}", doctor.stderr());
}

#[test]
fn a_broken_spec_is_named_with_its_line_and_the_machine_still_judged() {
    let scratch = Scratch::new();
    scratch.write("deploy/systems/other.toml", "description = \"x\"\n[services.other]\ncrat = \"other\"\n");
    let doctor = scratch.doctor(&["--json"]);
    assert_eq!((doctor.code(), &doctor.document()["ok"]), (3, &json!(false)));
    let spec = doctor.check("repo.spec");
    assert!(spec["detail"].as_str().unwrap().contains("deploy/systems/other.toml:3: unknown key `crat`"), "{spec:#}");
    assert_eq!(outcome(&doctor, "tool.cargo"), "pass");
    scratch.write("deploy/environments/local.toml", "target = \"moon\"\n");
    let doctor = scratch.doctor(&["--json"]);
    assert_eq!((doctor.code(), outcome(&doctor, "tool.redis").as_str()), (3, "skip"));
}

#[test]
fn a_lock_file_behind_its_manifests_fails() {
    let scratch = Scratch::new();
    scratch.write("app/another/Cargo.toml", "[package]\nname = \"another\"\nversion = \"0.1.0\"\n");
    scratch.write("app/another/src/lib.rs", "");
    let doctor = scratch.doctor(&["--json"]);
    let lock = doctor.check("repo.lock");
    assert_eq!((&lock["outcome"], &lock["fix"]), (&json!("fail"), &json!(["cargo update --workspace"])), "{lock:#}");
    let mended = scratch.doctor(&["--json", "--fix", "--yes"]);
    assert_eq!((outcome(&mended, "repo.lock").as_str(), mended.code()), ("pass", 0), "{}", mended.stderr());
}

#[test]
fn a_taken_port_names_its_holder() {
    let scratch = Scratch::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    scratch.service_port(listener.local_addr().unwrap().port());
    scratch.write("deploy/environments/local.toml", "target = \"host\"\n");
    let preferred = scratch.doctor(&["--json"]).check("port.epoch");
    let detail = "the deploy takes another port and says which";
    assert_eq!((&preferred["outcome"], &preferred["detail"]), (&json!("warn"), &json!(detail)), "{preferred:#}");
    scratch.write("deploy/environments/local.toml", "target = \"host\"\nports = \"declared\"\n");
    let doctor = scratch.doctor(&["--json"]);
    let port = doctor.check("port.epoch");
    assert_eq!((&port["outcome"], doctor.code()), (&json!("fail"), 1), "{port:#}");
    assert!(port["found"].as_str().unwrap().contains(&format!("process {}", std::process::id())), "{port:#}");
    drop(listener);
    assert_eq!(scratch.doctor(&["--json"]).check("port.epoch")["found"], "free");
}

#[test]
fn a_service_that_will_not_run_here_needs_no_port() {
    let scratch = Scratch::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    scratch.write("deploy/environments/local.toml", "target = \"host\"\nports = \"declared\"\n");
    scratch.write("deploy/images.toml", "mock = \"docker.io/library/mock:1\"\n");
    let service =
        format!("description = \"x\"\n[services.mock]\nimage = \"mock\"\nport = {port}\nready = {{ http = \"/\" }}\n");
    scratch.write("deploy/systems/mock.toml", &service);
    assert_eq!(outcome(&scratch.doctor(&["--json"]), "port.mock"), "skip");
    let host = format!(
        "[services.mock.host]\nprograms = [\"git\"]\nrunning = \"http://127.0.0.1:{port}/health\"\nenable = \"git\"\n"
    );
    scratch.write("deploy/systems/mock.toml", &format!("{service}{host}"));
    assert_eq!(
        outcome(&scratch.doctor(&["--json"]), "port.mock"),
        "fail",
        "it is taken by somebody who does not answer"
    );
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let _ = (&connection).read(&mut [0; 1024]);
            let _ = (&connection).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let doctor = scratch.doctor(&["--json"]);
    assert_eq!(outcome(&doctor, "port.mock"), "pass", "{:#}", doctor.check("port.mock"));
}

#[test]
fn a_deployment_that_is_gone_is_a_warning() {
    let scratch = Scratch::new();
    let entry = |kind: &str| json!({"kind": kind, "id": "x", "system": null, "identity": {}});
    let ledger = |kind: &str| json!({"schema": 1, "entries": [entry(kind)]}).to_string();
    scratch.write(".slipway/local/ledger.json", &ledger("folder"));
    assert_eq!(outcome(&scratch.doctor(&["--json"]), "state.supervisor"), "pass", "data may be kept");
    scratch.write(".slipway/local/ledger.json", &ledger("process"));
    let supervisor = scratch.doctor(&["--json"]).check("state.supervisor");
    assert_eq!((&supervisor["outcome"], &supervisor["fix"]), (&json!("warn"), &json!(["cargo xtask deploy"])));
}

#[test]
fn what_a_killed_run_left_is_a_warning() {
    let scratch = Scratch::new();
    let lease = json!({"who": "alice@laptop", "command": "deploy", "pid": 1, "expires": "2001-01-01T00:00:00Z"});
    scratch.write(".slipway/local/lease.json", &lease.to_string());
    scratch.write(".slipway/local/ledger.json", "{");
    let doctor = scratch.doctor(&["--json"]);
    assert!(doctor.check("state.lease")["found"].as_str().unwrap().starts_with("left by alice@laptop"));
    assert_eq!((outcome(&doctor, "state.ledger").as_str(), doctor.code()), ("fail", 1));
}

#[test]
fn a_rehearsed_fix_lists_and_changes_nothing() {
    let scratch = Scratch::new();
    scratch.script("brew", BREW);
    let doctor = scratch.doctor(&["--fix", "--dry-run"]);
    assert_eq!(doctor.code(), 0);
    assert!(doctor.stdout().contains("would run: brew install redis\n"), "{}", doctor.stdout());
    assert_eq!((scratch.trace("brew.log"), scratch.trace("redis-server")), (None, None));
}

#[test]
fn a_fix_that_nobody_can_agree_to_names_the_flag() {
    let scratch = Scratch::new();
    scratch.script("brew", BREW);
    let doctor = scratch.doctor(&["--fix"]);
    assert_eq!(doctor.code(), 2);
    assert!(doctor.stderr().contains("--yes"), "{}", doctor.stderr());
    assert_eq!(scratch.trace("brew.log"), None);
}

#[test]
fn a_fix_is_printed_then_run_and_its_check_run_again() {
    let scratch = Scratch::new();
    scratch.script("brew", BREW);
    scratch.script("uvx", "echo 'uvx 0.8.3'");
    assert_eq!(outcome(&scratch.doctor(&["--json"]), "tool.redis"), "warn");
    scratch.link("rustfmt");
    scratch.link("cargo-clippy");
    let doctor = scratch.doctor(&["--fix", "--yes", "--json"]);
    assert_eq!(scratch.trace("brew.log").as_deref(), Some("install redis\n"));
    assert!(doctor.stderr().contains("  brew install redis\n"), "{}", doctor.stderr());
    let redis = doctor.check("tool.redis");
    assert_eq!((&redis["outcome"], &redis["found"]), (&json!("pass"), &json!("redis-server 7.2.0")));
    assert_eq!((&doctor.document()["summary"]["warn"], doctor.code()), (&json!(0), 0));
    scratch.doctor(&["--fix", "--yes"]);
    assert_eq!(scratch.trace("brew.log").as_deref(), Some("install redis\n"), "nothing was left to fix");
}

#[test]
fn a_fix_that_does_not_work_leaves_the_failure() {
    let scratch = Scratch::new();
    scratch.script("rustc", "echo 'rustc 1.60.0 (7737e0b5c 2022-04-04)'");
    scratch.script("rustup", "echo \"$@\" >> \"$here/rustup.log\"\necho 'error: no network' >&2\nexit 1");
    let doctor = scratch.doctor(&["--fix", "--yes"]);
    assert_eq!(doctor.code(), 1);
    assert!(doctor.stderr().contains("error: no network"), "{}", doctor.stderr());
    let log = scratch.trace("rustup.log").unwrap();
    assert!(log.contains("update stable\n") && !log.contains("default stable"), "{log}");
}
