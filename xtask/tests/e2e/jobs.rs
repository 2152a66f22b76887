//! Programs that end: before and after a release, when asked, by the clock.

use super::sandbox::{Run, Sandbox, failure, get, scratch};
use serde_json::Value;
use std::path::PathBuf;

const SERVER: &str = include_str!("greeter/server.py");
/// Says what it does, and whether its service serves by now; ends as it is told to.
const JOB: &str = r#"
import os, socket, sys, time
name, code = sys.argv[1], int(sys.argv[2])
with socket.socket() as connection:
    serves = connection.connect_ex(("127.0.0.1", int(os.environ["PORT"]))) == 0
print(f"{name} of {os.environ['GREETING']}", flush=True)
open("../ran.log", "a").write(f"{name} {'beside' if serves else 'without'}\n")
if code == 99:
    time.sleep(600)
print("it is done" if code == 0 else "it went wrong", file=sys.stderr)
sys.exit(code)
"#;

struct Shop {
    sandbox: Sandbox,
}

impl Shop {
    fn new(name: &str) -> Self {
        let root = scratch().join(format!("jobs-{name}"));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("deploy/environments")).unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        write(root.join("Cargo.toml"), "[workspace]\nmembers = []\nresolver = \"3\"\n");
        write(root.join(".gitignore"), ".slipway/\n");
        write(root.join("deploy/images.toml"), "greeter = \"docker.io/library/greeter:1\"\n");
        // What it says goes with the version, and is not what lies in the folder by now.
        let server = SERVER.replace("open(\"greeting.txt\").read().strip()", "os.environ[\"GREETING\"]");
        write(root.join("greeter/server.py"), &server);
        write(root.join("greeter/job.py"), JOB);
        write(root.join("deploy/systems/shop.toml"), "description = \"x\"\n[services]\n");
        Self { sandbox: Sandbox::in_own_repository(root, name) }
    }

    /// Declares the service, told this, and these jobs.
    fn declare(&self, greeting: &str, jobs: &str) {
        let text = format!(
            "description = \"A test's own\"\n[services.greeter]\nimage = \"greeter\"\nport = 8080\npublic = true\n\
             ready = {{ http = \"/\" }}\nstop_within = \"3s\"\nenv = {{ GREETING = \"{greeting}\" }}\n\
             [services.greeter.host]\ndir = \"greeter\"\nrun = [\"python3\", \"server.py\"]\n{jobs}\n\
             [[smoke]]\nname = \"it answers\"\nservice = \"greeter\"\nrequest = \"GET /\"\nstatus = 200\n"
        );
        write(self.sandbox.root.join("deploy/systems/shop.toml"), &text);
    }

    #[track_caller]
    fn deploys(&self, result: &str) -> Value {
        let run = self.sandbox.xtask(["deploy", "--json"]).success();
        assert_eq!(run.json()["result"], result, "{:#}\n{}", run.json(), run.stderr);
        run.json()
    }

    #[track_caller]
    fn fails(&self, words: &[&str]) {
        let run = self.sandbox.xtask(["deploy", "--json"]);
        assert_eq!(run.code(), 1, "{}", run.stderr);
        let cause = failure(&run)["cause"].as_str().unwrap().to_owned();
        assert!(words.iter().all(|word| cause.contains(word)), "{cause}");
        assert_eq!(failure(&run)["code"], "job-failed");
    }

    fn says(&self) -> String {
        get(&self.sandbox.via("greeter"), "/").unwrap().1
    }

    /// What ran since it was last asked, and whether its service served then.
    fn ran(&self) -> String {
        let path = self.sandbox.root.join("ran.log");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        text.lines().collect::<Vec<_>>().join(", ")
    }

    fn run(&self, job: &str) -> Run {
        self.sandbox.xtask(["run", job])
    }

    /// The jobs as `status` has them.
    fn jobs(&self) -> Value {
        self.sandbox.xtask(["status", "--json"]).success().json()["systems"][0]["jobs"].clone()
    }
}

fn write(path: PathBuf, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn job(name: &str, code: u8, more: &str) -> String {
    format!("[jobs.{name}]\nof = \"greeter\"\ncommand = [\"python3\", \"job.py\", \"{name}\", \"{code}\"]\n{more}\n")
}

const BEFORE: &str = "when = \"before\"";
const AFTER: &str = "when = \"after\"";

#[test]
fn a_release_runs_its_jobs_once_for_each_change_and_one_that_fails_stops_it() {
    skip::unless!(skip::program(&["python3"], "XTASK_REQUIRE_PYTHON"));
    let shop = Shop::new("release");
    let jobs = |migrate: u8, limit: &str, seed: u8| {
        job("migrate", migrate, &format!("{BEFORE}\n{limit}"))
            + &job("seed", seed, AFTER)
            + &job("console", 0, "when = \"asked\"")
            + &job("broken", 4, "when = \"asked\"")
            + &job("backup", 0, "schedule = \"0 0 1 1 *\"")
    };
    shop.declare("hello", &jobs(0, "", 0));
    let preview = shop.sandbox.xtask(["deploy", "--dry-run"]).success().stdout;
    assert!(
        preview.contains("`python3 job.py migrate 0` of `greeter`, before a release, since it has not run yet"),
        "{preview}"
    );
    let plan = shop.sandbox.xtask(["plan"]).success().stdout;
    assert!(plan.contains("the job seed would run after a release, since it has not run yet"), "{plan}");
    assert!(shop.jobs()[0]["last"].is_null());
    let document = shop.deploys("deployed");
    assert_eq!(shop.ran(), "migrate without, seed beside");
    let journal = format!("runs/{}.ndjson", document["run"].as_str().unwrap());
    let journal = std::fs::read_to_string(shop.sandbox.home().join(journal)).unwrap();
    assert!(journal.contains(r#""event":"output""#) && journal.contains("seed of hello"), "{journal}");
    shop.deploys("unchanged");
    assert_eq!(shop.ran(), "");

    // The version that ran serves on.
    shop.declare("good day", &jobs(3, "", 0));
    shop.fails(&["`migrate` exited with code 3", "migrate of good day", "it went wrong"]);
    assert!(shop.says().starts_with("hello from"));
    assert_eq!(shop.ran(), "migrate beside");
    let failed = &shop.jobs().as_array().unwrap().iter().find(|job| job["name"] == "migrate").unwrap()["last"].clone();
    assert_eq!((&failed["result"], &failed["detail"]), (&"failed".into(), &"exited with code 3".into()));
    shop.declare("good day", &jobs(99, "within = \"1s\"", 0));
    shop.fails(&["took longer than the 1s of its `within`", "migrate of good day"]);
    assert!(shop.says().starts_with("hello from"));
    // Nothing of it runs on, and after the release the new version goes back.
    assert!(!shop.sandbox.processes().iter().any(|process| process.command.contains("job.py")));
    shop.declare("good day", &jobs(0, "", 5));
    shop.fails(&["`seed` exited with code 5", "serves again"]);
    assert!(shop.says().starts_with("hello from"));
    shop.ran();
    shop.declare("good day", &jobs(0, "", 0));
    shop.deploys("deployed");
    // For the first it has run, in the release that failed.
    assert_eq!(shop.ran(), "seed beside");
    assert!(shop.says().starts_with("good day from"));

    shop.sandbox.xtask(["rollback", "shop"]).success();
    assert!(shop.says().starts_with("hello from"));
    assert_eq!(shop.ran(), "");
    asked(&shop);
    undeclared(&shop);
}

fn asked(shop: &Shop) {
    let run = shop.run("console").success();
    // What is deployed is what a rollback went back to.
    assert_eq!(run.stdout, "console of hello\nit is done\n", "{}", run.stderr);
    assert_eq!(shop.ran(), "console beside");
    let run = shop.run("shop/broken");
    assert_eq!(run.code(), 1);
    assert!(run.stderr.contains("exited with code 4") && run.stdout.contains("it went wrong"), "{}", run.stderr);
    shop.run("backup").success();
    assert_eq!(shop.ran(), "broken beside, backup beside");
    let run = shop.run("consolle");
    assert!(run.code() == 2 && run.stderr.contains("did you mean `console`"), "{}", run.stderr);
}

fn undeclared(shop: &Shop) {
    shop.declare("hello", &job("migrate", 0, BEFORE));
    shop.deploys("deployed");
    let jobs = shop.jobs();
    let names: Vec<_> = jobs.as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["migrate"]);
    let ran = shop.ran();
    assert_eq!(ran, "migrate beside", "it went forward since");
    shop.deploys("unchanged");
    shop.sandbox.xtask(["teardown", "--yes", "--keep-data"]).success();
    shop.sandbox.xtask(["teardown", "--yes"]).success();
    assert!(!shop.sandbox.home().exists());
}
