//! What the files say no longer: it is replaced, removed, kept and addressed by what was recorded.

use super::client::Hammer;
use super::contract::document::{deploy, edit, step};
use super::life::{kill, pid};
use super::sandbox::{Sandbox, checkout, failure, get, scratch};
use remote_tools::scratch::copy_repository;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The files of one copy, which one test at a time may change.
static ALONE: Mutex<()> = Mutex::new(());

/// An environment with declared ports in a copy whose files under `deploy/` may be changed.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    _alone: MutexGuard<'static, ()>,
}

fn shared_copy() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = scratch().join("e2e-undeclared");
        copy_repository(checkout(), &copy).unwrap();
        copy
    })
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Stage {
    /// With `epoch` as its only system, on a port that is free.
    pub(crate) fn new(name: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = shared_copy();
        remote_tools::scratch::copy(&checkout().join("deploy"), &copy.join("deploy")).unwrap();
        let settings = "target = \"host\"\nports = \"declared\"\n".to_owned();
        let stage = Self { sandbox: Sandbox::with_settings(copy.to_owned(), name, false, settings), _alone: alone };
        for other in ["invoices", "messages", "shortener", "web"] {
            std::fs::remove_file(stage.file(other)).unwrap();
        }
        stage.edit("epoch", "port = 1337", &format!("port = {}", free_port()));
        stage
    }

    pub(crate) fn file(&self, system: &str) -> PathBuf {
        self.sandbox.root.join(format!("deploy/systems/{system}.toml"))
    }

    #[track_caller]
    pub(crate) fn edit(&self, system: &str, from: &str, to: &str) {
        edit(&self.file(system), from, to);
    }

    /// Another system with one service, which is the same program.
    pub(crate) fn add(&self, system: &str, service: &str, port: u16) {
        let text = std::fs::read_to_string(self.file("epoch")).unwrap();
        let text = text.replace("[services.epoch", &format!("[services.{service}"));
        let line = text.lines().find(|line| line.starts_with("port = ")).unwrap().to_owned();
        std::fs::write(self.file(system), text.replace(&line, &format!("port = {port}"))).unwrap();
    }

    /// `[services.epoch]` becomes `[services.clock]`.
    pub(crate) fn rename(&self, more: &str) {
        self.edit("epoch", "[services.epoch", "[services.clock");
        self.edit("epoch", "[services.clock]\n", &format!("[services.clock]\n{more}"));
    }

    pub(crate) fn port(&self) -> u16 {
        let text = std::fs::read_to_string(self.file("epoch")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("port = ")).unwrap();
        line.parse().unwrap()
    }

    /// A service's entry in `status --json`, with what is said of its system.
    pub(crate) fn status(&self, system: &str, service: &str) -> Option<(Value, Value)> {
        let document = self.sandbox.xtask(["status", "--json"]).success().json();
        let systems = document["systems"].as_array().unwrap();
        let system = systems.iter().find(|entry| entry["name"] == system)?;
        let services = system["services"].as_array().unwrap();
        let service = services.iter().find(|entry| entry["name"] == service)?;
        Some((system["declared"].clone(), service.clone()))
    }

    /// Something that a service has stored.
    pub(crate) fn store(&self, service: &str) {
        std::fs::write(self.sandbox.home().join(format!("data/{service}/kept")), "precious").unwrap();
    }

    pub(crate) fn stored(&self, service: &str) -> bool {
        self.sandbox.home().join(format!("data/{service}/kept")).exists()
    }

    pub(crate) fn answers(&self) -> bool {
        get(&format!("127.0.0.1:{}", self.port()), "/").is_ok_and(|(status, _)| status == 200)
    }
}

#[test]
fn a_renamed_service_takes_over_without_a_gap() {
    let stage = Stage::new("undeclared-rename");
    deploy(&stage.sandbox, &["epoch"]);
    let old = pid(&stage.sandbox, "epoch");
    let hammer = Hammer::start(&format!("127.0.0.1:{}", stage.port()), 500);
    stage.rename("");
    let plan = stage.sandbox.xtask(["plan", "--json"]).success().json();
    assert_eq!(plan["removed"][0]["service"], "epoch", "{plan:#}");
    assert_eq!(plan["removed"][0]["why"], "its system declares it no longer");
    let document = deploy(&stage.sandbox, &["epoch"]);
    assert_eq!(step(&document, "remove:epoch/epoch")["result"], "done");
    for seen in hammer.until_answered("epoch") {
        assert_eq!(seen.failures, Vec::<String>::new());
    }
    assert!(base::os::identity(old).is_none(), "the old process still runs");
    let (_, clock) = stage.status("epoch", "clock").unwrap();
    assert_eq!((&clock["state"], &clock["declared"]), (&json!("running"), &json!(true)));
    assert_eq!(stage.status("epoch", "epoch"), None);
    assert!(!stage.sandbox.home().join("logs/epoch.log").exists());
    let again = deploy(&stage.sandbox, &[]);
    assert_eq!(again["result"], "unchanged", "{again:#}");
    let back = stage.sandbox.xtask(["rollback", "epoch", "--json"]).success().json();
    assert_eq!(step(&back, "start:epoch")["result"], "done", "{back:#}");
    assert!(stage.answers());
}

#[test]
fn a_renamed_service_that_does_not_start_changes_nothing() {
    let stage = Stage::new("undeclared-faulty");
    deploy(&stage.sandbox, &["epoch"]);
    stage.store("epoch");
    for more in ["ready_within = \"2s\"\n", "was = [\"epoch\"]\nready_within = \"2s\"\n"] {
        stage.rename(more);
        let run = stage.sandbox.xtask(["deploy", "epoch", "--json", "--set", "env.FAULT=never-ready"]).exits(1);
        let failure = failure(&run);
        let cause = failure["cause"].as_str().unwrap();
        assert!(cause.contains("`epoch/epoch` serves again"), "{cause}");
        assert!(stage.answers() && stage.stored("epoch"));
        stage.edit("epoch", &format!("[services.clock]\n{more}"), "[services.clock]\n");
        stage.edit("epoch", "[services.clock", "[services.epoch");
    }
}

#[test]
fn an_earlier_name_hands_its_data_over() {
    let stage = Stage::new("undeclared-was");
    deploy(&stage.sandbox, &["epoch"]);
    stage.store("epoch");
    stage.rename("was = [\"epoch\"]\n");
    deploy(&stage.sandbox, &["epoch"]);
    assert!(stage.stored("clock") && !stage.stored("epoch"));
    assert_eq!(deploy(&stage.sandbox, &[])["result"], "unchanged");
    // The system gets another name, and its service the old one.
    std::fs::rename(stage.file("epoch"), stage.file("time")).unwrap();
    stage.edit("time", "description", "was = [\"epoch\"]\ndescription");
    stage.edit("time", "[services.clock]\nwas = [\"epoch\"]\n", "[services.clock]\n");
    let document = deploy(&stage.sandbox, &[]);
    assert!(stage.stored("clock"));
    let systems: Vec<_> = document["systems"].as_array().unwrap().iter().map(|s| (&s["name"], &s["result"])).collect();
    assert_eq!(systems, [(&json!("time"), &json!("deployed")), (&json!("epoch"), &json!("removed"))]);
    assert_eq!(stage.status("time", "clock").unwrap().1["state"], "running");
    assert_eq!(deploy(&stage.sandbox, &[])["result"], "unchanged");
}

#[test]
fn data_is_kept_whatever_the_files_say() {
    let stage = Stage::new("undeclared-data");
    deploy(&stage.sandbox, &["epoch"]);
    stage.store("epoch");
    stage.rename("");
    let receipt = stage.sandbox.xtask(["teardown", "--keep-data", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(receipt["kept"].as_array().unwrap().len(), 1, "{receipt:#}");
    assert!(receipt["kept"][0]["id"].as_str().unwrap().contains("8 bytes"), "{receipt:#}");
    assert!(stage.stored("epoch"));
    // The new name begins with nothing, and what the old one stored stays.
    deploy(&stage.sandbox, &["epoch"]);
    assert!(stage.stored("epoch") && !stage.stored("clock"));
    // Declared again, the old name finds what it stored.
    stage.edit("epoch", "[services.clock", "[services.epoch");
    deploy(&stage.sandbox, &["epoch"]);
    assert!(stage.stored("epoch"));
    stage.sandbox.xtask(["teardown", "--yes", "--json"]).success();
    assert!(!stage.sandbox.home().exists());
}

#[test]
fn a_service_moves_to_another_system() {
    let stage = Stage::new("undeclared-moved");
    let port = free_port();
    stage.add("tick", "tick", port);
    deploy(&stage.sandbox, &[]);
    stage.store("tick");
    std::fs::rename(stage.file("tick"), stage.file("tock")).unwrap();
    let hammer = Hammer::start(&format!("127.0.0.1:{port}"), 500);
    deploy(&stage.sandbox, &["tock"]);
    for seen in hammer.until_answered("epoch") {
        assert_eq!(seen.failures, Vec::<String>::new());
    }
    assert!(stage.stored("tick"));
    assert_eq!(stage.status("tock", "tick").unwrap().1["state"], "running");
    assert_eq!(stage.status("tick", "tick"), None);
    assert_eq!(deploy(&stage.sandbox, &[])["result"], "unchanged");
}

#[test]
fn what_nobody_declares_gives_its_port_up() {
    let stage = Stage::new("undeclared-port");
    let port = free_port();
    stage.add("tick", "tick", port);
    deploy(&stage.sandbox, &[]);
    std::fs::remove_file(stage.file("tick")).unwrap();
    let before = stage.port();
    stage.edit("epoch", &format!("port = {before}"), &format!("port = {port}"));
    deploy(&stage.sandbox, &["epoch"]);
    assert!(stage.answers());
    assert_eq!(stage.status("tick", "tick"), None);
}

#[test]
fn services_trade_their_ports() {
    let stage = Stage::new("undeclared-trade");
    let (port, other) = (stage.port(), free_port());
    stage.add("tick", "tick", other);
    deploy(&stage.sandbox, &[]);
    stage.edit("epoch", &format!("port = {port}"), &format!("port = {other}"));
    stage.edit("tick", &format!("port = {other}"), &format!("port = {port}"));
    deploy(&stage.sandbox, &[]);
    let via = |service: &str| stage.sandbox.status(service)["via"].clone();
    assert_eq!((via("epoch"), via("tick")), (json!(format!("127.0.0.1:{other}")), json!(format!("127.0.0.1:{port}"))));
}

#[test]
fn a_rename_that_was_killed_goes_on() {
    let stage = Stage::new("undeclared-killed");
    deploy(&stage.sandbox, &["epoch"]);
    stage.store("epoch");
    stage.rename("was = [\"epoch\"]\n");
    for event in ["started", "status"] {
        let mut run = stage.sandbox.start(["deploy", "--json"]);
        let reached = run.wait_for(|record| record["event"] == event && record["step"] == "start:clock");
        assert!(reached, "{:#?}", run.records());
        kill(run.pid());
        run.finish();
    }
    deploy(&stage.sandbox, &[]);
    assert!(stage.stored("clock") && stage.answers());
    assert_eq!(stage.status("epoch", "epoch"), None);
    assert_eq!(deploy(&stage.sandbox, &[])["result"], "unchanged");
}
