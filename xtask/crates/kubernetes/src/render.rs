//! The systems as plain manifests: what a deploy would release, made without a cluster.
//!
//! The same sources and settings give the same bytes, run after run. So images go by their content keys, which are never
//! given to anything else, and not by digests, which are known only to a machine that has pushed them; and what a deploy
//! would ask the cluster is assumed where no setting says it. Secrets are not rendered; what has to be in them is said.
//!
//! Limits: where an image is built is part of its key. Machines of several kinds agree on it only with `build = "inside"`.

mod argo;
mod assumed;
mod notes;
mod objects;
mod yaml;

use self::assumed::Assumed;
use self::objects::Object;
use super::Kubernetes;
use super::assets;
use super::chart::CHART;
use super::release_context::{self, Candidate};
use super::release_spec::{ImageRef, ReleaseSpec, SecretRef, WorkloadSpec};
use super::{jobs, namespaces, prerequisites, public_url, values};
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::Fault;
use base::proc::CommandLine;
use engine::rendering::{Place, RenderedSystem, Rendering};
use images::Images;
use model::environment::Environment;
use model::name::ServiceName;
use model::system::Source;
use remote_tools::helm;
use remote_tools::helm::Release;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// # Errors
/// When an image has no name that a cluster could pull it by, or Helm refuses.
pub(super) fn render(core: &Arc<Kubernetes>, ctx: &Ctx, place: &Place) -> Result<Rendering> {
    let (candidates, skipped) = release_context::candidates(core);
    let environment = &core.deployment.environment;
    let tags = tags(core, ctx, &candidates)?;
    let public = candidates.iter().any(|candidate| !candidate.public().is_empty());
    let assumed = Assumed::of(environment, public, !tags.is_empty());
    let mut rendering = Rendering { skipped, assumed: assumed.notes.clone(), ..Rendering::default() };
    for candidate in &candidates {
        let wanted = wanted(core, candidate, &tags, &assumed)?;
        let values = values::of(&wanted);
        let namespace = namespaces::object(
            &core.names,
            &wanted.namespace,
            Some(&wanted.system),
            namespaces::wanted_level(&wanted.parts),
        );
        let namespace = namespaces::with_labels(namespace, core.platform.namespace_labels());
        let objects = objects(core, &wanted, &values)?;
        rendering.systems.push(RenderedSystem {
            name: wanted.system.to_string(),
            namespace: wanted.namespace.clone(),
            objects: objects.len() + 1,
        });
        let mut file = |path: String, text: String| rendering.files.insert(path, text);
        let system = &wanted.system;
        for object in objects {
            file(format!("{system}/{}", object.file()), format!("{}{}", head(environment), object.text));
        }
        file(format!("{system}/namespace.yaml"), format!("{}{}", head(environment), yaml::of(&namespace)));
        let builds = candidate.parts.iter().any(WorkloadSpec::is_own);
        let own = Assumed::of(environment, !candidate.public().is_empty(), builds);
        file(format!("{system}/README.md"), notes::of(environment, &wanted, &own.notes));
        let application = argo::application(environment, &wanted, &namespace, place);
        file(format!("argocd/{system}.yaml"), format!("{}{application}", head(environment)));
    }
    Ok(rendering)
}

/// What every file begins with, so that it is known for what it is.
fn head(environment: &Environment) -> String {
    format!("# {}\n", made_by(environment))
}

pub(super) fn made_by(environment: &Environment) -> String {
    let command = environment.command("render");
    format!("{} (`{command}`); the next one overwrites it.", engine::rendering::MADE_BY)
}

fn wanted(
    core: &Kubernetes,
    candidate: &Candidate,
    tags: &BTreeMap<ServiceName, ImageRef>,
    assumed: &Assumed,
) -> Result<ReleaseSpec> {
    let environment = &core.deployment.environment;
    let system = &candidate.system.name;
    let mut images = BTreeMap::new();
    for part in &candidate.parts {
        images.insert(part.service.name.clone(), image(core, part, tags)?);
    }
    let takes_secrets = |part: &&WorkloadSpec| !part.secret_env.is_empty() || !part.secret_files.is_empty();
    let secrets = candidate.parts.iter().filter(takes_secrets);
    let exposure = (!candidate.public().is_empty()).then(|| assumed.exposure.clone());
    let parts = public_url::told(&candidate.parts, exposure.as_ref(), &environment.cluster);
    Ok(ReleaseSpec {
        system: system.clone(),
        namespace: core.names.namespace(system),
        deployment_id: environment.deployment_id.to_string(),
        host_prefix: environment.cluster.namespace_prefix.to_string(),
        images,
        secrets: secrets.map(|part| (part.service.name.clone(), secret(part))).collect(),
        grants: BTreeMap::new(),
        annotations: BTreeMap::new(),
        exposure,
        // No cluster is asked, so they have to be in the namespace by these names.
        pull_secrets: environment.cluster.pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        dns: environment.cluster.dns.clone(),
        storage_class: environment.cluster.storage_class.clone(),
        jobs: jobs::of_candidate(core, candidate),
        parts,
    })
}

/// A Secret whose name does not tell what is in it, which is for others to say.
fn secret(part: &WorkloadSpec) -> SecretRef {
    SecretRef {
        name: format!("{}-secrets", part.service.name),
        env: part.secret_env.keys().cloned().collect(),
        files: part.plain_secret_files(),
    }
}

fn image(core: &Kubernetes, part: &WorkloadSpec, tags: &BTreeMap<ServiceName, ImageRef>) -> Result<ImageRef> {
    let service = &part.service.name;
    match &part.service.source {
        Source::Crate(_) | Source::Dockerfile { .. } => {
            tags.get(service).cloned().with_context(|| format!("`{service}` has no content key"))
        }
        Source::Image { image, .. } => {
            let pin = core.deployment.spec.images.get(image).with_context(|| {
                // The spec is refused when it is loaded with such a name in it.
                format!("the image `{image}` is not in `deploy/images.toml`")
            })?;
            Ok(ImageRef { reference: pin.to_string(), version: pin.tag.clone() })
        }
    }
}

/// The names that the images of this repository's services have in the registry, by their content keys.
fn tags(core: &Arc<Kubernetes>, ctx: &Ctx, candidates: &[Candidate]) -> Result<BTreeMap<ServiceName, ImageRef>> {
    let services = candidates.iter().flat_map(|candidate| &candidate.parts).map(|part| &part.service);
    let built: Vec<ServiceName> =
        services.filter(|service| service.is_built()).map(|service| service.name.clone()).collect();
    if built.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut deployment = core.deployment.clone();
    if deployment.environment.registry.is_none() {
        return Err(no_registry(&deployment.environment).into());
    }
    if deployment.environment.platforms.is_empty() {
        deployment.environment.platforms = vec![assumed::PLATFORM];
    }
    // Nothing is made, so there is nothing to enter.
    let images = Images::new(&deployment, ctx, &built, Arc::clone(&core.engine), Arc::new(|_| Ok(())))?;
    let tag = |service: &ServiceName| {
        let reference = images.published(service)?;
        let version = reference.rsplit(':').next().unwrap_or_default().to_owned();
        Some((service.clone(), ImageRef { reference, version }))
    };
    Ok(built.iter().filter_map(tag).collect())
}

fn no_registry(environment: &Environment) -> Fault {
    let name = &environment.name;
    let cause = format!("environment `{name}` names no registry, so its manifests cannot say where images come from");
    let hint =
        format!("add `registry = \"HOST/PATH\"` to `deploy/environments/{name}.toml`, or --set registry=HOST/PATH");
    Fault::could_not_run("no-registry", cause).hint(hint)
}

/// What the chart makes of the values.
fn objects(core: &Kubernetes, wanted: &ReleaseSpec, values: &Value) -> Result<Vec<Object>> {
    let release = Release { name: wanted.system.as_str(), namespace: &wanted.namespace };
    let line = helm::template(CommandLine::new("helm"), release, Path::new(CHART));
    let line = line.dir(&core.deployment.root).stdin(values.to_string());
    let printed = core.proc.read(&line)?;
    let parsed = objects::parse(&printed, &wanted.namespace);
    let mut objects =
        parsed.map_err(|why| Fault::failed("chart-unreadable", format!("what `helm template` prints: {why}")))?;
    for part in &wanted.parts {
        if let Some(object) = assets::config_map(part, &core.deployment.root)? {
            objects.push(Object::of(&prerequisites::in_namespace(core, &wanted.system, &object)));
        }
    }
    Ok(objects)
}
