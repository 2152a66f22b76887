//! What services reach beyond their system, and a public name that several of them share.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::{BUSYBOX, Deployment, unique};
use super::sandbox::{get, scratch};
use super::stranger::of_votes;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

const REST: &str = r#"
[[smoke]]
name = "all else is the other's"
service = "vote"
request = "GET /"
status = 200
contains = "vote"

[services.store]
image = "busybox"
stop_within = "1s"
port = 8000
ready = { tcp = {} }
[services.store.container]
user = "65532"
command = ["busybox", "httpd", "-f", "-p", "8000", "-h", "/tmp"]
health = ["busybox", "true"]

[[denied]]
to = "store"
from = "outside"
"#;

fn repository() -> PathBuf {
    of_votes(scratch().join(unique("network")), BUSYBOX, "vote", REST)
}

/// Somebody beyond the networks of containers: this machine, at the address that leads away from it.
fn beyond() -> SocketAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent.
    socket.connect("198.51.100.1:9").unwrap();
    let ip: IpAddr = socket.local_addr().unwrap().ip();
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nbeyond");
        }
    });
    address
}

/// What a service gets from there, or why not.
fn asks(deployment: &Deployment, service: &str, url: &str) -> (bool, String) {
    let container = deployment.container(service);
    let run = deployment.engine.run(["exec", container["Id"].as_str().unwrap(), "busybox", "wget", "-q", "-O-", url]);
    (run.code() == 0, format!("{}{}", run.stdout, run.stderr))
}

#[test]
fn what_is_reached_is_named_and_a_public_name_is_shared_by_path() {
    let deployment = skip::unless!(Deployment::in_folder(repository, "network"));
    let beyond = format!("http://{}/", beyond());
    let first = deployment.deploy(&[]);
    assert_eq!(first["result"], "deployed", "{first:#}");
    shares_its_name(&deployment);
    for service in ["vote", "result"] {
        let (reached, said) = asks(&deployment, service, &beyond);
        assert!(!reached, "`{service}` reaches {beyond}: {said}");
    }
    nothing_of_a_stranger_is_reached_from_outside(&deployment);

    let file = deployment.sandbox.root.join("deploy/systems/votes.toml");
    edit(&file, "needs = [\"vote\"]\n", "needs = [\"vote\"]\nreaches = [\"internet:443\"]\n");
    let plan = deployment.sandbox.xtask(["plan", "--json"]).success().json();
    let planned = plan["systems"][0]["services"].as_array().unwrap();
    assert_eq!(planned.len(), 1, "{plan:#}");
    assert!(planned[0]["why"].to_string().contains("it reaches `internet:443`, and all else"), "{plan:#}");
    let old = Deployed::running(&deployment, "result");
    let other = Deployed::running(&deployment, "vote");
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    deployment.is_replaced("result", &old);
    assert_eq!(Deployed::running(&deployment, "vote"), other);
    assert_eq!(asks(&deployment, "result", &beyond), (true, "beyond".to_owned()));
    assert_eq!(asks(&deployment, "result", "http://vote:8000/"), (true, "vote".to_owned()), "it is found by its name");
    assert!(!asks(&deployment, "vote", &beyond).0);
    shares_its_name(&deployment);
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");

    edit(&file, "reaches = [\"internet:443\"]\n", "");
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    assert!(!asks(&deployment, "result", &beyond).0, "what is not named any more is closed again");
    deployment.ends_clean();
}

#[track_caller]
fn shares_its_name(deployment: &Deployment) {
    let (vote, result) = (deployment.sandbox.status("vote"), deployment.sandbox.status("result"));
    assert_eq!(vote["via"], result["via"], "one port is for both");
    let url = |status: &Value| status["url"].as_str().unwrap().to_owned();
    assert_eq!(url(&result), format!("{}result", url(&vote)));
    let via = vote["via"].as_str().unwrap();
    for (path, status, body) in
        [("/", 200, "vote"), ("/result/", 200, &*format!("result of http://{via}/result")), ("/results", 404, "")]
    {
        let (got, text) = get(via, path).unwrap();
        assert!(got == status && text.contains(body), "{path}: {got} {text}");
    }
}

/// There is no program of the repository's own to try it with.
#[track_caller]
fn nothing_of_a_stranger_is_reached_from_outside(deployment: &Deployment) {
    let smoke = deployment.sandbox.xtask(["smoke", "--json"]).success().json();
    let checks = smoke["systems"][0]["checks"].as_array().unwrap();
    let denied = checks.iter().find(|check| check["service"] == "store").unwrap();
    assert_eq!(denied["outcome"], "passed", "{smoke:#}");
}
