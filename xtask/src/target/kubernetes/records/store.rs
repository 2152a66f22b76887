//! Documents in Secrets of the deployment's home namespace, each with a copy on this machine.
//!
//! All are read with one question, once in a run. A write counts only where nobody else has written meanwhile; what
//! changes a document is then asked again with the newer one.

use super::super::access::Access;
use super::super::identity::Identity;
use super::super::names::Names;
use crate::base64;
use crate::error::Fault;
use crate::home::{self, Home};
use crate::kube::object::{self, text};
use crate::kube::{self, Refusal, path};
use crate::spec::name::SystemName;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often a document is written anew because somebody else has.
const ATTEMPTS: usize = 8;

/// The key that a document has in its Secret.
const KEY: &str = "document";

/// Whose every document is, and of which cluster it tells: a folder of state may have served another deployment before,
/// and a cluster may be a copy of another one.
const DEPLOYMENT: &str = "deployment_id";
const CLUSTER: &str = "cluster";

/// What a document is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Concern {
    Ledger,
    Secrets,
    Release(SystemName),
}

impl Concern {
    fn secret(&self) -> String {
        match self {
            Self::Ledger => "slipway-ledger".to_owned(),
            Self::Secrets => "slipway-secrets".to_owned(),
            Self::Release(system) => format!("slipway-release-{system}"),
        }
    }

    fn copy(&self, home: &Home) -> PathBuf {
        match self {
            Self::Ledger => home.ledger(),
            Self::Secrets => home.secrets(),
            Self::Release(system) => home.releases(system),
        }
    }

    fn system(&self) -> Option<&SystemName> {
        match self {
            Self::Release(system) => Some(system),
            Self::Ledger | Self::Secrets => None,
        }
    }

    /// Whether the copy stands in where the cluster has no such document. What was entered before the home namespace was
    /// made is there alone, and a secret must outlive the namespace as what was encrypted with it does; whether a release
    /// was proven, only the cluster can tell.
    fn falls_back(&self) -> bool {
        !matches!(self, Self::Release(_))
    }
}

pub(super) struct Store {
    access: Arc<Access>,
    names: Names,
    home: Home,
    documents: Mutex<Option<Documents>>,
}

/// By the names of their Secrets.
type Documents = BTreeMap<String, Document>;

/// As the cluster has it.
struct Document {
    /// Its `resourceVersion`.
    version: String,
    value: Value,
}

impl Store {
    pub(super) fn new(access: Arc<Access>, names: Names, home: Home) -> Self {
        Self { access, names, home, documents: Mutex::default() }
    }

    /// A document; null where there is none.
    ///
    /// # Errors
    /// When the cluster or the copy cannot be read.
    pub(super) fn read(&self, concern: &Concern) -> Result<Value> {
        let mut documents = self.lock();
        self.current(self.load(&mut documents)?, concern)
    }

    /// The cluster that the documents in this one tell of, if there are any.
    ///
    /// # Errors
    /// When the cluster cannot be read.
    pub(super) fn cluster(&self) -> Result<Option<Identity>> {
        let mut documents = self.lock();
        let documents = self.load(&mut documents)?;
        Ok(documents.values().find_map(|document| Identity::from_json(&document.value[CLUSTER])))
    }

    /// Whether the cluster has any document.
    ///
    /// # Errors
    /// When the cluster cannot be read.
    pub(super) fn has_any(&self) -> Result<bool> {
        Ok(!self.load(&mut self.lock())?.is_empty())
    }

    /// Changes a document, which is null where there is none. `change` says whether it did; it may be asked more than
    /// once, each time with what is there.
    ///
    /// # Errors
    /// When it cannot be read or written, or `change` fails.
    pub(super) fn change(&self, concern: &Concern, change: impl Fn(&mut Value) -> Result<bool>) -> Result<()> {
        let mut documents = self.lock();
        let documents = self.load(&mut documents)?;
        let name = concern.secret();
        for _ in 0..ATTEMPTS {
            let mut value = self.current(documents, concern)?;
            // What only the copy has belongs into the cluster, too.
            let brought_back = !documents.contains_key(&name) && !value.is_null();
            if !change(&mut value)? && !brought_back {
                return Ok(());
            }
            self.sign(&mut value)?;
            match self.write(concern, documents.get(&name).map(|document| document.version.as_str()), &value) {
                Ok(version) => {
                    home::write_json(&concern.copy(&self.home), &value)?;
                    documents.insert(name, Document { version, value });
                    return Ok(());
                }
                Err(refusal) if may_be_stale(&refusal) => self.refresh(documents, &name, &refusal)?,
                Err(refusal) => return Err(self.fault(&name, &refusal).into()),
            }
        }
        let cause = format!("the Secret `{name}` was changed by others {ATTEMPTS} times in a row");
        Err(Fault::failed("records-contended", cause).hint("is another deployment of the same name at work?").into())
    }

    /// Changes the copy alone, for as long as the cluster has no such document.
    ///
    /// # Errors
    /// When it cannot be read or written, or `change` fails.
    pub(super) fn change_copy(&self, concern: &Concern, change: impl Fn(&mut Value) -> Result<bool>) -> Result<()> {
        let mut value = self.copy(concern)?;
        if !change(&mut value)? {
            return Ok(());
        }
        self.sign(&mut value)?;
        home::write_json(&concern.copy(&self.home), &value)
    }

    /// Removes a document and its copy.
    ///
    /// # Errors
    /// When either cannot be removed.
    pub(super) fn remove(&self, concern: &Concern) -> Result<()> {
        let mut documents = self.lock();
        let name = concern.secret();
        if self.load(&mut documents)?.remove(&name).is_some() {
            let path = path::SECRET.at(&self.names.home, &name);
            self.access.api()?.delete(&path, false).map_err(|refusal| self.fault(&name, &refusal))?;
        }
        home::remove(&concern.copy(&self.home))
    }

    /// Forgets what was read, so that it is read again: somebody else may have written since.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Documents>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load<'d>(&self, documents: &'d mut Option<Documents>) -> Result<&'d mut Documents> {
        if let Some(documents) = documents {
            return Ok(documents);
        }
        let path = path::SECRET.within(&self.names.home);
        let listed = self.access.api()?.list(&path, &self.names.selector());
        let listed = listed.map_err(|refusal| kube::fault("read what is known of the deployment", &refusal))?;
        let mut found = Documents::new();
        for secret in &listed {
            // Others may carry the deployment's label, too.
            if secret["data"][KEY].is_string() {
                found.insert(object::name(secret).to_owned(), self.parse(secret)?);
            }
        }
        Ok(documents.insert(found))
    }

    fn current(&self, documents: &Documents, concern: &Concern) -> Result<Value> {
        match documents.get(&concern.secret()) {
            Some(document) => Ok(document.value.clone()),
            None if concern.falls_back() => self.copy(concern),
            None => Ok(Value::Null),
        }
    }

    /// The copy of a document; null where there is none of this deployment in this cluster.
    fn copy(&self, concern: &Concern) -> Result<Value> {
        let identity = self.access.identity()?;
        let is_ours = |copy: &Value| {
            let noted = Identity::from_json(&copy[CLUSTER]);
            copy[DEPLOYMENT] == self.names.id && noted.is_some_and(|noted| noted.is_same(&identity))
        };
        Ok(home::read_json(&concern.copy(&self.home))?.filter(is_ours).unwrap_or_default())
    }

    fn sign(&self, value: &mut Value) -> Result<()> {
        value[DEPLOYMENT] = json!(self.names.id);
        value[CLUSTER] = self.access.identity()?.to_json();
        Ok(())
    }

    fn write(&self, concern: &Concern, version: Option<&str>, value: &Value) -> Result<String, Refusal> {
        let api = self.access.api().map_err(|error| Refusal::unanswered(format!("{error:#}")))?;
        let name = concern.secret();
        let mut secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": name, "namespace": self.names.home, "labels": self.names.labels(concern.system())},
            "stringData": {KEY: value.to_string()},
        });
        let written = match version {
            None => api.create(&path::SECRET.within(&self.names.home), &secret)?,
            Some(version) => {
                secret["metadata"]["resourceVersion"] = json!(version);
                api.replace(&path::SECRET.at(&self.names.home, &name), &secret)?
            }
        };
        Ok(text(&written, "/metadata/resourceVersion").to_owned())
    }

    /// Reads one document again after a write of it was refused.
    fn refresh(&self, documents: &mut Documents, name: &str, refused: &Refusal) -> Result<()> {
        let found = self.access.api()?.get(&path::SECRET.at(&self.names.home, name));
        match found.map_err(|refusal| self.fault(name, &refusal))? {
            Some(secret) => documents.insert(name.to_owned(), self.parse(&secret)?),
            // It was not there before either, so something else is missing: the namespace.
            None if refused.is_missing() && !documents.contains_key(name) => {
                return Err(self.fault(name, refused).into());
            }
            None => documents.remove(name),
        };
        Ok(())
    }

    fn parse(&self, secret: &Value) -> Result<Document> {
        let decoded = secret["data"][KEY].as_str().and_then(base64::decode).unwrap_or_default();
        let value = serde_json::from_slice(&decoded).map_err(|error| {
            let (namespace, name) = (&self.names.home, object::name(secret));
            let cause = format!("the Secret `{name}` in namespace `{namespace}` is not as it was written: {error}");
            let hint = format!(
                "remove it, the next deploy makes what is missing again: kubectl --namespace {namespace} delete secret \
                 {name}"
            );
            Fault::could_not_run("state-broken", cause).hint(hint)
        })?;
        Ok(Document { version: text(secret, "/metadata/resourceVersion").to_owned(), value })
    }

    fn fault(&self, name: &str, refusal: &Refusal) -> Fault {
        kube::fault(&format!("write the Secret `{name}` in namespace `{}`", self.names.home), refusal)
    }
}

/// Whether the document in the cluster may be another one than the one that was to be replaced. Without an answer it
/// may have been written.
fn may_be_stale(refusal: &Refusal) -> bool {
    refusal.is_conflict() || refusal.is_missing() || refusal.status == 0
}
