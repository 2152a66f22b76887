//! A service of the repository in another language, run from its folder by a command of its own.

use super::client::Hammer;
use super::failure::{count, supervisor};
use super::sandbox::{Run, Sandbox, eventually, failure, get, scratch};
use base::os;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SERVER: &str = include_str!("greeter/server.py");
const PREPARE: &str = include_str!("greeter/prepare.py");
/// As a person writes it who knows of `PORT` alone.
const RUN: &str =
    "run = [\"python3\", \"server.py\"]\nprepare = [\"python3\", \"prepare.py\"]\nreads = [\"needs.txt\"]\n";

/// A repository without a single crate, and `greeter` in it.
struct Greeter {
    sandbox: Sandbox,
}

impl Greeter {
    fn new(name: &str, host: &str) -> Self {
        let root = scratch().join(format!("folder-{name}"));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("deploy/environments")).unwrap();
        // What lies around it is another repository.
        std::fs::create_dir_all(root.join(".git")).unwrap();
        write(root.join("Cargo.toml"), "[workspace]\nmembers = []\nresolver = \"3\"\n");
        write(root.join(".gitignore"), "made/\n.slipway/\n");
        write(root.join("deploy/images.toml"), "greeter = \"docker.io/library/greeter:1\"\n");
        write(root.join("greeter/server.py"), SERVER);
        write(root.join("greeter/prepare.py"), PREPARE);
        write(root.join("greeter/needs.txt"), "flask");
        write(root.join("greeter/greeting.txt"), "hello");
        write(root.join("deploy/systems/greeter.toml"), &contract(8080, host));
        Self { sandbox: Sandbox::in_own_repository(root, name) }
    }

    fn write(&self, path: &str, text: &str) {
        write(self.sandbox.root.join("greeter").join(path), text);
    }

    fn declare(&self, host: &str) {
        write(self.sandbox.root.join("deploy/systems/greeter.toml"), &contract(8080, host));
    }

    /// Deploys with this result.
    #[track_caller]
    fn deploys(&self, result: &str) -> Run {
        let run = self.sandbox.xtask(["deploy", "--json"]).success();
        assert_eq!(run.json()["result"], result, "{:#}\n{}", run.json(), run.stderr);
        run
    }

    fn says(&self) -> String {
        get(&self.sandbox.via("greeter"), "/").unwrap().1
    }

    fn plan(&self) -> String {
        self.sandbox.xtask(["plan"]).success().stdout
    }

    /// How often it was prepared.
    fn prepared(&self) -> usize {
        let made = self.sandbox.root.join("greeter/made/log");
        std::fs::read_to_string(made).unwrap_or_default().lines().count()
    }
}

fn contract(port: u16, host: &str) -> String {
    format!(
        "description = \"A test's own\"\n\n[services.greeter]\nimage = \"greeter\"\nport = {port}\npublic = true\n\
         ready = {{ http = \"/\" }}\nready_within = \"20s\"\nstop_within = \"3s\"\n\n[services.greeter.host]\n\
         dir = \"greeter\"\n{host}\n\n[[smoke]]\nname = \"it says something\"\nservice = \"greeter\"\n\
         request = \"GET /\"\nstatus = 200\n"
    )
}

fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn has_python() -> skip::Found<PathBuf> {
    skip::program(&["python3"], "XTASK_REQUIRE_PYTHON")
}

#[test]
fn a_command_is_deployed_replaced_and_removed_like_a_crate() {
    skip::unless!(has_python());
    let greeter = Greeter::new("greeter", RUN);
    let preview = greeter.sandbox.xtask(["deploy", "--dry-run"]).success().stdout;
    assert!(
        preview.contains("python3 prepare.py") && preview.contains("without a gap where it listens on"),
        "{preview}"
    );
    greeter.deploys("deployed");
    assert!(greeter.says().starts_with("hello from"));
    assert_eq!(greeter.prepared(), 1);
    greeter.write(".server.py.swp", "an editor's");
    greeter.write("made/more", "what git ignores");
    greeter.deploys("unchanged");

    greeter.write("greeting.txt", "good evening");
    let plan = greeter.plan();
    assert!(plan.contains("greeter/greeting.txt changed") && plan.contains("takes over without a gap"), "{plan}");
    let hammer = Hammer::start(&greeter.sandbox.via("greeter"), 200);
    greeter.deploys("deployed");
    let seen = hammer.until_answered("good evening");
    for client in &seen {
        assert!(client.failures.is_empty(), "{:?}", client.failures);
        assert!(client.bodies[0].starts_with("hello"));
    }
    assert_eq!(greeter.prepared(), 1, "what it reads is as it was");
    greeter.write("needs.txt", "django");
    greeter.deploys("deployed");
    assert_eq!(greeter.prepared(), 2);
    greeter.deploys("unchanged");
    assert_eq!(count(&greeter.sandbox, "server.py"), 1);

    let via = greeter.sandbox.via("greeter");
    greeter.sandbox.xtask(["teardown", "--yes"]).success();
    assert_eq!(greeter.sandbox.processes().len(), 0);
    assert!(get(&via, "/").is_err() && !greeter.sandbox.home().exists());
}

#[test]
fn what_fails_to_be_prepared_leaves_the_old_version_serving() {
    skip::unless!(has_python());
    let greeter = Greeter::new("prepare-fails", RUN);
    greeter.deploys("deployed");
    greeter.write("needs.txt", "nothing-that-exists");
    let failed = failure(&greeter.sandbox.xtask(["deploy", "--json"]).exits(1));
    assert_eq!(failed["step"], "prepare:greeter");
    let cause = failed["cause"].as_str().unwrap();
    assert!(cause.contains("resolving nothing-that-exists") && cause.contains("no version of"), "{cause}");
    assert!(greeter.says().starts_with("hello from"));

    greeter.write("needs.txt", "litter");
    let failed = failure(&greeter.sandbox.xtask(["deploy", "--json"]).exits(1));
    let cause = failed["cause"].as_str().unwrap();
    assert!(cause.contains("greeter/litter.txt added"), "{cause}");
    write(greeter.sandbox.root.join(".gitignore"), "made/\n.slipway/\nlitter.txt\n");
    greeter.deploys("deployed");
}

#[test]
fn a_program_that_is_missing_is_named_with_what_enables_it() {
    skip::unless!(has_python());
    let missing = "run = [\"no-such-runtime\", \"a\"]\nenable = \"apt install no-such-runtime\"";
    let greeter = Greeter::new("no-runtime", missing);
    let why = "`greeter` needs `no-such-runtime`, which is not on PATH; to enable it: apt install no-such-runtime";
    let run = greeter.deploys("unchanged");
    assert_eq!(run.json()["systems"][0]["reason"], why);
    greeter.declare("run = [\"./no-such-file\"]");
    let reason = greeter.deploys("unchanged").json()["systems"][0]["reason"].to_string();
    assert!(reason.contains("`greeter/./no-such-file`, which is not there"), "{reason}");
    greeter.declare(RUN);
    greeter.deploys("deployed");
    greeter.declare(missing);
    let failed = failure(&greeter.sandbox.xtask(["deploy", "--json"]).exits(1));
    assert!(failed["cause"].as_str().unwrap().contains(why), "{failed:#}");
    assert!(greeter.says().starts_with("hello from"));
}

#[test]
fn what_cannot_run_beside_another_version_stops_first_and_the_plan_says_so() {
    skip::unless!(has_python());
    let port = free_port();
    let itself = format!("run = [\"python3\", \"server.py\", \"{port}\"]");
    let greeter = Greeter::new("stubborn", &itself);
    let declare = |host: &str| {
        write(greeter.sandbox.root.join("deploy/systems/greeter.toml"), &contract(port, host));
    };
    let xtask = |verb: &str| greeter.sandbox.xtask([verb, "--set", "ports=declared"]).success().stdout;
    declare(&itself);
    xtask("deploy");
    greeter.write("greeting.txt", "good evening");
    let plan = xtask("plan");
    assert!(plan.contains(&format!("stops first: it listens on {port} itself")), "{plan}");
    xtask("deploy");
    assert!(greeter.says().starts_with("good evening"));

    declare("run = [\"python3\", \"server.py\", \"${port}\"]\n[services.greeter.env]\nSTORE = \"${data}\"");
    let plan = xtask("plan");
    assert!(plan.contains("a version stops before the next one starts: it stores data"), "{plan}");
    xtask("deploy");
    assert!(greeter.says().starts_with("good evening"));
}

#[test]
fn it_is_started_again_and_nothing_is_left_of_it_without_its_supervisor() {
    skip::unless!(has_python());
    let greeter = Greeter::new("watched", "run = [\"python3\", \"server.py\", \"${port}\"]");
    greeter.deploys("deployed");
    let via = greeter.sandbox.via("greeter");
    assert!(get(&via, "/crash").is_err());
    eventually("it is started again", || match greeter.sandbox.status("greeter")["restarts"].as_u64() {
        Some(1) => get(&via, "/"),
        other => Err(format!("{other:?}")),
    });
    let process = supervisor(&greeter.sandbox);
    os::signal(&process, Signal::SIGKILL);
    assert!(os::wait_gone(&process, Instant::now() + Duration::from_secs(10)));
    greeter.deploys("deployed");
    assert_eq!(count(&greeter.sandbox, "server.py"), 1);
    assert!(greeter.says().starts_with("hello from"));
}

#[test]
fn an_earlier_revision_needs_the_folder_as_it_was() {
    skip::unless!(has_python());
    let greeter = Greeter::new("back", "run = [\"python3\", \"server.py\"]");
    greeter.deploys("deployed");
    greeter.write("greeting.txt", "good evening");
    greeter.deploys("deployed");
    let refused = greeter.sandbox.xtask(["rollback", "greeter"]).exits(1);
    assert!(refused.stderr.contains("is not what it was: greeter/greeting.txt changed"), "{}", refused.stderr);
    assert!(greeter.says().starts_with("good evening"));
    greeter.write("greeting.txt", "hello");
    greeter.sandbox.xtask(["rollback", "greeter"]).success();
    assert!(greeter.says().starts_with("hello from"));
}

/// A port that nothing listens on.
fn free_port() -> u16 {
    base::ports::free(std::net::Ipv4Addr::LOCALHOST.into()).unwrap().local_addr().unwrap().port()
}
