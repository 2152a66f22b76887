//! Secrets that whoever deploys gives reach a container, and nothing that others can read.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::sandbox::Run;
use serde_json::Value;

/// An engine's client goes by variables with the name of one of these.
const STORE: &str = r#"description = "A store with a password"
[secrets]
password = { from = "env", name = "STORE_PASSWORD" }
key = { from = "file", name = "store.key" }
[services.store]
image = "redis"
port = 6379
ready = { tcp = { send = "PING\r\n", expect = "-NOAUTH" } }
args = ["${file.redis.conf}"]
env = { CONTAINERS_TOLD = "${secret.password}", KEY = "${secret.key}" }
[services.store.files]
"redis.conf" = 'requirepass "${secret.password}"'
[services.store.container]
user = "999:999"
command = ["redis-server"]
[services.beside]
image = "redis"
port = 6380
ready = { tcp = { send = "PING\r\n", expect = "+PONG" } }
[services.beside.container]
user = "999:999"
command = ["redis-server", "--port", "6380", "--protected-mode", "no"]
"#;

const KEY: &str = "-----BEGIN KEY-----\nbGluZSBvbmUgb2YgdGhl\n-----END KEY-----\n";
const KEY_LINE: &str = "bGluZSBvbmUgb2YgdGhl";

/// Runs, and looks that neither what is said nor what others can see of any process has a secret.
#[track_caller]
fn run(deployment: &Deployment, password: &str, args: &[&str]) -> Run {
    let run = Run::of(deployment.sandbox.command(args).env("STORE_PASSWORD", password));
    let mut seen = vec![run.stdout.clone(), run.stderr.clone()];
    seen.extend(deployment.sandbox.processes().into_iter().map(|process| process.command));
    for container in deployment.running("store") {
        seen.push(container["Config"]["CreateCommand"].to_string());
        seen.push(container["Args"].to_string());
    }
    for entry in std::fs::read_dir(deployment.sandbox.home().join("runs")).into_iter().flatten().flatten() {
        seen.push(std::fs::read_to_string(entry.path()).unwrap());
    }
    let secrets = ["first-of-the-store", "second-of-the-store", KEY_LINE];
    let told = seen.iter().find(|text| secrets.iter().any(|secret| text.contains(secret)));
    assert!(told.is_none(), "{args:?}: {told:?}");
    run
}

#[test]
fn a_container_gets_the_secrets_that_are_given() {
    let deployment = skip::unless!(Deployment::with_own_copy("secrets"));
    let root = &deployment.sandbox.root;
    std::fs::write(root.join("deploy/systems/store.toml"), STORE).unwrap();
    std::fs::create_dir_all(root.join("deploy/secrets")).unwrap();
    let missing = run(&deployment, "", &["deploy", "store", "--json"]).exits(3).json();
    assert_eq!(missing["failure"]["code"], "secrets-missing", "{missing:#}");
    std::fs::write(root.join("deploy/secrets/store.key"), KEY).unwrap();
    let deploy = |password: &str| {
        let document: Value = run(&deployment, password, &["deploy", "store", "--json"]).success().json();
        document["result"].as_str().unwrap().to_owned()
    };
    let has = |password: &str| {
        assert!(deployment.has_variable("store", "CONTAINERS_TOLD", password));
        assert!(deployment.has_variable("store", "KEY", KEY));
    };
    assert_eq!(deploy("first-of-the-store"), "deployed");
    has("first-of-the-store");
    let beside = deployment.container("beside")["Id"].clone();
    assert_eq!(deploy("first-of-the-store"), "unchanged");
    assert_eq!(deploy("second-of-the-store"), "deployed");
    has("second-of-the-store");
    run(&deployment, "", &["rollback", "store"]).success();
    has("first-of-the-store");
    assert_eq!(deployment.container("beside")["Id"], beside);
}
