//! The steps that have images in the environment's registry, which is what deploys elsewhere refer to.
//!
//! `push:SERVICE` has the image of a service there. Where images are for several platforms, each has a step of its own,
//! and `push:SERVICE` puts them into one.

use super::auth::{Ask, Credentials, SignIn};
use super::publisher::Publisher;
use super::{Built, DesiredImage, Images, index};
use crate::engine_push::{Access, Push};
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::Fault;
use base::files;
use builds::cleanup::IMAGE;
use engine::ledger;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use model::container::{EngineKind, Platform, Registry};
use model::image::{Digest, ImagePin};
use model::name::ServiceName;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tools::oci::{Engine, candidates};

/// What brings an image to its registry.
pub const PUSH: Action = Action::new("push");

/// What a registry has of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// `REGISTRY/SERVICE:KEY`
    pub name: ImagePin,
    pub digest: Digest,
}

impl Pushed {
    /// `REGISTRY/SERVICE@sha256:…`, what deploys refer to.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name.repository, self.digest)
    }
}

/// What one run sends to a registry, shared by its steps.
pub struct Pushes {
    pub(super) images: Arc<Images>,
    pub(super) registry: Registry,
    pub(super) publisher: Publisher,
    /// By service, for one platform or all of them.
    pushed: Mutex<BTreeMap<(ServiceName, Option<Platform>), Pushed>>,
}

impl Pushes {
    /// Without an owner to ask, credentials are those of the environment's variables, or else the engine's own.
    ///
    /// # Errors
    /// When the environment has no registry, or only half of the credentials is there.
    pub fn new(images: &Arc<Images>, ctx: &Ctx, ask: Option<Ask>) -> Result<Arc<Self>, Fault> {
        let environment = &images.deployment.environment;
        let registry = environment.registry.clone().ok_or_else(|| {
            let cause = format!("the environment `{}` has no registry to push to", environment.name);
            Fault::could_not_run("no-registry", cause).hint("name one: --set registry=HOST/PATH")
        })?;
        let sign_in = match ask {
            Some(ask) => SignIn::late(ask),
            None => Credentials::of_vars(&ctx.vars, registry.host())?.map_or(SignIn::Engine, SignIn::Known),
        };
        let folder = images.deployment.home.push();
        let publisher = Publisher::new(registry.host(), sign_in, &ctx.vars, &folder);
        Ok(Arc::new(Self { images: Arc::clone(images), registry, publisher, pushed: Mutex::default() }))
    }

    /// `push:SERVICE` for every service that is built here, after its images.
    pub fn steps(self: &Arc<Self>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut services: Vec<&ServiceName> = self.images.wanted().iter().map(|wanted| &wanted.service).collect();
        services.dedup();
        for service in services {
            let places: Vec<usize> = self.images.places(service).collect();
            steps.extend(places.iter().map(|place| self.image_step(*place, places.len() > 1)));
            if places.len() > 1 {
                let needs = places.iter().map(|place| self.step_id(*place, true)).collect();
                steps.push(self.index_step(service, &places, needs));
            }
        }
        steps
    }

    /// What the registry has of a service, once its step has made or found it.
    pub fn pushed(&self, service: &ServiceName) -> Option<Pushed> {
        let pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        let several = self.images.places(service).count() > 1;
        let platform = self.images.places(service).next().map(|place| self.images.wanted()[place].platform);
        pushed.get(&(service.clone(), platform.filter(|_| !several))).cloned()
    }

    /// What the registry had of a service when it was last asked, as this machine's records have it. Nobody is asked.
    pub fn known(&self, service: &ServiceName) -> Option<Pushed> {
        let built = self.images.all_built(service);
        let whole = built.len() == self.images.places(service).count();
        match built.as_slice() {
            [] => None,
            [built] if whole => {
                let digest = built.digest.as_ref()?.parse().ok()?;
                Some(Pushed { name: built.reference.parse().ok()?, digest })
            }
            _ => {
                let keys = built.iter().map(|built| (built.platform, built.key.clone()));
                let name = self.index_name(service, keys);
                let noted = files::read_json(&self.images.deployment.home.index(service)).ok()??;
                let digest = noted["digest"].as_str()?.parse().ok()?;
                (whole && noted["name"] == json!(name)).then_some(Pushed { name: name.parse().ok()?, digest })
            }
        }
    }

    fn step_id(&self, place: usize, several: bool) -> StepId {
        let DesiredImage { service, platform, .. } = &self.images.wanted()[place];
        Self::step_of(service, several.then_some(*platform))
    }

    /// The step after which the registry has a service's image, or the one of its images for this platform.
    pub fn step_of(service: &ServiceName, platform: Option<Platform>) -> StepId {
        match platform {
            Some(platform) => PUSH.of(service).part(platform.architecture()),
            None => PUSH.of(&service),
        }
    }

    fn image_step(self: &Arc<Self>, place: usize, several: bool) -> Step {
        let wanted = &self.images.wanted()[place];
        let for_platform = if several { format!(" for {}", wanted.platform) } else { String::new() };
        Step {
            id: self.step_id(place, several),
            title: format!("push the image of `{}`{for_platform} to {}", wanted.service, self.registry),
            system: Some(wanted.system.to_string()),
            needs: vec![self.images.step_id(place)],
            holds: Holds::Nothing,
            preview: self.preview(|engine, access, digest| {
                vec![Preview::Run(engine.push(&self.images.reference(wanted), access, digest))]
            }),
            work: Box::new(ImageWork { pushes: Arc::clone(self), place }),
        }
    }

    fn index_step(self: &Arc<Self>, service: &ServiceName, places: &[usize], needs: Vec<StepId>) -> Step {
        let wanted: Vec<&DesiredImage> = places.iter().map(|place| &self.images.wanted()[*place]).collect();
        let name = self.index_name(service, wanted.iter().map(|wanted| (wanted.platform, wanted.key())));
        let digest_of = |wanted: &&DesiredImage| {
            format!("{}/{service}@<digest of {service} for {}>", self.registry, wanted.platform)
        };
        let images: Vec<String> = wanted.iter().map(digest_of).collect();
        Step {
            id: PUSH.of(&service),
            title: format!("push one image of `{service}` for {} platforms to {}", places.len(), self.registry),
            system: wanted.first().map(|wanted| wanted.system.to_string()),
            needs,
            holds: Holds::Nothing,
            preview: self.preview(|engine, access, digest| {
                let create = engine.index_create(&name, &images, access);
                create.into_iter().chain([engine.index_push(&name, access, digest)]).map(Preview::Run).collect()
            }),
            work: Box::new(IndexWork { pushes: Arc::clone(self), service: service.clone() }),
        }
    }

    /// With the engine that would be asked first, and the files where they would be.
    fn preview(&self, lines: impl FnOnce(&Engine, Access<'_>, &Path) -> Vec<Preview>) -> Vec<Preview> {
        let kind = candidates(self.images.deployment.environment.engine).first().copied();
        let kind = kind.unwrap_or(EngineKind::Docker);
        let engine = Engine { kind, program: kind.as_str().into() };
        let folder = self.images.deployment.home.push();
        let auth = self.publisher.auth_path(kind);
        lines(&engine, self.publisher.rehearsed(&auth), &folder.join("digest-0"))
    }

    fn index_name(&self, service: &ServiceName, keys: impl Iterator<Item = (Platform, String)>) -> String {
        format!("{}/{service}:{}", self.registry, index::key(&keys.collect::<Vec<_>>()))
    }

    fn remember(&self, service: &ServiceName, platform: Option<Platform>, name: &ImagePin, digest: &Digest) {
        let pushed = Pushed { name: name.clone(), digest: digest.clone() };
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner).insert((service.clone(), platform), pushed);
    }

    /// The same for an index, which no record of an image has.
    fn remember_index(&self, service: &ServiceName, name: &ImagePin, digest: &Digest) -> Result<()> {
        self.remember(service, None, name, digest);
        let note = json!({"name": name.to_string(), "digest": digest.as_str()});
        files::write_json(&self.images.deployment.home.index(service), &note)
    }
}

/// The name of an image as its parts.
fn parsed(reference: &str) -> Result<ImagePin> {
    reference.parse().map_err(|error: String| Fault::could_not_run("bad-name", error).into())
}

struct ImageWork {
    pushes: Arc<Pushes>,
    place: usize,
}

impl ImageWork {
    fn built(&self) -> Result<(Built, ImagePin)> {
        let wanted = &self.pushes.images.wanted()[self.place];
        let built = self.pushes.images.built_for(wanted);
        let built = built.with_context(|| format!("there is no image of `{}` to push", wanted.service))?;
        let name = parsed(&built.reference)?;
        Ok((built, name))
    }

    fn remember(&self, built: &Built, name: &ImagePin, digest: &Digest) -> Result<()> {
        if built.digest.as_deref() != Some(digest.as_str()) {
            self.pushes.images.pushed(built, digest.as_str())?;
        }
        self.pushes.remember(&built.service, Some(built.platform), name, digest);
        Ok(())
    }
}

impl Work for ImageWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let (built, name) = self.built()?;
        let publisher = &self.pushes.publisher;
        let engine = || Ok(self.pushes.images.engine.get(cx.proc)?.engine);
        let Some(digest) = publisher.digest(cx, &engine, &name, built.platform)? else { return Ok(None) };
        let known = built.digest.as_deref() == Some(digest.as_str());
        let ours = known || publisher.is_image(cx, &name, &built.id).unwrap_or(true);
        self.remember(&built, &name, &digest)?;
        Ok(Some(match ours {
            true => format!("{} is there, as {digest}", built.key),
            false => format!("{} exists already from another build, as {digest}, which is used", built.key),
        }))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (built, name) = self.built()?;
        let engine = self.pushes.images.engine.get(cx.proc)?.engine;
        cx.status(format!("sends it to {}", self.pushes.registry));
        let digest = self.pushes.publisher.push(cx, &engine, &name, built.platform)?;
        self.remember(&built, &name, &digest)?;
        Ok(Outcome::DoneWith(format!("{}, as {digest}", built.key)))
    }
}

struct IndexWork {
    pushes: Arc<Pushes>,
    service: ServiceName,
}

impl IndexWork {
    /// The name of the list, and each platform's image with its digest.
    fn images(&self) -> Result<(ImagePin, Vec<(Platform, String)>)> {
        let pushes = &self.pushes;
        let built = pushes.images.all_built(&self.service);
        let name = pushes.index_name(&self.service, built.iter().map(|built| (built.platform, built.key.clone())));
        let pushed = pushes.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        let references = built.iter().map(|built| {
            let pushed = pushed.get(&(self.service.clone(), Some(built.platform)));
            let pushed = pushed.with_context(|| format!("`{}` for {} was not pushed", self.service, built.platform))?;
            Ok((built.platform, pushed.reference()))
        });
        Ok((parsed(&name)?, references.collect::<Result<_>>()?))
    }
}

impl Work for IndexWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let (name, images) = self.images()?;
        let engine = || Ok(self.pushes.images.engine.get(cx.proc)?.engine);
        let platform = images.first().map_or(Platform::LinuxAmd64, |(platform, _)| *platform);
        let Some(digest) = self.pushes.publisher.digest(cx, &engine, &name, platform)? else { return Ok(None) };
        self.pushes.remember_index(&self.service, &name, &digest)?;
        Ok(Some(format!("{} is there, as {digest}", name.tag)))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (name, images) = self.images()?;
        let pushes = &self.pushes;
        let engine = pushes.images.engine.get(cx.proc)?.engine;
        // podman keeps a list like an image until it is pushed.
        (pushes.images.enter)(ledger::Entry {
            kind: IMAGE.to_owned(),
            id: name.to_string(),
            system: None,
            identity: json!({"engine": engine.kind.as_str(), "reference": name.to_string()}),
        })?;
        let digest = pushes.publisher.push_index(cx, &engine, &name, &images)?;
        pushes.remember_index(&self.service, &name, &digest)?;
        Ok(Outcome::DoneWith(format!("{}, as {digest}", name.tag)))
    }
}
