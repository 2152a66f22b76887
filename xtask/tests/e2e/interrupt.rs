//! Runs that are killed, interrupted or refused, and the next one that makes everything right.

use super::killed::Killed;
use super::sandbox::{Run, Running, Sandbox, eventually, get};
use super::stage::Stage;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long an interrupted run may take to let what it runs finish.
const PROMPTLY: Duration = Duration::from_secs(20);

/// A point of a run that its journal shows.
#[derive(Debug, Clone)]
struct Boundary {
    step: String,
    event: &'static str,
}

impl Boundary {
    fn is(&self, record: &Value) -> bool {
        record["event"] == self.event && record["step"] == self.step.as_str()
    }
}

/// What to deploy: one small system, or all of them when there is time.
fn deploy() -> Vec<&'static str> {
    let all = std::env::var_os("XTASK_FULL").is_some();
    if all { vec!["deploy", "--json"] } else { vec!["deploy", "epoch", "--json"] }
}

/// Every step of a first deploy, before and after it, as such a deploy itself lists them.
fn boundaries(sandbox: &Sandbox) -> Vec<Boundary> {
    let mut first = sandbox.start(deploy());
    assert!(first.wait_for(|record| record["event"] == "finished"));
    let records = first.records();
    first.finish().success();
    sandbox.xtask(["teardown", "--yes"]).success();
    let plan = records.iter().find(|record| record["event"] == "plan").unwrap();
    let steps = plan["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap().to_owned());
    let both = |step: String| ["started", "ended"].map(|event| Boundary { step: step.clone(), event });
    // A step that this machine has nothing to do for never starts.
    let seen = |boundary: &Boundary| records.iter().any(|record| boundary.is(record));
    steps.flat_map(both).filter(seen).collect()
}

/// A deploy after whatever happened: everything runs once, serves and is proven.
#[track_caller]
fn converges(sandbox: &Sandbox, after: &Boundary) {
    let again = sandbox.xtask(deploy()).success().json();
    assert!(again["result"] == "deployed" || again["result"] == "unchanged", "after {after:?}: {again:#}");
    let (status, _) = get(&sandbox.via("epoch"), "/").unwrap();
    assert_eq!(status, 200);
    let processes = sandbox.processes();
    let count = |word: &str| processes.iter().filter(|process| process.command.contains(word)).count();
    assert_eq!((count("__supervise"), count("/epoch/")), (1, 1), "after {after:?}: {processes:#?}");
    assert!(!sandbox.home().join("lease.json").exists());
    sandbox.xtask(["smoke", "epoch"]).success();
    assert_eq!(sandbox.xtask(deploy()).success().json()["result"], "unchanged");
}

#[test]
fn a_deploy_killed_at_any_step_boundary_is_followed_by_one_that_converges() {
    let sandbox = Sandbox::new("killed");
    let boundaries = boundaries(&sandbox);
    assert!(boundaries.len() >= 10, "{boundaries:?}");
    for boundary in boundaries {
        let mut run = sandbox.start(deploy());
        assert!(run.wait_for(|record| boundary.is(record)), "{boundary:?} never came");
        run.signal(Signal::SIGKILL);
        run.finish();
        converges(&sandbox, &boundary);
        sandbox.xtask(["teardown", "--yes"]).success();
    }
}

#[test]
fn a_run_killed_at_any_instant_is_followed_by_one_that_converges() {
    let sandbox = Sandbox::new("killed-anywhere");
    let full = std::env::var_os("XTASK_FULL").is_some();
    // The ports stay what they were as long as the deployment is there, whoever was starting something on them.
    let ports = RefCell::new(None);
    let stands = || {
        let document = sandbox.xtask(["status", "--json"]).success().json();
        let services = document["systems"].as_array().unwrap().iter().flat_map(|s| s["services"].as_array().unwrap());
        let services: Vec<&Value> = services.filter(|service| service["state"] != "absent").collect();
        assert!(services.iter().all(|service| service["state"] == "running"), "{document:#}");
        let now: Vec<_> = services.iter().map(|service| (service["name"].clone(), service["via"].clone())).collect();
        assert_eq!(ports.borrow_mut().get_or_insert(now.clone()), &now);
        let processes = sandbox.processes();
        let count = |word: &str| processes.iter().filter(|process| process.command.contains(word)).count();
        assert_eq!((count("__supervise"), count("/epoch/")), (1, 1), "{processes:#?}");
        assert!(!sandbox.home().join("lease.json").exists());
    };
    let is_gone = || {
        ports.take();
        assert!(!sandbox.home().exists(), "{:?} is still there", sandbox.home());
        assert!(sandbox.processes().is_empty(), "{:#?}", sandbox.processes());
    };
    let systems: &[&str] = if full { &[] } else { &["epoch", "invoices"] };
    Killed { sandbox: &sandbox, systems, stands: &stands, is_gone: &is_gone }.again_and_again();
}

#[test]
fn an_interrupted_deploy_says_so_and_is_followed_by_one_that_converges() {
    let sandbox = Sandbox::new("interrupted");
    let boundaries = boundaries(&sandbox);
    let mut cut_short = 0;
    for (number, boundary) in boundaries.iter().enumerate() {
        // All mean the same, and the exit code tells which one came.
        let (signal, code) = match number {
            1 => (Signal::SIGTERM, 143),
            // Where it is ignored, as `nohup` has it, it means nothing.
            2 | 5 if !base::os::is_ignored(Signal::SIGHUP) => (Signal::SIGHUP, 130),
            _ => (Signal::SIGINT, 130),
        };
        let mut run = sandbox.start(deploy());
        if !run.wait_for(|record| boundary.is(record)) {
            let end = run.finish();
            panic!("{boundary:?} never came: {}\n{}", end.stdout, end.stderr);
        }
        cut_short += usize::from(is_cut_short(run, signal, code, boundary));
        assert!(!sandbox.home().join("lease.json").exists(), "{boundary:?}: the lease was not given back");
        converges(&sandbox, boundary);
        sandbox.xtask(["teardown", "--yes"]).success();
    }
    // What ends within a moment of the signal was not interrupted by it. The first steps are far from the end.
    assert!(cut_short * 2 > boundaries.len(), "only {cut_short} of {} were interrupted", boundaries.len());
}

/// Interrupts a run; whether that kept it from doing all it would have done.
fn is_cut_short(mut run: Running, signal: Signal, code: i32, boundary: &Boundary) -> bool {
    let told = Instant::now();
    run.signal(signal);
    assert!(run.wait_for(|record| record["event"] == "finished"));
    starts_nothing_more(&run.records(), boundary);
    let end = run.finish();
    assert!(told.elapsed() < PROMPTLY, "{boundary:?}: it took {:?}", told.elapsed());
    let document = end.json();
    let steps = document["steps"].as_array().unwrap();
    let cancelled = steps.iter().any(|step| step["result"] == "cancelled");
    if cancelled {
        assert_eq!(document["result"], "interrupted", "{boundary:?}: {document:#}");
        assert_eq!(end.code(), code, "{boundary:?}: {}", end.stderr);
        assert!(end.stderr.contains("the same command again continues where it stopped"), "{}", end.stderr);
    } else {
        assert_eq!((end.code(), &document["result"]), (0, &Value::from("deployed")), "{boundary:?}: {document:#}");
    }
    cancelled
}

/// Nothing starts that needs the step at whose start the signal came. A step that takes no time may have been over.
fn starts_nothing_more(records: &[Value], boundary: &Boundary) {
    let ended = records.iter().find(|record| record["event"] == "ended" && record["step"] == boundary.step.as_str());
    if boundary.event != "started" || ended.unwrap()["seconds"].as_f64() < Some(0.03) {
        return;
    }
    let plan = records.iter().find(|record| record["event"] == "plan").unwrap();
    for step in plan["steps"].as_array().unwrap() {
        let needs = step["needs"].as_array().unwrap().contains(&Value::from(boundary.step.as_str()));
        let started = records.iter().any(|record| record["event"] == "started" && record["step"] == step["id"]);
        assert!(!(needs && started), "{boundary:?}: {} was started all the same", step["id"]);
    }
}

/// Stands in for cargo: a script whose builds take until they are told to go on.
pub(super) struct FakeCargo {
    folder: PathBuf,
}

impl FakeCargo {
    /// It notes the signals it gets in files of their names and goes on regardless.
    pub(super) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("slipway-fake-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let dir = folder.to_str().unwrap();
        let script = format!(
            "#!/bin/sh\n\
             if [ \"$1\" != build ]; then exec '{cargo}' \"$@\"; fi\n\
             trap 'echo >>{dir}/int' INT\n\
             trap 'echo >>{dir}/term' TERM\n\
             echo $$ >{dir}/started\n\
             while [ ! -e {dir}/go ] && [ -d {dir} ]; do sleep 0.02; done\n\
             echo >{dir}/finished\n\
             exec '{cargo}' \"$@\"\n",
            cargo = env!("CARGO"),
        );
        let fake = Self { folder };
        std::fs::write(fake.program(), script).unwrap();
        std::fs::set_permissions(fake.program(), std::fs::Permissions::from_mode(0o755)).unwrap();
        fake
    }

    pub(super) fn program(&self) -> PathBuf {
        self.folder.join("cargo")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.file(file).exists()
    }

    fn await_file(&self, file: &str) {
        eventually(file, || if self.has(file) { Ok(()) } else { Err("not there".to_owned()) });
    }

    fn pid(&self) -> u32 {
        eventually("the number of the tool", || {
            let text = std::fs::read_to_string(self.folder.join("started")).unwrap_or_default();
            text.trim().parse().map_err(|_| text)
        })
    }

    pub(super) fn go_on(&self) {
        std::fs::write(self.folder.join("go"), "").unwrap();
    }

    /// A deploy that uses it, as the leader of a process group, as a shell would start it.
    fn deploy(&self, sandbox: &Sandbox) -> Running {
        let mut command: Command = sandbox.command(["deploy", "epoch", "--json"]);
        command.env("CARGO", self.program()).process_group(0);
        let run = sandbox.start_command(command);
        self.await_file("started");
        run
    }

    /// A deploy that is killed while it uses it, once its lease names the tool; the deploy's process number.
    fn deploy_and_kill(&self, sandbox: &Sandbox) -> u32 {
        let run = self.deploy(sandbox);
        let (owner, tool) = (run.pid(), self.pid());
        eventually("the tool in the lease", || {
            let text = std::fs::read_to_string(sandbox.home().join("lease.json")).unwrap();
            let lease: Value = serde_json::from_str(&text).unwrap();
            let child = &lease["children"][0];
            if child["program"] == "cargo" && child["id"]["pid"] == tool { Ok(()) } else { Err(text) }
        });
        run.signal(Signal::SIGKILL);
        run.finish();
        owner
    }
}

impl Drop for FakeCargo {
    fn drop(&mut self) {
        // The script ends with its folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn note(text: &'static str) -> impl Fn(&Value) -> bool {
    move |record| record["event"] == "note" && record["text"].as_str().is_some_and(|note| note.contains(text))
}

fn is_alive(pid: u32) -> bool {
    base::os::identity(pid).is_some_and(|id| base::os::is_alive(&id))
}

#[test]
fn a_second_deploy_is_refused_with_who_holds_the_lease_while_the_first_goes_on() {
    let sandbox = Sandbox::new("twice");
    sandbox.xtask(["deploy", "epoch"]).success();
    // So that the next deploy has something to build while the service runs.
    std::fs::remove_dir_all(sandbox.home().join("artifacts")).unwrap();
    let fake = FakeCargo::new("twice");
    let first = fake.deploy(&sandbox);

    let mut second = sandbox.command(["deploy", "epoch", "--json"]);
    let second = Run::of(second.env("USER", "somebody-else")).exits(3);
    assert_eq!(second.stdout, "");
    let user = std::env::var("USER").or(std::env::var("LOGNAME")).unwrap_or("somebody".to_owned());
    let who = format!("environment `twice` is held by {user}@");
    let process = format!("(process {}, `cargo xtask deploy`) since 20", first.pid());
    for part in [who.as_str(), &process, &format!("kill {}", first.pid())] {
        assert!(second.stderr.contains(part), "no {part:?} in: {}", second.stderr);
    }
    let teardown = sandbox.xtask(["teardown", "--yes"]).exits(3);
    assert!(teardown.stderr.contains(&process), "{}", teardown.stderr);

    // Who only looks is not held up.
    assert_eq!(sandbox.status("epoch")["state"], "running");
    sandbox.xtask(["smoke", "epoch"]).success();
    sandbox.xtask(["logs", "epoch"]).success();
    sandbox.xtask(["plan", "epoch"]).success();

    fake.go_on();
    first.finish().success();
    sandbox.xtask(["deploy", "epoch"]).success();
}

#[test]
fn a_killed_runs_tool_is_named_in_its_lease_and_waited_for() {
    let sandbox = Sandbox::new("orphaned");
    let fake = FakeCargo::new("orphaned");
    let owner = fake.deploy_and_kill(&sandbox);
    let tool = fake.pid();

    let mut next = sandbox.start(["deploy", "epoch", "--json"]);
    assert!(next.wait_for(note("waiting up to")));
    assert!(!next.records().iter().any(|record| record["event"] == "plan"), "it must not go on beside the tool");
    assert!(is_alive(tool));
    fake.go_on();
    let next = next.finish().success();
    assert_eq!(next.json()["result"], "deployed");
    for part in [format!("process {owner}, `cargo xtask deploy`"), format!("`cargo` ({tool})")] {
        assert!(next.stderr.contains(&part), "no {part:?} in: {}", next.stderr);
    }
}

#[test]
fn waiting_for_a_killed_runs_tool_can_be_interrupted_and_the_tool_stays_known() {
    let sandbox = Sandbox::new("impatient-user");
    let fake = FakeCargo::new("impatient-user");
    fake.deploy_and_kill(&sandbox);
    for _ in 0..2 {
        let mut waiting = sandbox.start(["deploy", "epoch", "--json"]);
        assert!(waiting.wait_for(note("waiting up to")));
        waiting.signal(Signal::SIGINT);
        waiting.finish().exits(130);
        assert!(is_alive(fake.pid()));
    }
    fake.go_on();
    sandbox.xtask(["deploy", "epoch"]).success();
}

#[test]
fn a_dead_owners_lease_is_taken_over_and_said_so() {
    let sandbox = Sandbox::new("taken-over");
    let mut killed = sandbox.start(["deploy", "epoch"]);
    let pid = killed.pid();
    assert!(killed.wait_for(|record| record["event"] == "plan"));
    killed.signal(Signal::SIGKILL);
    killed.finish();
    let next = sandbox.xtask(["deploy", "epoch"]).success();
    assert!(next.stderr.contains("taking over from "), "{}", next.stderr);
    assert!(next.stderr.contains(&format!("(process {pid}, `cargo xtask deploy`)")), "{}", next.stderr);
    let again = sandbox.xtask(["deploy", "epoch"]).success();
    assert!(!again.stderr.contains("taking over"), "{}", again.stderr);
}

#[test]
fn a_first_ctrl_c_lets_the_tool_finish() {
    let sandbox = Sandbox::new("ctrl-c");
    let fake = FakeCargo::new("ctrl-c");
    let mut run = fake.deploy(&sandbox);
    // A terminal's Ctrl-C reaches the tool as well, which may take it as it likes.
    run.signal_group(Signal::SIGINT);
    assert!(run.wait_for(note("interrupted")));
    fake.await_file("int");
    assert!(is_alive(fake.pid()) && is_alive(run.pid()));
    fake.go_on();
    let end = run.finish().exits(130);
    assert!(fake.has("finished") && !fake.has("term"));
    let document = end.json();
    assert_eq!(document["result"], "interrupted");
    let build = document["steps"].as_array().unwrap().iter().find(|step| step["id"] == "build").unwrap().clone();
    assert_eq!(build["result"], "done", "what the tool did is kept: {build:#}");
    sandbox.xtask(["deploy", "epoch"]).success();
}

#[test]
fn a_second_ctrl_c_asks_the_tool_to_end_and_a_third_kills_it() {
    let sandbox = Sandbox::new("ctrl-c-thrice");
    let fake = FakeCargo::new("ctrl-c-thrice");
    let mut run = fake.deploy(&sandbox);
    run.signal(Signal::SIGINT);
    assert!(run.wait_for(note("interrupted")));
    assert!(!fake.has("term"));
    run.signal(Signal::SIGINT);
    fake.await_file("term");
    assert!(is_alive(fake.pid()) && is_alive(run.pid()));
    run.signal(Signal::SIGINT);
    let end = run.finish().exits(130);
    assert!(!fake.has("finished"));
    assert!(!is_alive(fake.pid()));
    assert_eq!(end.json()["result"], "interrupted");
}

#[test]
fn an_interrupted_teardown_says_so_in_its_receipt() {
    let stage = Stage::new("interrupted-teardown", &["slow"]);
    stage.declare("slow", 1, "stop_within = \"5s\"\nenv = { BEHAVIOUR = \"deaf\" }");
    stage.sandbox.xtask(["deploy"]).success();
    let mut run = stage.sandbox.start(["teardown", "--yes"]);
    assert!(run.wait_for(|record| record["event"] == "started" && record["step"] == "stop:slow"));
    run.signal(Signal::SIGINT);
    let run = run.finish().exits(130);
    assert!(run.stdout.contains("receipt: the teardown was interrupted; run it again"), "{}", run.stdout);
}
