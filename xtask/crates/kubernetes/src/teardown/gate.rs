//! Waits until something is gone, on the cluster's own word, and tells what holds it up. Nothing is forced: a finalizer is
//! somebody's promise to clean up first.

use super::find::Found;
use anyhow::Result;
use base::error::Fault;
use engine::plan::runner::StepCx;
use kube::Api;
use kube::object;
use kube::path::{CLAIM, NAMESPACE, VOLUME};
use serde_json::Value;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// What takes longer is worth a look at what holds it up.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many things are named.
const NAMED: usize = 5;
/// The finalizers of the cluster itself, which go by themselves.
const OWN: [&str; 5] =
    ["kubernetes.io/pvc-protection", "kubernetes.io/pv-protection", "foregroundDeletion", "orphan", "kubernetes"];

/// What is waited for.
pub(super) struct Gate<'a> {
    pub(super) api: &'a Api,
    pub(super) within: Duration,
}

impl Gate<'_> {
    /// Removes what was found, and asks until `look` finds nothing any more.
    ///
    /// # Errors
    /// When the cluster refuses, and those of [`Gate::until_gone`].
    pub(super) fn remove<'f>(
        &self,
        cx: &StepCx<'_>,
        found: impl IntoIterator<Item = &'f Found>,
        look: impl FnMut() -> Result<Vec<Found>>,
    ) -> Result<()> {
        for found in found {
            let refused = |refusal| kube::fault(&format!("remove `{}`", found.title()), &refusal);
            self.api.delete(&found.path(), false).map_err(refused)?;
        }
        self.until_gone(cx, look)
    }

    /// Asks until `look` finds nothing any more.
    ///
    /// # Errors
    /// When something is still there after the time it may take: what, and what holds it up.
    pub(super) fn until_gone(&self, cx: &StepCx<'_>, mut look: impl FnMut() -> Result<Vec<Found>>) -> Result<()> {
        let last = RefCell::new(Vec::new());
        let mut said = String::new();
        let began = Instant::now();
        let ask = || {
            let found = look()?;
            let now = match began.elapsed() < TIMEOUT {
                true => named(found.iter().map(Found::title)),
                false => self.told(&found),
            };
            if !found.is_empty() && said != now {
                cx.status(format!("waiting until this is gone: {now}"));
                said = now;
            }
            let gone = found.is_empty().then_some(());
            last.replace(found);
            Ok(gone)
        };
        cx.wait_for(self.within, ask, || self.expired(&last.borrow()))
    }

    /// What is there, and what holds each up.
    fn told(&self, left: &[Found]) -> String {
        named(left.iter().map(|found| format!("{}, {}", found.title(), self.reason(found))))
    }

    fn expired(&self, left: &[Found]) -> Fault {
        let cause = format!("still there after {} s: {}", self.within.as_secs(), self.told(left));
        Fault::failed("teardown-blocked", cause)
            .hint("clear what holds it, such as a finalizer; then the same command again continues where it stopped")
    }

    /// What holds it up, as the cluster has it at this moment.
    fn reason(&self, found: &Found) -> String {
        let now = self.api.get(&found.path()).ok().flatten().unwrap_or_else(|| found.object.clone());
        let foreign = finalizers(&now).filter(|name| !OWN.contains(name)).map(|name| format!("`{name}`"));
        let foreign: Vec<String> = foreign.collect();
        if !foreign.is_empty() {
            return format!("which waits for the finalizer {}", foreign.join(", "));
        }
        if found.kind == NAMESPACE {
            return conditions(&now).unwrap_or_else(|| "which the cluster has not emptied yet".to_owned());
        }
        if found.kind == CLAIM {
            let users = self.users(found);
            if !users.is_empty() {
                return format!("which {} still uses", named(users.into_iter()));
            }
        }
        if found.kind == VOLUME {
            let phase = object::text(&now, "/status/phase");
            let words = object::text(&now, "/status/message");
            return format!("which its storage has not removed yet (`{phase}`{})", prefixed(words));
        }
        match object::is_going(&now) {
            true => "which is ending".to_owned(),
            false => "which nothing removes, or something makes again".to_owned(),
        }
    }

    /// The pods that use a claim.
    fn users(&self, claim: &Found) -> Vec<String> {
        let pods = self.api.list(&kube::path::POD.within(claim.namespace()), "").unwrap_or_default();
        let uses = |pod: &&Value| {
            let mut volumes = object::list(pod, "/spec/volumes").iter();
            volumes.any(|volume| object::text(volume, "/persistentVolumeClaim/claimName") == claim.name())
        };
        pods.iter().filter(uses).map(|pod| format!("Pod {}", object::name(pod))).collect()
    }
}

fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    let of = |pointer| object::list(object, pointer).iter().filter_map(Value::as_str);
    of("/metadata/finalizers").chain(of("/spec/finalizers"))
}

/// What the cluster says of a namespace that does not go, the most telling first.
fn conditions(namespace: &Value) -> Option<String> {
    let told = [
        "NamespaceFinalizersRemaining",
        "NamespaceContentRemaining",
        "NamespaceDeletionContentFailure",
        "NamespaceDeletionDiscoveryFailure",
    ];
    let all = object::list(namespace, "/status/conditions");
    let holds = |kind: &&str| {
        let holds = |condition: &&Value| condition["type"] == **kind && condition["status"] == "True";
        all.iter().find(holds).map(|condition| object::text(condition, "/message").trim_end_matches('.').to_owned())
    };
    let words: Vec<String> = told.iter().filter_map(holds).collect();
    (!words.is_empty()).then(|| format!("of which the cluster says: {}", words.join("; ")))
}

fn prefixed(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

/// "`Pod a`, `Pod b` and 3 more"
pub(super) fn named(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let told: Vec<String> = all.take(NAMED).map(|title| quoted(&title)).collect();
    if more == 0 { told.join(", ") } else { format!("{} and {more} more", told.join(", ")) }
}

/// The name is quoted, what is said of it is not.
fn quoted(title: &str) -> String {
    match title.split_once(", ") {
        Some((title, rest)) => format!("`{title}`, {rest}"),
        None => format!("`{title}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_few_are_named() {
        let of = |count: usize| named((0..count).map(|n| format!("Pod {n}")).collect::<Vec<_>>().into_iter());
        assert_eq!(of(2), "`Pod 0`, `Pod 1`");
        assert_eq!(of(7), "`Pod 0`, `Pod 1`, `Pod 2`, `Pod 3`, `Pod 4` and 2 more");
        assert_eq!(quoted("Pod a, which is ending"), "`Pod a`, which is ending");
    }

    #[test]
    fn a_namespace_says_what_it_waits_for() {
        let condition =
            |kind: &str, status: &str, message: &str| json!({"type": kind, "status": status, "message": message});
        let namespace = json!({"status": {"conditions": [
            condition("NamespaceDeletionDiscoveryFailure", "False", "All is well"),
            condition("NamespaceContentRemaining", "True", "Some resources are remaining: pods. has 1 resource instances"),
            condition("NamespaceFinalizersRemaining", "True", "Some content has finalizers: a/b in 1 instances."),
        ]}});
        let told = conditions(&namespace).unwrap();
        assert!(told.contains("finalizers: a/b in 1 instances; Some resources"), "{told}");
        assert_eq!(conditions(&json!({})), None);
    }
}
