//! The steps of a deploy and of a rollback: for each system its namespace, its images, its release, its proof. A system
//! that stands as it is wanted has nothing but the last two, which find that there is nothing to do.

use super::records::VerifiedRelease;
use super::release::{Goal, ReleaseWork, Released, standing};
use super::release_context::{self, Candidate, ReleaseContext, ResolveMode};
use super::release_spec::WorkloadSpec;
use super::removal::{self, Removals};
use super::running::Running;
use super::verify::AppliedRelease;
use super::{Kubernetes, balancers, exposure, handover, helm, jobs, prerequisites, recorded, secret_values};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::text::counted;
use engine::backend::{Contribution, Earlier, Target};
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use engine::reconcile::{Changes, UnitId};
use engine::release::VerifyWork;
use model::name::{ServiceName, SystemName};
use remote_tools::helm::Major;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The step that finds out how public services are exposed.
const INGRESS: Action = Action::new("ingress");

pub(super) fn deploy(core: &Arc<Kubernetes>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
    let (recorded, running) = (core.recorded()?, Running::look(core)?);
    let observed = running.observed(&core.names, &core.deployment.spec);
    let changes = core.compare(&recorded, &observed)?;
    let is_there = core.platform.is_there()?;
    let under_way = if is_there { handover::under_way(core)? } else { Vec::new() };
    let under_way = under_way.into_iter().map(|(owner, _)| owner).collect();
    let held = BTreeSet::new();
    let mut removals = Removals { core, changes: &changes, recorded: &recorded, observed: &observed, held, under_way };
    let (mut candidates, skipped) = release_context::candidates(core);
    let mut steps = Vec::new();
    for candidate in &candidates {
        if let Some(refusal) = changes.refusal(&candidate.system.name, &core.deployment.environment) {
            removals.held.insert(candidate.system.name.clone());
            steps.push(refused_step(candidate, refusal.fault));
        }
    }
    candidates.retain(|candidate| !removals.held.contains(&candidate.system.name));
    for candidate in &mut candidates {
        candidate.parting = removals.parting(&candidate.system.name)?;
        candidate.is_interrupted = !removals.handovers(&candidate.system.name, &[]).is_empty();
    }
    let mut missing = secret_values::missing(core, &candidates)?;
    let run = ReleaseContext::new(core, ctx, &candidates)?;
    run.set_running(running);
    let mut busy = Vec::new();
    for candidate in &candidates {
        busy.push(!is_there || !stands(&run, candidate)?);
    }
    let making = candidates.iter().zip(&busy).filter(|(_, busy)| **busy).map(|(candidate, _)| candidate);
    let services: Vec<ServiceName> = making.clone().flat_map(Candidate::services).collect();
    steps.extend(run.supply.steps(&services));
    missing.extend(run.supply.missing_secrets(&services));
    missing.sort();
    missing.dedup();
    let is_public = making.clone().any(|candidate| !candidate.public().is_empty());
    // A platform that makes the way in makes it known on its own way.
    let ingress = is_public && core.platform.ingress_provider().is_none() && run.exposure()?.is_none();
    if ingress {
        steps.push(ingress_step(&run));
    }
    for candidate in making {
        steps.push(prerequisites::namespace_step(core, candidate)?);
    }
    for (candidate, busy) in candidates.iter().zip(&busy) {
        let mut needs = if *busy { needs(&run, candidate, ingress) } else { Vec::new() };
        let handovers = removals.handovers(&candidate.system.name, &needs);
        needs.extend(handovers.iter().map(|step| step.id.clone()));
        needs.extend(before(&removals, &candidates, candidate));
        steps.extend(handovers);
        let mut preview = deploy_preview(&run, candidate, *busy);
        let moved = changes.agreed.iter().filter(|(unit, _)| unit.system == candidate.system.name);
        preview.extend(moved.map(|(unit, moved)| Preview::Do(moved.told(unit))));
        steps.extend(release_steps(&run, candidate, Goal::Desired, needs, preview, verify));
        steps.extend(removals.retire(&run, candidate, Goal::Desired));
    }
    let new = candidates.iter().map(|candidate| &candidate.system.name);
    let new = new.filter(|system| removal::is_new(core, &recorded, system)).cloned().collect();
    steps.extend(removals.elsewhere(&run, &candidates, &new)?);
    let builds = run.supply.builds(&services);
    // What was asked before the lease was held may be otherwise by then.
    run.look_again();
    Ok(Contribution { steps, skipped, builds, changes, earlier: None, missing })
}

/// Whether a system is as it is to be.
fn stands(run: &ReleaseContext, candidate: &Candidate) -> Result<bool> {
    let Some(desired) = run.desired(candidate, ResolveMode::Already)? else { return Ok(false) };
    if !jobs::due(&run.core, &candidate.system, &desired)?.is_empty() {
        return Ok(false);
    }
    let desired = candidate.parting.lasting(run, desired)?;
    Ok(standing(run, candidate, &desired)?.is_some())
}

/// The proofs of systems that get what this one has stored: it goes on without that once they have it.
fn before(removals: &Removals<'_>, candidates: &[Candidate], candidate: &Candidate) -> Vec<StepId> {
    let system = &candidate.system.name;
    let is_there = |heir: &SystemName| candidates.iter().any(|other| other.system.name == *heir);
    // Two that trade what they have stored cannot wait for each other.
    let trades = |heir: &SystemName| removals.heirs(heir).contains(system) && heir > system;
    let heirs = removals.heirs(system).into_iter().filter(|heir| is_there(heir) && !trades(heir));
    heirs.map(|heir| removal::prove_id(&heir)).collect()
}

/// The step of a system that must not be released: it fails with the reason, and nothing of it is touched.
fn refused_step(candidate: &Candidate, fault: Fault) -> Step {
    let system = &candidate.system.name;
    Step {
        id: super::prerequisites::release_id(system),
        title: format!("release `{system}`"),
        system: Some(system.to_string()),
        needs: Vec::new(),
        holds: Holds::Nothing,
        preview: vec![Preview::Do(format!("nothing: {}", fault.cause))],
        work: Box::new(Refused(fault)),
    }
}

struct Refused(Fault);

impl Work for Refused {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Err(self.0.clone().into())
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        Err(self.0.clone().into())
    }
}

/// The steps that a release comes after.
fn needs(run: &ReleaseContext, candidate: &Candidate, ingress: bool) -> Vec<StepId> {
    let images = candidate.services().into_iter().flat_map(|service| run.supply.needs(&service));
    let ingress = (ingress && !candidate.public().is_empty()).then(|| StepId::new(INGRESS));
    let mut needs: Vec<StepId> =
        std::iter::once(prerequisites::namespace_id(&candidate.system.name)).chain(ingress).chain(images).collect();
    needs.sort();
    needs.dedup();
    needs
}

/// The step that makes a release what it is to be, and the one that proves it.
fn release_steps(
    run: &Arc<ReleaseContext>,
    candidate: &Candidate,
    goal: Goal,
    needs: Vec<StepId>,
    preview: Vec<Preview>,
    verify: bool,
) -> [Step; 2] {
    let system = &candidate.system;
    let released = Released::default();
    let release_id = prerequisites::release_id(&system.name);
    let checks = system.smoke.iter().map(|check| Preview::Do(format!("{}: {}", check.service, check.name)));
    let denied = system.denied.iter().map(|denied| Preview::Do(engine::smoke::describe(denied)));
    let step = |id, title, needs, preview, work| Step {
        id,
        title,
        system: Some(system.name.to_string()),
        needs,
        holds: Holds::Nothing,
        preview,
        work,
    };
    let applied =
        AppliedRelease { run: Arc::clone(run), candidate: candidate.clone(), released: released.clone(), verify };
    let release = ReleaseWork { run: Arc::clone(run), candidate: candidate.clone(), goal, verify, released };
    [
        step(
            release_id.clone(),
            format!("release `{}` and wait until it serves", system.name),
            needs,
            preview,
            Box::new(release) as Box<dyn Work>,
        ),
        step(
            Action::new("prove").of(&system.name),
            format!("check `{}` against its smoke contract", system.name),
            vec![release_id],
            checks.chain(denied).collect(),
            Box::new(VerifyWork(applied)),
        ),
    ]
}

/// What one may do beyond others, and why.
fn allowed(part: &WorkloadSpec) -> Option<Preview> {
    let allow = part.service.container.allow.as_ref()?;
    Some(Preview::Do(format!("`{}` may {allow}", part.service.name)))
}

fn deploy_preview(run: &ReleaseContext, candidate: &Candidate, busy: bool) -> Vec<Preview> {
    if !busy {
        return vec![Preview::Do("nothing: it is unchanged since it was proven".to_owned())];
    }
    let shown = |part: &WorkloadSpec| {
        let name = &part.service.name;
        let image = run.supply.shown(name).reference;
        let replicas = usize::try_from(part.replicas).unwrap_or(usize::MAX);
        Preview::Do(format!("{} of `{name}`: {image}", counted(replicas, "replica", "replicas")))
    };
    let mut preview: Vec<Preview> = candidate.parts.iter().map(shown).collect();
    preview.push(Preview::Run(helm::upgrade_line(
        run,
        run.core.access.helm_as_typed(),
        major(run),
        &candidate.system.name,
        "<digest of its values>",
    )));
    let shown = run.desired(candidate, ResolveMode::Shown).ok().flatten();
    let due = shown.and_then(|desired| jobs::told(&run.core, &candidate.system, &desired).ok()).unwrap_or_default();
    preview.extend(due.into_iter().map(|(job, why)| Preview::Do(format!("run the job `{job}` {why}"))));
    preview.extend(candidate.parts.iter().filter_map(allowed));
    preview.extend(balancers::preview(&run.core, &candidate.parts));
    preview.extend(watching(run, candidate));
    preview
}

/// What is done while a release changes.
fn watching(run: &ReleaseContext, candidate: &Candidate) -> Vec<Preview> {
    let cluster = &run.core.deployment.environment.cluster;
    let asked = candidate.public().into_iter().map(|service| {
        let (rate, most) = (cluster.probe_rate, cluster.max_failed);
        Preview::Do(format!("meanwhile ask `{service}` {rate} times a second, if it serves; {most} of these may fail"))
    });
    let wait = Preview::Do("wait until all of it is ready; roll back on failure".to_owned());
    std::iter::once(wait).chain(asked).collect()
}

/// The Helm at hand; without one a plan shows what the newest would be told.
fn major(run: &ReleaseContext) -> Major {
    run.helm().unwrap_or(Major::Four)
}

fn ingress_step(run: &Arc<ReleaseContext>) -> Step {
    Step {
        id: StepId::new(INGRESS),
        title: "find out where public services are reached".to_owned(),
        system: None,
        needs: Vec::new(),
        holds: Holds::Nothing,
        preview: vec![Preview::Do("ask the cluster for the address of its ingress".to_owned())],
        work: Box::new(IngressWork { run: Arc::clone(run) }),
    }
}

struct IngressWork {
    run: Arc<ReleaseContext>,
}

impl Work for IngressWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.run.exposure()?.map(|exposure| said(&exposure)))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let exposure = exposure::find(&self.run.core, cx)?;
        let said = said(&exposure);
        self.run.set_exposure(exposure);
        Ok(Outcome::DoneWith(said))
    }
}

fn said(exposure: &super::release_spec::Exposure) -> String {
    format!("public services are `NAME{}`", exposure.host_suffix.as_deref().unwrap_or_default())
}

pub(super) fn rollback(core: &Arc<Kubernetes>, ctx: &Ctx, system: &SystemName) -> Result<Contribution> {
    let run = ReleaseContext::new(core, ctx, &[])?;
    let earlier = earlier(&run, system)?;
    let candidate = to_earlier(core, system, &earlier);
    refuse_lost_state(core, system, &earlier)?;
    let (number, revision) = (earlier.number, earlier.helm_revision);
    let line = helm::roll_back_line(&run, core.access.helm_as_typed(), major(&run), system, revision);
    let mut preview = vec![Preview::Do(format!("to revision {number}, proven at {}", earlier.at)), Preview::Run(line)];
    preview.extend(watching(&run, &candidate));
    let goal = || Goal::Verified(Box::new(earlier.clone()));
    let mut steps: Vec<Step> = release_steps(&run, &candidate, goal(), Vec::new(), preview, true).into();
    let released = recorded::released(core, system)?;
    let gone: BTreeSet<ServiceName> =
        released.into_keys().filter(|service| !earlier.versions.contains_key(service)).collect();
    if !gone.is_empty() {
        steps.push(removal::retire_step(&run, &candidate, goal(), &gone));
    }
    let earlier = Some(Earlier { number, checks: candidate.system.smoke.len() });
    let changes = Changes::default();
    Ok(Contribution { steps, skipped: Vec::new(), builds: false, changes, earlier, missing: Vec::new() })
}

/// A system as an earlier release had it: with its services, and what of its contract is about these.
fn to_earlier(core: &Kubernetes, system: &SystemName, earlier: &VerifiedRelease) -> Candidate {
    let mut candidate = Candidate::recalled(system, earlier);
    let declared = core.deployment.spec.systems.iter().find(|declared| declared.name == *system);
    let Some(declared) = declared else { return candidate };
    let has = |service: &ServiceName| earlier.versions.contains_key(service);
    candidate.system.smoke = declared.smoke.iter().filter(|check| has(&check.service)).cloned().collect();
    candidate.system.denied = declared.denied.iter().filter(|denied| has(&denied.to)).cloned().collect();
    let environment = &core.deployment.environment;
    let parts = super::release_spec::parts(declared, environment, environment.target).unwrap_or_default();
    for part in &mut candidate.parts {
        if let Some(known) = parts.iter().find(|known| known.service.name == part.service.name) {
            let state = if part.stores { part.state.take() } else { known.state.clone() };
            *part = WorkloadSpec { stores: part.stores, replicas: part.replicas, state, ..known.clone() };
        }
    }
    candidate
}

/// Going back must not leave behind where state is by now.
fn refuse_lost_state(core: &Kubernetes, system: &SystemName, earlier: &VerifiedRelease) -> Result<()> {
    let recorded = core.recorded()?;
    let under_way = handover::under_way(core)?;
    let lost = recorded::services(earlier).into_iter().find(|(service, values)| {
        let unit = UnitId::new(system, service);
        let has = recorded.service(&unit).is_some_and(|known| known.data.is_some());
        let has = has && under_way.iter().all(|(owner, _)| *owner != unit);
        values["storage"].is_object() && !has
    });
    let Some((service, _)) = lost else { return Ok(()) };
    let cause = format!(
        "revision {} of `{system}` has `{service}`, and what that stored was handed to another service since",
        earlier.number
    );
    let hint = format!("give it its name back in `deploy/systems/{system}.toml`, with `was` for the present one");
    Err(Fault::failed("state-moves", cause).hint(hint).into())
}

/// The newest proven release of a system that is another than what runs now.
fn earlier(run: &ReleaseContext, system: &SystemName) -> Result<VerifiedRelease> {
    let core = &run.core;
    let history = core.records.history(system)?;
    let running = Running::look(core)?;
    let stamp = running.newest(&core.names.namespace(system), system).map(|record| record.stamp.as_str());
    let earlier = choose(&history, stamp);
    earlier.cloned().ok_or_else(|| {
        let cause = format!("`{system}` has no earlier revision that was proven healthy");
        Fault::failed("no-revision", cause)
            .hint(format!("`{}` shows what runs", core.deployment.environment.command("status")))
            .into()
    })
}

/// What to go back to from a release of this stamp. One that was proven before, but is not the newest that was, has been
/// gone back to by a run that was killed: that is gone on with. From what was never proven the newest that was is next.
fn choose<'p>(history: &'p [VerifiedRelease], stamp: Option<&str>) -> Option<&'p VerifiedRelease> {
    let (last, rest) = history.split_last()?;
    let mut others = rest.iter().rev().filter(|proven| proven.stamp != last.stamp);
    match stamp {
        Some(stamp) if stamp == last.stamp => others.next(),
        Some(stamp) => Some(others.find(|proven| proven.stamp == stamp).unwrap_or(last)),
        None => Some(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(number: u64, stamp: &str) -> VerifiedRelease {
        VerifiedRelease {
            number,
            at: String::new(),
            stamp: stamp.to_owned(),
            helm_revision: number,
            values: serde_json::Value::Null,
            versions: std::collections::BTreeMap::new(),
            objects: Vec::new(),
        }
    }

    #[track_caller]
    fn goes_back_to(stamps: &[&str], running: Option<&str>, number: Option<u64>) {
        let history: Vec<VerifiedRelease> = (1..).zip(stamps).map(|(number, stamp)| proven(number, stamp)).collect();
        assert_eq!(choose(&history, running).map(|proven| proven.number), number);
    }

    #[test]
    fn a_second_rollback_returns_to_what_the_first_one_left() {
        goes_back_to(&["a", "b"], Some("b"), Some(1));
        goes_back_to(&["a", "b", "a"], Some("a"), Some(2));
        goes_back_to(&["a"], Some("a"), None);
        goes_back_to(&[], Some("a"), None);
    }

    #[test]
    fn a_killed_rollback_is_gone_on_with_and_what_was_never_proven_is_left() {
        goes_back_to(&["a", "b"], Some("a"), Some(1));
        goes_back_to(&["a", "b"], Some("c"), Some(2));
        goes_back_to(&["a", "b"], None, Some(2));
    }
}
