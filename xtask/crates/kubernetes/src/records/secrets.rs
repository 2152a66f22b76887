//! Documents that are at home in Secrets of the deployment's home namespace, each with a copy on this machine.

use super::super::access::Access;
use super::super::identity::Identity;
use super::super::names::Names;
use anyhow::Result;
use base::base64;
use engine::home::Home;
use engine::store::{DocumentName, Found, Place, StateStore, Swapped, Version, Versioned};
use kube::object;
use kube::object::text;
use kube::{Refusal, path};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key that a document has in its Secret.
const KEY: &str = "document";

/// What the names of the Secrets begin with, and those of releases.
const PREFIX: &str = "slipway-";
const RELEASE: &str = "slipway-release-";

/// Whose every document is, and of which cluster it tells: a folder of state may have served another deployment before,
/// and a cluster may be a copy of another one.
const DEPLOYMENT: &str = "deployment_id";
const CLUSTER: &str = "cluster";

/// What is asked of the cluster: no way to it is an error, what it answers is the rest.
pub(super) trait Cluster {
    fn identity(&self) -> Result<Identity>;
    fn list(&self, collection: &str, selector: &str) -> Result<Result<Vec<Value>, Refusal>>;
    fn get(&self, path: &str) -> Result<Result<Option<Value>, Refusal>>;
    fn create(&self, collection: &str, object: &Value) -> Result<Result<Value, Refusal>>;
    fn replace(&self, path: &str, object: &Value) -> Result<Result<Value, Refusal>>;
    fn delete(&self, path: &str) -> Result<Result<bool, Refusal>>;
}

impl Cluster for Arc<Access> {
    fn identity(&self) -> Result<Identity> {
        Access::identity(self)
    }

    fn list(&self, collection: &str, selector: &str) -> Result<Result<Vec<Value>, Refusal>> {
        Ok(self.api()?.list(collection, selector))
    }

    fn get(&self, path: &str) -> Result<Result<Option<Value>, Refusal>> {
        Ok(self.api()?.get(path))
    }

    fn create(&self, collection: &str, object: &Value) -> Result<Result<Value, Refusal>> {
        Ok(self.api()?.create(collection, object))
    }

    fn replace(&self, path: &str, object: &Value) -> Result<Result<Value, Refusal>> {
        Ok(self.api()?.replace(path, object))
    }

    fn delete(&self, path: &str) -> Result<Result<bool, Refusal>> {
        Ok(self.api()?.delete(path, false))
    }
}

/// The Secrets of one deployment.
pub(super) struct Secrets<C> {
    cluster: C,
    names: Names,
    home: Home,
}

impl<C: Cluster> Secrets<C> {
    pub(super) fn new(cluster: C, names: Names, home: Home) -> Self {
        Self { cluster, names, home }
    }

    fn at(&self, name: &DocumentName) -> String {
        path::SECRET.at(&self.names.home, &secret(name))
    }

    fn object(&self, name: &DocumentName, from: Option<&Version>, document: &Value) -> Value {
        let labels = self.names.labels(name.system().as_ref());
        let mut object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": secret(name), "namespace": self.names.home, "labels": labels},
            "stringData": {KEY: document.to_string()},
        });
        if let Some(Version(version)) = from {
            object["metadata"]["resourceVersion"] = json!(version);
        }
        object
    }

    fn fault(&self, verb: &str, name: &DocumentName, refusal: &Refusal) -> anyhow::Error {
        kube::fault(&format!("{verb} {}", self.place(name).words), refusal).into()
    }
}

impl<C: Cluster> StateStore for Secrets<C> {
    fn read(&self, name: &DocumentName) -> Result<Found> {
        let secret = self.cluster.get(&self.at(name))?.map_err(|refusal| self.fault("read", name, &refusal))?;
        Ok(secret.map_or(Found::Nothing, |secret| found(&secret)))
    }

    fn swap(&self, name: &DocumentName, from: Option<&Version>, to: &Value) -> Result<Swapped> {
        let object = self.object(name, from, to);
        let written = match from {
            None => self.cluster.create(&path::SECRET.within(&self.names.home), &object)?,
            Some(_) => self.cluster.replace(&self.at(name), &object)?,
        };
        match written {
            Ok(written) => Ok(Swapped::Done(version(&written))),
            Err(refusal) if refusal.is_conflict() || refusal.status == 0 => Ok(Swapped::Conflict),
            // Where there was none, it is the namespace that is missing.
            Err(refusal) if refusal.is_missing() && from.is_some() => Ok(Swapped::Conflict),
            Err(refusal) => Err(self.fault("write", name, &refusal)),
        }
    }

    fn remove(&self, name: &DocumentName) -> Result<()> {
        self.cluster.delete(&self.at(name))?.map_err(|refusal| self.fault("remove", name, &refusal))?;
        Ok(())
    }

    fn all(&self) -> Result<Option<BTreeMap<DocumentName, Found>>> {
        let listed = self.cluster.list(&path::SECRET.within(&self.names.home), &self.names.selector())?;
        let listed = listed.map_err(|refusal| kube::fault("read what is known of the deployment", &refusal))?;
        // Others may carry the deployment's label, too.
        let ours = listed.iter().filter(|secret| secret["data"][KEY].is_string());
        Ok(Some(ours.filter_map(|secret| Some((document_name(object::name(secret))?, found(secret)))).collect()))
    }

    fn place(&self, name: &DocumentName) -> Place {
        let (namespace, name) = (&self.names.home, secret(name));
        Place {
            words: format!("the Secret `{name}` in namespace `{namespace}`"),
            removal: format!("kubectl --namespace {namespace} delete secret {name}"),
        }
    }

    fn folder(&self) -> &Path {
        self.home.dir()
    }

    fn copy(&self, name: &DocumentName) -> Option<PathBuf> {
        Some(name.file(self.home.dir()))
    }

    /// What was entered before the home namespace was made is in the copy alone, and a secret must outlive the namespace
    /// as what was encrypted with it does; whether a release was proven, only the cluster can tell.
    fn copy_stands_in(&self, name: &DocumentName) -> bool {
        name.system().is_none()
    }

    fn sign(&self, document: &mut Value) -> Result<()> {
        document[DEPLOYMENT] = json!(self.names.id);
        document[CLUSTER] = self.cluster.identity()?.to_json();
        Ok(())
    }

    fn is_ours(&self, copy: &Value) -> Result<bool> {
        let identity = self.cluster.identity()?;
        Ok(copy[DEPLOYMENT] == self.names.id && noted_cluster(copy).is_some_and(|noted| noted.is_same(&identity)))
    }
}

/// The cluster that a document tells of.
pub(super) fn noted_cluster(document: &Value) -> Option<Identity> {
    Identity::from_json(&document[CLUSTER])
}

/// The name of a document's Secret.
fn secret(name: &DocumentName) -> String {
    match name.system() {
        Some(system) => format!("{RELEASE}{system}"),
        None => format!("{PREFIX}{name}"),
    }
}

/// The name of a Secret's document.
fn document_name(secret: &str) -> Option<DocumentName> {
    match secret.strip_prefix(RELEASE) {
        Some(system) => Some(DocumentName::releases(&system.parse().ok()?)),
        None => secret.strip_prefix(PREFIX).map(DocumentName::new),
    }
}

fn found(secret: &Value) -> Found {
    let decoded = secret["data"][KEY].as_str().and_then(base64::decode).unwrap_or_default();
    match serde_json::from_slice(&decoded) {
        Ok(document) => Found::Document(Versioned { document, version: version(secret) }),
        Err(error) => Found::Broken(error.to_string()),
    }
}

fn version(secret: &Value) -> Version {
    Version(text(secret, "/metadata/resourceVersion").to_owned())
}

#[cfg(test)]
mod tests;
