//! Where declared ports are preferred: whoever else has one keeps it, and everything runs all the same.

use super::sandbox::{Run, Sandbox, checkout, eventually, failure, get, scratch};
use super::stage::Stage;
use base::os;
use nix::sys::signal::Signal;
use remote_tools::scratch::copy_repository;
use serde_json::Value;
use std::net::TcpListener;

/// A port that nobody has, and that the system gives to nobody by itself.
fn unused() -> u16 {
    let free = |port: &u16| ["127.0.0.1", "::1"].iter().all(|ip| TcpListener::bind((*ip, *port)).is_ok());
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let step = NEXT.fetch_add(20, std::sync::atomic::Ordering::Relaxed);
    (first + step..).find(free).unwrap()
}

/// Services in a repository of their own, where declared ports are preferred.
fn preferring(name: &str, services: &[&str]) -> Stage {
    let stage = Stage::new(name, services);
    set(&stage.sandbox, "");
    stage
}

fn set(sandbox: &Sandbox, more: &str) {
    let file = sandbox.root.join(format!("deploy/environments/{}.toml", sandbox.env));
    std::fs::write(file, format!("target = \"host\"\n{more}")).unwrap();
}

fn deploy(sandbox: &Sandbox) -> Value {
    sandbox.xtask(["deploy", "--json"]).success().json()
}

/// The port that a service is open on.
fn port(sandbox: &Sandbox, service: &str) -> u16 {
    sandbox.via(service).rsplit_once(':').unwrap().1.parse().unwrap()
}

fn note(sandbox: &Sandbox, service: &str) -> Option<String> {
    sandbox.status(service)["port_note"].as_str().map(str::to_owned)
}

#[test]
fn a_taken_port_is_left_to_whoever_has_it_and_told_everywhere() {
    let stage = preferring("prefer-taken", &["teller", "other"]);
    let sandbox = &stage.sandbox;
    let (declared, free) = (unused(), unused());
    let holder = TcpListener::bind(("127.0.0.1", declared)).unwrap();
    stage.declare("teller", declared, "");
    stage.declare("other", free, "");
    let next = format!("127.0.0.1:{}", declared + 1);
    let held = format!("port {declared} is held by `");
    // What is shown before is what comes.
    let shown = sandbox.xtask(["deploy", "--dry-run"]).success().stdout;
    assert!(shown.contains(&format!("on {next} ({held}")), "{shown}");
    let plan = sandbox.xtask(["plan"]).success().stdout;
    assert!(plan.contains(&format!("it gets port {}, since {held}", declared + 1)), "{plan}");

    let run = sandbox.xtask(["deploy"]).success();
    assert_eq!(run.stderr.matches(&format!("`teller` gets port {}, since {held}", declared + 1)).count(), 1);
    // Of whom, too; the command line is cut where it is long.
    assert!(run.stderr.contains(&format!("(process {} of ", std::process::id())), "{}", run.stderr);
    let told = format!("port {declared} was held by `");
    assert!(run.stdout.contains(&told), "{}", run.stdout);
    assert!(sandbox.xtask(["status"]).success().stdout.contains(&told));
    assert_eq!((sandbox.via("teller"), port(sandbox, "other")), (next.clone(), free));
    assert!(note(sandbox, "teller").is_some_and(|note| note.starts_with(&told)));
    assert_eq!(note(sandbox, "other"), None);
    assert_eq!(get(&next, "/").unwrap(), (200, "one".to_owned()));
    sandbox.xtask(["smoke"]).success();

    // What runs stays where it is, whoever has gone meanwhile.
    assert_eq!(deploy(sandbox)["result"], "unchanged");
    drop(holder);
    assert_eq!(deploy(sandbox)["result"], "unchanged");
    stage.declare("teller", declared, "env = { X = \"1\" }");
    assert_eq!(deploy(sandbox)["result"], "deployed");
    assert_eq!(sandbox.via("teller"), next);
    // One that has to start from nothing tries the declared port again.
    sandbox.xtask(["teardown", "teller", "--yes"]).success();
    deploy(sandbox);
    assert_eq!((port(sandbox, "teller"), note(sandbox, "teller")), (declared, None));
}

#[test]
fn a_port_that_localhost_would_lead_elsewhere_by_is_taken_too() {
    let stage = preferring("prefer-localhost", &["teller"]);
    let sandbox = &stage.sandbox;
    let declared = unused();
    let Ok(_holder) = TcpListener::bind(("::1", declared)) else {
        return skip::Missing::new("this machine has no IPv6").report();
    };
    stage.declare("teller", declared, "");
    deploy(sandbox);
    let url = format!("http://localhost:{}/", declared + 1);
    assert_eq!((port(sandbox, "teller"), sandbox.status("teller")["url"].as_str()), (declared + 1, Some(url.as_str())));

    // Where it has to be that port, the address that is shown is ours.
    let moved = sandbox.xtask(["deploy", "--set", "ports=declared"]).success();
    let url = format!("http://127.0.0.1:{declared}/");
    assert!(moved.stdout.contains(&url), "{}", moved.stdout);
    let status = sandbox.status("teller");
    assert_eq!(status["url"].as_str(), Some(url.as_str()), "{status:#}");
    let note = status["port_note"].as_str().unwrap();
    assert!(note.starts_with(&format!("`localhost:{declared}` may lead to `")), "{note}");
}

#[test]
fn a_port_that_is_declared_anew_is_moved_to_and_ports_are_traded() {
    let stage = preferring("prefer-moved", &["teller", "other"]);
    let sandbox = &stage.sandbox;
    let [one, two, three] = [unused(), unused(), unused()];
    stage.declare("teller", one, "");
    stage.declare("other", two, "");
    deploy(sandbox);
    stage.declare("teller", two, "");
    stage.declare("other", one, "");
    assert_eq!(deploy(sandbox)["result"], "deployed");
    assert_eq!((port(sandbox, "teller"), port(sandbox, "other")), (two, one));
    stage.declare("teller", three, "");
    let holder = TcpListener::bind(("127.0.0.1", three)).unwrap();
    assert_eq!(deploy(sandbox)["result"], "unchanged");
    assert_eq!(port(sandbox, "teller"), two);
    drop(holder);
    assert_eq!(deploy(sandbox)["result"], "deployed");
    assert_eq!(port(sandbox, "teller"), three);
    assert_eq!(deploy(sandbox)["result"], "unchanged");
}

#[test]
fn what_nothing_declares_any_more_passes_its_port_on() {
    let stage = preferring("prefer-renamed", &["teller", "clerk"]);
    let sandbox = &stage.sandbox;
    let declared = unused();
    let away = |service: &str| {
        let file = sandbox.root.join(format!("deploy/systems/{service}.toml"));
        let _ = std::fs::remove_file(file);
    };
    away("clerk");
    stage.declare("teller", declared, "");
    deploy(sandbox);
    assert_eq!(port(sandbox, "teller"), declared);
    away("teller");
    stage.declare("clerk", declared, "");
    let shown = sandbox.xtask(["deploy", "--dry-run"]).success().stdout;
    assert!(shown.contains(&format!("on 127.0.0.1:{declared}: ")), "{shown}");
    assert!(shown.contains("in the place of `teller/teller`"), "{shown}");
    deploy(sandbox);
    assert_eq!((port(sandbox, "clerk"), note(sandbox, "clerk")), (declared, None));
    assert_eq!(deploy(sandbox)["result"], "unchanged");
}

/// One that binds its port by itself loses it with its process.
#[test]
fn one_whose_port_was_taken_while_it_was_down_gets_another() {
    skip::unless!(skip::program(&["python3"], "XTASK_REQUIRE_PYTHON"));
    let stage = preferring("prefer-lost", &["teller"]);
    let sandbox = &stage.sandbox;
    let declared = unused();
    std::fs::write(sandbox.root.join("deploy/images.toml"), "plain = \"docker.io/library/plain:1\"\n").unwrap();
    let text = format!(
        "description = \"x\"\n[services.plain]\nimage = \"plain\"\nport = {declared}\nready = {{ http = \"/\" }}\n\
         args = [\"-m\", \"http.server\", \"${{port}}\", \"--bind\", \"${{address}}\"]\n\
         [services.plain.host]\nprograms = [\"python3\"]\nenable = \"install it\"\n"
    );
    std::fs::write(sandbox.root.join("deploy/systems/plain.toml"), text).unwrap();
    sandbox.xtask(["deploy", "plain"]).success();
    assert_eq!(port(sandbox, "plain"), declared);
    let process = |word: &str| {
        let all = sandbox.processes();
        all.into_iter().find(|process| process.command.contains(word)).unwrap().id
    };
    let supervisor = process("__supervise");
    os::signal(&supervisor, Signal::SIGSTOP);
    os::signal(&process("http.server"), Signal::SIGKILL);
    let _holder =
        eventually("a port to take", || TcpListener::bind(("127.0.0.1", declared)).map_err(|error| error.to_string()));
    os::signal(&supervisor, Signal::SIGCONT);
    eventually("a failed service", || match sandbox.status("plain") {
        status if status["state"] == "failed" => Ok(()),
        status => Err(status.to_string()),
    });
    sandbox.xtask(["deploy", "plain"]).success();
    assert_eq!(port(sandbox, "plain"), declared + 1);
}

#[test]
fn two_services_that_declare_one_port_share_it_out_unless_each_has_to_have_its_own() {
    let stage = preferring("prefer-shared", &["teller", "other"]);
    let sandbox = &stage.sandbox;
    let declared = unused();
    stage.declare("teller", declared, "");
    stage.declare("other", declared, "");
    let refused = sandbox.xtask(["deploy", "--set", "ports=declared"]).exits(3);
    let place = format!("deploy/systems/teller.toml:5: `services.teller.port`: port {declared} is that of `other` too");
    assert!(refused.stderr.contains(&place), "{}", refused.stderr);
    deploy(sandbox);
    assert_eq!((port(sandbox, "other"), port(sandbox, "teller")), (declared, declared + 1));
    let note = note(sandbox, "teller").unwrap();
    assert_eq!(note, format!("port {declared} was that of `other` when it started"));
    assert_eq!(deploy(sandbox)["result"], "unchanged");
}

#[test]
fn a_deployment_on_declared_ports_stays_where_it_is_and_one_on_free_ports_too() {
    let stage = preferring("prefer-from", &["teller"]);
    let sandbox = &stage.sandbox;
    let declared = unused();
    stage.declare("teller", declared, "");
    for mode in ["declared", "free"] {
        set(sandbox, &format!("ports = \"{mode}\"\n"));
        deploy(sandbox);
        let via = sandbox.via("teller");
        set(sandbox, "");
        assert_eq!(deploy(sandbox)["result"], "unchanged", "{mode}");
        assert_eq!(sandbox.via("teller"), via, "{mode}");
    }
}

#[test]
fn an_address_that_this_machine_does_not_have_is_told_before_anything_is_built() {
    let stage = preferring("prefer-bind", &["teller"]);
    let sandbox = &stage.sandbox;
    set(sandbox, "bind = \"192.0.2.1\"\n");
    let run = sandbox.xtask(["deploy", "--json"]).exits(1);
    let failure = failure(&run);
    assert_eq!((&failure["step"], &failure["code"]), (&"ports".into(), &"bind-unavailable".into()));
    assert_eq!(failure["cause"], "this machine has no address `192.0.2.1`, which `bind` names");
    assert!(!sandbox.home().join("artifacts").exists() && sandbox.processes().is_empty());
    let doctor = sandbox.xtask(["doctor", "--json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    let port = checks.iter().find(|check| check["id"] == "port.teller").unwrap();
    assert_eq!((&port["outcome"], &port["found"]), (&"fail".into(), &"no address `192.0.2.1`".into()), "{port:#}");
}

/// A newcomer's first deploy, on a machine where others have the ports that everything here declares.
#[test]
fn everything_is_deployed_beside_whatever_has_the_ports_that_systems_declare() {
    let root = scratch().join("prefer-all");
    copy_repository(checkout(), &root).unwrap();
    let sandbox = Sandbox::with_settings(root, "prefer-all", true, "target = \"host\"\n".to_owned());
    // Whoever has one already does as well.
    let declared = [1337, 8000, 6379, 4566, 8081, 8082, 5001, 5002];
    let _holders: Vec<_> = declared.iter().map(|port| TcpListener::bind(("127.0.0.1", *port))).collect();
    let run: Run = sandbox.xtask(["deploy", "--json"]).success();
    let document = run.json();
    let failed = document["systems"].as_array().unwrap().iter().find(|system| system["result"] == "failed");
    assert!(failed.is_none(), "{document:#}");
    for service in ["epoch", "shortener", "invoice-app"] {
        let via = sandbox.via(service);
        assert!(!declared.contains(&port(&sandbox, service)), "{service}: {via}");
        eventually(service, || {
            get(&via, "/livez").and_then(|(status, _)| if status == 200 { Ok(()) } else { Err(status.to_string()) })
        });
    }
    assert_eq!(deploy(&sandbox)["result"], "unchanged");
    sandbox.xtask(["smoke"]).success();
}
