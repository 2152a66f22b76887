//! What was changed by hand: the objects of a release as they were when it was proven, against those that are there.
//!
//! Not drift is what a cluster does by itself (status, addresses, replicas that an autoscaler sets, the annotations of
//! controllers) and what leaves the same thing running: `kubectl rollout restart`.

mod compare;
mod normal;
mod restore;

pub(super) use compare::differences;
pub(super) use restore::restore;

use super::Kubernetes;
use super::names::{INSTANCE, MANAGED_BY, OURS};
use anyhow::{Result, anyhow};
use kube::object;
use kube::path;
use kube::path::{Kind, RELEASED, SECRET};
use kube::{Api, Refusal};
use model::name::SystemName;
use serde_json::Value;

/// One thing that is not as it was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// `Deployment epoch`
    pub(super) object: String,
    /// The service it belongs to, where its labels say so.
    pub(super) service: Option<String>,
    /// "`spec.template.spec.containers[epoch].image` is `x`, proven was `y`", "is gone"
    pub(super) what: String,
    /// Whether it is the release's own, and so put back. What a hand has added beside it is told and left alone.
    pub(super) is_ours: bool,
}

/// The objects of a system's release as they are now, without what the cluster changes by itself: status, versions,
/// replicas that an autoscaler owns. What somebody has made by hand with the same labels is among them.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn capture(core: &Kubernetes, system: &SystemName) -> Result<Vec<Value>> {
    let api = core.access.api()?;
    let namespace = core.names.namespace(system);
    let selector = format!("{INSTANCE}={system},{}", core.names.selector());
    let found = all(&api, &namespace, &selector)
        .map_err(|refusal| kube::fault(&format!("read what `{system}` consists of"), &refusal))?;
    Ok(normal::release(found.into_iter().filter(is_kept_in_view)))
}

/// All objects of the kinds of a release. The kinds are asked for at the same time.
fn all(api: &Api, namespace: &str, selector: &str) -> Result<Vec<Value>, Refusal> {
    let list = |kind: Kind| match api.list(&collection(kind, namespace), selector) {
        Err(refusal) if kind.is_of_jobs() && refusal.status == 403 => Ok(Vec::new()),
        listed => listed,
    };
    let lists: Vec<Result<Vec<Value>, Refusal>> = std::thread::scope(|scope| {
        let asking: Vec<_> = RELEASED.iter().map(|kind| scope.spawn(|| list(*kind))).collect();
        asking.into_iter().zip(RELEASED).map(|(thread, kind)| thread.join().unwrap_or_else(|_| list(kind))).collect()
    });
    let lists: Vec<Vec<Value>> = lists.into_iter().collect::<Result<_, _>>()?;
    Ok(lists.into_iter().flatten().collect())
}

fn collection(kind: Kind, namespace: &str) -> String {
    let all = kind.within(namespace);
    // Each of Helm's own records is as large as the whole release.
    if kind == SECRET { path::with_query(&all, &[("fieldSelector", "type!=helm.sh/release.v1")]) } else { all }
}

/// What may have been changed by hand: not what a controller has made, nor what a volume is claimed with by a
/// StatefulSet, nor what this program keeps beside the release.
fn is_kept_in_view(found: &Value) -> bool {
    let owned = !object::list(found, "/metadata/ownerReferences").is_empty();
    let claimed = found["kind"] == path::CLAIM.name && !normal::is_released(found);
    let ours = object::label(found, MANAGED_BY) == OURS;
    !(owned || claimed || ours || object::is_going(found))
}

/// "Deployment epoch"
fn title(found: &Value) -> String {
    format!("{} {}", object::text(found, "/kind"), object::name(found))
}

fn kind_of(found: &Value) -> Result<Kind> {
    Kind::of(found).ok_or_else(|| anyhow!("`{}` is of a kind that no release has", title(found)))
}

/// Whether two objects are the same one.
fn is_same(one: &Value, other: &Value) -> bool {
    let id = |of: &Value| (of["kind"].clone(), object::namespace(of).to_owned(), object::name(of).to_owned());
    id(one) == id(other)
}
