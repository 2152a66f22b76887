//! The images of a deploy: built here and pushed to the environment's registry, or given to the nodes of a cluster on
//! this machine in the way that it wants; public ones by their pins, or in the same way.
//!
//! What a service runs is known from the records of what was built and pushed, so that a deploy which changes nothing
//! asks neither an engine nor a registry.

mod load;
mod mirrored;
mod nodes;
mod public;

use self::load::Loads;
use self::mirrored::Mirrored;
use self::nodes::Nodes;
use self::public::Public;
use super::Kubernetes;
use super::release_spec::{ImageRef, WorkloadSpec};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use engine::deployment::Deployment;
use engine::plan::{Step, StepId, Subject};
use engine::secrets::MissingSecret;
use images::{DesiredImage, Enter, Images, Pushes};
use model::image::ImagePin;
use model::name::{ServiceName, SystemName};
use model::system::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What supplies the images of a run.
pub(super) struct ImageSource {
    images: Arc<Images>,
    /// `None`: nothing is built here, so that nothing has to get anywhere.
    way: Option<Way>,
    /// The services that run public images.
    publics: BTreeMap<ServiceName, Arc<Public>>,
}

/// How images get to the nodes.
#[derive(Clone)]
enum Way {
    Registry(Arc<Pushes>),
    Nodes(Arc<Loads>),
}

impl ImageSource {
    /// Reads what the services of these systems are built from at this moment.
    ///
    /// # Errors
    /// When there is no way to get images to the cluster, or a source cannot be read.
    pub(super) fn new(
        core: &Arc<Kubernetes>,
        ctx: &Ctx,
        systems: &[(SystemName, Vec<WorkloadSpec>)],
    ) -> Result<Arc<Self>> {
        let parts = || systems.iter().flat_map(|(_, parts)| parts);
        let services = parts().map(|part| &part.service).filter(|service| service.is_built());
        let built: Vec<ServiceName> = services.map(|service| service.name.clone()).collect();
        let nodes = Arc::new(Nodes::new(core));
        let deployment = for_nodes(&core.deployment, &nodes, !built.is_empty())?;
        let entering = Arc::clone(core);
        let enter: Enter = Arc::new(move |entry| entering.records.enter_early(entry));
        let images = Images::new(&deployment, ctx, &built, Arc::clone(&core.engine), enter)?;
        let mirrors = core.deployment.environment.mirror && parts().any(|part| !part.service.is_built());
        let way = match built.is_empty() && !mirrors {
            true => None,
            false => Some(Way::of(core, ctx, &images, &nodes)?),
        };
        let mirrored = |name: &str, pin: &ImagePin| {
            let (core, nodes, images) = (Arc::clone(core), Arc::clone(&nodes), Arc::clone(&images));
            let (way, name, pin) = (way.clone().filter(|_| mirrors)?, name.to_owned(), pin.clone());
            let runs =
                |part: &WorkloadSpec| matches!(&part.service.source, Source::Image { image, .. } if *image == name);
            let system = systems.iter().find(|(_, parts)| parts.iter().any(runs))?.0.clone();
            Some(Arc::new(Mirrored { core, nodes, images, way, name, pin, system }))
        };
        let publics = public::of(core, &nodes, parts(), &mirrored)?;
        Ok(Arc::new(Self { images, way, publics }))
    }

    /// What a service runs, once its steps are done; before that, if it is known without building, pushing or asking
    /// anything but this machine's records.
    pub(super) fn known(&self, service: &ServiceName) -> Option<ImageRef> {
        if let Some(public) = self.publics.get(service) {
            return public.reference();
        }
        let version = self.images.built(service)?.key;
        let reference = match self.way.as_ref()? {
            Way::Registry(pushes) => pushes.known(service)?.reference(),
            Way::Nodes(_) => self.images.built(service)?.reference,
        };
        Some(ImageRef { reference, version })
    }

    /// What `--dry-run` shows for it: `<digest of epoch>` where that is not known.
    pub(super) fn shown(&self, service: &ServiceName) -> ImageRef {
        let unknown = || {
            if let Some(public) = self.publics.get(service) {
                return public.unknown();
            }
            let wanted = self.images.wanted().iter().find(|wanted| wanted.service == *service);
            let version = wanted.map(DesiredImage::key).unwrap_or_default();
            ImageRef { reference: format!("<digest of {service}>"), version }
        };
        self.known(service).unwrap_or_else(unknown)
    }

    /// Why the image of a service would change since the one of this version; nothing when that is not known.
    pub(super) fn changes_since(&self, service: &ServiceName, version: &str) -> Vec<String> {
        match self.publics.get(service) {
            Some(public) => public.changes_since(version),
            None => self.images.changes_since(service, version),
        }
    }

    /// The steps that have the images of these services in the cluster's reach.
    pub(super) fn steps(self: &Arc<Self>, services: &[ServiceName]) -> Vec<Step> {
        let own = || services.iter().filter(|service| !self.publics.contains_key(*service));
        let names: BTreeSet<&str> = own().map(ServiceName::as_str).collect();
        let mut steps = match names.is_empty() {
            true => Vec::new(),
            false => self.images.steps(Vec::new()),
        };
        match &self.way {
            Some(Way::Registry(pushes)) => steps.extend(pushes.steps()),
            Some(Way::Nodes(loads)) => steps.extend(own().filter_map(|service| loads.step(service))),
            None => {}
        }
        let mut steps = only(steps, &names);
        let publics: BTreeMap<&str, &Arc<Public>> = services
            .iter()
            .filter_map(|service| self.publics.get(service))
            .map(|public| (public.name.as_str(), public))
            .collect();
        steps.extend(publics.into_values().flat_map(Public::steps));
        steps
    }

    /// The steps among [`ImageSource::steps`] after which a service's image is there.
    pub(super) fn needs(&self, service: &ServiceName) -> Vec<StepId> {
        match (self.publics.get(service), &self.way) {
            (Some(public), _) => public.step_ids(),
            (None, Some(Way::Registry(_))) => vec![Pushes::step_of(service, None)],
            (None, Some(Way::Nodes(_))) => vec![load::step_id(service)],
            (None, None) => Vec::new(),
        }
    }

    /// The secrets that builds for these services need and nobody gives.
    pub(super) fn missing_secrets(&self, services: &[ServiceName]) -> Vec<MissingSecret> {
        self.images.missing_secrets(|wanted| services.contains(&wanted.service))
    }

    /// Whether something has to be built for these services.
    pub(super) fn builds(&self, services: &[ServiceName]) -> bool {
        let mut wanted = self.images.wanted().iter().filter(|wanted| services.contains(&wanted.service));
        wanted.any(|wanted| self.images.built_for(wanted).is_none())
    }
}

impl Way {
    fn of(core: &Arc<Kubernetes>, ctx: &Ctx, images: &Arc<Images>, nodes: &Arc<Nodes>) -> Result<Self> {
        if core.deployment.environment.registry.is_some() {
            return Ok(Self::Registry(Pushes::new(images, ctx, core.platform.registry_owner())?));
        }
        let Some(cluster) = nodes.local_cluster() else {
            // That no cluster is named, or it cannot be reached, comes first.
            core.access.api()?;
            return Err(no_registry(core).into());
        };
        Ok(Self::Nodes(Arc::new(Loads::new(core, images, nodes, cluster))))
    }
}

/// Images are for what the nodes are, unless the environment says what they are for.
fn for_nodes(deployment: &Deployment, nodes: &Nodes, builds: bool) -> Result<Deployment> {
    let mut deployment = deployment.clone();
    if builds {
        nodes.check(&deployment.environment.platforms)?;
        if deployment.environment.platforms.is_empty() {
            deployment.environment.platforms = nodes.platforms();
        }
    }
    Ok(deployment)
}

/// The steps of these services, and those that they share.
fn only(steps: Vec<Step>, services: &BTreeSet<&str>) -> Vec<Step> {
    let of_service = |step: &Step| match step.id.subject() {
        Some(Subject::Service(service)) => services.contains(service.as_str()),
        _ => true,
    };
    steps.into_iter().filter(of_service).collect()
}

fn no_registry(core: &Kubernetes) -> Fault {
    let environment = &core.deployment.environment;
    let context = environment.cluster.context.as_deref().unwrap_or_default();
    let cause = format!(
        "the environment `{}` names no registry, and the cluster of context `{context}` is none on this machine that \
         could be given images",
        environment.name
    );
    let example = "`registry = \"HOST/PATH\"`";
    let hint = format!(
        "name one that the cluster pulls from: {example} in `deploy/environments/{}.local.toml`",
        environment.name
    );
    Fault::could_not_run("no-registry", cause).hint(hint)
}
