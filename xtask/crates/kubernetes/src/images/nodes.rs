//! The nodes of the cluster, as far as images care: what they are, which program has made them, what they have.

use crate::{Kubernetes, facts};
use base::error::Fault;
use kube::object;
use kube::{Api, path};
use model::container::Platform;
use remote_tools::local_cluster;
use remote_tools::local_cluster::{LocalCluster, NodeNames};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct Nodes {
    core: Arc<Kubernetes>,
    /// As they were when they were first asked for, and only when they were.
    seen: Mutex<Option<Arc<Vec<Value>>>>,
}

impl Nodes {
    pub(super) fn new(core: &Arc<Kubernetes>) -> Self {
        Self { core: Arc::clone(core), seen: Mutex::default() }
    }

    /// What they run, each once and sorted; nothing where the cluster does not say. Whoever may not look at nodes can
    /// deploy all the same.
    pub(super) fn platforms(&self) -> Vec<Platform> {
        facts::platforms(&self.seen())
    }

    /// Whether anything can run there of what is built for these.
    ///
    /// # Errors
    /// `image-platform`, with the setting that mends it.
    pub(super) fn check(&self, built: &[Platform]) -> Result<(), Fault> {
        if built.is_empty() { Ok(()) } else { refuse(built, &self.platforms()) }
    }

    /// The cluster, if it is one on this machine. Its nodes are asked only when the name of its context does not tell.
    pub(super) fn local_cluster(&self) -> Option<LocalCluster> {
        let context = self.core.deployment.environment.cluster.context.as_deref().unwrap_or_default();
        let known = local_cluster::of_context(context);
        known.or_else(|| local_cluster::of_nodes(&self.seen().iter().map(NodeNames::of).collect::<Vec<_>>()))
    }

    /// Whether each of them is sure to have an image of this name, as they say at this moment.
    pub(super) fn have(&self, reference: &str) -> bool {
        let nodes = self.core.access.api().ok().and_then(|api| api.list(&path::NODE.everywhere(), "").ok());
        nodes.is_some_and(|nodes| !nodes.is_empty() && nodes.iter().all(|node| has(node, reference)))
    }

    fn seen(&self) -> Arc<Vec<Value>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = seen.clone().unwrap_or_else(|| {
            let api = self.core.access.api().ok();
            Arc::new(api.and_then(|api| read(&api)).unwrap_or_default())
        });
        *seen = Some(Arc::clone(&nodes));
        nodes
    }
}

/// A cluster of many has the same ones again.
fn read(api: &Api) -> Option<Vec<Value>> {
    api.list(&path::with_query(&path::NODE.everywhere(), &[("limit", "100")]), "").ok()
}

fn refuse(built: &[Platform], nodes: &[Platform]) -> Result<(), Fault> {
    if nodes.is_empty() || nodes.iter().any(|node| built.contains(node)) {
        return Ok(());
    }
    let words = |platforms: &[Platform]| platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let cause = format!("images are built for {}, and the nodes of the cluster are {}", words(built), words(nodes));
    let hint = format!("build for what they are: `--set platforms={}`, or leave `platforms` out", words(nodes));
    Err(Fault::could_not_run("image-platform", cause).hint(hint))
}

/// A node names 50 of its images, the largest ones (`nodeStatusMaxImages` of the kubelet). One that is not named may thus
/// be there all the same; it is then given again, which costs seconds, while to trust in it could cost the deploy.
fn has(node: &Value, reference: &str) -> bool {
    let images = object::list(node, "/status/images");
    let names = |image: &Value| image["names"].as_array().cloned().unwrap_or_default();
    images.iter().flat_map(names).any(|name| name.as_str() == Some(reference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(architecture: &str, images: &[&str]) -> Value {
        let images: Vec<Value> =
            images.iter().map(|name| json!({"names": ["x@sha256:0", name], "sizeBytes": 1})).collect();
        json!({
            "metadata": {"name": "n", "labels": {"minikube.k8s.io/name": "m"}},
            "spec": {"providerID": "kind://docker/a/b"},
            "status": {"nodeInfo": {"architecture": architecture}, "images": images},
        })
    }

    #[test]
    fn what_no_node_can_run_is_refused_before_it_is_built() {
        let (amd64, arm64) = (Platform::LinuxAmd64, Platform::LinuxArm64);
        let fault = refuse(&[arm64], &[amd64]).unwrap_err();
        assert_eq!(fault.cause, "images are built for linux/arm64, and the nodes of the cluster are linux/amd64");
        assert!(fault.hint.is_some_and(|hint| hint.contains("--set platforms=linux/amd64`")));
        for (built, nodes) in [(vec![amd64, arm64], vec![amd64]), (vec![arm64], vec![])] {
            assert_eq!(refuse(&built, &nodes), Ok(()));
        }
    }

    #[test]
    fn nodes_say_what_they_are_and_have() {
        let nodes =
            [node("arm64", &["localhost/slipway/a:1"]), node("amd64", &[]), node("amd64", &[]), node("s390x", &[])];
        assert!(has(&nodes[0], "localhost/slipway/a:1") && !has(&nodes[0], "localhost/slipway/a:2"));
        assert!(!has(&nodes[1], "localhost/slipway/a:1"));
        let names = NodeNames::of(&nodes[0]);
        assert_eq!((names.provider_id.as_str(), names.minikube.as_str()), ("kind://docker/a/b", "m"));
    }
}
