//! Images of this repository's services: small, without a user's rights, and built only when something that a build
//! sees has changed.
//!
//! What an image is built from makes its key ([`keys`]), and the key is its tag, which is never overwritten.
//! What runs is the image's ID. An image is built at one of two [locations](BuildLocation); both end in the same Dockerfile. What was
//! built is recorded by its key, so that nothing has to be asked to know that nothing changed.
//!
//! Limits: a base image without a digest counts by its name alone, since only an engine or a registry could tell what
//! the name stands for. Pin it: `doctor` says how. Engines add what differs each time to an image's configuration, so
//! builds of one key have the same layers and not the same ID.

pub mod auth;
mod base_image;
mod build_location;
mod build_spec;
mod context;
mod contradiction;
mod desired_image;
mod docker_image;
mod dockerfile;
mod elf;
mod engine_push;
mod ignore;
mod image_builder;
mod index;
pub mod mirror;
pub mod moved;
pub mod pins;
mod publisher;
mod push;
mod record;
pub mod refusal;
pub mod registry;
mod steps;
mod survey;
mod user;

pub use build_location::{BuildLocation, GlibcCheck};
pub use contradiction::health;
pub use desired_image::{DOCKERFILE, DesiredImage, PROFILE};
pub use elf::Glibc;
pub use publisher::{FindEngine, Publisher, fits};
pub use push::{PUSH, Pushed, Pushes};
pub use user::check_user;

use base::ctx::{Ctx, Vars};
use engine::home::Home;

use anyhow::Result;
use base::proc::{CommandLine, Proc};
use desired_image::Origin;
use engine::deployment::Deployment;
use engine::ledger;
use engine::plan::StepId;
use engine::secrets::MissingSecret;
use model::container::{Platform, Registry};
use model::name::ServiceName;
use record::Records;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tools::cargo;
use tools::oci;
use tools::oci::Engine;

/// Writes a ledger entry before something is made.
pub type Enter = Arc<dyn Fn(ledger::Entry) -> Result<()> + Send + Sync>;

/// The label that holds an image's whole key.
pub const KEY_LABEL: &str = "dev.slipway.key";
/// The label of what is made for one deployment alone.
pub const DEPLOYMENT_LABEL: &str = "dev.slipway.deployment";

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub service: ServiceName,
    pub platform: Platform,
    /// `REGISTRY/SERVICE:KEY`
    pub reference: String,
    /// `sha256:…`: what engines run.
    pub id: String,
    pub key: String,
    /// Of its manifest, once a registry has it.
    pub digest: Option<String>,
    /// "on this machine: the binary needs glibc 2.34, `base` has 2.36"
    pub location: String,
}

/// Why services have no image, as the compiler or the engine said it.
pub type Errors = Arc<Mutex<BTreeMap<ServiceName, String>>>;

/// What one run wants of images, shared by its steps.
pub struct Images {
    deployment: Deployment,
    vars: Vars,
    cargo: CommandLine,
    registry: Registry,
    wanted: Vec<DesiredImage>,
    engine: Arc<oci::Lazy>,
    enter: Enter,
    errors: Errors,
    state: Mutex<State>,
    /// Held while the library of a base image is looked at, which is done once.
    libc: Mutex<()>,
    /// Held while a base image must stay what its name stands for.
    base: Mutex<()>,
}

/// What the steps of a run have found and made. Places are those in [`Images::wanted`].
#[derive(Default)]
struct State {
    /// The images that the engine has, once it was asked.
    found: Option<BTreeMap<usize, Built>>,
    made: BTreeMap<usize, Built>,
    /// What cargo built on this machine, by crate.
    binaries: BTreeMap<String, PathBuf>,
}

impl Images {
    /// Reads what the services are built from at this moment. No engine is asked.
    ///
    /// # Errors
    /// When the sources cannot be read, or an image cannot be built in the way that the environment asks for.
    pub fn new(
        deployment: &Deployment,
        ctx: &Ctx,
        services: &[ServiceName],
        engine: Arc<oci::Lazy>,
        enter: Enter,
    ) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            wanted: desired_image::plan(deployment, &ctx.vars, &ctx.proc, services)?,
            deployment: deployment.clone(),
            vars: ctx.vars.clone(),
            cargo: cargo::command(&ctx.vars, &ctx.root),
            registry: deployment.environment.registry.clone().unwrap_or_else(Registry::local),
            engine,
            enter,
            errors: Errors::default(),
            state: Mutex::default(),
            libc: Mutex::default(),
            base: Mutex::default(),
        }))
    }

    /// One for each service and platform, the platform of this machine first. A binary that turns out to need a newer
    /// glibc than the base has is built inside a container after all, under another key: [`Images::built`] has it then.
    pub fn wanted(&self) -> &[DesiredImage] {
        &self.wanted
    }

    /// Whether something has to be built, as the records have it.
    pub fn builds(&self) -> bool {
        self.wanted().iter().any(|wanted| self.recorded(wanted).is_none())
    }

    /// The image of a service for this machine's platform, or the first one asked for. During a run that is what its
    /// step has made or found; before it, what the records say.
    pub fn built(&self, service: &ServiceName) -> Option<Built> {
        self.all_built(service).into_iter().next()
    }

    /// The images of a service that are there, one for each platform.
    pub fn all_built(&self, service: &ServiceName) -> Vec<Built> {
        self.places(service).filter_map(|place| self.built_at(place)).collect()
    }

    /// The same for one of [`Images::wanted`].
    pub fn built_for(&self, wanted: &DesiredImage) -> Option<Built> {
        self.all_built(&wanted.service).into_iter().find(|built| built.platform == wanted.platform)
    }

    /// The step that has the image of one of [`Images::wanted`].
    pub fn step_of(&self, wanted: &DesiredImage) -> StepId {
        let mut places = self.places(&wanted.service);
        let place = places.find(|place| self.wanted()[*place].platform == wanted.platform);
        self.step_id(place.unwrap_or_default())
    }

    /// Remembers that a registry has an image under this digest.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn pushed(&self, built: &Built, digest: &str) -> Result<()> {
        let digest = Some(digest.to_owned());
        let mut state = self.state();
        let known = state.made.values_mut().find(|known| known.reference == built.reference);
        if let Some(known) = known {
            known.digest.clone_from(&digest);
        }
        Records::new(&self.deployment.home, &built.service).set_digest(&built.key, &built.reference, digest)
    }

    /// Why services have no image, filled in by the steps.
    pub fn error_list(&self) -> Errors {
        Arc::clone(&self.errors)
    }

    /// What changed since the image with this key was built; nothing when that is not known.
    pub fn changes_since(&self, service: &ServiceName, key: &str) -> Vec<String> {
        let place = self.places(service).next();
        place.map(|place| self.changes(&self.wanted()[place], key)).unwrap_or_default()
    }

    /// The secrets that builds of these images need and nobody gives. What has been built needs none.
    pub fn missing_secrets(&self, of: impl Fn(&DesiredImage) -> bool) -> Vec<MissingSecret> {
        let unbuilt = |wanted: &&DesiredImage| {
            self.recorded(wanted).is_none() && self.records(wanted).elsewhere(&wanted.key()).is_empty()
        };
        let images = self.wanted().iter().filter(|wanted| of(wanted)).filter(unbuilt);
        let secrets = images.filter_map(|wanted| match &wanted.origin {
            Origin::Dockerfile(docker) => docker.secrets(&self.deployment.root, &self.vars, &wanted.system).err(),
            Origin::Crate(_) => None,
        });
        secrets.flatten().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Why an image would be built now. Nothing for one that is current.
    pub fn why(&self, wanted: &DesiredImage) -> Vec<String> {
        if self.recorded(wanted).is_some() {
            return Vec::new();
        }
        let records = self.records(wanted);
        if !records.elsewhere(&wanted.key()).is_empty() {
            return vec!["it was built for another service, and gets its name".to_owned()];
        }
        let Some(last) = records.last(wanted.platform) else {
            return vec!["no image of it was built here yet".to_owned()];
        };
        match self.changes(wanted, &last) {
            changes if changes.is_empty() => vec![format!("it is to be had as `{}`", self.reference(wanted))],
            changes => changes,
        }
    }

    fn places(&self, service: &ServiceName) -> impl Iterator<Item = usize> {
        let all = self.wanted().iter().enumerate();
        all.filter(move |(_, wanted)| wanted.service == *service).map(|(place, _)| place)
    }

    fn built_at(&self, place: usize) -> Option<Built> {
        let made = self.state().made.get(&place).cloned();
        made.or_else(|| self.recorded(&self.wanted()[place]))
    }

    fn changes(&self, wanted: &DesiredImage, key: &str) -> Vec<String> {
        let old = self.records(wanted).inputs(key);
        let changes = old.map(|old| keys::diff(&old, &wanted.manifest)).unwrap_or_default();
        changes.iter().map(ToString::to_string).collect()
    }

    fn records(&self, wanted: &DesiredImage) -> Records {
        Records::new(&self.deployment.home, &wanted.service)
    }

    /// The name that an image of this key has.
    pub fn reference(&self, wanted: &DesiredImage) -> String {
        format!("{}/{}:{}", self.registry, wanted.service, wanted.key())
    }

    /// The name that a registry has the image of a service by; for several platforms it is the list of theirs.
    pub fn published(&self, service: &ServiceName) -> Option<String> {
        let wanted: Vec<&DesiredImage> = self.places(service).map(|place| &self.wanted()[place]).collect();
        match wanted.as_slice() {
            [] => None,
            [only] => Some(self.reference(only)),
            several => {
                let keys: Vec<_> = several.iter().map(|wanted| (wanted.platform, wanted.key())).collect();
                Some(format!("{}/{service}:{}", self.registry, index::key(&keys)))
            }
        }
    }

    fn recorded(&self, wanted: &DesiredImage) -> Option<Built> {
        let record = self.records(wanted).read(&wanted.key())?;
        let made = record.image.filter(|made| made.reference == self.reference(wanted))?;
        Some(Built { digest: made.digest, ..self.as_built(wanted, made.id, record.fit) })
    }

    fn as_built(&self, wanted: &DesiredImage, id: String, fit: Option<GlibcCheck>) -> Built {
        Built {
            service: wanted.service.clone(),
            platform: wanted.platform,
            reference: self.reference(wanted),
            id,
            key: wanted.key(),
            digest: None,
            location: fit
                .filter(|_| wanted.location == BuildLocation::Host)
                .map_or_else(|| wanted.why_location.clone(), build_location::on_this_machine),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The image that was built for a key, as its record has it. The engine is not asked.
pub fn recorded(home: &Home, service: &ServiceName, key: &str) -> Option<Built> {
    let record = Records::new(home, service).read(key)?;
    let made = record.image?;
    let location = record.fit.map_or_else(|| record.location.as_str().to_owned(), build_location::on_this_machine);
    let (service, key, platform) = (service.clone(), key.to_owned(), record.platform);
    Some(Built { service, platform, reference: made.reference, id: made.id, key, digest: made.digest, location })
}

/// Forgets the images of a service whose keys are not among `kept`, and has the engine forget them. What cannot be
/// removed now, since something still runs from it, is tried again the next time.
pub fn prune(home: &Home, proc: &Proc, engine: &Engine, service: &ServiceName, kept: &BTreeSet<String>) {
    let records = Records::new(home, service);
    for key in records.keys().into_iter().filter(|key| !kept.contains(key)) {
        let made = records.read(&key).and_then(|record| record.image);
        if made.is_none_or(|made| engine.remove_image(proc, &made.reference).is_ok()) {
            let _ = records.forget(&key);
        }
    }
}
