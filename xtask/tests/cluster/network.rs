//! What services reach beyond their system, a public name that several of them share, and what is proven of both where
//! everything is other people's images.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::Deployment;
use super::kubectl::text;
use super::repeated::mark;
use super::sandbox::{Run, eventually, get, scratch};
use super::stranger::{of_votes, with_charts};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

const REST: &str = r#"
[services.store]
image = "busybox"
stop_within = "1s"
port = 8000
replicas = 1
ready = { http = "/" }
[services.store.container]
user = "65532"
command = ["busybox", "httpd", "-f", "-p", "8000", "-h", "/srv"]
[services.store.files]
page = { text = "store", at = "/srv/index.html" }

[[denied]]
to = "store"
from = "outside"

[[denied]]
to = "store"
from = "other-services"
"#;

fn repository() -> PathBuf {
    let root = scratch().join(format!("e2e-cluster-{}-network", mark()));
    with_charts(of_votes(root, "docker.io/library/busybox:1.37", "store", REST))
}

/// The sets of pods of a service. A pod of nobody's is one of ours that tries whether something can be reached.
fn sets(deployment: &Deployment, service: &str) -> BTreeSet<String> {
    let pods = deployment.pods("votes", service);
    let sets = pods.iter().map(|pod| text(pod, "/metadata/ownerReferences/0/uid").to_owned());
    sets.filter(|set| !set.is_empty()).collect()
}

/// A pod of nobody's that answers, and its address.
struct Beyond<'d>(&'d Deployment, String);

impl<'d> Beyond<'d> {
    fn start(deployment: &'d Deployment) -> Self {
        let name = format!("beyond-{}", deployment.id());
        deployment.cluster.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                "name": "beyond", "image": "docker.io/library/busybox:1.37",
                "command": ["busybox", "httpd", "-f", "-p", "8000", "-h", "/etc"],
            }]},
        }));
        let beyond = Self(deployment, name);
        let wait = ["wait", "--namespace=default", "--for=condition=Ready", "--timeout=60s", "pod", &beyond.1];
        deployment.cluster.run(wait).success();
        beyond
    }

    fn address(&self) -> String {
        let pod = self.0.cluster.json(["get", "pod", &self.1, "--namespace=default"]);
        pod["status"]["podIP"].as_str().unwrap().to_owned()
    }
}

impl Drop for Beyond<'_> {
    fn drop(&mut self) {
        self.0.cluster.run(["delete", "pod", &self.1, "--namespace=default", "--ignore-not-found", "--wait=false"]);
    }
}

/// Whether a service reaches an address.
fn asks(deployment: &Deployment, service: &str, address: &str) -> Run {
    let (namespace, url) = (deployment.namespace("votes"), format!("http://{address}:8000/hostname"));
    let target = format!("deployment/{service}");
    deployment.cluster.run(["exec", "--namespace", &namespace, &target, "--", "busybox", "wget", "-q", "-O-", &url])
}

#[test]
fn what_is_reached_is_named_and_a_public_name_is_shared_by_path() {
    let deployment = skip::unless!(Deployment::in_folder(repository, "network"));
    let beyond = Beyond::start(&deployment);
    let address = beyond.address();
    let first = deployment.deploy(&[]);
    assert_eq!(first["result"], "deployed", "{first:#}");
    let smoke = deployment.sandbox.xtask(["smoke", "--json"]).success().json();
    for check in smoke["systems"][0]["checks"].as_array().unwrap() {
        assert_eq!(check["outcome"], "passed", "{check:#}");
    }
    shares_its_name(&deployment);
    assert_ne!(asks(&deployment, "result", &address).code(), 0);

    let file = deployment.sandbox.root.join("deploy/systems/votes.toml");
    let named = format!("reaches = [\"{address}/32:8000\", \"internet:443\"]\n");
    edit(&file, "needs = [\"store\"]\n", &format!("needs = [\"store\"]\n{named}"));
    let plan = deployment.sandbox.xtask(["plan", "--json"]).success().stdout;
    assert!(plan.contains(&format!("it reaches `{address}/32:8000`, `internet:443`")), "{plan}");
    let before = sets(&deployment, "result");
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    assert_eq!(sets(&deployment, "result"), before, "its rules alone are others");
    eventually("the network lets it out", || {
        let run = asks(&deployment, "result", &address);
        if run.code() == 0 { Ok(()) } else { Err(run.stderr) }
    });
    assert_ne!(asks(&deployment, "vote", &address).code(), 0);
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
    drop(beyond);
    deployment.ends_clean();
}

#[track_caller]
fn shares_its_name(deployment: &Deployment) {
    let (vote, result) = (deployment.sandbox.status("vote"), deployment.sandbox.status("result"));
    let url = |status: &Value| status["url"].as_str().unwrap().to_owned();
    assert_eq!(url(&result), format!("{}result", url(&vote)));
    let place = Deployment::place(deployment, "vote");
    assert_eq!(get(&place, "/").unwrap(), (200, "vote".to_owned()));
    assert_eq!(get(&place, "/result/").unwrap(), (200, format!("result of {}", url(&result))));
}
