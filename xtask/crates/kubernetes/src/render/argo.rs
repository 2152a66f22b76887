//! The Application that has Argo CD keep a system as its manifests say.

use super::super::release_spec::ReleaseSpec;
use super::yaml;
use engine::rendering::Place;
use model::environment::Environment;
use serde_json::{Value, json};

/// Stands where the repository's address has to be, when nobody knows it.
const UNKNOWN: &str = "https://git.example.com/OWNER/REPOSITORY.git";
const NO_REPOSITORY: &str = "\
# The folder is in no git repository with a remote `origin`: put the address of the one that holds it in `repoURL`, and
# see that `path` is right there.
";

/// `namespace` is the one that the system has.
pub(super) fn application(environment: &Environment, wanted: &ReleaseSpec, namespace: &Value, place: &Place) -> String {
    let labels = &namespace["metadata"]["labels"];
    let path = match place.folder.as_str() {
        "" => wanted.system.to_string(),
        folder => format!("{folder}/{}", wanted.system),
    };
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": format!("{}-{}", environment.deployment_id, wanted.system),
            "namespace": "argocd",
            "labels": {"app.kubernetes.io/part-of": wanted.system.as_str(), "deployment_id": wanted.deployment_id},
        },
        "spec": {
            "project": "default",
            "source": {
                "repoURL": place.repository.as_deref().unwrap_or(UNKNOWN),
                "targetRevision": "HEAD",
                "path": path,
            },
            // The cluster that Argo CD itself is in.
            "destination": {"server": "https://kubernetes.default.svc", "namespace": wanted.namespace},
            "syncPolicy": {
                "automated": {"prune": true, "selfHeal": true},
                "managedNamespaceMetadata": {"labels": labels},
                "syncOptions": ["CreateNamespace=true"],
            },
        },
    });
    let comment = if place.repository.is_none() { NO_REPOSITORY } else { "" };
    format!("{comment}{}", yaml::of(&application))
}
