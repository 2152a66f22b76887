//! Clusters on this machine: which program has made one, as the names of its context and of its nodes tell.
//!
//! Sources: kind, `pkg/cluster/internal/kubeconfig` (`kind-NAME`) and `providerID` `kind://PROVIDER/NAME/NODE`; k3d,
//! `k3d-NAME`, whose nodes begin with it; minikube, which calls the context as its profile and labels its nodes with
//! `minikube.k8s.io/name`.

use kube::object;
use model::container::EngineKind;
use serde_json::Value;
use std::fmt;

/// A program that makes clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maker {
    Kind,
    K3d,
    Minikube,
}

impl Maker {
    /// The better one first.
    pub const ALL: [Self; 3] = [Self::Kind, Self::K3d, Self::Minikube];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::K3d => "k3d",
            Self::Minikube => "minikube",
        }
    }

    /// The context that it makes for a cluster of this name.
    pub fn context(self, name: &str) -> String {
        match self {
            Self::Kind => format!("kind-{name}"),
            Self::K3d => format!("k3d-{name}"),
            Self::Minikube => name.to_owned(),
        }
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A cluster on this machine that can be given images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalCluster {
    /// Nodes in containers or a virtual machine, which have images of their own.
    Made { maker: Maker, name: String, provider: Option<EngineKind> },
    /// Its node runs what the engine has: Docker Desktop, Rancher Desktop, OrbStack.
    SharesEngine,
}

/// For people.
impl fmt::Display for LocalCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made { maker, name, .. } => write!(f, "the {maker} cluster `{name}`"),
            Self::SharesEngine => f.write_str("docker's own cluster"),
        }
    }
}

/// What is known of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeNames {
    pub name: String,
    pub provider_id: String,
    /// The label `minikube.k8s.io/name`.
    pub minikube: String,
}

impl NodeNames {
    pub fn of(node: &Value) -> Self {
        Self {
            name: object::name(node).to_owned(),
            provider_id: object::text(node, "/spec/providerID").to_owned(),
            minikube: object::label(node, "minikube.k8s.io/name").to_owned(),
        }
    }
}

/// By the context's name alone.
pub fn of_context(context: &str) -> Option<LocalCluster> {
    let made = |maker, name: &str| Some(LocalCluster::Made { maker, name: name.to_owned(), provider: None });
    match context {
        "minikube" => made(Maker::Minikube, context),
        "docker-desktop" | "rancher-desktop" | "orbstack" => Some(LocalCluster::SharesEngine),
        _ => match (context.strip_prefix("kind-"), context.strip_prefix("k3d-")) {
            (Some(name), _) if !name.is_empty() => made(Maker::Kind, name),
            (_, Some(name)) if !name.is_empty() => made(Maker::K3d, name),
            _ => None,
        },
    }
}

/// By its nodes, which keep their names when the context is renamed.
pub fn of_nodes(nodes: &[NodeNames]) -> Option<LocalCluster> {
    let node = nodes.first()?;
    let made = |maker, name: &str, provider| Some(LocalCluster::Made { maker, name: name.to_owned(), provider });
    if let Some(rest) = node.provider_id.strip_prefix("kind://") {
        let mut parts = rest.split('/');
        let (provider, name) = (parts.next()?, parts.next()?);
        return made(Maker::Kind, name, provider.parse().ok());
    }
    if let Some(rest) = node.provider_id.strip_prefix("k3s://k3d-") {
        let name = rest.rsplit_once("-server-").or(rest.rsplit_once("-agent-"))?.0;
        return made(Maker::K3d, name, None);
    }
    if !node.minikube.is_empty() {
        return made(Maker::Minikube, &node.minikube, None);
    }
    match node.name.as_str() {
        "docker-desktop" | "lima-rancher-desktop" | "orbstack" => Some(LocalCluster::SharesEngine),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(maker: Maker, name: &str, provider: Option<EngineKind>) -> Option<LocalCluster> {
        Some(LocalCluster::Made { maker, name: name.to_owned(), provider })
    }

    #[test]
    fn contexts_tell_who_made_a_cluster() {
        assert_eq!(of_context("kind-shop"), made(Maker::Kind, "shop", None));
        assert_eq!(of_context("k3d-shop-2"), made(Maker::K3d, "shop-2", None));
        assert_eq!(of_context("minikube"), made(Maker::Minikube, "minikube", None));
        assert_eq!(of_context("orbstack"), Some(LocalCluster::SharesEngine));
        for context in ["kind-", "k3d-", "prod", "arn:aws:eks:eu-west-1:1:cluster/kind-a", ""] {
            assert_eq!(of_context(context), None, "{context}");
        }
        for maker in [Maker::Kind, Maker::K3d] {
            assert_eq!(of_context(&maker.context("a-b")), made(maker, "a-b", None));
        }
    }

    #[test]
    fn nodes_tell_it_when_the_context_does_not() {
        let node = |name: &str, provider_id: &str, minikube: &str| {
            let (name, provider_id, minikube) = (name.to_owned(), provider_id.to_owned(), minikube.to_owned());
            of_nodes(&[NodeNames { name, provider_id, minikube }])
        };
        let podman = Some(EngineKind::Podman);
        assert_eq!(node("x", "kind://podman/shop/shop-control-plane", ""), made(Maker::Kind, "shop", podman));
        assert_eq!(node("x", "k3s://k3d-my-shop-server-0", ""), made(Maker::K3d, "my-shop", None));
        assert_eq!(node("shop", "", "shop"), made(Maker::Minikube, "shop", None));
        assert_eq!(node("docker-desktop", "", ""), Some(LocalCluster::SharesEngine));
        assert_eq!(node("ip-10-0-0-1", "aws:///eu-west-1a/i-1", ""), None);
        assert_eq!(of_nodes(&[]), None);
    }
}
