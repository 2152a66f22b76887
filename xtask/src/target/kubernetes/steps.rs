//! The steps of a deploy and of a rollback: for each system its namespace, its images, its release, its proof. A system
//! that stands as it is wanted has nothing but the last two, which find that there is nothing to do.

use super::aim::{self, Candidate, Known, Run};
use super::prove::ProveWork;
use super::records::Proven;
use super::release::{Goal, ReleaseWork, Released, standing};
use super::running::Running;
use super::{Kubernetes, exposure, ground, helm};
use crate::ctx::Ctx;
use crate::error::Fault;
use crate::plan::runner::StepCx;
use crate::plan::{Holds, Outcome, Preview, Step, StepId, Work};
use crate::spec::name::ServiceName;
use crate::spec::system::System;
use crate::target::{Contribution, SkippedSystem};
use crate::tools::helm::Major;
use crate::ui::counted;
use anyhow::Result;
use std::sync::Arc;

/// The step that finds out how public services are exposed.
const INGRESS: &str = "ingress";

pub(super) fn deploy(core: &Arc<Kubernetes>, ctx: &Ctx, verify: bool) -> Result<Contribution> {
    let (candidates, skipped) = aim::candidates(core);
    let run = Run::new(core, ctx, &candidates)?;
    let mut busy = Vec::new();
    let is_there = core.platform.is_there()?;
    for candidate in &candidates {
        if !is_there {
            busy.push(true);
            continue;
        }
        let aim = run.aim(candidate, Known::Already)?;
        let stands = aim.map(|aim| standing(&run, candidate, &aim)).transpose()?.flatten();
        busy.push(stands.is_none());
    }
    let making = candidates.iter().zip(&busy).filter(|(_, busy)| **busy).map(|(candidate, _)| candidate);
    let services: Vec<ServiceName> = making.clone().flat_map(Candidate::services).collect();
    let mut steps = run.supply.steps(&services);
    let is_public = making.clone().any(|candidate| !candidate.public().is_empty());
    // A platform that makes the way in makes it known on its own way.
    let ingress = is_public && core.platform.front().is_none() && run.exposure()?.is_none();
    if ingress {
        steps.push(ingress_step(&run));
    }
    steps.extend(making.map(|candidate| ground::namespace_step(core, &candidate.system)));
    for (candidate, busy) in candidates.iter().zip(&busy) {
        let needs = if *busy { needs(&run, candidate, ingress) } else { Vec::new() };
        let preview = deploy_preview(&run, candidate, *busy);
        steps.extend(release_steps(&run, candidate, Goal::Wanted, needs, preview, verify));
    }
    let builds = run.supply.builds(&services);
    // What was asked before the lease was held may be otherwise by then.
    run.look_again();
    Ok(Contribution { steps, skipped, builds })
}

/// The steps that a release comes after.
fn needs(run: &Run, candidate: &Candidate, ingress: bool) -> Vec<StepId> {
    let images = candidate.services().into_iter().flat_map(|service| run.supply.needs(&service));
    let ingress = (ingress && !candidate.public().is_empty()).then(|| StepId::new(INGRESS));
    let mut needs: Vec<StepId> =
        std::iter::once(ground::namespace_id(&candidate.system.name)).chain(ingress).chain(images).collect();
    needs.sort();
    needs.dedup();
    needs
}

/// The step that makes a release what it is to be, and the one that proves it.
fn release_steps(
    run: &Arc<Run>,
    candidate: &Candidate,
    goal: Goal,
    needs: Vec<StepId>,
    preview: Vec<Preview>,
    verify: bool,
) -> [Step; 2] {
    let system = &candidate.system;
    let released = Released::default();
    let release_id = StepId::new(format!("release:{}", system.name));
    let checks = system.smoke.iter().map(|check| Preview::Do(format!("{}: {}", check.service, check.name)));
    let denied = system.denied.iter().map(|denied| Preview::Do(crate::smoke::describe(denied)));
    let step = |id, title, needs, preview, work| Step {
        id,
        title,
        system: Some(system.name.to_string()),
        needs,
        holds: Holds::Nothing,
        preview,
        work,
    };
    let prove = ProveWork { run: Arc::clone(run), candidate: candidate.clone(), released: released.clone(), verify };
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
            StepId::new(format!("prove:{}", system.name)),
            format!("check `{}` against its smoke contract", system.name),
            vec![release_id],
            checks.chain(denied).collect(),
            Box::new(prove),
        ),
    ]
}

fn deploy_preview(run: &Run, candidate: &Candidate, busy: bool) -> Vec<Preview> {
    if !busy {
        return vec![Preview::Do("nothing: it is as it was proven".to_owned())];
    }
    let shown = |part: &super::wanted::Part| {
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
    preview.extend(watching(run, candidate));
    preview
}

/// What is done while a release changes.
fn watching(run: &Run, candidate: &Candidate) -> Vec<Preview> {
    let cluster = &run.core.deployment.environment.cluster;
    let asked = candidate.public().into_iter().map(|service| {
        let (rate, most) = (cluster.probe_rate, cluster.max_failed);
        Preview::Do(format!("meanwhile ask `{service}` {rate} times a second, if it serves; {most} of these may fail"))
    });
    let wait = Preview::Do("wait until all of it is ready, and go back when it does not get so".to_owned());
    std::iter::once(wait).chain(asked).collect()
}

/// The Helm at hand; without one a plan shows what the newest would be told.
fn major(run: &Run) -> Major {
    run.helm().unwrap_or(Major::Four)
}

fn ingress_step(run: &Arc<Run>) -> Step {
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
    run: Arc<Run>,
}

impl Work for IngressWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.run.exposure()?.map(|exposure| said(&exposure)))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let exposure = exposure::find(&self.run.core, cx)?;
        let said = said(&exposure);
        self.run.set_exposure(exposure);
        Ok(Outcome::DoneWith(said))
    }
}

fn said(exposure: &super::wanted::Exposure) -> String {
    format!("public services are `NAME{}`", exposure.host_suffix.as_deref().unwrap_or_default())
}

pub(super) fn rollback(core: &Arc<Kubernetes>, ctx: &Ctx, system: &System) -> Result<Contribution> {
    let environment = &core.deployment.environment;
    let parts = super::wanted::parts(system, environment, environment.target);
    let skip = |reason| SkippedSystem { name: system.name.clone(), reason };
    let parts = match parts {
        Ok(parts) => parts,
        Err(reason) => return Ok(Contribution { steps: Vec::new(), skipped: vec![skip(reason)], builds: false }),
    };
    let candidate = Candidate { system: system.clone(), parts };
    let run = Run::new(core, ctx, &[])?;
    let earlier = earlier(&run, &candidate)?;
    let (number, revision) = (earlier.number, earlier.helm_revision);
    let line = helm::roll_back_line(&run, core.access.helm_as_typed(), major(&run), &system.name, revision);
    let mut preview = vec![Preview::Do(format!("to revision {number}, proven at {}", earlier.at)), Preview::Run(line)];
    preview.extend(watching(&run, &candidate));
    let steps = release_steps(&run, &candidate, Goal::Proven(Box::new(earlier)), Vec::new(), preview, true);
    Ok(Contribution { steps: steps.into(), skipped: Vec::new(), builds: false })
}

/// The newest proven release of a system that is another than what runs now.
fn earlier(run: &Run, candidate: &Candidate) -> Result<Proven> {
    let (core, system) = (&run.core, &candidate.system.name);
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
fn choose<'p>(history: &'p [Proven], stamp: Option<&str>) -> Option<&'p Proven> {
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

    fn proven(number: u64, stamp: &str) -> Proven {
        Proven {
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
        let history: Vec<Proven> = (1..).zip(stamps).map(|(number, stamp)| proven(number, stamp)).collect();
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
