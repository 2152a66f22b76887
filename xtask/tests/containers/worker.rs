//! A service without a port, and one with several, in containers.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::sandbox::get;
use super::strangers::repository;
use serde_json::Value;
use std::fs;

const PAGES: &str = "FROM busybox:1.37\nCOPY index.html /site/index.html\nUSER 65532\n\
    CMD [\"busybox\", \"sh\", \"-c\", \"busybox httpd -p 9000 -h /site; exec busybox httpd -f -p 8000 -h /site\"]\n";
const WORKER: &str = "FROM busybox:1.37\nUSER 65532\n\
    CMD [\"busybox\", \"sh\", \"-c\", \"echo $WHO $MORE; [ -z \\\"$BROKEN\\\" ] || exit 7; exec busybox sleep 1000\"]\n";

/// `WHO` is the worker's name of itself.
fn system(who: &str, worker: &str, pages: &str) -> String {
    format!(
        "description = \"Pages\"\n[services.pages]\ndockerfile = \"pages\"\npublic = true\nready = {{ http = \"/\" }}\n\
         stop_within = \"1s\"\n{pages}\n[services.pages.ports]\nmain = {{ port = 8000 }}\n\
         more = {{ port = 9000, speaks = \"http\", public = true }}\n[services.worker]\ndockerfile = \"worker\"\n\
         needs = [\"pages\"]\nstop_within = \"1s\"\n{worker}\nenv = {{ WHO = \"{who}\", MORE = \"${{pages.address.more}}\" }}\n\
         [[smoke]]\nname = \"it answers\"\nservice = \"pages\"\nrequest = \"GET /\"\nstatus = 200\n"
    )
}

#[test]
fn workers_and_further_ports_are_deployed_replaced_and_removed() {
    let deployment = skip::unless!(Deployment::in_folder(|| repository("worker"), "worker"));
    let (sandbox, root) = (&deployment.sandbox, &deployment.sandbox.root);
    let declare = |text: &str| fs::write(root.join("deploy/systems/pages.toml"), text).unwrap();
    fs::create_dir_all(root.join("worker")).unwrap();
    fs::write(root.join("pages/Dockerfile"), PAGES).unwrap();
    fs::write(root.join("worker/Dockerfile"), WORKER).unwrap();
    declare(&system("first", "ready = { runs = \"1s\" }", ""));
    deployment.deploy(&[]);
    let status = sandbox.status("worker");
    assert_eq!((&status["state"], &status["url"], &status["via"]), (&"running".into(), &Value::Null, &Value::Null));
    let logs = || sandbox.xtask(["logs", "worker"]).success().stdout;
    assert!(logs().contains("first pages:9000"), "{}", logs());
    let kept: Value = serde_json::from_str(&fs::read_to_string(sandbox.home().join("ports.json")).unwrap()).unwrap();
    let more = &kept["pages.more"];
    let more = more.as_u64().or(more["port"].as_u64()).unwrap();
    assert_eq!(get(&format!("127.0.0.1:{more}"), "/").unwrap().1, "index.html");
    assert_eq!(get(&sandbox.via("pages"), "/").unwrap().1, "index.html");
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");

    // One that ends before its time is no version, and a command inside says whether one is ready.
    declare(&system("second", "ready = { runs = \"3s\" }", "").replace("env = { WHO", "env = { BROKEN = \"1\", WHO"));
    let told = sandbox.xtask(["deploy", "--json"]).exits(1).stderr;
    assert!(told.contains("`worker` exited with code 7 before it was ready"), "{told}");
    assert_eq!(sandbox.status("worker")["state"], "running");
    let ready = "ready = { command = [\"busybox\", \"cat\", \"/proc/1/comm\"] }";
    declare(&system("third", ready, "env = { CHANGED = \"1\" }"));
    let plan = sandbox.xtask(["plan"]).success().stdout;
    assert!(plan.contains("its further ports are reached directly"), "{plan}");
    deployment.deploy(&[]);
    assert!(logs().contains("third pages:9000"), "{}", logs());
    assert_eq!(get(&format!("127.0.0.1:{more}"), "/").unwrap().1, "index.html");
    deployment.ends_clean();
}
