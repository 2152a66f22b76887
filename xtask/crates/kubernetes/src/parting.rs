//! Services that a release has and that its system declares no longer: they stay beside the new ones until these are proven.

use super::recorded;
use super::records::VerifiedRelease;
use super::release_context::{DesiredRelease, ReleaseContext};
use anyhow::Result;
use model::name::ServiceName;
use serde_json::Value;
use std::collections::BTreeSet;

/// What becomes of those that are not declared any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Parting {
    /// They stay: nothing is removed for being undeclared at the moment.
    pub(super) stay: BTreeSet<ServiceName>,
    /// They have handed over what they stored, and do not run beside whoever has it now.
    pub(super) stopped: BTreeSet<ServiceName>,
}

impl Parting {
    /// The release while what it is to be is not proven yet.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn beside(&self, run: &ReleaseContext, desired: DesiredRelease) -> Result<DesiredRelease> {
        with(run, desired, |service| !self.stopped.contains(service))
    }

    /// The release once everything is gone that may go.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn lasting(&self, run: &ReleaseContext, desired: DesiredRelease) -> Result<DesiredRelease> {
        with(run, desired, |service| self.stay.contains(service))
    }
}

/// The services of the newest proven release that another one does not have.
///
/// # Errors
/// When the records cannot be read.
pub(super) fn leaving(run: &ReleaseContext, desired: &DesiredRelease) -> Result<BTreeSet<ServiceName>> {
    let released = recorded::released(&run.core, &desired.wanted.system)?;
    Ok(released.into_keys().filter(|service| !has(&desired.values, service)).collect())
}

/// The release with those services of the newest proven one beside it that it does not have and that are to be kept.
fn with(run: &ReleaseContext, desired: DesiredRelease, kept: impl Fn(&ServiceName) -> bool) -> Result<DesiredRelease> {
    let Some(newest) = run.core.records.history(&desired.wanted.system)?.pop() else { return Ok(desired) };
    let kept: BTreeSet<ServiceName> = leaving(run, &desired)?.into_iter().filter(kept).collect();
    if kept.is_empty() {
        return Ok(desired);
    }
    let values = united(&desired.values, &newest.values, &kept);
    let versions = newest.versions.into_iter().filter(|(service, _)| kept.contains(service));
    let versions = desired.versions.into_iter().chain(versions).collect();
    Ok(DesiredRelease { stamp: run.stamp(&values), values, versions, ..desired })
}

fn has(values: &Value, service: &ServiceName) -> bool {
    values["services"].get(service.as_str()).is_some()
}

/// The values of a release with some services of an earlier one, and with what these take that is the whole release's.
fn united(values: &Value, earlier: &Value, kept: &BTreeSet<ServiceName>) -> Value {
    let mut united = values.clone();
    for service in kept {
        united["services"][service.as_str()] = earlier["services"][service.as_str()].clone();
    }
    for (key, value) in earlier.as_object().into_iter().flatten() {
        if united.get(key).is_none() {
            united[key] = value.clone();
        }
    }
    // One that stays may need one that nothing else does.
    let names: Vec<String> =
        united["services"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    for service in kept {
        if let Some(needs) = united["services"][service.as_str()]["needs"].as_array_mut() {
            needs.retain(|need| names.iter().any(|name| need == name));
        }
    }
    united
}

/// A proven release without some of its services.
pub(super) fn without(
    proven: &VerifiedRelease,
    services: &BTreeSet<ServiceName>,
    stamp: impl Fn(&Value) -> String,
) -> VerifiedRelease {
    let mut values = proven.values.clone();
    if let Some(all) = values["services"].as_object_mut() {
        all.retain(|name, _| !services.iter().any(|service| service.as_str() == name));
        for other in all.values_mut() {
            if let Some(needs) = other["needs"].as_array_mut() {
                needs.retain(|need| !services.iter().any(|service| need == service.as_str()));
            }
        }
    }
    let versions = proven.versions.iter().filter(|(service, _)| !services.contains(*service));
    let versions = versions.map(|(service, version)| (service.clone(), version.clone())).collect();
    VerifiedRelease { stamp: stamp(&values), values, versions, objects: Vec::new(), ..proven.clone() }
}

/// "`epoch`, `clock`"
pub(super) fn named<'n>(services: impl Iterator<Item = &'n ServiceName>) -> String {
    services.map(|service| format!("`{service}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn names(names: &[&str]) -> BTreeSet<ServiceName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn what_stays_beside_is_as_it_was() {
        let earlier = json!({
            "system": "s", "ingress": {"class": "x"},
            "services": {"old": {"port": 1, "needs": ["db", "gone"]}, "db": {"port": 2}, "gone": {"port": 3}},
        });
        let now = json!({"system": "s", "services": {"new": {"port": 4}, "db": {"port": 5}}});
        let united = united(&now, &earlier, &names(&["old"]));
        let services = json!({"new": {"port": 4}, "db": {"port": 5}, "old": {"port": 1, "needs": ["db"]}});
        assert_eq!(united, json!({"system": "s", "ingress": {"class": "x"}, "services": services}));
    }

    #[test]
    fn a_release_loses_a_service_and_those_who_need_it_know() {
        let proven = VerifiedRelease {
            number: 3,
            at: String::new(),
            stamp: "a".to_owned(),
            helm_revision: 7,
            values: json!({"services": {"a": {"needs": ["b", "c"]}, "b": {"needs": []}, "c": {"needs": []}}}),
            versions: BTreeMap::from(["a", "b"].map(|name| (name.parse().unwrap(), "1".to_owned()))),
            objects: vec![json!({})],
        };
        let left = without(&proven, &names(&["b"]), |values| values.to_string().len().to_string());
        assert_eq!(left.values, json!({"services": {"a": {"needs": ["c"]}, "c": {"needs": []}}}));
        assert_eq!(left.versions.keys().map(ToString::to_string).collect::<Vec<_>>(), ["a"]);
        assert_eq!((left.number, left.objects.len()), (3, 0));
    }
}
