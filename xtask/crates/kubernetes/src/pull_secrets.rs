//! What nodes sign in to registries with: Secrets that a system's namespace has already, or copies of others.
//!
//! A copy is named after what is in it, so that other credentials are another Secret, which a release brings.

use super::Kubernetes;
use super::prerequisites::{NAMING, make_secret_object};
use anyhow::Result;
use base::error::Fault;
use keys::Digest;
use kube::object::text;
use kube::{Api, Refusal, path};
use model::cluster::PullSecret;
use model::environment::Environment;
use model::name::SystemName;
use model::secret::Shape;
use serde_json::{Value, json};

/// The types that kubelets read.
const TYPES: [&str; 2] = ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"];

/// Where one was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// In the namespace that needs it.
    There,
    /// In its own, from where it is copied.
    Elsewhere(Value),
    /// Its type is none that a kubelet reads.
    Wrong(String),
    Missing,
}

/// Looks for one that the pods of a namespace need.
///
/// # Errors
/// When the cluster refuses.
pub fn look(api: &Api, namespace: &str, secret: &PullSecret) -> Result<Found, Refusal> {
    let there = api.get(&path::SECRET.at(namespace, &secret.name))?;
    let elsewhere = || api.get(&path::SECRET.at(&secret.namespace, &secret.name));
    let (found, is_there) = match there {
        Some(found) => (Some(found), true),
        None => (elsewhere()?, false),
    };
    Ok(match found {
        None => Found::Missing,
        Some(found) if !TYPES.contains(&text(&found, "/type")) => Found::Wrong(text(&found, "/type").to_owned()),
        Some(_) if is_there => Found::There,
        Some(found) => Found::Elsewhere(found),
    })
}

/// What is wrong with one that was not found, and how it is made.
pub fn fault(environment: &Environment, namespace: &str, secret: &PullSecret, found: &Found) -> Fault {
    let PullSecret { namespace: from, name } = secret;
    let cause = match found {
        Found::Wrong(kind) => format!("the Secret `{name}` of `pull_secrets` is of type `{kind}`, not `{}`", TYPES[0]),
        _ => format!("the Secret `{name}` of `pull_secrets` is neither in namespace `{namespace}` nor in `{from}`"),
    };
    let context =
        environment.cluster.context.as_ref().map(|context| format!(" --context {context}")).unwrap_or_default();
    Fault::could_not_run("pull-secret", cause).hint(format!(
        "make it: kubectl{context} --namespace {from} create secret generic {name} --type {} \
         --from-file .dockerconfigjson=FILE, where FILE is what `docker login` writes",
        TYPES[0]
    ))
}

/// The names by which the pods of a system refer to them, copied into its namespace when `make` says so. `None` while one
/// is missing and must not be made.
///
/// # Errors
/// When the cluster refuses, or one is missing that has to be there now.
pub(super) fn of(core: &Kubernetes, system: &SystemName, make: bool) -> Result<Option<Vec<String>>> {
    let environment = &core.deployment.environment;
    let wanted = &environment.cluster.pull_secrets;
    if wanted.is_empty() {
        return Ok(Some(Vec::new()));
    }
    if !core.platform.is_there()? {
        return Ok(None);
    }
    let Some(key) = core.records.secret(NAMING, make.then(Shape::default))? else { return Ok(None) };
    let namespace = core.names.namespace(system);
    let api = core.access.api()?;
    let mut names = Vec::new();
    for secret in wanted {
        let found = look(&api, &namespace, secret);
        let found = found.map_err(|refusal| kube::fault(&format!("look for the Secret `{secret}`"), &refusal))?;
        match found {
            Found::There => names.push(secret.name.clone()),
            Found::Elsewhere(object) => {
                let copy = copy(secret, &object, &key);
                if make {
                    make_secret_object(core, system, &copy)?;
                }
                names.push(text(&copy, "/metadata/name").to_owned());
            }
            _ if make => return Err(fault(environment, &namespace, secret, &found).into()),
            _ => return Ok(None),
        }
    }
    Ok(Some(names))
}

/// What is made of it in another namespace, but for whose it is.
fn copy(secret: &PullSecret, object: &Value, key: &str) -> Value {
    let digest = Digest::of(json!([key, object["type"], object["data"]]).to_string());
    let name: String = secret.name.chars().take(200).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": object["type"], "immutable": true,
        "metadata": {"name": format!("{name}-{digest:.10}")}, "data": object["data"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_named_after_what_is_in_it_and_tells_nothing_of_that() {
        let secret: PullSecret = "regcred".parse().unwrap();
        let object = |data: &str| {
            json!({
                "type": TYPES[0], "data": {".dockerconfigjson": data},
                "metadata": {"name": "regcred", "namespace": "default", "uid": "1", "ownerReferences": [{}]},
            })
        };
        let one = copy(&secret, &object("YQ=="), "key");
        assert_eq!((&one["type"], &one["data"]), (&object("YQ==")["type"], &object("YQ==")["data"]));
        assert!(
            text(&one, "/metadata/name").starts_with("regcred-") && one["metadata"].as_object().unwrap().len() == 1
        );
        assert_eq!(one, copy(&secret, &object("YQ=="), "key"));
        for other in [copy(&secret, &object("Yg=="), "key"), copy(&secret, &object("YQ=="), "other")] {
            assert_ne!(one["metadata"]["name"], other["metadata"]["name"]);
        }
    }
}
