//! `kind`: clusters whose nodes are containers of docker or podman.
//!
//! Checked against kind 0.33 as far as that goes without an engine: it takes these flags and this configuration. It has
//! made no cluster here.

use base::proc::CommandLine;
use model::container::EngineKind;
use serde_json::json;
use std::path::Path;

/// podman is used only when it is asked for.
fn line(provider: Option<EngineKind>) -> CommandLine {
    let line = CommandLine::new("kind");
    match provider {
        Some(provider) => line.env("KIND_EXPERIMENTAL_PROVIDER", provider.as_str()),
        None => line,
    }
}

/// Prints the names of the clusters, one a line.
pub fn clusters(provider: Option<EngineKind>) -> CommandLine {
    line(provider).args(["get", "clusters"])
}

/// Makes a cluster of one node, whose port 80 is `port` of this machine alone. It becomes the current context.
pub fn create(cluster: &str, provider: Option<EngineKind>, port: u16) -> CommandLine {
    let create = line(provider).args(["create", "cluster", "--name", cluster, "--config", "-", "--wait", "5m"]);
    // JSON is YAML, too.
    let mapping = json!({"containerPort": 80, "hostPort": port, "listenAddress": "127.0.0.1", "protocol": "TCP"});
    let config = json!({
        "kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraPortMappings": [mapping]}],
    });
    create.stdin(config.to_string())
}

pub fn delete(cluster: &str, provider: Option<EngineKind>) -> CommandLine {
    line(provider).args(["delete", "cluster", "--name", cluster])
}

/// The container that is the node of a cluster made by [`create`].
pub fn node(cluster: &str) -> String {
    format!("{cluster}-control-plane")
}

/// An archive of one image: of several, podman would write one image that has all the names.
pub fn load(cluster: &str, provider: Option<EngineKind>, archive: &Path) -> CommandLine {
    line(provider).args(["load", "image-archive", "--name", cluster]).arg(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_is_asked_for_and_docker_is_not_kept_from_being_found() {
        let podman = clusters(Some(EngineKind::Podman));
        assert_eq!(podman.env, [("KIND_EXPERIMENTAL_PROVIDER".into(), Some("podman".into()))]);
        assert!(clusters(None).env.is_empty());
    }

    #[test]
    fn what_it_is_told() {
        let create = create("slipway", None, 8088);
        assert_eq!(create.to_string(), "kind create cluster --name slipway --config - --wait 5m");
        assert!(create.stdin.is_some());
        assert_eq!(delete("slipway", None).to_string(), "kind delete cluster --name slipway");
    }
}
