//! `k3d`: clusters of k3s whose nodes are containers of docker. They come with Traefik, with storage and with metrics.
//!
//! Checked against k3d 5.7 as far as that goes without docker: it takes these flags. It has made no cluster here.

use base::proc::CommandLine;
use serde_json::Value;
use std::path::Path;

fn line(args: &[&str]) -> CommandLine {
    CommandLine::new("k3d").args(args)
}

/// For [`names`].
pub fn clusters() -> CommandLine {
    line(&["cluster", "list", "--output", "json"])
}

/// The clusters in an answer to [`clusters`].
pub fn names(stdout: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(stdout).unwrap_or_default();
    let clusters = document.as_array().cloned().unwrap_or_default();
    clusters.iter().filter_map(|cluster| Some(cluster["name"].as_str()?.to_owned())).collect()
}

/// Makes a cluster of one node, whose port 80 is `port` of this machine alone. The current context stays as it is.
pub fn create(cluster: &str, port: u16) -> CommandLine {
    let port = format!("127.0.0.1:{port}:80@loadbalancer");
    line(&["cluster", "create", cluster, "--port", &port, "--wait", "--timeout", "5m"])
        .args(["--kubeconfig-update-default", "--kubeconfig-switch-context=false"])
}

pub fn start(cluster: &str) -> CommandLine {
    line(&["cluster", "start", cluster, "--wait", "--timeout", "5m"])
}

pub fn delete(cluster: &str) -> CommandLine {
    line(&["cluster", "delete", cluster])
}

pub fn load(cluster: &str, archive: &Path) -> CommandLine {
    line(&["image", "import", "--cluster", cluster]).arg(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_told_and_what_it_says() {
        let line = create("slipway", 8088).to_string();
        let wanted = "k3d cluster create slipway --port 127.0.0.1:8088:80@loadbalancer --wait --timeout 5m \
                      --kubeconfig-update-default '--kubeconfig-switch-context=false'";
        assert_eq!(line, wanted);
        assert_eq!(names(r#"[{"name": "a", "nodes": []}, {"name": "b"}]"#), ["a", "b"]);
        assert!(names("null").is_empty());
    }
}
