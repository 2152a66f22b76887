//! What a deploy would change, and why: asked of the records and the cluster, changing nothing.

use super::records::VerifiedRelease;
use super::release_context::{self, Candidate, DesiredRelease, ReleaseContext, ResolveMode};
use super::running::{Readiness, Running};
use super::{Kubernetes, balancers, drift, jobs, secret_values};
use anyhow::Result;
use base::ctx::Ctx;
use base::redact;
use engine::backend::{SystemChanges, Target};
use engine::reconcile::Refusal;
use model::name::ServiceName;
use model::reach;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many changed values of a service are named.
const NAMED: usize = 5;

pub(super) fn changes(core: &Arc<Kubernetes>, ctx: &Ctx) -> Result<Vec<SystemChanges>> {
    let (candidates, skipped) = release_context::candidates(core);
    let run = ReleaseContext::new(core, ctx, &candidates)?;
    let compared = core.compare(&core.recorded()?, &run.running()?.observed(&core.names, &core.deployment.spec))?;
    let of = |candidate: &Candidate| -> Result<SystemChanges> {
        let system = &candidate.system.name;
        if let Some(Refusal { service, fault }) = compared.refusal(system, &core.deployment.environment) {
            return Ok(SystemChanges::failing(system.clone(), Some(service), fault));
        }
        let mut services = services(&run, candidate)?;
        // What goes is told with all else that does.
        services.retain(|(service, _)| candidate.services().contains(service));
        let parts = candidate.parts.iter().map(|part| &part.service);
        let changing = parts.filter(|part| services.iter().any(|(service, _)| *service == part.name));
        let balanced = balancers::foretold(core, changing);
        for (service, reasons) in &mut services {
            let part = candidate.parts.iter().find(|part| part.service.name == *service);
            let allow = part.and_then(|part| part.service.container.allow.as_ref());
            reasons.extend(allow.map(|allow| format!("it may {allow}")));
            let reaches = part.map(|part| &part.service.reaches).filter(|reaches| !reaches.is_empty());
            reasons.extend(reaches.map(|reaches| format!("it reaches {}", reach::shown(reaches))));
            let balanced = balanced.iter().find(|(of, _)| of == service);
            reasons.extend(balanced.map(|(_, words)| format!("it {words}")));
        }
        let mut missing = secret_values::missing(core, std::slice::from_ref(candidate))?;
        missing.extend(run.supply.missing_secrets(&candidate.services()));
        missing.sort();
        missing.dedup();
        let told: Vec<String> =
            missing.iter().map(|missing| format!("a deploy needs the secret {}", missing.told())).collect();
        let note = (!told.is_empty()).then(|| told.join("; "));
        let shown = run.desired(candidate, ResolveMode::Shown)?;
        let jobs = shown.map(|desired| jobs::told(core, &candidate.system, &desired)).transpose()?.unwrap_or_default();
        Ok(SystemChanges { name: system.clone(), skipped: None, services, jobs, note })
    };
    let mut changes = candidates.iter().map(of).collect::<Result<Vec<_>>>()?;
    changes.extend(skipped.into_iter().map(|system| SystemChanges {
        name: system.name,
        skipped: Some(system.reason),
        services: Vec::new(),
        jobs: Vec::new(),
        note: None,
    }));
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(changes)
}

/// Why each service of a system would change; only those that would.
type Reasons = BTreeMap<ServiceName, Vec<String>>;

fn services(run: &ReleaseContext, candidate: &Candidate) -> Result<Vec<(ServiceName, Vec<String>)>> {
    let mut reasons = Reasons::new();
    let is_there = run.core.platform.is_there()?;
    let newest = if is_there { run.core.records.history(&candidate.system.name)?.pop() } else { None };
    let Some(proven) = newest else {
        let all = candidate.services().into_iter();
        return Ok(all.map(|service| (service, vec!["it is not deployed yet".to_owned()])).collect());
    };
    if let Some(desired) = run.desired(candidate, ResolveMode::Shown)? {
        compare(run, &desired, &proven, &mut reasons);
        // One that was never made is told by what it holds.
        let was_there = |service: &&ServiceName| {
            let name = proven.values.pointer(&format!("/services/{service}/secret/name"));
            name.and_then(Value::as_str) == desired.wanted.secrets.get(*service).map(|secret| secret.name.as_str())
        };
        for service in run.running()?.without_secret(&desired.wanted).filter(was_there) {
            reasons.entry(service.clone()).or_default().push("its Secret is gone from the cluster".to_owned());
        }
        let was_given = |service: &&ServiceName| {
            let name = |values: &Value| values.pointer(&format!("/services/{service}/assets/configMap")).cloned();
            name(&proven.values) == name(&desired.values)
        };
        for service in run.running()?.without_files(&desired.wanted).filter(was_given) {
            reasons.entry(service.clone()).or_default().push("its files are gone from the cluster".to_owned());
        }
    }
    inspect(run, candidate, &proven, &mut reasons)?;
    Ok(reasons.into_iter().collect())
}

/// What is wanted, against what was proven.
fn compare(run: &ReleaseContext, desired: &DesiredRelease, proven: &VerifiedRelease, reasons: &mut Reasons) {
    let chart = !desired.stamp.same_chart(proven);
    for part in &desired.wanted.parts {
        let service = &part.service.name;
        let Some(version) = proven.versions.get(service) else {
            reasons.entry(service.clone()).or_default().push("it is new".to_owned());
            continue;
        };
        let mut own = image_reasons(run, service, version);
        own.extend(value_reasons(&proven.values, &desired.values, service));
        if chart {
            own.push("the chart `helm/app` changed".to_owned());
        }
        if !own.is_empty() {
            reasons.entry(service.clone()).or_default().extend(own);
        }
    }
    let stays = |service: &ServiceName| desired.wanted.parts.iter().any(|part| part.service.name == *service);
    for service in proven.versions.keys().filter(|service| !stays(service)) {
        reasons.entry(service.clone()).or_default().push("it is no longer part of the system".to_owned());
    }
}

fn image_reasons(run: &ReleaseContext, service: &ServiceName, version: &str) -> Vec<String> {
    let known = run.supply.known(service);
    if known.as_ref().is_some_and(|image| image.version == version) {
        return Vec::new();
    }
    let why = run.supply.changes_since(service, version);
    match known {
        _ if !why.is_empty() => why,
        Some(image) => vec![format!("its image becomes {}", image.version)],
        // It was made elsewhere, or its record is gone: whether it is the same comes out when it is made.
        None => vec!["its image has to be made first".to_owned()],
    }
}

/// Which values of a service differ, beside its image and version.
fn value_reasons(before: &Value, after: &Value, service: &ServiceName) -> Vec<String> {
    let of = |values: &Value| {
        let mut own = values["services"][service.as_str()].clone();
        if let Some(own) = own.as_object_mut() {
            own.remove("image");
            own.remove("version");
        }
        own
    };
    let mut paths = Vec::new();
    differing("", &of(before), &of(after), &mut paths);
    // What concerns all services of a system.
    let shared = |values: &Value| {
        let mut values = values.clone();
        if let Some(values) = values.as_object_mut() {
            values.remove("services");
        }
        values
    };
    differing("", &shared(before), &shared(after), &mut paths);
    let more = paths.len().saturating_sub(NAMED);
    paths.truncate(NAMED);
    if more > 0 {
        paths.push(format!("{more} more"));
    }
    paths
}

/// What is said of all that is known of files: what is in them has many names.
const FILES: &str = "its files changed";

/// Where two documents differ, down to the deepest key that both have. A Secret's name says that what is in it differs.
fn differing(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => differing(&path, old, new, found),
                    (Some(old), None) => found.push(format!("`{path}` was {}, and is gone", shown(&path, old))),
                    (None, Some(new)) => found.push(format!("`{path}` becomes {}", shown(&path, new))),
                    (None, None) => {}
                }
            }
        }
        (old, new) if old == new => {}
        (_, _) if path == "secret.name" => found.push("its secrets or files changed".to_owned()),
        (_, _) if path.starts_with("assets.") => {
            if found.last().is_none_or(|last| last != FILES) {
                found.push(FILES.to_owned());
            }
        }
        (old, new) => found.push(format!("`{path}` becomes {}, was {}", shown(path, new), shown(path, old))),
    }
}

/// A value on one line, not all of it when it is long, and nothing of a secret: what an earlier version has released plain
/// is not known by its value.
fn shown(path: &str, value: &Value) -> String {
    const LONGEST: usize = 60;
    let hidden = |name: &str| value.is_string() && redact::is_name(name);
    let value = match path.strip_prefix("env.") {
        Some(name) if hidden(name) => json!(redact::HIDDEN),
        // What has no such variable yet has all of them at once.
        None if path == "env" => redact_all(value),
        _ => redact::document(value),
    };
    // Before it is cut: half a secret is not known by its value.
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn redact_all(variables: &Value) -> Value {
    let shown = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.clone(), |value| json!(redact::value(name, value)));
        (name.clone(), value)
    };
    variables.as_object().into_iter().flatten().map(shown).collect::<serde_json::Map<_, _>>().into()
}

/// What is in the cluster, against what was proven there.
fn inspect(run: &ReleaseContext, candidate: &Candidate, proven: &VerifiedRelease, reasons: &mut Reasons) -> Result<()> {
    let core = &run.core;
    let system = &candidate.system.name;
    let namespace = core.names.namespace(system);
    let running = run.running()?;
    let other = release_reason(&running, &namespace, candidate, proven);
    if let Some(word) = &other {
        for service in candidate.services() {
            reasons.entry(service).or_default().push(word.clone());
        }
    }
    for service in candidate.services().into_iter().filter(|service| proven.versions.contains_key(service)) {
        let word = match running.standing(&namespace, &service) {
            Readiness::Ready => continue,
            Readiness::Unready => "it is not ready",
            Readiness::Gone => "it is gone from the cluster",
        };
        reasons.entry(service).or_default().push(word.to_owned());
    }
    if other.is_some() {
        // What another release has made is not a hand's work.
        return Ok(());
    }
    let there = drift::capture(core, system)?;
    for difference in drift::differences(&proven.objects, &there) {
        let named = difference.service.as_deref().and_then(|name| core.deployment.spec.called(system, name));
        let Some(service) = named.or_else(|| candidate.services().into_iter().next()) else { continue };
        let verify = core.deployment.environment.command("deploy --verify");
        let (object, what) = (&difference.object, &difference.what);
        let word = match difference.is_ours {
            true => format!("changed by hand: {object} {what}; `{verify}` puts it back"),
            false => format!("{object} {what} and stays"),
        };
        reasons.entry(service).or_default().push(word);
    }
    Ok(())
}

/// What Helm says of the release, when that is not what was proven.
fn release_reason(
    running: &Running,
    namespace: &str,
    candidate: &Candidate,
    proven: &VerifiedRelease,
) -> Option<String> {
    match running.newest(namespace, &candidate.system.name) {
        None => Some("its release is gone".to_owned()),
        Some(record) if record.revision == proven.helm_revision && record.is_deployed() => None,
        Some(record) => {
            let (revision, status) = (record.revision, &record.status);
            Some(format!("revision {revision} of its release, `{status}`, was never proven"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_named_by_its_value() {
        let before = json!({"services": {"a": {"env": {"DB_PASS": "hunter2", "URL": "redis://u:hunter2@h/"}}}});
        let after = json!({"services": {"a": {"env": {"DB_PASS": "hunter3"}, "secret": {"name": "a-1", "env": []}}}});
        let none = json!({"services": {"a": {}}});
        let a = "a".parse().unwrap();
        for (old, new) in [(&before, &after), (&after, &before), (&none, &before), (&before, &none)] {
            let reasons = value_reasons(old, new, &a).join("\n");
            assert!(reasons.contains("DB_PASS") && !reasons.contains("hunter"), "{reasons}");
        }
    }

    #[test]
    fn a_changed_value_is_named_by_its_path() {
        let before = json!({"services": {"a": {"image": "x", "env": {"A": "1"}, "secret": {"name": "a-1"}}}, "c": 1});
        let after = json!({"services": {"a": {"image": "y", "env": {"A": "2", "B": "3"}, "secret": {"name": "a-2"}}}});
        let reasons = value_reasons(&before, &after, &"a".parse().unwrap());
        let expected = [
            r#"`env.A` becomes "2", was "1""#,
            r#"`env.B` becomes "3""#,
            "its secrets or files changed",
            "`c` was 1, and is gone",
        ];
        assert_eq!(reasons, expected);
        assert!(value_reasons(&before, &before, &"a".parse().unwrap()).is_empty());
    }
}
