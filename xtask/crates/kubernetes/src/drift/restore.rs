//! Puts objects back to what was proven.
//!
//! The content is written as a whole, since only that takes back what a hand has added. What is written so belongs to
//! this program in the eyes of the cluster (kubernetes.io/docs/reference/using-api/server-side-apply), and a later release
//! could change it but not take it away; so it is handed over to Helm afterwards.

use super::compare::differences;
use super::{Kubernetes, is_same, kind_of, normal, title};
use crate::records::VerifiedRelease;
use anyhow::Result;
use base::error::Fault;
use kube::object;
use kube::{Api, MANAGER, Refusal, path};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Who owns what a release has written.
const HELM: &str = "helm";
/// How often something that controllers write to at the same time is tried.
const ATTEMPTS: usize = 5;
/// How long an object that has to be made anew may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Puts every object of the release back to what was proven, and says what it did. What a hand has made beside the release
/// stays: nothing says what it is for.
///
/// # Errors
/// When the cluster refuses.
pub(crate) fn restore(core: &Kubernetes, proven: &VerifiedRelease, there: &[Value]) -> Result<Vec<String>> {
    let api = core.access.api()?;
    let changed: BTreeSet<String> =
        differences(&proven.objects, there).into_iter().map(|difference| difference.object).collect();
    let scaled = normal::scaled(proven.objects.iter().chain(there));
    let restorer = Restorer { core, api: &api, proven: &proven.objects, scaled };
    let mut did = Vec::new();
    for wanted in proven.objects.iter().filter(|wanted| normal::is_released(wanted)) {
        if changed.contains(&title(wanted)) {
            did.push(restorer.one(wanted)?);
        }
    }
    for found in there.iter().filter(|found| !proven.objects.iter().any(|wanted| is_same(wanted, found))) {
        did.push(format!("left `{}` as it is, which was added by hand", title(found)));
    }
    Ok(did)
}

struct Restorer<'a> {
    core: &'a Kubernetes,
    api: &'a Api,
    proven: &'a [Value],
    scaled: BTreeSet<(String, String)>,
}

impl Restorer<'_> {
    fn one(&self, wanted: &Value) -> Result<String> {
        let refused = |refusal: Refusal| kube::fault(&format!("put `{}` back", title(wanted)), &refusal);
        let kind = kind_of(wanted)?;
        let place = kind.at(object::namespace(wanted), object::name(wanted));
        let keep_replicas = normal::is_scaled(wanted, &self.scaled);
        for _ in 0..ATTEMPTS {
            // One that has lost its labels was not seen, and is there all the same.
            let Some(live) = self.api.get(&place).map_err(refused)? else {
                let made = self.make(wanted).map_err(refused)?;
                self.hand_over(&place, made).map_err(refused)?;
                return Ok(format!("recreated `{}`, which was gone{}", title(wanted), loss(wanted)));
            };
            match self.api.replace(&place, &normal::over(wanted, &live, keep_replicas)) {
                Ok(written) => {
                    self.hand_over(&place, written).map_err(refused)?;
                    return Ok(format!("put `{}` back as it was proven", title(wanted)));
                }
                Err(refusal) if refusal.is_conflict() => {}
                Err(refusal) if refusal.status == 422 => return self.anew(wanted, &place, &refusal),
                Err(refusal) => return Err(refused(refusal).into()),
            }
        }
        let cause = format!("`{}` keeps being changed by someone else", title(wanted));
        Err(Fault::failed("drift-contended", cause).hint("run it again, or find out who changes it").into())
    }

    fn make(&self, wanted: &Value) -> Result<Value, Refusal> {
        let mut wanted = wanted.clone();
        if normal::is_scaled(&wanted, &self.scaled) {
            let scales = |found: &&Value| {
                found["kind"] == path::AUTOSCALER.name
                    && found.pointer("/spec/scaleTargetRef/name") == wanted.pointer("/metadata/name")
            };
            // Its autoscaler would start from one.
            let least = self.proven.iter().find(scales).map(|found| object::number(found, "/spec/minReplicas"));
            wanted["spec"]["replicas"] = json!(least.unwrap_or_default().max(1));
        }
        let collection = kind_of(&wanted).map(|kind| kind.within(object::namespace(&wanted)));
        self.api.create(&collection.unwrap_or_default(), &wanted)
    }

    /// Some fields never change, so that the object has to go first. Its pods serve on meanwhile, and the new one takes
    /// them over.
    fn anew(&self, wanted: &Value, place: &str, refusal: &Refusal) -> Result<String> {
        let refused = |refusal: Refusal| kube::fault(&format!("make `{}` anew", title(wanted)), &refusal);
        if wanted["kind"] == path::CLAIM.name {
            let cause = format!("`{}` cannot be put back without losing what is stored: {refusal}", title(wanted));
            return Err(Fault::failed("drift-stored", cause).into());
        }
        self.api.delete_alone(place).map_err(refused)?;
        let deadline = Instant::now() + GONE_WITHIN;
        let made = loop {
            match self.make(wanted) {
                Err(refusal) if refusal.is_conflict() && Instant::now() < deadline => {
                    if self.core.interrupts.pause(Duration::from_millis(100)) {
                        return Err(refused(refusal).into());
                    }
                }
                answer => break answer.map_err(refused)?,
            }
        };
        self.hand_over(place, made).map_err(refused)?;
        Ok(format!("recreated `{}`, which cannot be changed in place; its pods stayed", title(wanted)))
    }

    fn hand_over(&self, place: &str, mut written: Value) -> Result<(), Refusal> {
        for _ in 0..ATTEMPTS {
            let Some(fields) = handed_over(object::list(&written, "/metadata/managedFields")) else { return Ok(()) };
            written["metadata"]["managedFields"] = Value::Array(fields);
            match self.api.replace(place, &written) {
                Ok(_) => return Ok(()),
                Err(refusal) if refusal.is_conflict() => match self.api.get(place)? {
                    Some(newer) => written = newer,
                    None => return Ok(()),
                },
                Err(refusal) => return Err(refusal),
            }
        }
        // Controllers are at it all the time. The content is right, which is what counts.
        Ok(())
    }
}

fn loss(made: &Value) -> &'static str {
    if made["kind"] == path::CLAIM.name { "; what was stored in it is lost" } else { "" }
}

/// The owners of fields after what is ours has become Helm's; nothing when nothing is ours.
fn handed_over(owners: &[Value]) -> Option<Vec<Value>> {
    let is_whole = |owner: &Value| object::text(owner, "/subresource").is_empty();
    let ours = |owner: &Value| owner["manager"] == MANAGER && is_whole(owner);
    let mut given = owners.iter().find(|owner| ours(owner))?.clone();
    let mut left: Vec<Value> = owners.iter().filter(|owner| !ours(owner)).cloned().collect();
    match left.iter_mut().find(|owner| owner["manager"] == HELM && is_whole(owner)) {
        Some(helm) => unite(&mut helm["fieldsV1"], &given["fieldsV1"]),
        None => {
            given["manager"] = json!(HELM);
            given["operation"] = json!("Apply");
            left.push(given);
        }
    }
    Some(left)
}

fn unite(fields: &mut Value, more: &Value) {
    let Some(more) = more.as_object() else { return };
    if !fields.is_object() {
        *fields = Value::Object(Map::new());
    }
    for (key, value) in more {
        unite(&mut fields[key], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn what_was_put_back_becomes_helms() {
        let env = |name: &str| json!({"f:spec": {"f:env": {name: {".": {}, "f:value": {}}}}});
        let mut status = owner(MANAGER, "Update", json!({"f:status": {}}));
        status["subresource"] = json!("status");
        let hand = owner("kubectl-edit", "Update", json!({"f:spec": {"f:x": {}}}));
        let owners = [owner(HELM, "Apply", env("a")), hand.clone(), owner(MANAGER, "Update", env("b")), status.clone()];
        let both = json!({"f:spec": {"f:env": {"a": {".": {}, "f:value": {}}, "b": {".": {}, "f:value": {}}}}});
        assert_eq!(handed_over(&owners).unwrap(), [owner(HELM, "Apply", both), hand.clone(), status]);
        assert_eq!(handed_over(&[hand]), None);
    }

    #[test]
    fn what_was_made_again_is_helms_from_the_start() {
        let fields = json!({"f:data": {"f:a": {}}});
        let made = handed_over(&[owner(MANAGER, "Update", fields.clone())]).unwrap();
        assert_eq!(made, [owner(HELM, "Apply", fields)]);
    }
}
