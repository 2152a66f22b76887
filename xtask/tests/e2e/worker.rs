//! A service without a port, and one with several, as commands of the repository.

use super::sandbox::{Run, Sandbox, eventually, failure, scratch};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

const WORKER: &str = include_str!("worker/worker.py");
const SEVERAL: &str = include_str!("worker/several.py");

/// A repository without a single crate, with a system of one service in a folder.
struct Place {
    sandbox: Sandbox,
}

impl Place {
    fn new(name: &str, program: &str, system: &str) -> Self {
        let root = scratch().join(format!("ports-{name}"));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::create_dir_all(root.join("deploy/environments")).unwrap();
        let place = Self { sandbox: Sandbox::in_own_repository(root, name) };
        place.write("Cargo.toml", "[workspace]\nmembers = []\nresolver = \"3\"\n");
        place.write(".gitignore", ".slipway/\n");
        place.write("deploy/images.toml", "any = \"docker.io/library/any:1\"\n");
        place.write("it/program.py", program);
        place.declare(system);
        place
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.sandbox.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn declare(&self, system: &str) {
        self.write("deploy/systems/it.toml", &format!("description = \"A test's own\"\n{system}"));
    }

    fn deploys(&self, result: &str) -> Run {
        let run = self.sandbox.xtask(["deploy", "--json"]).success();
        assert_eq!(run.json()["result"], result, "{:#}\n{}", run.json(), run.stderr);
        run
    }

    fn status(&self) -> Value {
        self.sandbox.status("it")
    }

    fn pid(&self) -> String {
        let log = self.sandbox.xtask(["logs", "it"]).success().stdout;
        log.lines().last().unwrap_or_default().to_owned()
    }
}

fn worker(who: &str, ready: &str) -> String {
    format!(
        "[services.it]\nimage = \"any\"\n{ready}\nready_within = \"20s\"\nstop_within = \"3s\"\nenv = {{ WHO = \"{who}\" }}\n\
         [services.it.host]\ndir = \"it\"\nrun = [\"python3\", \"program.py\"]\nreads = [\"program.py\"]\n"
    )
}

fn has_python() -> skip::Found<std::path::PathBuf> {
    skip::program(&["python3"], "XTASK_REQUIRE_PYTHON")
}

#[test]
fn a_worker_is_ready_once_it_has_run_and_is_replaced_once_the_next_one_is() {
    skip::unless!(has_python());
    let place = Place::new("worker", WORKER, &worker("first", "ready = { runs = \"1s\" }"));
    let preview = place.sandbox.xtask(["deploy", "--dry-run"]).success().stdout;
    assert!(preview.contains("python3 program.py; a version runs on until the next"), "{preview}");
    place.deploys("deployed");
    let status = place.status();
    assert_eq!((&status["state"], &status["url"], &status["via"]), (&"running".into(), &Value::Null, &Value::Null));
    assert!(place.pid().ends_with("works as first False"), "{}", place.pid());
    place.deploys("unchanged");

    // One that ends before its time is no version; the one that runs goes on.
    place.write("it/broken", "");
    place.declare(&worker("second", "ready = { runs = \"1s\" }"));
    let run = place.sandbox.xtask(["deploy", "--json"]).exits(1);
    let cause = failure(&run)["cause"].to_string();
    assert!(cause.contains("`it` exited with code 7 before it was ready") && cause.contains("serves on"), "{cause}");
    assert_eq!(place.status()["state"], "running");
    assert_eq!(place.status()["restarts"], 0);
    std::fs::remove_file(place.sandbox.root.join("it/broken")).unwrap();

    // A command is run as the process is, and its exit code counts.
    let asked = |word: &str| {
        let test =
            format!("import os, sys; sys.exit(os.environ['WHO'] != '{word}' or not os.path.exists('program.py'))");
        format!("ready = {{ command = [\"python3\", \"-c\", \"{test}\"] }}")
    };
    place.declare(&worker("third", &asked("nobody")).replace("ready_within = \"20s\"", "ready_within = \"1s\""));
    let cause = failure(&place.sandbox.xtask(["deploy", "--json"]).exits(1))["cause"].to_string();
    assert!(cause.contains("was not ready within 1 s") && cause.contains("exit status: 1"), "{cause}");
    place.declare(&worker("third", &asked("third")));
    place.deploys("deployed");
    assert!(place.pid().ends_with("works as third False"), "{}", place.pid());
    place.sandbox.xtask(["teardown", "--yes"]).success();
}

#[test]
fn further_ports_are_had_told_and_kept() {
    skip::unless!(has_python());
    let system = |more: &str| {
        format!(
            "[services.it]\nimage = \"any\"\npublic = true\nready = {{ http = \"/\" }}\nready_within = \"20s\"\n{more}\
             [services.it.env]\nLINE_PORT = \"${{port.line}}\"\nPING_PORT = \"${{port.ping}}\"\n\
             [services.it.ports]\nmain = {{ port = 8080, host_port = 24080 }}\nline = {{ port = 24081 }}\n\
             ping = {{ port = 24082, speaks = \"udp\", public = true }}\n\
             [services.it.host]\ndir = \"it\"\nrun = [\"python3\", \"program.py\"]\n\
             [services.other]\nimage = \"any\"\nneeds = [\"it\"]\nready = {{ runs = \"1s\" }}\n\
             env = {{ WHO = \"${{it.address.line}}/${{it.port.ping}}\" }}\n\
             [services.other.host]\ndir = \"other\"\nrun = [\"python3\", \"program.py\"]\n\
             [[smoke]]\nname = \"it answers\"\nrequest = \"GET /\"\nstatus = 200\n"
        )
    };
    let place = Place::new("several", SEVERAL, &system(""));
    place.write("other/program.py", WORKER);
    let settings = format!("deploy/environments/{}.toml", place.sandbox.env);
    place.write(&settings, "target = \"host\"\n");
    // Somebody else has one of them.
    let holder = std::net::TcpListener::bind("127.0.0.1:24081").unwrap();
    let run = place.deploys("deployed");
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("`it.line` gets port 24083, since port 24081 is held by"), "{said}");
    drop(holder);
    let line = || {
        let mut line = String::new();
        BufReader::new(TcpStream::connect("127.0.0.1:24083").unwrap()).read_line(&mut line).unwrap();
        line
    };
    assert_eq!(line(), "a line\n");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(b"me", "127.0.0.1:24082").unwrap();
    let mut buffer = [0; 100];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"pong me");
    let told = place.sandbox.xtask(["logs", "other"]).success().stdout;
    assert!(told.contains("works as 127.0.0.1:24083/24082 False"), "{told}");

    // What runs stays where it is, and one version has these ports at a time.
    place.deploys("unchanged");
    place.declare(&system("stop_within = \"4s\"\n"));
    let plan = place.sandbox.xtask(["plan"]).success().stdout;
    assert!(plan.contains("a version stops before the next one starts"), "{plan}");
    place.deploys("deployed");
    eventually("it answers again", || TcpStream::connect("127.0.0.1:24083").map_err(|error| error.to_string()));
    assert_eq!(line(), "a line\n");
    place.sandbox.xtask(["teardown", "--yes"]).success();
}
