//! The environment as target `kubernetes` sees it: what other environments set follows here from the deployment's names.

use anyhow::Result;
use aws::infra::names::Names;
use engine::deployment::Deployment;
use keys::Digest;
use model::container::Platform;
use model::environment::Environment;
use std::collections::BTreeMap;

/// How much of a digest tells names apart that were shortened.
const TELLING: usize = 8;

/// The context in the private kubeconfig, the registry, the classes of ingress and storage, the platform of images: those
/// of the deployment.
///
/// # Errors
/// When a name that follows is none.
pub(super) fn deployment(mut deployment: Deployment, names: &Names) -> Result<Deployment> {
    let environment = &mut deployment.environment;
    environment.cluster.context = Some(names.base());
    environment.cluster.ingress_class = Some(ingress_class(environment.cluster.namespace_prefix.as_str(), names));
    environment.registry = Some(names.registry().parse().map_err(anyhow::Error::msg)?);
    if environment.cluster.storage_class.is_none() {
        environment.cluster.storage_class = Some(storage_class(environment.cluster.namespace_prefix.as_str(), names));
    }
    if environment.platforms.is_empty() {
        // Those of the instance types in `terraform/variables.tf`.
        environment.platforms = vec![Platform::LinuxAmd64];
    }
    Ok(deployment)
}

/// The class of ingress that our load balancer controller serves and no other.
pub(super) fn ingress_class(prefix: &str, names: &Names) -> String {
    format!("{prefix}{}", names.base())
}

/// The encrypted one that a release of the deployment has.
pub(super) fn storage_class(prefix: &str, names: &Names) -> String {
    format!("{prefix}{}", names.base())
}

/// What controllers in the cluster tag on AWS what they make there, as Terraform tags what it makes. Who deploys is not
/// among it unless the environment says so: each person's deploy would change it all.
pub(super) fn tags(environment: &Environment) -> BTreeMap<String, String> {
    let own = [
        ("deployment_id", environment.deployment_id.to_string()),
        ("environment", environment.name.to_string()),
        ("managed_by", "slipway".to_owned()),
    ];
    let given = |name: &'static str| Some((name, environment.aws.as_ref()?.variable(name)?.to_owned()));
    // Neither an annotation nor a chart's list has a way to write these down.
    let plain = |(_, value): &(&str, String)| !value.is_empty() && !value.contains([',', '=', '"', '\n']);
    let given = ["owner", "expires_at"].into_iter().filter_map(given).filter(plain);
    own.into_iter().chain(given).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The same for an annotation: the tags of a load balancer and all that belongs to it.
pub(super) fn tag_list(environment: &Environment) -> String {
    let all: Vec<String> = tags(environment).iter().map(|(key, value)| format!("{key}={value}")).collect();
    all.join(",")
}

/// A name that is not longer than `most`: of one that is, the beginning and a digest of all of it.
pub(super) fn fitting(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let kept = name.get(..most - TELLING - 1).unwrap_or(name).trim_end_matches('-');
    format!("{kept}-{:.TELLING$}", Digest::of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_too_long_stay_apart() {
        assert_eq!(fitting("try-slipway-a", 40), "try-slipway-a");
        let long = |end: &str| fitting(&format!("a-namespace-prefix-slipway-a-long-deployment-{end}"), 40);
        assert_eq!(long("1").len(), 40);
        assert!(long("1") != long("2") && long("1").starts_with("a-namespace-prefix-slipway"));
    }
}
