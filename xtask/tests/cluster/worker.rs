//! A service without a port, and one with several of which one is public, in a cluster.
//!
//! Nothing here gives load balancers an address, as in many a cluster. Where the test wants one it writes it into the
//! Service as a cloud would, and keeps it from going as long as a cloud needs; the cluster's own proxy leads there.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::kubectl::text;
use super::repeated::mark;
use super::sandbox::{eventually, get, scratch};
use super::stranger::{pin, repository, with_charts};
use serde_json::{Value, json};
use std::path::PathBuf;

const SYSTEM: &str = r#"description = "Pages"
[services.pages]
image = "busybox"
stop_within = "1s"
replicas = 1
public = true
ready = { http = "/" }
[services.pages.ports]
main = { port = 8000 }
more = { port = 9000, speaks = "http", host_port = 9100, public = true }
[services.pages.container]
user = "65532"
command = ["busybox", "sh", "-c", "busybox httpd -p 9000 -h /srv; exec busybox httpd -f -p 8000 -h /srv"]
[services.pages.files]
page = { text = "a page", at = "/srv/index.html" }

[services.worker]
image = "busybox"
stop_within = "1s"
replicas = 1
needs = ["pages"]
ready = { runs = "1s" }
env = { MORE = "${pages.address.more}" }
[services.worker.container]
user = "65532"
command = ["busybox", "sh", "-c", "until busybox wget -q -O- http://$MORE/; do sleep 1; done; echo; exec sleep 1000"]

[[smoke]]
name = "it answers"
service = "pages"
request = "GET /"
status = 200
"#;
/// Of a network for documentation: nobody else's.
const ADDRESS: &str = "192.0.2.77";
const BALANCER: &str = "pages-balancer";

fn pages() -> PathBuf {
    let root = scratch().join(format!("e2e-cluster-{}-worker", mark()));
    let root = repository(root, &[("deploy/systems/pages.toml", SYSTEM)]);
    pin(&root, &[("busybox", "docker.io/library/busybox:1.37")]);
    with_charts(root)
}

fn port(deployment: &Deployment) -> Value {
    deployment.sandbox.status("pages")["ports"][0].clone()
}

/// Gives the load balancer an address, as a cloud would, and has it stay until [`let_go`].
#[track_caller]
fn give_address(deployment: &Deployment) {
    let patch = |patch: &Value, more: &str| {
        let patch = format!("--patch={patch}");
        deployment.kubectl("pages", ["patch", "service", BALANCER, "--type=merge", &patch, more]).success();
    };
    patch(&json!({"metadata": {"finalizers": ["example.com/load-balancer"]}}), "--output=name");
    patch(&json!({"status": {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}}), "--subresource=status");
}

/// Lets go of it once it is to go, when all else of its namespace but that is there.
fn let_go(deployment: &Deployment) {
    let get = || deployment.kubectl("pages", ["get", "service", BALANCER, "--output=json"]).success().json();
    eventually("the load balancer is to go", || {
        let going = get()["metadata"]["deletionTimestamp"].is_string();
        if going { Ok(()) } else { Err("it stays".to_owned()) }
    });
    let namespace = deployment.cluster.json(["get", "namespace", &deployment.namespace("pages")]);
    assert_eq!(text(&namespace, "/status/phase"), "Active");
    let patch = "--patch={\"metadata\":{\"finalizers\":null}}";
    deployment.kubectl("pages", ["patch", "service", BALANCER, "--type=merge", patch]).success();
}

#[test]
fn workers_and_public_further_ports_are_deployed_reached_and_removed() {
    let deployment = skip::unless!(Deployment::in_folder(pages, "worker"));
    let plan = deployment.sandbox.xtask(["plan"]).success().stdout;
    assert!(plan.contains("it has a load balancer for `more`, "), "{plan}");
    let run = deployment.sandbox.xtask(["deploy"]).success();
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("`more` of `pages` has no address from outside after 2"), "{said}");
    let node = deployment.cluster.json(["get", "nodes"]);
    let node = text(&node, "/items/0/status/addresses/0/address").to_owned();
    let service = deployment.kubectl("pages", ["get", "service", BALANCER, "--output=json"]).success().json();
    let node_port = service["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    let leads = format!("port {node_port} of every node leads");
    assert!(said.contains(&leads), "{said}");
    assert_eq!(get(&format!("{node}:{node_port}"), "/").unwrap(), (200, "a page".to_owned()));
    assert!(port(&deployment)["address"].is_null() && port(&deployment).to_string().contains(&leads));
    assert_eq!(get(&Deployment::place(&deployment, "pages"), "/").unwrap(), (200, "a page".to_owned()));
    let logs = || deployment.sandbox.xtask(["logs", "worker"]).success().stdout;
    eventually("the worker has its page", || if logs().contains("a page") { Ok(()) } else { Err(logs()) });
    assert_eq!(deployment.sandbox.status("worker")["state"], "running");

    give_address(&deployment);
    assert_eq!(port(&deployment)["address"], format!("{ADDRESS}:9100"));
    let at = format!("{ADDRESS}:9100");
    eventually("its address leads there", || {
        get(&at, "/").and_then(|answer| if answer.0 == 200 { Ok(()) } else { Err(answer.1) })
    });
    assert_eq!(deployment.deploy(&["--verify"])["result"], "deployed");
    let told = deployment.sandbox.xtask(["status"]).success().stdout;
    assert!(told.lines().any(|line| line.contains("pages.more") && line.contains(&at)), "{told}");
    std::thread::scope(|scope| {
        scope.spawn(|| let_go(&deployment));
        deployment.ends_clean();
    });
}
