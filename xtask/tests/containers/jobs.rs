//! Jobs in containers: with what their service has, in its network, and gone once they have ended.

use super::deployment::Deployment;
use super::sandbox::failure;
use super::stranger::pin;
use std::fs;

/// A system whose first job ends so.
fn system(code: u8) -> String {
    format!(
        r#"description = "a stranger with jobs"

[services.depot]
image = "busybox"
stop_within = "1s"
port = 8000
public = true
ready = {{ http = "/page.txt" }}
args = ["${{port}}"]
env = {{ GREETING = "hello" }}
secrets = {{ token = {{ from = "generated" }} }}

[services.depot.files]
page = {{ text = "page of ${{secret.token}}", at = "/srv/page.txt", mode = "0444" }}

[services.depot.container]
user = "999:999"
command = ["busybox", "httpd", "-f", "-h", "/srv", "-p"]
health = ["busybox", "true"]

[jobs.migrate]
of = "depot"
command = ["busybox", "sh", "-c", "echo $$GREETING from $$(busybox id -u); exit {code}"]
when = "before"

[jobs.seed]
of = "depot"
command = ["busybox", "wget", "-q", "-O", "-", "http://depot:8000/page.txt"]
when = "after"

[jobs.slow]
of = "depot"
command = ["busybox", "sh", "-c", "echo begun; exec busybox sleep 600"]
when = "asked"
within = "2s"

[jobs.nothing]
of = "depot"
command = ["/nowhere/to/be/found"]
schedule = "0 0 1 1 *"

[[smoke]]
name = "it serves"
request = "GET /page.txt"
status = 200
"#
    )
}

#[test]
fn a_job_has_what_its_service_has_and_leaves_no_container() {
    let deployment = skip::unless!(Deployment::with_own_copy("jobs"));
    let root = deployment.sandbox.root.clone();
    pin(&root, &[("busybox", "docker.io/library/busybox:1.37")]);
    let declare = |code| fs::write(root.join("deploy/systems/depot.toml"), system(code)).unwrap();
    let deploy = || deployment.sandbox.xtask(["deploy", "depot", "--json"]);
    declare(0);
    let document = deploy().success().json();
    assert_eq!(document["result"], "deployed", "{document:#}");
    let journal = format!("runs/{}.ndjson", document["run"].as_str().unwrap());
    let journal = fs::read_to_string(deployment.sandbox.home().join(journal)).unwrap();
    assert!(journal.contains("hello from 999") && journal.contains(r#""text":"page of "#), "{journal}");
    assert_eq!(deploy().success().json()["result"], "unchanged");

    declare(3);
    let run = deploy();
    let failed = failure(&run);
    let cause = failed["cause"].as_str().unwrap();
    assert!(failed["code"] == "job-failed" && cause.contains("exited with code 3"), "{cause}");
    assert!(cause.contains("hello from 999"), "{cause}");
    let run = deployment.sandbox.xtask(["run", "slow"]);
    assert!(run.code() == 1 && run.stdout == "begun\n", "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("longer than the 2s of its `within`"), "{}", run.stderr);
    let run = deployment.sandbox.xtask(["run", "depot/nothing"]);
    assert!(run.code() == 1 && run.stderr.contains("/nowhere/to/be/found"), "{}", run.stderr);
    let left = deployment.engine.run(["ps", "-a", "-q", "--filter", "label=dev.slipway.job"]).success();
    let ours = left.stdout.lines().filter(|id| {
        let labels = deployment.engine.run(["inspect", id]).stdout;
        labels.contains(&deployment.sandbox.home().to_string_lossy().into_owned())
    });
    assert_eq!(ours.count(), 0);
}
