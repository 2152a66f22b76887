//! A registry that wants a password: images are pushed with what the engine's configuration has, and nodes pull with the
//! Secrets that the environment names.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::registry::{Door, PASSWORD, Server};
use super::repeated::mark;
use super::sandbox::{Run, failure, scratch};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The engine's configuration with the password, and the Secret of it in the namespace `default`; both gone in the end.
struct Password {
    deployment: Deployment,
    folder: PathBuf,
    secret: String,
}

impl Password {
    fn new(deployment: Deployment, host: &str) -> Self {
        let secret = format!("t{}-password", mark());
        let folder = scratch().join(&secret);
        std::fs::create_dir_all(&folder).unwrap();
        let auth = base::base64::encode(format!("me:{PASSWORD}").as_bytes());
        let config = json!({"auths": {host: {"auth": auth}}}).to_string();
        std::fs::write(folder.join("config.json"), &config).unwrap();
        Self { deployment, folder, secret }
    }

    fn xtask(&self, args: &[&str]) -> Run {
        Run::of(self.deployment.sandbox.command(args).env("DOCKER_CONFIG", &self.folder))
    }

    fn make_secret(&self) {
        let config = std::fs::read(self.folder.join("config.json")).unwrap();
        self.deployment.cluster.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": self.secret, "namespace": "default"},
            "data": {".dockerconfigjson": base::base64::encode(&config)},
        }));
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        let delete = ["delete", "secret", &self.secret, "--namespace=default", "--ignore-not-found"];
        self.deployment.cluster.run(delete);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn public_images_are_brought_to_where_nodes_pull_from() {
    let deployment = skip::unless!(Deployment::new("mirror"));
    deployment.sandbox.write_environment("mirror = true\n");
    let shown = deployment.sandbox.xtask(["deploy", "web", "--dry-run"]).success().stdout;
    assert!(shown.contains("mirror:tech-interview") && shown.contains("<digest of tech-interview>"), "{shown}");
    assert_eq!(deployment.deploy(&["web"])["result"], "deployed");
    assert_eq!(deployment.get("web", "/").unwrap(), (200, "OK".to_owned()));
    let pods = deployment.cluster.list("pods", &deployment.namespace("web"));
    let name = format!("{}/e2e-mirror/public.tech-interview@sha256:", deployment.cluster.registry);
    let image = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
    assert!(!pods.is_empty() && pods.iter().all(|pod| image(pod).starts_with(&name)), "{pods:#?}");
    assert_eq!(deployment.deploy(&["web"])["result"], "unchanged");
    deployment.ends_clean();
}

#[test]
fn nodes_sign_in_with_the_secrets_that_the_environment_names() {
    let server = skip::unless!(Server::start(Door::Locked));
    let deployment = skip::unless!(Deployment::with_registry("locked", &server.host()));
    let password = Password::new(deployment, &server.host());
    let deployment = &password.deployment;
    let deploy = ["deploy", "epoch", "--json"];

    let told = password.xtask(&deploy).exits(1);
    let failed = failure(&told);
    assert_eq!(failed["code"], "image-pull", "{failed:#}");
    deployment.sandbox.write_environment(&format!("pull_secrets = [\"{}\"]\n", password.secret));
    let missing = password.xtask(&deploy);
    assert_ne!(missing.code(), 0);
    assert!(
        missing.stderr.contains(&password.secret) && missing.stderr.contains("create secret"),
        "{}",
        missing.stderr
    );

    password.make_secret();
    let deployed = password.xtask(&deploy).success().json();
    assert_eq!(deployed["result"], "deployed", "{deployed:#}");
    assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
    let secrets = deployment.cluster.list("secrets", &deployment.namespace("epoch"));
    let is_copy =
        |secret: &&Value| secret["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(&password.secret));
    assert_eq!(secrets.iter().filter(is_copy).count(), 1, "{secrets:#?}");
    assert_eq!(password.xtask(&deploy).success().json()["result"], "unchanged");
    // What was there before stays.
    deployment.ends_clean();
    deployment.cluster.run(["get", "secret", &password.secret, "--namespace=default"]).success();
}
