//! `minikube`: clusters in a container or a virtual machine, called profiles.
//!
//! Limits: the client could not be had where this was written, so that its flags are those of its documentation
//! (minikube.sigs.k8s.io/docs/commands).

use base::proc::CommandLine;
use model::container::EngineKind;
use serde_json::Value;
use std::path::Path;

fn line(profile: &str, args: &[&str]) -> CommandLine {
    CommandLine::new("minikube").args(["--profile", profile]).args(args)
}

/// For [`names`]. It ends with a failure where there are none.
pub fn profiles() -> CommandLine {
    CommandLine::new("minikube").args(["profile", "list", "--light", "--output", "json"])
}

/// The profiles in an answer to [`profiles`], those that cannot be used among them.
pub fn names(stdout: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(stdout).unwrap_or_default();
    let of = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    let all = of("valid").into_iter().chain(of("invalid"));
    all.filter_map(|profile| Some(profile["Name"].as_str()?.to_owned())).collect()
}

/// Makes a cluster of one node in a container, or starts the one that is there; its port 80 is `port` of this machine
/// alone. The current context stays as it is. Its usual network would not enforce policies.
pub fn start(profile: &str, engine: EngineKind, port: u16) -> CommandLine {
    let port = format!("127.0.0.1:{port}:80");
    line(profile, &["start", "--driver", engine.as_str(), "--cni", "calico", "--ports", &port]).args([
        "--keep-context",
        "--interactive=false",
        "--wait",
        "all",
    ])
}

/// What measures pods.
pub fn metrics(profile: &str) -> CommandLine {
    line(profile, &["addons", "enable", "metrics-server"])
}

pub fn delete(profile: &str) -> CommandLine {
    line(profile, &["delete"])
}

pub fn load(profile: &str, archive: &Path) -> CommandLine {
    line(profile, &["image", "load"]).arg(archive)
}

/// The names of the images that its nodes have, one a line.
pub fn images(profile: &str) -> CommandLine {
    line(profile, &["image", "ls"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_told_and_what_it_says() {
        let wanted = "minikube --profile slipway start --driver podman --cni calico --ports 127.0.0.1:8088:80 \
                      --keep-context '--interactive=false' --wait all";
        assert_eq!(start("slipway", EngineKind::Podman, 8088).to_string(), wanted);
        let answer = r#"{"invalid": [{"Name": "broken"}], "valid": [{"Name": "minikube", "Status": "OK"}]}"#;
        assert_eq!(names(answer), ["minikube", "broken"]);
        assert!(names("").is_empty());
    }
}
