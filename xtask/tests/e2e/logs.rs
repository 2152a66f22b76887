//! What services and jobs say: of one, of several in one stream, narrowed, followed, and as a person sees it.

use super::contract::document::deploy;
use super::life::{kill, pid};
use super::sandbox::{Running, Sandbox, eventually, get, scratch};
use super::stranger;
use nix::sys::signal::Signal;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// Says what it is given, line by line, and goes on.
const SPEAKER: &str = "import os, sys, time\nfor line in os.environ['SAYS'].split('|'):\n    print(line, flush=True)\nif len(sys.argv) < 2:\n    while True:\n        time.sleep(60)\n";
const TRACE: &str = "Traceback (most recent call last):|  File \"a.py\", line 1|    b()|ValueError: lost";

fn speaker(name: &str, says: &str) -> String {
    format!(
        "[services.{name}]\nimage = \"any\"\nready = {{ runs = \"1s\" }}\nstop_within = \"2s\"\n\
         [services.{name}.env]\nSAYS = {says:?}\n[services.{name}.host]\ndir = \"it\"\nrun = [\"python3\", \"program.py\"]\n"
    )
}

/// A repository whose services say something, deployed.
fn talk(name: &str) -> Sandbox {
    let root = scratch().join(format!("logs-{name}"));
    let one = format!(
        "{}|2026-11-21T16:00:03Z INFO third|{TRACE}",
        r#"{"timestamp":"2026-11-21T16:00:01Z","level":"INFO","message":"first","path":"/a"}"#
    );
    let another = "2026-11-21T16:00:02Z DEBUG second|2026-11-21T16:00:05Z WARN fifth";
    let job = "[jobs.tidy]\nof = \"other\"\nwhen = \"after\"\ncommand = [\"python3\", \"program.py\", \"once\"]\n";
    let text = format!("description = \"x\"\n{}{}{job}", speaker("one", &one), speaker("other", another));
    let root = stranger::repository(root, &[("it/program.py", SPEAKER), ("deploy/systems/talk.toml", &text)]);
    stranger::pin(&root, &[("any", "docker.io/library/any:1")]);
    std::fs::create_dir_all(root.join(".git")).unwrap();
    let sandbox = Sandbox::in_own_repository(root, name);
    sandbox.xtask(["deploy"]).success();
    sandbox
}

#[test]
fn all_are_in_one_stream_by_time_and_narrowed() {
    skip::unless!(skip::program(&["python3"], "XTASK_REQUIRE_PYTHON"));
    let sandbox = talk("all");
    let said = |args: &[&str]| sandbox.xtask([&["logs"], args].concat()).success().stdout;
    let all = said(&[]);
    let first = r#"one   | {"timestamp":"2026-11-21T16:00:01Z","level":"INFO","message":"first","path":"/a"}"#;
    let trace: String = TRACE.split('|').map(|line| format!("one   | {line}\n")).collect();
    let whole = format!(
        "{first}\nother | 2026-11-21T16:00:02Z DEBUG second\none   | 2026-11-21T16:00:03Z INFO third\n{trace}\
         other | 2026-11-21T16:00:05Z WARN fifth\n"
    );
    assert_eq!(all, whole);
    assert_eq!(said(&["talk"]), whole, "a system is all its services");
    assert_eq!(said(&["one", "other"]), whole);
    assert_eq!(said(&["other", "--level", "warn"]), "2026-11-21T16:00:05Z WARN fifth\n");
    assert_eq!(said(&["--grep", "lost"]), trace);
    assert_eq!(said(&["-n", "1", "--raw"]), "2026-11-21T16:00:05Z WARN fifth\n");
    assert_eq!(said(&["tidy", "-n", "1"]), "2026-11-21T16:00:05Z WARN fifth\n");
    let run = sandbox.xtask(["logs", "--level", "loud"]).exits(2);
    assert!(run.stderr.contains("one of trace, debug, info, warn, error"), "{}", run.stderr);

    // On a terminal JSON is for people.
    let command = sandbox.command(["logs", "one", "-n", "7"]);
    let mut terminal = Command::new("python3");
    terminal.args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"]);
    terminal.arg(command.get_program()).args(command.get_args()).current_dir(&sandbox.root).stdin(Stdio::null());
    terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("NO_COLOR", "1");
    let shown = String::from_utf8(terminal.output().unwrap().stdout).unwrap();
    assert!(shown.contains("16:00:01.000 INFO  first path=/a"), "{shown}");
    sandbox.xtask(["teardown", "--yes"]).success();
    let run = sandbox.xtask(["logs"]).exits(1);
    assert!(run.stderr.contains("nothing is deployed") && run.stderr.contains("cargo xtask deploy"), "{}", run.stderr);
}

#[test]
fn logs_are_printed_and_followed_across_a_restart() {
    let sandbox = Sandbox::new("life-logs");
    deploy(&sandbox, &["epoch"]);
    let via = sandbox.via("epoch");
    get(&via, "/first").unwrap();
    let last = eventually("the request in the log", || {
        let last = sandbox.xtask(["logs", "epoch", "-n", "1"]).success().stdout;
        if last.contains("/first") { Ok(last) } else { Err(last) }
    });
    assert_eq!(last.lines().count(), 1);
    assert!(sandbox.xtask(["logs", "epoch"]).success().stdout.contains("\"starting\""));

    let file = sandbox.home().join("followed");
    let mut command = sandbox.command(["logs", "epoch", "--follow", "-n", "1"]);
    let follow = Running::of(command.stdout(File::create(&file).unwrap()).spawn().unwrap());
    let process = base::os::identity(follow.pid()).unwrap();
    followed(&file, "/first");
    kill(pid(&sandbox, "epoch"));
    eventually("another start", || get(&via, "/second"));
    followed(&file, "/second");
    follow.signal(Signal::SIGINT);
    eventually("its end", || if base::os::is_alive(&process) { Err("it runs on".to_owned()) } else { Ok(()) });
    follow.finish().exits(130);
}

fn followed(file: &Path, text: &str) {
    eventually("the line in what was followed", || {
        let so_far = std::fs::read_to_string(file).unwrap();
        if so_far.contains(text) { Ok(()) } else { Err(so_far) }
    });
}

#[test]
fn logs_of_what_never_ran_say_so() {
    let sandbox = Sandbox::new("life-silent");
    let run = sandbox.xtask(["logs", "epoch"]).exits(1);
    assert!(run.stderr.contains("`epoch` has logged nothing in environment `life-silent`"), "{}", run.stderr);
}
