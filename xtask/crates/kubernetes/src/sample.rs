//! What the chart is given for a system, with made-up images, secrets and ingress: for tests of the chart, which are to
//! see the values of every system without a cluster.

use super::release_spec::{Exposure, ImageRef, ReleaseSpec, SecretRef, WorkloadSpec, parts};
use super::values;
use model::environment::Environment;
use model::system::System;
use serde_json::Value;
use std::collections::BTreeMap;

/// The values of a system in an environment.
///
/// # Errors
/// Why the system cannot run there.
pub fn sample_values(system: &System, environment: &Environment) -> Result<Value, String> {
    Ok(values::of(&sample(system, environment)?))
}

/// What those values are made from.
pub(super) fn sample(system: &System, environment: &Environment) -> Result<ReleaseSpec, String> {
    let parts = parts(system, environment, environment.target)?;
    let named = |part: &WorkloadSpec| part.service.name.clone();
    let image = |part: &WorkloadSpec| ImageRef {
        reference: format!("registry.example.com/{}@sha256:{:064}", part.service.name, 0),
        version: "sample".to_owned(),
    };
    let secret = |part: &WorkloadSpec| {
        let (env, files) = (part.secret_env.keys().cloned().collect(), part.plain_secret_files());
        SecretRef { name: format!("{}-sample", part.service.name), env, files }
    };
    let takes_secrets = |part: &&WorkloadSpec| !part.secret_env.is_empty() || !part.secret_files.is_empty();
    Ok(ReleaseSpec {
        system: system.name.clone(),
        namespace: environment.cluster.prefixed(&system.name),
        deployment_id: environment.deployment_id.to_string(),
        host_prefix: environment.cluster.namespace_prefix.to_string(),
        images: parts.iter().map(|part| (named(part), image(part))).collect(),
        secrets: parts.iter().filter(takes_secrets).map(|part| (named(part), secret(part))).collect(),
        exposure: parts.iter().any(|part| part.service.public).then(|| Exposure {
            class: "sample".to_owned(),
            from_namespace: "ingress".to_owned(),
            host_suffix: Some(".example.com".to_owned()),
            ..Exposure::default()
        }),
        grants: BTreeMap::new(),
        annotations: BTreeMap::new(),
        pull_secrets: environment.cluster.pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        dns: environment.cluster.dns.clone(),
        storage_class: environment.cluster.storage_class.clone(),
        jobs: system.jobs.clone(),
        parts,
    })
}
