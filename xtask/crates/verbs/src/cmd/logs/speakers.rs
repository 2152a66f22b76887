//! Who is meant by the names that a user typed: services, jobs and systems; without a name, all that were deployed.

use anyhow::Result;
use base::error::Fault;
use engine::backend::{Speaker, Target};
use engine::deployment::Deployment;
use engine::job;
use engine::reconcile::UnitId;
use std::collections::BTreeSet;

/// # Errors
/// When a name is nobody's, or nothing is deployed.
pub(super) fn meant(target: &dyn Target, names: &[String]) -> Result<Vec<Speaker>> {
    let made: Vec<UnitId> = target.recorded()?.units().map(|(unit, _)| unit).collect();
    if names.is_empty() {
        return all(target.deployment(), &made);
    }
    let mut speakers = Vec::new();
    for name in names {
        speakers.extend(named(target.deployment(), &made, name)?);
    }
    // One that is meant twice speaks once.
    let mut seen = BTreeSet::new();
    speakers.retain(|speaker| seen.insert(speaker.clone()));
    Ok(speakers)
}

fn speaker(made: &UnitId) -> Speaker {
    Speaker::Service(made.system.clone(), made.service.clone())
}

fn all(deployment: &Deployment, made: &[UnitId]) -> Result<Vec<Speaker>> {
    if made.is_empty() {
        let environment = &deployment.environment;
        let cause = format!("nothing is deployed in environment `{}`", environment.name);
        let hint = format!("`{}` does it", environment.command("deploy"));
        return Err(Fault::failed("no-logs", cause).hint(hint).into());
    }
    Ok(made.iter().map(speaker).collect())
}

/// A service that is declared or was made, else a job, else all services of a system.
fn named(deployment: &Deployment, made: &[UnitId], name: &str) -> Result<Vec<Speaker>> {
    let unknown = match deployment.service(name) {
        Ok((system, service)) => return Ok(vec![Speaker::Service(system.name.clone(), service.name.clone())]),
        Err(unknown) => unknown,
    };
    // Of several that are declared the user has to name one.
    if !deployment.spec.named(name).is_empty() {
        return Err(unknown);
    }
    if let Some(unit) = made.iter().find(|unit| model::is_named(name, &unit.system, &unit.service)) {
        return Ok(vec![speaker(unit)]);
    }
    if let Ok((system, job)) = job::find(deployment, name) {
        return Ok(vec![Speaker::Job(system.name.clone(), job.name.clone())]);
    }
    let of_system: Vec<Speaker> = made.iter().filter(|unit| unit.system.as_str() == name).map(speaker).collect();
    if of_system.is_empty() { Err(unknown) } else { Ok(of_system) }
}
