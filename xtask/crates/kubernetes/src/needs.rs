//! What the systems of an environment take of a cluster, before anything is there: for `doctor`, which asks whether the
//! cluster has it.

use super::names::Names;
use super::{release_spec, values};
use model::environment::Environment;
use model::system::{Source, System, TargetKind};

/// What one replica of a service asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub service: String,
    pub replicas: u64,
    /// In thousandths of a core.
    pub cpu: u64,
    /// In bytes.
    pub memory: u64,
    /// It has a volume, which takes a storage class.
    pub stores: bool,
    /// It is reached through the ingress.
    pub public: bool,
    /// How many there may be at most is left to the cluster.
    pub scales: bool,
    /// Its image is built here.
    pub own: bool,
}

/// What a system takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    pub namespace: String,
    pub pods: Vec<Pod>,
    /// It has programs that end.
    pub has_jobs: bool,
}

/// What each system takes that can run in the cluster.
pub fn of(systems: &[System], environment: &Environment, target: TargetKind) -> Vec<Needs> {
    let names = Names::new(environment);
    let needs = |system: &System| {
        let parts = release_spec::parts(system, environment, target).ok()?;
        let pods = parts.iter().map(|part| Pod {
            service: part.service.name.to_string(),
            replicas: u64::from(part.replicas),
            cpu: u64::from(values::requested(part.service.container.cpu).0),
            memory: part.service.container.memory.0,
            stores: part.stores,
            public: part.service.public,
            scales: part.service.scale.is_some(),
            own: !matches!(part.service.source, Source::Image { .. }),
        });
        Some(Needs {
            namespace: names.namespace(&system.name),
            pods: pods.collect(),
            has_jobs: !system.jobs.is_empty(),
        })
    };
    systems.iter().filter_map(needs).collect()
}

/// The namespace of the deployment's own state.
pub fn home(environment: &Environment) -> String {
    Names::new(environment).home
}
