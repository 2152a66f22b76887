//! Which cluster it is. A context's name can come to mean another one; what was deployed is then not there, and what is
//! there is not ours to change.

use super::kubeconfig::Kubeconfig;
use anyhow::Result;
use base::error::Fault;
use base::files;
use kube::{Api, path};
use model::environment::Environment;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the first question to a cluster may take, signing in included: one that is not there is told at once, and one
/// that says nothing is not waited for as long as one that has answered before.
const FIRST: Duration = Duration::from_secs(10);
/// A cluster has this namespace for all its life, and no two have the same.
const ANCHOR: &str = "kube-system";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The URL of its API server.
    pub(super) server: String,
    /// The digest of the certificates that this is known by.
    pub(super) ca: String,
    /// That of the namespace `kube-system`; `None` for whoever may not look at that.
    pub(super) uid: Option<String>,
}

impl Identity {
    /// # Errors
    /// When the cluster does not answer.
    pub(super) fn ask(api: &Api, kubeconfig: &Kubeconfig) -> Result<Self> {
        let uid = match api.get_within(&path::NAMESPACE.named(ANCHOR), FIRST) {
            Ok(namespace) => namespace.and_then(|found| found["metadata"]["uid"].as_str().map(str::to_owned)),
            Err(refusal) if refusal.status == 403 => None,
            Err(refusal) => {
                let what = format!("identify the cluster of context `{}`", kubeconfig.context);
                return Err(kube::fault(&what, &refusal).into());
            }
        };
        Ok(Self { server: kubeconfig.server.clone(), ca: kubeconfig.ca.clone(), uid })
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"server": self.server, "ca": self.ca, "uid": self.uid})
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            server: value["server"].as_str()?.to_owned(),
            ca: value["ca"].as_str()?.to_owned(),
            uid: value["uid"].as_str().map(str::to_owned),
        })
    }

    /// The same cluster, even where its address has changed meanwhile.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (&self.uid, &other.uid) {
            (Some(one), Some(other)) => one == other,
            _ => self.server == other.server && self.ca == other.ca,
        }
    }

    /// # Errors
    /// When another cluster is noted on this machine.
    pub(super) fn check_noted(&self, home: &Path, environment: &Environment) -> Result<()> {
        let noted = files::read_json(&note(home))?;
        match noted.as_ref().and_then(Self::from_json) {
            Some(noted) => Ok(self.check(&noted, environment)?),
            None => Ok(()),
        }
    }

    /// # Errors
    /// When `noted`, which was deployed to before, is another cluster.
    pub(super) fn check(&self, noted: &Self, environment: &Environment) -> Result<(), Fault> {
        if self.is_same(noted) {
            return Ok(());
        }
        let context = environment.cluster.context.as_deref().unwrap_or_default();
        let cause = format!(
            "context `{context}` points to {self}, but environment `{}` was deployed to {noted}",
            environment.name
        );
        let hint = format!(
            "name the context of that cluster, or use an environment of its own for this one; if that cluster is no \
             more, `rm -r .slipway/{}` forgets it",
            environment.name
        );
        Err(Fault::could_not_run("other-cluster", cause).hint(hint))
    }

    /// Notes on this machine that this is the cluster that is deployed to.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn note(&self, home: &Path) -> Result<()> {
        let path = note(home);
        if files::read_json(&path)?.as_ref().and_then(Self::from_json).as_ref() == Some(self) {
            return Ok(());
        }
        files::write_json(&path, &self.to_json())
    }
}

/// "the cluster at `https://…` (0123abcd…)"
impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.uid {
            Some(uid) => write!(f, "the cluster at `{}` (its `{ANCHOR}` is {uid})", self.server),
            None => write!(f, "the cluster at `{}`", self.server),
        }
    }
}

/// Forgets which cluster was deployed to, when that is no more.
///
/// # Errors
/// When the note cannot be removed.
pub(super) fn forget(home: &Path) -> Result<()> {
    files::remove(&note(home))
}

fn note(home: &Path) -> PathBuf {
    home.join("cluster.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(server: &str, uid: Option<&str>) -> Identity {
        Identity { server: server.to_owned(), ca: "c".to_owned(), uid: uid.map(str::to_owned) }
    }

    #[test]
    fn a_cluster_is_known_by_what_never_changes() {
        let first = identity("https://a", Some("1"));
        assert!(first.is_same(&identity("https://b", Some("1"))));
        assert!(!first.is_same(&identity("https://a", Some("2"))));
        // For whoever may not ask, its address has to do.
        assert!(first.is_same(&identity("https://a", None)));
        assert!(!first.is_same(&identity("https://b", None)));
        assert_eq!(Identity::from_json(&first.to_json()), Some(first));
        assert_eq!(Identity::from_json(&json!({"server": 1})), None);
    }
}
