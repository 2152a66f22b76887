//! All systems at once, what each of them is for, and what becomes of them on machines that lack something.

use super::cli::refused;
use super::contract::document::{commands, deploy, edit, step, system};
use super::life::{kill, pid, shorten};
use super::machine::{PathWithout, has_program};
use super::sandbox::{Run, Sandbox, eventually, get, post};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const REDIS: [&str; 2] = ["redis-server", "valkey-server"];
/// All that an emulator of SNS and SQS can come from.
const EMULATOR: [&str; 4] = ["moto_server", "uvx", "pipx", "python3"];

fn has_redis() -> bool {
    has_program("links in Redis", &REDIS, "XTASK_REQUIRE_REDIS")
}

fn has_moto() -> bool {
    has_program("`messages` on this machine", &["moto_server"], "XTASK_REQUIRE_MOTO")
}

/// Runs a command that finds its programs in this folder alone.
fn with_path(sandbox: &Sandbox, path: &PathWithout, args: &[&str]) -> Run {
    Run::of(sandbox.command(args).env("PATH", path.folder())).success()
}

fn json_of(via: &str, path: &str) -> Value {
    let (status, body) = get(via, path).unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

// What the systems are for.

#[test]
fn all_systems_are_deployed_at_once_and_do_what_they_are_for() {
    let sandbox = Sandbox::new("systems");
    let moto = has_moto();
    let there: Vec<&str> = if moto { vec![] } else { vec!["epoch", "invoices", "shortener"] };
    let document = deploy(&sandbox, &there);
    assert_eq!(document["result"], "deployed");
    for name in ["epoch", "invoices", "shortener"].iter().chain(moto.then_some(&"messages")) {
        assert_eq!(system(&document, name)["result"], "deployed", "{document:#}");
    }
    assert_eq!(commands(&sandbox, &document).len(), 1, "all are built in one go");
    for system in sandbox.xtask(["smoke", "--json"]).success().json()["systems"].as_array().unwrap() {
        assert_eq!(system["ok"], true, "{system:#}");
    }
    invoices_are_paid_once(&sandbox);
    if moto {
        assert_eq!(system(&document, "web")["result"], "skipped");
        assert!(system(&document, "web")["reason"].as_str().unwrap().contains("only runs in containers"));
        messages_flow_from_the_producer_to_the_consumer(&sandbox);
    }
    if has_redis() {
        redis_wants_its_password(&sandbox);
        the_password_is_where_it_belongs_and_nowhere_else(&sandbox);
        links_survive_the_end_of_both_processes(&sandbox);
    }
    assert_eq!(deploy(&sandbox, &there)["result"], "unchanged");
}

fn invoices_are_paid_once(sandbox: &Sandbox) {
    let (app, provider) = (sandbox.via("invoice-app"), sandbox.via("payment-provider"));
    let paid = || -> Vec<Value> {
        let invoices = json_of(&app, "/invoices");
        invoices.as_array().unwrap().iter().map(|invoice| invoice["IsPaid"].clone()).collect()
    };
    assert_eq!(paid(), [false, false, false]);
    for _ in 0..2 {
        assert_eq!(post(&app, "/invoices/pay", &json!({})).unwrap(), (200, json!({})));
        assert_eq!(paid(), [true, true, true]);
    }
    let metrics = get(&provider, "/metrics").unwrap().1;
    assert!(metrics.lines().any(|line| line == "payments_charges_total 3"), "{metrics}");
    assert!(provider.starts_with("127.0.0.1:"), "nothing but this machine reaches {provider}");
}

fn messages_flow_from_the_producer_to_the_consumer(sandbox: &Sandbox) {
    let (producer, consumer) = (sandbox.via("producer"), sandbox.via("consumer"));
    let (status, sent) = post(&producer, "/messages", &json!({"text": "from one to the other"})).unwrap();
    assert_eq!(status, 202, "{sent}");
    let path = format!("/messages/{}", sent["id"].as_str().unwrap());
    eventually("the message at the consumer", || match get(&consumer, &path)? {
        (200, body) if body.contains("from one to the other") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let log = sandbox.xtask(["logs", "consumer"]).success().stdout;
    assert!(log.contains("from one to the other"), "the consumer logs what it handles:\n{log}");
}

// Redis and its password.

fn password(sandbox: &Sandbox) -> String {
    let secrets: Value = serde_json::from_slice(&std::fs::read(sandbox.home().join("secrets.json")).unwrap()).unwrap();
    secrets["redis.password"].as_str().unwrap().to_owned()
}

/// What Redis says to these commands on one connection.
pub(crate) fn ask_redis(via: &str, commands: &str) -> String {
    let mut stream = TcpStream::connect(via).unwrap();
    stream.write_all(format!("{commands}QUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn redis_wants_its_password(sandbox: &Sandbox) {
    let via = sandbox.via("redis");
    shorten(sandbox, "https://example.com/kept-in-redis");
    let refused = ask_redis(&via, "DBSIZE\r\n");
    assert!(refused.starts_with("-NOAUTH"), "{refused}");
    let let_in = ask_redis(&via, &format!("AUTH {}\r\nDBSIZE\r\n", password(sandbox)));
    assert!(let_in.starts_with("+OK\r\n:") && !let_in.contains(":0\r\n"), "the links are in it: {let_in}");
}

fn the_password_is_where_it_belongs_and_nowhere_else(sandbox: &Sandbox) {
    let password = password(sandbox);
    let holders = files_with(&sandbox.home(), &password);
    let expected = ["files/redis/redis.conf", "secrets.json"].map(|path| sandbox.home().join(path));
    assert_eq!(holders, expected);
    for path in holders {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    let mut ps = std::process::Command::new("ps");
    let arguments = Run::of(ps.args(["-A", "-ww", "-o", "args"])).success().stdout;
    assert!(arguments.contains("redis.conf") || arguments.contains("redis-server"), "the processes are seen");
    assert!(!arguments.contains(&password), "in somebody's arguments");
    let rehearsal = sandbox.xtask(["deploy", "--dry-run"]).success();
    assert!(!rehearsal.stdout.contains(&password) && !rehearsal.stderr.contains(&password));
}

/// The files below a folder that hold this text, sorted. Programs were built before there was a password.
fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "artifacts" && entry.file_name() != "bin" {
                found.extend(files_with(&path, text));
            }
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn links_survive_the_end_of_both_processes(sandbox: &Sandbox) {
    let code = shorten(sandbox, "https://example.com/survivor");
    for service in ["redis", "shortener"] {
        kill(pid(sandbox, service));
    }
    link_is_there(sandbox, &code, "https://example.com/survivor");
}

fn link_is_there(sandbox: &Sandbox, code: &str, url: &str) {
    eventually("the link", || {
        let via = sandbox.status("shortener")["via"].as_str().ok_or("no address")?.to_owned();
        match get(&via, &format!("/api/urls/{code}"))? {
            (200, body) if body.contains(url) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    eventually("both to run", || {
        let states = ["shortener", "redis"].map(|service| sandbox.status(service)["state"].clone());
        if states[0] == "running" && (states[1] == "running" || states[1] == "absent") {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    });
}

// Machines that lack something.

#[test]
fn without_redis_links_are_kept_in_a_file_and_survive_a_restart() {
    let sandbox = Sandbox::new("systems-embedded");
    let path = PathWithout::new("without-redis", &REDIS);
    let document = with_path(&sandbox, &path, &["deploy", "shortener", "--json"]).json();
    assert_eq!(system(&document, "shortener")["result"], "deployed");
    assert_eq!(sandbox.status("redis")["state"], "absent");
    assert!(!sandbox.home().join("secrets.json").exists(), "no secret without a use");
    let code = shorten(&sandbox, "https://example.com/in-a-file");
    kill(pid(&sandbox, "shortener"));
    link_is_there(&sandbox, &code, "https://example.com/in-a-file");
}

#[test]
fn what_cannot_run_is_skipped_with_the_way_to_enable_it_and_is_not_built() {
    let sandbox = Sandbox::new("systems-skipped");
    let path = PathWithout::new("without-emulator", &EMULATOR);
    let document = with_path(&sandbox, &path, &["deploy", "epoch", "messages", "web", "--json"]).json();
    assert_eq!(system(&document, "epoch")["result"], "deployed");
    for (name, reason) in [
        ("messages", "`emulator` needs `moto_server`, which is not on PATH; to enable it: curl "),
        ("web", "`web` is a public image, which only runs in containers"),
    ] {
        let skipped = system(&document, name);
        assert_eq!(skipped["result"], "skipped", "{document:#}");
        assert!(skipped["reason"].as_str().unwrap().starts_with(reason), "{skipped:#}");
    }
    let built = commands(&sandbox, &document);
    assert_eq!(built.len(), 1);
    let line = built[0]["argv"].to_string();
    assert!(line.contains("\"epoch\"") && !line.contains("producer") && !line.contains("consumer"), "{line}");
    assert_eq!(step(&document, "build")["reason"], "built 1 of 1");
    let plan = with_path(&sandbox, &path, &["plan", "messages", "--json"]).json();
    assert_eq!(system(&plan, "messages")["result"], "skipped");
    let again = with_path(&sandbox, &path, &["deploy", "epoch", "messages", "--json"]).json();
    assert_eq!(again["result"], "unchanged");
    let alone = Run::of(sandbox.command(["deploy", "messages"]).env("PATH", path.folder()));
    let why = "`messages` cannot run in environment `systems-skipped`: `emulator` needs `moto_server`";
    refused(alone, 3, &[why, "to enable it: curl "]);
}

/// What needs a service is not started again with it, and its first request finds a connection that lives.
#[test]
fn a_system_is_proven_though_only_its_redis_was_started_again() {
    skip::unless!(skip::program(&REDIS, "XTASK_REQUIRE_REDIS"));
    let sandbox = Sandbox::with_own_copy("redis-again");
    sandbox.xtask(["deploy", "shortener"]).success();
    let file = sandbox.root.join("deploy/systems/shortener.toml");
    edit(&file, "appendonly yes\n", "appendonly yes\ntimeout 0\n");
    let again = deploy(&sandbox, &["shortener"]);
    assert_eq!(step(&again, "start:redis")["result"], "done", "{again:#}");
    assert_eq!(step(&again, "start:shortener")["result"], "unchanged", "{again:#}");
    assert_eq!(step(&again, "smoke:shortener")["result"], "done", "{again:#}");
}
