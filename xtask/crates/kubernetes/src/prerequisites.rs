//! What stands before a release can: a namespace for each system, and its Secrets.

use super::Kubernetes;
use super::names::SERVICE;
use super::namespaces::{self, Ownership};
use super::release_context::Candidate;
use super::release_spec::{SecretRef, WorkloadSpec};
use super::secret_values;
use anyhow::Result;
use base::error::Fault;
use base::redact;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use keys::Digest;
use kube::object;
use kube::path;
use model::allowance::SecurityLevel;
use model::name::{ServiceName, SystemName};
use model::secret::Shape;
use model::system::Template;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is done for each system.
pub const NAMESPACE: Action = Action::new("namespace");
pub const RELEASE: Action = Action::new("release");

/// What the names of Secrets are keyed with that hold what people choose. No service has this name.
pub(super) const NAMING: &str = "secret.naming";

/// The kind of a Secret in the ledger.
pub(super) const SECRET: &str = "secret";
/// That of a ConfigMap.
pub(super) const CONFIG_MAP: &str = "configmap";

/// The step that has a system's namespace: `namespace:SYSTEM`. It needs nothing.
///
/// # Errors
/// When the records cannot be read.
pub(super) fn namespace_step(core: &Arc<Kubernetes>, candidate: &Candidate) -> Result<Step> {
    let system = &candidate.system;
    let level = namespaces::level(core, &system.name, &candidate.parts)?;
    let loose = match level {
        SecurityLevel::Restricted => String::new(),
        _ => format!(", which takes pods of the standard `{}`", level.as_str()),
    };
    let namespace = core.names.namespace(&system.name);
    Ok(Step {
        id: namespace_id(&system.name),
        title: format!("make the namespace of `{}`", system.name),
        system: Some(system.name.to_string()),
        needs: Vec::new(),
        holds: Holds::Nothing,
        preview: vec![Preview::Do(format!("namespace `{namespace}`{loose}, unless it is there"))],
        work: Box::new(NamespaceWork { core: Arc::clone(core), system: Some(system.name.clone()), namespace, level }),
    })
}

pub fn namespace_id(system: &SystemName) -> StepId {
    NAMESPACE.of(&system)
}

/// The step that makes a release what it is to be.
pub fn release_id(system: &SystemName) -> StepId {
    RELEASE.of(&system)
}

/// Has a namespace: a system's, or one of what all share.
pub struct NamespaceWork {
    pub core: Arc<Kubernetes>,
    pub system: Option<SystemName>,
    pub namespace: String,
    pub level: SecurityLevel,
}

impl Work for NamespaceWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        match self.standing()? {
            Ownership::Ours(found) if namespaces::is_labelled(&found, &self.wanted()) && self.is_entered(&found)? => {
                Ok(Some("it is there".to_owned()))
            }
            Ownership::Foreign => Ok(Some(self.foreign())),
            Ownership::Taken(owner) => Err(self.taken(&owner).into()),
            Ownership::Absent | Ownership::Going(_) | Ownership::Ours(_) => Ok(None),
        }
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        loop {
            match self.settled(cx)? {
                Ownership::Absent => {
                    if self.make()? {
                        return Ok(Outcome::Done);
                    }
                }
                Ownership::Going(_) => {}
                Ownership::Ours(found) => return self.mend(&found),
                Ownership::Foreign => return Ok(Outcome::DoneWith(self.foreign())),
                Ownership::Taken(owner) => return Err(self.taken(&owner).into()),
            }
        }
    }
}

impl NamespaceWork {
    fn wanted(&self) -> Value {
        let plain = namespaces::object(&self.core.names, &self.namespace, self.system.as_ref(), self.level);
        match self.system {
            Some(_) => namespaces::with_labels(plain, self.core.platform.namespace_labels()),
            None => plain,
        }
    }

    fn standing(&self) -> Result<Ownership> {
        let found = self.core.access.api()?.get(&path::NAMESPACE.named(&self.namespace));
        let found =
            found.map_err(|refusal| kube::fault(&format!("look for namespace `{}`", self.namespace), &refusal))?;
        Ok(Ownership::of(found, &self.core.names, &self.core.records.entries()?))
    }

    fn is_entered(&self, found: &Value) -> Result<bool> {
        let entry = namespaces::entry(&self.namespace, self.system.as_ref(), Some(found));
        Ok(self.core.records.entries()?.contains(&entry))
    }

    fn foreign(&self) -> String {
        format!("`{}` existed before, and stays when the rest is removed", self.namespace)
    }

    fn taken(&self, owner: &str) -> Fault {
        namespaces::taken(&self.core.deployment.environment, &self.namespace, owner)
    }

    /// What it is once an earlier teardown has ended.
    fn settled(&self, cx: &StepCx<'_>) -> Result<Ownership> {
        let held = std::cell::RefCell::new(String::new());
        let ask = || match self.standing()? {
            Ownership::Going(by) => {
                if *held.borrow() != by {
                    cx.status(format!("waiting for an earlier `{}` to be gone: {by}", self.namespace));
                    held.replace(by);
                }
                Ok(None)
            }
            standing => Ok(Some(standing)),
        };
        cx.wait_for(namespaces::GONE_WITHIN, ask, || namespaces::stuck(&self.namespace, &held.borrow()))
    }

    /// Whether it was made; somebody else may be faster.
    fn make(&self) -> Result<bool> {
        self.core.records.enter(namespaces::entry(&self.namespace, self.system.as_ref(), None))?;
        match self.core.access.api()?.create(&path::NAMESPACE.everywhere(), &self.wanted()) {
            Ok(made) => {
                self.core.records.enter(namespaces::entry(&self.namespace, self.system.as_ref(), Some(&made)))?;
                Ok(true)
            }
            Err(refusal) if refusal.is_conflict() => Ok(false),
            Err(refusal) => Err(kube::fault(&format!("make namespace `{}`", self.namespace), &refusal).into()),
        }
    }

    /// Gives it the labels again that it was made with.
    fn mend(&self, found: &Value) -> Result<Outcome> {
        self.core.records.enter(namespaces::entry(&self.namespace, self.system.as_ref(), Some(found)))?;
        let wanted = self.wanted();
        if namespaces::is_labelled(found, &wanted) {
            return Ok(Outcome::Done);
        }
        let patch = json!({"metadata": {"labels": wanted["metadata"]["labels"]}});
        let merged = self.core.access.api()?.merge(&path::NAMESPACE.named(&self.namespace), &patch);
        merged.map_err(|refusal| kube::fault(&format!("label namespace `{}`", self.namespace), &refusal))?;
        Ok(Outcome::DoneWith("its labels are as they should be again".to_owned()))
    }
}

/// The Secrets of a system's services as they are to be now, made in its namespace when `make` says so. `None` while a
/// secret is not known and must not be made.
///
/// # Errors
/// When they cannot be read or made.
pub(super) fn secrets(
    core: &Kubernetes,
    system: &SystemName,
    parts: &[WorkloadSpec],
    make: bool,
) -> Result<Option<BTreeMap<ServiceName, SecretRef>>> {
    let mut references = BTreeMap::new();
    for part in parts.iter().filter(|part| !part.secret_env.is_empty() || !part.secret_files.is_empty()) {
        let service = &part.service.name;
        let Some(content) = content(core, system, part, parts, make)? else { return Ok(None) };
        // A name must not tell whoever sees it what a guess is compared with.
        let is_chosen = !part.given.is_empty() || secret_values::takes_given(part, parts);
        let key = if is_chosen { core.records.secret(NAMING, make.then(Shape::default))? } else { None };
        if is_chosen && key.is_none() {
            return Ok(None);
        }
        let reference = reference(service, part, &content, key.as_deref());
        if make {
            make_secret(core, system, service, &reference.name, &content)?;
        }
        references.insert(service.clone(), reference);
    }
    Ok(Some(references))
}

/// What is in the Secret of a service.
fn content(
    core: &Kubernetes,
    system: &SystemName,
    part: &WorkloadSpec,
    parts: &[WorkloadSpec],
    make: bool,
) -> Result<Option<BTreeMap<String, String>>> {
    let mut known = BTreeMap::new();
    for (service, name) in part.secrets(parts) {
        let is_managed =
            core.deployment.find_service(&service).is_some_and(|one| core.deployment.environment.manages(one));
        let secret = match is_managed {
            true => core.platform.provided(&service, &name)?,
            false => secret_values::value(core, (system, parts), &service, &name, make)?,
        };
        let Some(secret) = secret else { return Ok(None) };
        // What the platform provides is an address with a password in it.
        redact::learn_named("secret", &secret);
        known.insert((service, name), secret);
    }
    let secret = |service: &ServiceName, name: &str| known.get(&(service.clone(), name.to_owned())).cloned();
    let filled = |prefix: &str, templates: &BTreeMap<String, Template>| -> Option<BTreeMap<String, String>> {
        let fill = |(name, template)| Some((format!("{prefix}{name}"), part.filled(template, parts, &secret)?));
        templates.iter().map(fill).collect()
    };
    let env = filled("env.", &part.secret_env);
    let files = filled("file.", &part.secret_files);
    Ok(env.zip(files).map(|(env, files)| env.into_iter().chain(files).collect()))
}

/// `key`: with which the digest of a content is made that somebody could guess.
pub(super) fn reference(
    service: &ServiceName,
    part: &WorkloadSpec,
    content: &BTreeMap<String, String>,
    key: Option<&str>,
) -> SecretRef {
    let digest = match key {
        Some(key) => Digest::of(json!([key, content]).to_string()),
        None => Digest::of(json!(content).to_string()),
    };
    SecretRef {
        name: format!("{service}-{digest:.10}"),
        env: part.secret_env.keys().cloned().collect(),
        files: part.plain_secret_files(),
    }
}

fn make_secret(
    core: &Kubernetes,
    system: &SystemName,
    service: &ServiceName,
    name: &str,
    content: &BTreeMap<String, String>,
) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
        "metadata": {"name": name, "labels": {SERVICE: service.as_str()}},
        "stringData": content,
    });
    make_secret_object(core, system, &secret)
}

/// Makes a Secret that is named after what is in it in a system's namespace, unless it is there.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn make_secret_object(core: &Kubernetes, system: &SystemName, secret: &Value) -> Result<()> {
    make_object(core, system, SECRET, path::SECRET, secret)
}

/// The same for one of another kind; `kind` is what the ledger calls it.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn make_object(
    core: &Kubernetes,
    system: &SystemName,
    kind: &str,
    place: path::Kind,
    wanted: &Value,
) -> Result<()> {
    let namespace = core.names.namespace(system);
    let name = object::name(wanted);
    core.records.enter(Entry {
        kind: kind.to_owned(),
        id: format!("{namespace}/{name}"),
        system: Some(system.to_string()),
        identity: json!({"namespace": namespace, "name": name}),
    })?;
    match core.access.api()?.create(&place.within(&namespace), &in_namespace(core, system, wanted)) {
        // One of this name has this content.
        Err(refusal) if refusal.is_conflict() => Ok(()),
        Err(refusal) => {
            let what = format!("make the {} `{name}` in namespace `{namespace}`", place.name);
            Err(kube::fault(&what, &refusal).into())
        }
        Ok(_) => Ok(()),
    }
}

/// An object as it is in a system's namespace, with the labels of what is ours.
pub(super) fn in_namespace(core: &Kubernetes, system: &SystemName, object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"]["namespace"] = json!(core.names.namespace(system));
    let mut labels = core.names.labels(Some(system));
    if let (Some(all), Some(own)) = (labels.as_object_mut(), object["metadata"]["labels"].as_object()) {
        all.extend(own.clone());
    }
    object["metadata"]["labels"] = labels;
    object
}

/// Removes the Secrets and ConfigMaps of a system that none of its kept releases refers to.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn prune(core: &Kubernetes, system: &SystemName) -> Result<()> {
    prune_kind(core, system, SECRET, path::SECRET)?;
    prune_kind(core, system, CONFIG_MAP, path::CONFIG_MAP)
}

fn prune_kind(core: &Kubernetes, system: &SystemName, kind: &str, place: path::Kind) -> Result<()> {
    let namespace = core.names.namespace(system);
    let in_ledger = |entry: &Entry| entry.kind == kind && entry.system.as_deref() == Some(system.as_str());
    let entries = core.records.entries()?;
    let name = |entry: &Entry| entry.identity["name"].as_str().unwrap_or_default().to_owned();
    let mut unused: BTreeSet<String> = entries.iter().filter(|entry| in_ledger(entry)).map(name).collect();
    for release in core.records.history(system)? {
        forget_named(&release.values, &mut unused);
    }
    if unused.is_empty() {
        return Ok(());
    }
    let api = core.access.api()?;
    for name in &unused {
        let gone = api.delete(&place.at(&namespace, name), false);
        gone.map_err(|refusal| {
            kube::fault(&format!("remove the {} `{name}` in namespace `{namespace}`", place.name), &refusal)
        })?;
    }
    core.records.strike(|entry| in_ledger(entry) && unused.contains(&name(entry)))
}

/// Takes out every name that the values mention anywhere.
fn forget_named(values: &Value, names: &mut BTreeSet<String>) {
    match values {
        Value::String(text) => drop(names.remove(text)),
        Value::Array(list) => list.iter().for_each(|value| forget_named(value, names)),
        Value::Object(map) => map.values().for_each(|value| forget_named(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_values_refer_to_is_kept() {
        let values = json!({"services": {"redis": {"secret": {"name": "redis-1"}}, "list": ["redis-2", 3, null]}});
        let mut names = BTreeSet::from(["redis-1", "redis-2", "redis-3"].map(str::to_owned));
        forget_named(&values, &mut names);
        assert_eq!(names, BTreeSet::from(["redis-3".to_owned()]));
    }
}
