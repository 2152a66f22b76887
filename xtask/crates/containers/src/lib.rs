//! Target `containers`: the systems in docker or podman on this machine.
//!
//! Each system has a network of its own, in which its services find each other by name. Nothing in it is published but
//! the public services, through an edge proxy that stays while one container follows another. Internal services that
//! can run two versions at once are reached through the edge as well, from inside alone.

mod deny;
mod edge;
mod fixed;
mod fronted;
mod launch;
mod lost;
mod names;
mod neighbor;
mod prerequisites;
mod provide;
mod published;
mod pull;
mod remains;
mod removal;
mod volumes;

use self::names::Names;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::http::{Endpoint, Via};
use base::os;
use engine::backend::{Remains, Tags, Target};
use engine::deployment::{Deployment, Scope};
use engine::identity::Identity;
use engine::ledger::Entry;
use engine::plan::Step;
use engine::plan::runner::StepCx;
use engine::reconcile::{Stored, UnitId};
use engine::smoke;
use engine::teardown::Removal;
use images::Images;
use machine::supervised::Supervised;
use machine::supervised::publisher;
use machine::supervised::recipe::{Image, Program, Recipe};
use machine::supervised::revision::Revision;
use machine::supervised::runtime::{Held, Lost, Provided, Publisher, Runtime};
use machine::supervised::start::Secrets;
use model::job::Job;
use model::name::{ServiceName, SystemName};
use model::smoke::DeniedPath;
use model::system::{Reference, Service, System};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use supervisor::{InstanceStatus, LaunchSpec, container};

/// Services in containers.
struct Containers {
    names: Names,
    /// What this run wants of images.
    images: Mutex<Option<Arc<Images>>>,
    fixed: Arc<fixed::FixedAddresses>,
    /// Engines need not start containers for several trials at once.
    trying: Mutex<()>,
}

/// Services in containers of docker or podman.
///
/// # Errors
/// When the environment's state on this machine cannot be read.
pub fn open(deployment: Deployment, ctx: &Ctx) -> Result<Arc<dyn Target>> {
    let containers = Containers::new(&deployment)?;
    Ok(Arc::new(Supervised::new(deployment, ctx, Box::new(containers))?))
}

impl Containers {
    fn new(deployment: &Deployment) -> Result<Self> {
        let names = Names::new(&deployment.environment, &deployment.home)?;
        Ok(Self { names, images: Mutex::new(None), fixed: Arc::default(), trying: Mutex::default() })
    }

    /// An image that was removed, or is for another machine, is told by that and not by what comes of it.
    fn check_image(&self, core: &Supervised, recipe: &Recipe) -> Result<()> {
        let Program::Image(image) = &recipe.program else { return Ok(()) };
        let Some(id) = self.image_id(core, &recipe.service, image)? else { return Ok(()) };
        let found = core.found_engine()?;
        let there = found.engine.image(&core.proc, &id)?.ok_or_else(|| {
            let cause = format!("the image `{}` is not in the engine any more", image.reference);
            let deploy = core.deployment.environment.command("deploy");
            Fault::failed("image-gone", cause).hint(format!("`{deploy}` builds or fetches it again"))
        })?;
        Ok(images::fits(&image.reference, &there, pull::platform(&found)?)?)
    }

    fn images(&self) -> Option<Arc<Images>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The ID of an image, once it is there: what its key or its name stood for when it was made or fetched.
    fn image_id(&self, core: &Supervised, service: &ServiceName, image: &Image) -> Result<Option<String>> {
        match &image.key {
            Some(key) => {
                let built = images::recorded(core.home(), service, key);
                let built = built.or_else(|| self.images()?.built(service));
                Ok(built.map(|built| built.id))
            }
            None => pull::noted(core.home(), &image.reference),
        }
    }
}

impl Runtime for Containers {
    fn provide(&self, core: &Arc<Supervised>, ctx: &Ctx) -> Result<Provided> {
        provide::provide(self, core, ctx)
    }

    fn tags(&self, core: &Supervised, ctx: &Ctx) -> Tags {
        images::moved::tags(ctx, &core.deployment, &|pin| pull::digests(core.home(), pin))
    }

    fn identity(&self) -> Option<Identity> {
        Some(self.names.identity())
    }

    fn prerequisites(&self, core: &Arc<Supervised>, system: &System, recipes: &[Recipe], provided: bool) -> Vec<Step> {
        prerequisites::steps(self, core, system, recipes, provided)
    }

    fn launch_spec(&self, core: &Supervised, recipe: &Recipe, secrets: Secrets) -> Result<Option<LaunchSpec>> {
        launch::spec(self, core, recipe, secrets)
    }

    fn job_launch(
        &self,
        core: &Supervised,
        _: &System,
        job: &Job,
        recipe: &Recipe,
        secrets: Secrets,
    ) -> Result<Option<LaunchSpec>> {
        launch::job(self, core, job, recipe, secrets)
    }

    fn refer(&self, core: &Supervised, service: &Service, reference: &Reference) -> Result<Option<String>> {
        Ok(launch::refer(core, service, reference))
    }

    fn file(&self, _: &Supervised, recipe: &Recipe, name: &str) -> Result<String> {
        Ok(recipe.asset(name)?.in_container(name))
    }

    fn entries(&self, core: &Supervised, recipe: &Recipe, system: &SystemName) -> Vec<Entry> {
        let (service, system) = (&recipe.service, system.as_str());
        let files = (!recipe.files.is_empty())
            .then(|| core.path_entry("folder", &files_id(service), Some(system), &core.home().files(service)));
        files.into_iter().chain([core.log_entry(service, system)]).collect()
    }

    fn prepare(&self, core: &Supervised, recipe: &Recipe, system: &SystemName) -> Result<()> {
        self.check_image(core, recipe)?;
        volumes::provide(core, &self.names, recipe, system)?;
        if !recipe.files.is_empty() {
            // The folder is only its owner's to enter; what is mounted from it, every user may read.
            let files = core.home().files(&recipe.service);
            core.enter_folder(&files_id(&recipe.service), Some(system.as_str()), &files)?;
        }
        core.enter_log(&recipe.service, system.as_str())?;
        core.write_assets(recipe, &launch::mode_of)
    }

    fn proven(&self, _: &Supervised, _: &SystemName) -> Result<()> {
        Ok(())
    }

    fn preview(&self, core: &Supervised, recipe: &Recipe) -> String {
        launch::preview(self, core, recipe)
    }

    fn remark(&self, core: &Supervised, recipe: &Recipe) -> Option<String> {
        let all: Vec<String> =
            launch::takeover(core, recipe).into_iter().chain(launch::allowed(core, recipe)).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn elsewhere(&self, _: &LaunchSpec, candidate: &InstanceStatus) -> Vec<u16> {
        // The supervisor of an earlier version tells no socket.
        let Some(Via::Socket(shim)) = &candidate.admin else { return Vec::new() };
        container::explain(shim).map(|explained| explained.elsewhere.into_iter().collect()).unwrap_or_default()
    }

    fn prune(&self, core: &Supervised, service: &ServiceName, kept: &[Revision]) {
        let recipes = kept.iter().flat_map(|revision| &revision.recipes).filter(|recipe| recipe.service == *service);
        let key = |recipe: &Recipe| match &recipe.program {
            Program::Image(image) => image.key.clone(),
            Program::Artifact { .. } | Program::Native { .. } | Program::Folder(_) => None,
        };
        let keys: BTreeSet<String> = recipes.filter_map(key).collect();
        if let Ok(found) = core.found_engine() {
            images::prune(core.home(), &core.proc, &found.engine, service, &keys);
        }
    }

    fn changes_since(&self, _: &Supervised, service: &ServiceName, version: &str) -> Vec<String> {
        self.images().map(|images| images.changes_since(service, version)).unwrap_or_default()
    }

    /// Only what is public is published; those that share a name, by one of them.
    fn takes_port(&self, service: &Service) -> bool {
        service.holds_public_name()
    }

    fn held(&self, core: &Supervised) -> Result<Held> {
        published::held(core)
    }

    fn lost(&self, core: &Supervised) -> Result<Lost> {
        lost::find(self, core)
    }

    fn publisher(&self, core: &Supervised, address: SocketAddr, _: Option<&os::Holder>) -> Option<Publisher> {
        publisher::at(core, address, |labels| self.names.owns(labels))
    }

    fn opened(&self, core: &Supervised, service: &ServiceName, _: SocketAddr) -> Option<SocketAddr> {
        published::of(core, service)
    }

    fn endpoint(&self, core: &Supervised, service: &ServiceName) -> Result<Endpoint, String> {
        launch::endpoint(self, core, service)
    }

    fn deny(&self, core: &Supervised, denied: &DeniedPath) -> smoke::Outcome {
        let _alone = self.trying.lock().unwrap_or_else(PoisonError::into_inner);
        deny::deny(self, core, denied)
    }

    fn removal(&self, core: &Arc<Supervised>, system: &System, keep_data: bool) -> Option<Removal> {
        Some(removal::of_system(self, core, system, keep_data))
    }

    fn system_paths(&self, core: &Supervised, system: &SystemName) -> Vec<PathBuf> {
        edge::paths(core, system)
    }

    fn shared_folders(&self, core: &Supervised) -> Vec<PathBuf> {
        vec![core.home().edges(), core.home().dir().join(pull::FOLDER)]
    }

    fn has_data(&self, core: &Supervised, service: &ServiceName) -> bool {
        remains::has_volume(self, core, service)
    }

    fn stored(&self, core: &Supervised, service: &ServiceName) -> Option<Stored> {
        (!names::volume_entries(core, service).is_empty()).then_some(Stored { size: None })
    }

    /// Each has an address of its own, and what is published is the edge's.
    fn shares_addresses(&self) -> bool {
        false
    }

    fn hand_over(&self, core: &Supervised, from: &ServiceName, to: &UnitId) -> Result<()> {
        prerequisites::hand_over(core, from, to)
    }

    fn give_back(&self, core: &Arc<Supervised>, unit: &UnitId, old: &[UnitId], cx: &StepCx<'_>) -> Result<()> {
        edge::give_back(self, core, unit, old, cx)
    }

    fn size(&self, core: &Supervised, service: &ServiceName) -> Option<u64> {
        let engine = core.found_engine().ok()?.engine;
        let names = names::volume_entries(core, service).into_values();
        names.map(|name| remains::size(&engine.volume(&core.proc, &name).ok()??)).sum()
    }

    fn remove_leftovers(&self, core: &Supervised, unit: &UnitId, cx: &StepCx<'_>) -> Result<()> {
        removal::of_unit(self, core, unit, cx)
    }

    fn find_remains(&self, core: &Supervised, scope: &Scope, keep_data: bool, remains: &mut Remains) -> Result<()> {
        remains::find(self, core, scope, keep_data, remains)
    }
}

/// What the ledger calls the files of a service.
fn files_id(service: &ServiceName) -> String {
    format!("files of {service}")
}

/// The name of the container that serves for a service now.
fn current_container(core: &Supervised, names: &Names, service: &ServiceName) -> Result<Option<String>> {
    let current = core.supervised_of(std::slice::from_ref(service))?.pop().and_then(|status| status.current);
    Ok(current.map(|current| names.instance(service, current.instance)))
}
