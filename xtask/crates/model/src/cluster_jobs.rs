//! What a cluster does not have for jobs: volumes. A volume there is one service's, which has it open while it runs.

use super::decode::At;
use super::error::{Place, Sink, SpecErrors};
use super::job::Job;
use super::load::Spec;
use super::name::{JobName, SystemName};
use super::system::{Reference, TargetKind};

/// A job, and where it is written down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeclaredJob {
    system: SystemName,
    name: JobName,
    place: Place,
    /// What a message about it begins with.
    prefix: String,
}

impl DeclaredJob {
    pub(super) fn of(system: &SystemName, (name, at): &(JobName, At<'_>)) -> Self {
        Self { system: system.clone(), name: name.clone(), place: at.place(), prefix: at.prefix() }
    }
}

impl Spec {
    /// The jobs that are told of `${data}` where they have none, as errors. `named` narrows them to these systems.
    ///
    /// # Errors
    /// When there are any.
    pub fn check_jobs(&self, target: TargetKind, named: &[SystemName]) -> Result<(), SpecErrors> {
        let sink = Sink::default();
        let clusters = [TargetKind::Kubernetes, TargetKind::Eks].contains(&target);
        let systems =
            self.systems.iter().filter(|system| clusters && (named.is_empty() || named.contains(&system.name)));
        for system in systems {
            for job in system.jobs_on(target).filter(|job| uses_data(job)) {
                let is_its = |declared: &&DeclaredJob| declared.system == system.name && declared.name == job.name;
                let Some(declared) = self.jobs.iter().find(is_its) else { continue };
                let message = format!(
                    "{}its words have `${{data}}`, and on target `{target}` a job has no volumes of its service; leave \
                     it out, or name other `targets`",
                    declared.prefix
                );
                sink.report(declared.place.clone(), message);
            }
        }
        sink.finish(Some(()))
    }
}

fn uses_data(job: &Job) -> bool {
    job.argv().any(|template| template.references().any(|reference| *reference == Reference::Data))
}
