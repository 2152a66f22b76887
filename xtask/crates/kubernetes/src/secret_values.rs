//! The values of secrets in a cluster: made here, or given by whoever deploys.

use super::Kubernetes;
use super::recorded;
use super::release_context::Candidate;
use super::release_spec::WorkloadSpec;
use anyhow::Result;
use engine::secrets::{Lack, MissingSecret, read};
use model::name::{ServiceName, SystemName};
use model::secret::{Secret, SecretSource, Shape};
use model::system::Service;
use std::collections::BTreeSet;

/// The value of a secret of one of these services. `None` while it is not known and must not be made. One that nobody gives
/// is taken to be as it was, so that what a deploy would change can be told without it.
///
/// # Errors
/// When it cannot be read or made.
pub(super) fn value(
    core: &Kubernetes,
    (system, parts): (&SystemName, &[WorkloadSpec]),
    service: &ServiceName,
    name: &str,
    make: bool,
) -> Result<Option<String>> {
    let released = || Ok(recorded::service_names(core, system)?.contains(service));
    let key = |key: String| core.records.secret_key(system, service, key, released);
    let Some((declared, secret)) = declared(parts, service, name) else {
        return core.records.secret(&key(format!("{service}.{name}"))?, make.then(Shape::default));
    };
    let key = key(declared.secret_key(name))?;
    if let SecretSource::Generated(shape) = secret.source {
        return core.records.secret(&key, make.then_some(shape));
    }
    match look(core, &secret.source)? {
        Ok(value) => {
            if make {
                core.records.keep_secret(&key, &value)?;
            }
            Ok(Some(value))
        }
        Err(_) => core.records.secret(&key, None),
    }
}

/// Whether somebody gives a secret that a service takes.
pub(super) fn takes_given(part: &WorkloadSpec, parts: &[WorkloadSpec]) -> bool {
    let taken = part.secrets(parts);
    let mut sources = taken.iter().filter_map(|(service, name)| declared(parts, service, name));
    sources.any(|(_, secret)| secret.source.is_given())
}

/// The secrets that these systems use and nobody gives.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn missing(core: &Kubernetes, candidates: &[Candidate]) -> Result<Vec<MissingSecret>> {
    let mut missing = BTreeSet::new();
    for Candidate { system, parts, .. } in candidates {
        let taken: BTreeSet<_> = parts.iter().flat_map(|part| part.secrets(parts)).collect();
        for (service, name) in taken {
            let Some((service, secret)) = declared(parts, &service, &name) else { continue };
            if !secret.source.is_given() {
                continue;
            }
            if let Err(lack) = look(core, &secret.source)? {
                let key = service.secret_key(&name);
                missing.insert(MissingSecret { system: system.name.clone(), key, lack });
            }
        }
    }
    Ok(missing.into_iter().collect())
}

fn declared<'p>(parts: &'p [WorkloadSpec], service: &ServiceName, name: &str) -> Option<(&'p Service, &'p Secret)> {
    let part = parts.iter().find(|part| part.service.name == *service)?;
    Some((&part.service, part.service.secrets.get(name)?))
}

fn look(core: &Kubernetes, source: &SecretSource) -> Result<Result<String, Lack>> {
    match source {
        SecretSource::Aws(name) => core.platform.secret(name),
        source => Ok(read(&core.deployment.root, &core.vars, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::prerequisites::reference;
    use super::super::release_spec::parts;
    use super::super::sample::sample_values;
    use super::*;
    use model::environment::Environment;
    use model::system::System;
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    const SHOP: &str = r#"description = 'a shop'
[secrets]
shared = { from = "env", name = "SHARED" }
api = { from = "aws", name = "prod/api" }
[services.one]
image = "redis"
port = 1
ready = { tcp = {} }
env = { PLAIN = "a", TOLD = "x-${secret.shared}" }
files = { "a.key" = "${secret.key}" }
secrets = { key = { from = "file", name = "a.key" } }
provides = { url = "redis://:${secret.key}@${host}" }
[services.two]
image = "redis"
port = 2
needs = ["one"]
ready = { tcp = {} }
env = { URL = "${one.url}", SHARED = "${secret.shared}" }
[services.three]
image = "redis"
port = 3
ready = { tcp = {} }
env = { OWN = "${secret.own}" }
secrets = { own = { from = "generated" } }
"#;

    /// A repository with one system, removed in the end.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, system: &str) -> Self {
            let root = Self(std::env::temp_dir().join(format!("slipway-cluster-{name}-{}", std::process::id())));
            for folder in ["deploy/systems", "deploy/environments"] {
                std::fs::create_dir_all(root.0.join(folder)).unwrap();
            }
            let own = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
            for name in ["cluster", "aws"] {
                let file = format!("deploy/environments/{name}.toml");
                std::fs::copy(own.join(&file), root.0.join(&file)).unwrap();
            }
            std::fs::write(root.0.join("deploy/images.toml"), "redis = 'docker.io/library/redis:7.4'\n").unwrap();
            std::fs::write(root.0.join("deploy/systems/shop.toml"), system).unwrap();
            root
        }

        fn read(&self, environment: &str) -> (System, Environment) {
            let system = model::load(&self.0).unwrap().systems.pop().unwrap();
            (system, model::environment(&self.0, environment, &[]).unwrap())
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn what_is_given_is_in_a_secret_and_in_no_value() {
        let (system, environment) = Root::new("given", SHOP).read("cluster");
        let values = sample_values(&system, &environment).unwrap();
        let one = &values["services"]["one"];
        assert_eq!((&one["env"]["PLAIN"], &one["env"]["TOLD"]), (&"a".into(), &serde_json::Value::Null));
        let secret = serde_json::json!({"name": "one-sample", "env": ["TOLD"], "files": ["a.key"]});
        assert_eq!(one["secret"], secret);
        let all = parts(&system, &environment, environment.target).unwrap();
        let of = |name: &str| all.iter().find(|part| part.service.name.as_str() == name).unwrap();
        let keys = |part: &WorkloadSpec| {
            let taken = part.secrets(&all).into_iter();
            taken.map(|(of, name)| declared(&all, &of, &name).unwrap().0.secret_key(&name)).collect::<Vec<_>>()
        };
        assert_eq!(keys(of("one")), ["one.key", "shop/shared"]);
        assert_eq!(keys(of("two")), ["one.key", "shop/shared"]);
        assert_eq!(["one", "two", "three"].map(|name| takes_given(of(name), &all)), [true, true, false]);
        let value = |_: &ServiceName, name: &str| Some(format!("<{name}>"));
        let told = of("one").filled(&of("one").secret_env["TOLD"], &all, &value);
        assert_eq!(told.as_deref(), Some("x-<shared>"));
    }

    #[test]
    fn the_name_of_a_secret_changes_with_what_is_in_it_and_cannot_be_guessed() {
        let (system, environment) = Root::new("named", SHOP).read("cluster");
        let all = parts(&system, &environment, environment.target).unwrap();
        let part = all.iter().find(|part| part.service.name.as_str() == "one").unwrap();
        let name = |value: &str, key: &str| {
            let content = BTreeMap::from([("env.TOLD".to_owned(), value.to_owned())]);
            reference(&part.service.name, part, &content, Some(key)).name
        };
        assert_eq!(name("hunter2", "k"), name("hunter2", "k"));
        assert_ne!(name("hunter2", "k"), name("hunter3", "k"));
        assert_ne!(name("hunter2", "k"), name("hunter2", "another"));
    }

    #[test]
    fn what_aws_has_is_for_eks_alone() {
        let root = Root::new("aws", &SHOP.replace("x-${secret.shared}", "${secret.api}"));
        let (system, cluster) = root.read("cluster");
        let why = parts(&system, &cluster, cluster.target).unwrap_err();
        assert!(why.starts_with("the secret `api` of `one` is `prod/api` in AWS Secrets Manager"), "{why}");
        let (system, aws) = root.read("aws");
        assert_eq!(parts(&system, &aws, aws.target).unwrap().len(), 3);
    }
}
