//! What a deploy starts in containers: which image each service runs, and the steps that build and fetch those.

use super::pull::{self, Public};
use super::{Containers, edge, fronted, prerequisites};
use anyhow::Result;
use base::ctx::Ctx;
use engine::backend::SkippedSystem;
use engine::plan::StepId;
use images::{Enter, Images};
use machine::supervised::Supervised;
use machine::supervised::recipe::{Image, Program, Recipe};
use machine::supervised::runtime::{BuildErrors, Planned, Provided};
use machine::supervised::steps::PORTS;
use model::name::ServiceName;
use model::system::{Presence, Service, Source, System, TargetKind};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

pub(super) fn provide(containers: &Containers, core: &Arc<Supervised>, ctx: &Ctx) -> Result<Provided> {
    prerequisites::check_engine(core)?;
    let mut systems = Vec::new();
    let mut skipped = Vec::new();
    for system in core.deployment.systems() {
        match parts(core, system) {
            Ok(services) => systems.push((system.clone(), services)),
            Err(reason) => skipped.push(SkippedSystem { name: system.name.clone(), reason }),
        }
    }
    let services = || systems.iter().flat_map(|(_, services)| services);
    let images = own_images(containers, core, ctx, services())?;
    let builds = images.builds();
    let errors: BuildErrors = images.error_list();
    let mut steps = images.steps(vec![StepId::new(PORTS)]);
    let publics = public_images(core, &systems);
    steps.extend(publics.into_values().map(|public| pull::step(core, public, vec![StepId::new(PORTS)])));
    let plan = |(system, services): (System, Vec<Service>)| {
        let planned = services.iter().filter_map(|service| planned(core, &images, service, &services)).collect();
        (system, planned)
    };
    Ok(Provided {
        systems: systems.into_iter().map(plan).collect(),
        skipped,
        blocked: Vec::new(),
        notes: BTreeMap::new(),
        steps,
        builds,
        errors,
        missing: images.missing_secrets(|_| true),
    })
}

/// The services of a system that run here, or why it cannot.
fn parts(core: &Supervised, system: &System) -> Result<Vec<Service>, String> {
    let mut parts = Vec::new();
    for service in &system.services {
        // One container is all that a laptop runs of each service, so what only several replicas need is absent.
        if !service.targets.contains(&TargetKind::Containers) || service.presence == Presence::WhenReplicated {
            continue;
        }
        let lacks = service.lacks_secret(TargetKind::Containers);
        if let Some(reason) = lacks.or_else(|| service.without_file(TargetKind::Containers)) {
            return Err(reason);
        }
        match &service.source {
            Source::Image { image, .. } if !core.deployment.spec.images.contains_key(image) => {
                return Err(format!(
                    "`{}` runs the image `{image}`, which is not in `deploy/images.toml`",
                    service.name
                ));
            }
            _ => parts.push(service.clone()),
        }
    }
    Ok(parts)
}

fn own_images<'a>(
    containers: &Containers,
    core: &Arc<Supervised>,
    ctx: &Ctx,
    services: impl Iterator<Item = &'a Service>,
) -> Result<Arc<Images>> {
    let built: Vec<ServiceName> =
        services.filter(|service| service.is_built()).map(|service| service.name.clone()).collect();
    let entering = Arc::clone(core);
    let enter: Enter = Arc::new(move |entry| entering.enter(entry));
    let images = Images::new(&core.deployment, ctx, &built, Arc::clone(&core.engine), enter)?;
    *containers.images.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&images));
    Ok(images)
}

/// The public images of these systems by their short names, that of their edges among them.
fn public_images(core: &Supervised, systems: &[(System, Vec<Service>)]) -> BTreeMap<String, Public> {
    let mut publics: BTreeMap<String, Public> = BTreeMap::new();
    let pins = &core.deployment.spec.images;
    let public =
        |name: &str| Some(Public { name: name.to_owned(), pin: pins.get(name)?.clone(), as_named: Vec::new() });
    for (_, services) in systems {
        for service in services {
            let Source::Image { image, .. } = &service.source else { continue };
            let Some(found) = public(image) else { continue };
            let entry = publics.entry(image.clone()).or_insert(found);
            if service.container.takes_user_of_image() {
                entry.as_named.push(service.name.clone());
            }
        }
        if fronted::is_needed(services)
            && let Some(found) = public(edge::IMAGE)
        {
            publics.entry(edge::IMAGE.to_owned()).or_insert(found);
        }
    }
    publics
}

fn planned(core: &Supervised, images: &Images, service: &Service, present: &[Service]) -> Option<Planned> {
    let (image, need) = match &service.source {
        Source::Crate(_) | Source::Dockerfile { .. } => {
            let wanted = images.wanted().iter().find(|wanted| wanted.service == service.name)?;
            let image = Image { reference: images.reference(wanted), key: Some(wanted.key()), ..blank(service) };
            (image, images.step_of(wanted))
        }
        Source::Image { image, .. } => {
            let pin = core.deployment.spec.images.get(image)?;
            (Image { reference: pin.to_string(), ..blank(service) }, pull::step_id(image))
        }
    };
    let names: Vec<ServiceName> = present.iter().map(|service| service.name.clone()).collect();
    let recipe = Recipe::new(service, Program::Image(Box::new(image)), &core.deployment.environment, &names);
    Some(Planned { service: service.clone(), recipe, needs: vec![need] })
}

fn blank(service: &Service) -> Image {
    let mut container = service.container.clone();
    // Another reason is no reason to start it anew.
    container.allow.iter_mut().for_each(|allow| allow.why.clear());
    Image { reference: String::new(), key: None, port: service.port, container, reaches: !service.reaches.is_empty() }
}
