//! Jobs in a cluster: before a release once what they need is there, once for each change, asked, and by the clock.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::sandbox::failure;
use serde_json::Value;
use std::fs;

/// A system whose job before the release ends so.
fn system(greeting: &str, code: u8) -> String {
    let service = |name: &str, more: &str| {
        format!(
            "[services.{name}]\nimage = \"redis\"\nport = 6379\nready = {{ tcp = {{}} }}\nstop_within = \"2s\"\n\
             args = [\"redis-server\", \"--save\", \"\", \"--protected-mode\", \"no\"]\n{more}\n\
             [services.{name}.container]\nuser = \"999\"\n"
        )
    };
    let front = format!("needs = [\"store\"]\nenv = {{ GREETING = \"{greeting}\" }}\n");
    // The network may hear of a new pod only after it has begun.
    let wait = "until redis-cli -h store ping > /dev/null 2>&1; do sleep 0.2; done";
    let job = |name: &str, script: &str, more: &str| {
        format!("[jobs.{name}]\nof = \"front\"\ncommand = [\"sh\", \"-c\", \"{wait}; {script}\"]\n{more}\n")
    };
    let migrate = format!("echo $$GREETING; redis-cli -h store incr migrations; exit {code}");
    [
        "description = \"a test's own\"\n".to_owned(),
        service("store", "replicas = 1\n"),
        service("front", &front),
        job("migrate", &migrate, "when = \"before\""),
        job("seed", "redis-cli -h store set seeded $$GREETING", "when = \"after\""),
        job("count", "redis-cli -h store get migrations; redis-cli -h store get seeded", "when = \"asked\""),
        job("slow", "echo begun; exec sleep 600", "when = \"asked\"\nwithin = \"3s\""),
        job("backup", "redis-cli -h store ping", "schedule = \"30 2 * * mon-fri\""),
    ]
    .concat()
}

fn object(deployment: &Deployment, kind: &str, name: &str) -> Value {
    deployment.kubectl("depot", ["get", kind, name, "--output", "json"]).success().json()
}

#[test]
fn a_release_runs_its_jobs_once_what_they_need_is_there() {
    let deployment = skip::unless!(Deployment::with_own_copy("jobs"));
    let declare = |greeting, code| {
        fs::write(deployment.sandbox.root.join("deploy/systems/depot.toml"), system(greeting, code)).unwrap();
    };
    declare("hello", 0);
    let document = deployment.deploy(&["depot"]);
    assert_eq!(document["result"], "deployed", "{document:#}");
    let journal = format!("runs/{}.ndjson", document["run"].as_str().unwrap());
    let journal = fs::read_to_string(deployment.sandbox.home().join(journal)).unwrap();
    assert!(journal.contains(r#""text":"hello""#) && journal.contains(r#""text":"OK""#), "{journal}");
    assert_eq!(deployment.deploy(&["depot"])["result"], "unchanged");
    let run = deployment.sandbox.xtask(["run", "count"]).success();
    assert_eq!(run.stdout, "1\nhello\n", "{}", run.stderr);
    let backup = object(&deployment, "cronjob", "backup");
    assert_eq!(
        (&backup["spec"]["schedule"], &backup["spec"]["suspend"]),
        (&"30 2 * * 1,2,3,4,5".into(), &false.into())
    );
    assert_eq!(object(&deployment, "cronjob", "migrate")["spec"]["suspend"], true);
    assert_eq!(deployment.kubectl("depot", ["get", "jobs", "--output", "name"]).success().stdout, "");

    declare("good day", 3);
    let failed = failure(&deployment.fails(&["depot"]));
    let cause = failed["cause"].as_str().unwrap();
    assert!(failed["code"] == "job-failed" && cause.contains("`migrate` exited with code 3"), "{cause}");
    assert!(cause.contains("good day") && cause.contains("revision 1 serves again"), "{cause}");
    let front = object(&deployment, "deployment", "front");
    assert!(front.to_string().contains("\"hello\""), "{front:#}");
    let run = deployment.sandbox.xtask(["run", "depot/slow"]).exits(1);
    assert!(run.stdout == "begun\n" && run.stderr.contains("longer than the 3s of its `within`"), "{}", run.stderr);
    let status = deployment.sandbox.xtask(["status", "depot", "--json"]).success().json();
    let jobs = status["systems"][0]["jobs"].as_array().unwrap();
    let migrate = jobs.iter().find(|job| job["name"] == "migrate").unwrap();
    assert_eq!(migrate["last"]["detail"], "exited with code 3", "{status:#}");
}
