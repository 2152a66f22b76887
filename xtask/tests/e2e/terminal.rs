//! What a person at a terminal does: Ctrl-C at a question, closing the window in the middle of a deploy.

use super::interrupt::{FakeCargo, note};
use super::sandbox::{Run, Running, Sandbox, eventually};
use serde_json::Value;
use std::process::{Command, Stdio};

/// A program on a terminal of its own, to which something is done at a certain moment; see `asked.py`.
fn on_a_terminal(command: &Command, when: &str, what: &str) -> Command {
    let mut driver = Command::new("python3");
    driver.arg("-c").arg(include_str!("asked.py")).args([when, what]);
    driver.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => driver.env(name, value),
            None => driver.env_remove(name),
        };
    }
    driver.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    driver
}

#[test]
fn a_signal_at_a_question_ends_the_run_at_once() {
    let sandbox = Sandbox::new("asked");
    let stored = sandbox.home().join("data/shortener");
    std::fs::create_dir_all(&stored).unwrap();
    std::fs::write(stored.join("links"), "one").unwrap();
    let teardown = sandbox.command(["teardown"]);
    for (what, code) in [("ctrl-c", 130), ("close", 130), ("SIGHUP", 130), ("SIGTERM", 143)] {
        let end = Run::of(&mut on_a_terminal(&teardown, "Go on? [y/N] ", what)).success().json();
        assert_eq!(end["code"], code, "{what}: {end:#}");
        assert!(end["seconds"].as_f64() < Some(2.0), "{what}: {end:#}");
    }
    assert!(stored.join("links").exists());
    let name = named_destroy(&sandbox);
    let end = Run::of(&mut on_a_terminal(&name, "Type its name to continue: ", "ctrl-c")).success().json();
    assert_eq!(end["code"], 130, "{end:#}");
}

#[test]
fn what_is_deployed_while_a_question_is_open_is_not_removed_by_its_answer() {
    let sandbox = Sandbox::new("meanwhile");
    let stored = sandbox.home().join("data/shortener");
    std::fs::create_dir_all(&stored).unwrap();
    std::fs::write(stored.join("links"), "one").unwrap();
    let is_asked = sandbox.root.join(".slipway/is-asked");
    let teardown = sandbox.command(["teardown"]);
    let mut driver = on_a_terminal(&teardown, "Go on? [y/N] ", &format!("yes:{}", is_asked.display()));
    let driver = Running::of(driver.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    eventually("the question", || is_asked.exists().then_some(()).ok_or_else(|| "not asked".to_owned()));
    sandbox.xtask(["deploy", "epoch"]).success();
    std::fs::remove_file(&is_asked).unwrap();
    let end = driver.finish().success().json();
    assert_eq!(end["code"], 3, "{end:#}");
    assert!(end["said"].as_str().unwrap().contains("another run has changed the deployment"), "{end:#}");
    assert_eq!(sandbox.status("epoch")["state"], "running");
    assert!(stored.join("links").exists());
}

/// A question that wants a name for an answer.
fn named_destroy(sandbox: &Sandbox) -> Command {
    let mut command = super::sandbox::program(&sandbox.root);
    command.args(["infra", "destroy", "--env", "aws", "--set", "account=123456789012"]);
    command
}

#[test]
fn a_terminal_that_is_closed_lets_the_tool_finish_and_ends_the_run() {
    let sandbox = Sandbox::new("closed");
    let fake = FakeCargo::new("closed");
    let mut deploy = sandbox.command(["deploy", "epoch"]);
    deploy.env("CARGO", fake.program());
    let when = format!("file:{}", fake.file("started").display());
    let mut driver = on_a_terminal(&deploy, &when, "close");
    let driver = Running::of(driver.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    // What is said of it nobody sees any more; the journal has it.
    eventually("the signal in the journal", || {
        let runs = std::fs::read_dir(sandbox.home().join("runs")).into_iter().flatten().flatten();
        let texts = runs.filter_map(|run| std::fs::read_to_string(run.path()).ok());
        let records: Vec<Value> = texts
            .flat_map(|text| text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>())
            .collect();
        if records.iter().any(note("interrupted; ")) { Ok(()) } else { Err(format!("{records:#?}")) }
    });
    assert!(!fake.has("term") && !fake.has("finished"));
    fake.go_on();
    let end = driver.finish().success().json();
    assert_eq!(end["code"], 130, "{end:#}");
    assert!(fake.has("finished"), "the tool died with the terminal");
    assert!(!sandbox.home().join("lease.json").exists());
    sandbox.xtask(["deploy", "epoch"]).success();
}
