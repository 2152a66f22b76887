//! Jobs: programs of a system that end.

use super::cron::Cron;
use super::name::{JobName, ServiceName};
use super::system::{Service, System, TargetKind, Template};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A program that ends, made of what a service of its system is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub name: JobName,
    /// The service whose image, variables, files and secrets it has.
    pub of: ServiceName,
    /// What runs in place of the image's own program; empty for that.
    pub command: Vec<Template>,
    pub args: Vec<Template>,
    /// Services that must be ready first.
    pub needs: Vec<ServiceName>,
    pub when: When,
    /// How long it may take before it is ended.
    pub within: Duration,
    pub targets: BTreeSet<TargetKind>,
}

/// What makes a job run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A release, before it switches to the new version.
    Before,
    /// A release, once its services are ready.
    After,
    /// Somebody who asks for it.
    Asked,
    /// The clock.
    Schedule(Cron),
}

impl Job {
    /// Whether a release runs it, once for each change of what it is made of.
    pub fn is_part_of_release(&self) -> bool {
        matches!(self.when, When::Before | When::After)
    }

    /// The words of what it runs, but for what comes before them in the image.
    pub fn argv(&self) -> impl Iterator<Item = &Template> {
        self.command.iter().chain(&self.args)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("before a release"),
            Self::After => f.write_str("after a release"),
            Self::Asked => f.write_str("when asked"),
            Self::Schedule(cron) => write!(f, "at `{cron}` UTC"),
        }
    }
}

impl System {
    /// Whether a service of a new version starts only once a job has run before the release: the one that the job is made
    /// of, what needs that, and what no such job needs.
    pub fn waits(&self, service: &ServiceName, job: &Job) -> bool {
        if job.when != When::Before || self.is_needed(service, &job.needs) {
            return false;
        }
        let mut before = self.jobs.iter().filter(|other| other.when == When::Before);
        let prepares = before.any(|other| self.is_needed(service, &other.needs));
        !prepares || *service == job.of || self.needs_of(service).contains(&job.of)
    }

    /// The jobs that it has on a target.
    pub fn jobs_on(&self, target: TargetKind) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(move |job| job.targets.contains(&target))
    }

    /// Whether a service is one of these, or needed by one of them.
    pub fn is_needed(&self, service: &ServiceName, by: &[ServiceName]) -> bool {
        by.iter().any(|other| other == service || self.needs_of(other).contains(service))
    }

    /// All that a service needs, and what that needs.
    fn needs_of(&self, service: &ServiceName) -> BTreeSet<ServiceName> {
        let find = |name: &ServiceName| self.services.iter().find(|known| known.name == *name);
        let mut all = BTreeSet::new();
        let mut open: Vec<&Service> = find(service).into_iter().collect();
        while let Some(next) = open.pop() {
            for need in &next.needs {
                if all.insert(need.clone()) {
                    open.extend(find(need));
                }
            }
        }
        all
    }
}
