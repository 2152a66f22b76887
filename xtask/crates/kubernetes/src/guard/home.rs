//! The deployment's home namespace: where its records are, and on most clusters its lease.

use crate::Kubernetes;
use crate::namespaces;
use crate::namespaces::{GONE_WITHIN, Ownership};
use anyhow::Result;
use base::error::{Exit, Fault};
use base::signal::Interrupts;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use engine::recorded_settings;
use kube::path;
use model::allowance::SecurityLevel;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a namespace is looked at that is on its way out.
const LOOK: Duration = Duration::from_millis(250);

/// The step that has it, for platforms whose lease is elsewhere.
pub const STEP: Action = Action::new("home");

/// The step `home`.
pub fn step(core: &Arc<Kubernetes>, needs: Vec<StepId>) -> Step {
    Step {
        id: StepId::new(STEP),
        title: "have the deployment's own namespace, where its records are".to_owned(),
        system: None,
        needs,
        holds: Holds::Nothing,
        preview: vec![Preview::Do(format!("namespace `{}`, unless it is there", core.names.home))],
        work: Box::new(HomeWork { core: Arc::clone(core) }),
    }
}

struct HomeWork {
    core: Arc<Kubernetes>,
}

impl Work for HomeWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let core = &self.core;
        // Whoever deployed before us may have written since this run has planned.
        core.records.forget_what_was_read();
        let found = get(core)?;
        let Ownership::Ours(found) = Ownership::of(found, &core.names, &core.records.entries()?) else {
            return Ok(None);
        };
        let labelled = namespaces::is_labelled(&found, &wanted(core));
        let entered = core.records.entries()?.contains(&namespaces::entry(&core.names.home, None, Some(&found)));
        if !labelled || !entered || core.records.has_early()? {
            return Ok(None);
        }
        settle(core, &found)?;
        Ok(Some("it is there".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let say = |words: String| cx.status(words);
        if let Some(found) = have(&self.core, true, cx.interrupts, &say)? {
            settle(&self.core, &found)?;
        }
        Ok(Outcome::Done)
    }
}

/// The namespace of the deployment's own state, made when `makes` says so.
///
/// # Errors
/// When it is somebody else's, or the cluster refuses.
pub(super) fn have(
    core: &Kubernetes,
    makes: bool,
    interrupts: &Interrupts,
    say: &dyn Fn(String),
) -> Result<Option<Value>> {
    let (name, api) = (&core.names.home, core.access.api()?);
    let deadline = Instant::now() + GONE_WITHIN;
    let mut told = false;
    loop {
        match Ownership::of(get(core)?, &core.names, &core.records.entries()?) {
            Ownership::Ours(found) => return labelled(core, found).map(Some),
            Ownership::Absent if !makes => return Ok(None),
            Ownership::Absent => {
                core.records.enter_here(namespaces::entry(name, None, None))?;
                match api.create(&path::NAMESPACE.everywhere(), &wanted(core)) {
                    Ok(made) => return Ok(Some(made)),
                    // Somebody else was faster; the next look tells who.
                    Err(refusal) if refusal.is_conflict() => {}
                    Err(refusal) => return Err(kube::fault(&format!("make namespace `{name}`"), &refusal).into()),
                }
            }
            Ownership::Going(holds) => {
                if !std::mem::replace(&mut told, true) {
                    say(format!("waiting for an earlier `{name}` to be gone: {holds}"));
                }
                if Instant::now() >= deadline {
                    return Err(namespaces::stuck(name, &holds).into());
                }
                if interrupts.pause(LOOK) {
                    return Err(Fault::interrupted(interrupts.first().unwrap_or_default()).into());
                }
            }
            Ownership::Foreign => return Err(taken(core, "").into()),
            Ownership::Taken(owner) => return Err(taken(core, &owner).into()),
        }
    }
}

/// Makes sure that this cluster is the one that its records tell of, notes that it is deployed to, and enters the
/// namespace.
///
/// # Errors
/// When the records tell of another cluster, or cannot be written.
pub(super) fn settle(core: &Kubernetes, found: &Value) -> Result<()> {
    let identity = core.access.identity()?;
    if let Some(noted) = core.records.cluster()? {
        identity.check(&noted, &core.deployment.environment).map_err(|fault| {
            let name = &core.names.home;
            fault.hint(format!(
                "if this cluster is a copy of that one, the records in namespace `{name}` are not valid here: \
                 kubectl delete namespace {name}"
            ))
        })?;
    }
    identity.note(core.deployment.home.dir())?;
    engine::identity::note(&core.deployment.home, &core.deployment.environment)?;
    recorded_settings::note(&core.deployment.home, &core.deployment.environment)?;
    core.records.enter(namespaces::entry(&core.names.home, None, Some(found)))?;
    core.records.settle()
}

fn get(core: &Kubernetes) -> Result<Option<Value>> {
    let name = &core.names.home;
    let found = core.access.api()?.get(&path::NAMESPACE.named(name));
    Ok(found.map_err(|refusal| kube::fault(&format!("look for namespace `{name}`"), &refusal))?)
}

fn wanted(core: &Kubernetes) -> Value {
    namespaces::object(&core.names, &core.names.home, None, SecurityLevel::Restricted)
}

fn taken(core: &Kubernetes, owner: &str) -> Fault {
    let fault = namespaces::taken(&core.deployment.environment, &core.names.home, owner);
    Fault { exit: Exit::CouldNotRun, ..fault }
}

/// Gives it the labels again that it was made with.
fn labelled(core: &Kubernetes, found: Value) -> Result<Value> {
    let wanted = wanted(core);
    if namespaces::is_labelled(&found, &wanted) {
        return Ok(found);
    }
    let patch = json!({"metadata": {"labels": wanted["metadata"]["labels"]}});
    let merged = core.access.api()?.merge(&path::NAMESPACE.named(&core.names.home), &patch);
    Ok(merged.map_err(|refusal| kube::fault(&format!("label namespace `{}`", core.names.home), &refusal))?)
}
