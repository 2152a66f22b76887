//! Who is meant by the names that a user typed: services, jobs and systems; without a name, all that were deployed.

use anyhow::Result;
use base::error::Fault;
use engine::backend::{Speaker, Target};
use engine::deployment::Deployment;
use engine::job;
use model::name::{ServiceName, SystemName};
use std::collections::BTreeSet;

/// # Errors
/// When a name is nobody's, or nothing is deployed.
pub(super) fn meant(target: &dyn Target, names: &[String]) -> Result<Vec<Speaker>> {
    let made: Vec<(SystemName, ServiceName)> =
        target.recorded()?.units().map(|(unit, _)| (unit.system, unit.service)).collect();
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

fn all(deployment: &Deployment, made: &[(SystemName, ServiceName)]) -> Result<Vec<Speaker>> {
    if made.is_empty() {
        let environment = &deployment.environment;
        let cause = format!("nothing is deployed in environment `{}`", environment.name);
        let hint = format!("`{}` does it", environment.command("deploy"));
        return Err(Fault::failed("no-logs", cause).hint(hint).into());
    }
    Ok(made.iter().map(|(system, service)| Speaker::Service(system.clone(), service.clone())).collect())
}

/// A service that is declared or was made, else a job, else all services of a system.
fn named(deployment: &Deployment, made: &[(SystemName, ServiceName)], name: &str) -> Result<Vec<Speaker>> {
    let unknown = match deployment.service(name) {
        Ok((system, service)) => return Ok(vec![Speaker::Service(system.name.clone(), service.name.clone())]),
        Err(unknown) => unknown,
    };
    let was_made = |(system, service): &&(SystemName, ServiceName)| model::is_named(name, system, service);
    // Of several that are declared the user has to name one.
    let found = made.iter().find(was_made).filter(|_| deployment.spec.named(name).is_empty());
    if let Some((system, service)) = found {
        return Ok(vec![Speaker::Service(system.clone(), service.clone())]);
    }
    if deployment.spec.named(name).is_empty() {
        if let Ok((system, job)) = job::find(deployment, name) {
            return Ok(vec![Speaker::Job(system.name.clone(), job.name.clone())]);
        }
        let of_system: Vec<Speaker> = made
            .iter()
            .filter(|(system, _)| system.as_str() == name)
            .map(|(system, service)| Speaker::Service(system.clone(), service.clone()))
            .collect();
        if !of_system.is_empty() {
            return Ok(of_system);
        }
    }
    Err(unknown)
}
