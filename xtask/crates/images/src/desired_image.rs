//! Which images are to be there at this moment: what each is built from, where, and under which key.
//!
//! Those of crates are all built by one recipe, [`DOCKERFILE`]; others have a Dockerfile of their own.

use super::build_location::{BuildLocation, Circumstances, LocationChoice};
use super::docker_image::DockerImage;
use super::record::Records;
use anyhow::{Context, Result};
use base::ctx::Vars;
use base::error::Fault;
use base::proc::Proc;
use builds::{Compiler, Manner, Sources, beyond};
use engine::deployment::Deployment;
use keys::{Input, Key, Kind, Manifest};
use model::container::Platform;
use model::image::ImagePin;
use model::name::{ServiceName, SystemName};
use model::system::{Service, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The recipe of all images, relative to the root.
pub const DOCKERFILE: &str = "app/Dockerfile";
/// The profile that binaries of images are built with.
pub const PROFILE: &str = "image";

/// An image to have.
#[derive(Debug, Clone)]
pub struct DesiredImage {
    pub service: ServiceName,
    pub system: SystemName,
    pub(super) origin: Origin,
    pub platform: Platform,
    pub location: BuildLocation,
    /// "on this machine", "inside a container: this machine is macOS"
    pub why_location: String,
    /// What it is built from there.
    pub manifest: Manifest,
    /// Over the manifest, which takes long enough to do it once.
    whole_key: Key,
}

/// What an image is built from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Crate(CrateImage),
    Dockerfile(Arc<DockerImage>),
}

/// A crate in an image by [`DOCKERFILE`].
#[derive(Debug, Clone)]
pub(super) struct CrateImage {
    /// The name of its package.
    pub(super) name: String,
    /// Where it listens, if the recipe asks for it: by itself it is no part of an image.
    pub(super) port: Option<u16>,
    pub(super) common: Arc<Common>,
}

/// The arguments that all images are built with, the location first.
const ARGUMENTS: [&str; 5] = ["way", "profile", "service", "crate", "port"];

impl DesiredImage {
    /// Also its tag.
    pub fn key(&self) -> String {
        self.whole_key.to_string()
    }

    pub fn whole_key(&self) -> Key {
        self.whole_key
    }

    /// The crate whose binary this machine builds for it, if it does.
    pub(super) fn binary(&self) -> Option<&str> {
        match &self.origin {
            Origin::Crate(image) if self.location == BuildLocation::Host => Some(&image.name),
            _ => None,
        }
    }

    /// The same image from a build inside a container, which has a compiler of its own.
    pub(super) fn built_inside(&self, builder: Input, why_location: String) -> Self {
        let mut manifest = self.manifest.clone();
        manifest.retain(|input| match input.kind() {
            Kind::Toolchain | Kind::Read => false,
            Kind::Argument => ARGUMENTS.contains(&input.name()),
            _ => true,
        });
        manifest.add(argument(ARGUMENTS[0], BuildLocation::Inside.as_str()));
        manifest.add(builder);
        Self { location: BuildLocation::Inside, why_location, whole_key: manifest.key(), manifest, ..self.clone() }
    }
}

fn argument(name: &str, value: &str) -> Input {
    Input::new(Kind::Argument, name, value)
}

/// What the images of all crates have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) bases: Bases,
    /// The text of [`DOCKERFILE`].
    pub(super) recipe: Vec<u8>,
}

impl Common {
    fn read(deployment: &Deployment) -> Result<Self> {
        let bases = Bases::of(deployment)?;
        let recipe = std::fs::read(deployment.root.join(DOCKERFILE)).with_context(|| format!("read `{DOCKERFILE}`"))?;
        Ok(Self { bases, recipe })
    }

    /// The builder, where the binary is made in a container.
    pub(super) fn builder(&self) -> Input {
        base_input(&self.bases.builder)
    }

    fn asks_for_port(&self) -> bool {
        String::from_utf8_lossy(&self.recipe).lines().any(|line| line.trim().starts_with("ARG PORT"))
    }
}

/// The public images that builds begin with.
#[derive(Debug, Clone)]
pub(super) struct Bases {
    pub(super) base: ImagePin,
    pub(super) builder: ImagePin,
}

impl Bases {
    fn of(deployment: &Deployment) -> Result<Self> {
        let pin = |name: &str| {
            let found = deployment.spec.images.get(name).cloned();
            found.ok_or_else(|| {
                let cause = format!("`deploy/images.toml` has no image `{name}`, which image builds start from");
                Fault::could_not_run("no-base", cause)
            })
        };
        Ok(Self { base: pin("base")?, builder: pin("builder")? })
    }
}

/// What images are for: the environment's platforms, this machine's first.
pub(super) fn platforms(deployment: &Deployment) -> Result<Vec<Platform>> {
    let here = Platform::of_architecture(std::env::consts::ARCH);
    let mut platforms = deployment.environment.platforms.clone();
    platforms.sort_by_key(|platform| Some(*platform) != here);
    if platforms.is_empty() {
        let unknown = || {
            let cause = format!("images are built for {} only when asked to", std::env::consts::ARCH);
            Fault::could_not_run("unknown-platform", cause).hint("name one: --set platforms=linux/amd64")
        };
        platforms.push(here.ok_or_else(unknown)?);
    }
    Ok(platforms)
}

/// The images of these services as they would be built now, for each of the environment's platforms.
pub(super) fn plan(
    deployment: &Deployment,
    vars: &Vars,
    proc: &Proc,
    services: &[ServiceName],
) -> Result<Vec<DesiredImage>> {
    let platforms = platforms(deployment)?;
    let services: Vec<(&SystemName, &Service)> = services.iter().filter_map(|name| find(deployment, name)).collect();
    let mut crates = crates(deployment, vars, proc, &services, &platforms)?;
    let mut images = Vec::new();
    for (system, service) in services {
        match &service.source {
            Source::Crate(_) => images.extend(crates.remove(&service.name).into_iter().flatten()),
            Source::Dockerfile { build, .. } => {
                let (image, manifest) = DockerImage::read(deployment, service, build)?;
                let image = Arc::new(image);
                images.extend(
                    platforms.iter().map(|platform| by_dockerfile(system, service, &image, &manifest, *platform)),
                );
            }
            Source::Image { .. } => {}
        }
    }
    Ok(images)
}

fn by_dockerfile(
    system: &SystemName,
    service: &Service,
    image: &Arc<DockerImage>,
    manifest: &Manifest,
    platform: Platform,
) -> DesiredImage {
    let mut manifest = manifest.clone();
    manifest.add(Input::new(Kind::Platform, platform.as_str(), ""));
    DesiredImage {
        service: service.name.clone(),
        system: system.clone(),
        origin: Origin::Dockerfile(Arc::clone(image)),
        platform,
        location: BuildLocation::Inside,
        why_location: format!("by `{}`", image.build.file),
        whole_key: manifest.key(),
        manifest,
    }
}

/// The images of those that are crates.
fn crates(
    deployment: &Deployment,
    vars: &Vars,
    proc: &Proc,
    services: &[(&SystemName, &Service)],
    platforms: &[Platform],
) -> Result<BTreeMap<ServiceName, Vec<DesiredImage>>> {
    let crates = services.iter().filter_map(|(system, service)| match &service.source {
        Source::Crate(name) => Some((*system, *service, name.as_str())),
        _ => None,
    });
    let crates: Vec<(&SystemName, &Service, &str)> = crates.collect();
    if crates.is_empty() {
        return Ok(BTreeMap::new());
    }
    let common = Arc::new(Common::read(deployment)?);
    let here =
        |platform: &Platform| question(deployment, *platform).answer().is_ok_and(|c| c.location == BuildLocation::Host);
    let compiler = if platforms.iter().any(here) { Compiler::Here } else { Compiler::Elsewhere };
    let manner = Manner { compiler, profile: Some(PROFILE) };
    let names: Vec<&str> = crates.iter().map(|(_, _, name)| *name).collect();
    let sources = Sources::read(&deployment.root, vars, proc, manner, &names)?;
    let recipe = Input::new(Kind::Dockerfile, DOCKERFILE, &common.recipe);
    let mut images = BTreeMap::new();
    for (system, service, name) in crates {
        let port = service.port.filter(|_| common.asks_for_port());
        let image = CrateImage { name: name.to_owned(), port, common: Arc::clone(&common) };
        let order = Order { deployment, recipe: &recipe, service: &service.name, system, image };
        let desired = platforms.iter().map(|platform| order.desired(&sources, *platform));
        let desired: Vec<Option<DesiredImage>> = desired.collect::<Result<_>>()?;
        images.insert(service.name.clone(), desired.into_iter().flatten().collect());
    }
    Ok(images)
}

fn find<'d>(deployment: &'d Deployment, name: &ServiceName) -> Option<(&'d SystemName, &'d Service)> {
    let all = deployment.spec.systems.iter();
    let mut all = all.flat_map(|system| system.services.iter().map(move |service| (&system.name, service)));
    all.find(|(_, service)| service.name == *name)
}

fn question(deployment: &Deployment, platform: Platform) -> Circumstances {
    Circumstances {
        place: deployment.environment.build,
        system: std::env::consts::OS,
        architecture: std::env::consts::ARCH,
        platform,
        fit: None,
    }
}

/// One service and what all of its images have in common.
struct Order<'a> {
    deployment: &'a Deployment,
    recipe: &'a Input,
    service: &'a ServiceName,
    system: &'a SystemName,
    image: CrateImage,
}

impl Order<'_> {
    fn desired(&self, sources: &Sources, platform: Platform) -> Result<Option<DesiredImage>> {
        let question = question(self.deployment, platform);
        let LocationChoice { location, why } = self.answer(question)?;
        let manifest = match location {
            BuildLocation::Host => sources.built_here(&self.image.name),
            BuildLocation::Inside => sources.of(&self.image.name).cloned(),
        };
        let Some(manifest) = manifest else { return Ok(None) };
        let image = self.complete(manifest, platform, location, why)?;
        // That a binary built here does not suit the base is known once it was built.
        let record = Records::new(&self.deployment.home, self.service).read(&image.key());
        let Some(fit) = record.and_then(|record| record.fit).filter(|_| location == BuildLocation::Host) else {
            return Ok(Some(image));
        };
        let LocationChoice { location, why } = self.answer(Circumstances { fit: Some(fit), ..question })?;
        Ok(Some(match location {
            BuildLocation::Host => DesiredImage { why_location: why, ..image },
            BuildLocation::Inside => image.built_inside(self.image.common.builder(), why),
        }))
    }

    fn answer(&self, question: Circumstances) -> Result<LocationChoice> {
        let refuse = |why| Fault::could_not_run("wrong-way", format!("image of `{}`: {why}", self.service));
        question.answer().map_err(|why| refuse(why).into())
    }

    /// Adds what the sources alone do not tell.
    fn complete(
        &self,
        mut manifest: Manifest,
        platform: Platform,
        location: BuildLocation,
        why_location: String,
    ) -> Result<DesiredImage> {
        manifest.add(self.recipe.clone());
        manifest.add(Input::new(Kind::Platform, platform.as_str(), ""));
        manifest.add(base_input(&self.image.common.bases.base));
        if location == BuildLocation::Inside {
            manifest.add(self.image.common.builder());
        }
        let port = self.image.port.map(|port| port.to_string());
        let values = [location.as_str(), PROFILE, self.service.as_str(), self.image.name.as_str()];
        for (name, value) in ARGUMENTS.into_iter().zip(values.into_iter().chain(port.as_deref())) {
            manifest.add(argument(name, value));
        }
        if location == BuildLocation::Host {
            beyond::complete(&self.deployment.home, &self.deployment.root, &mut manifest)?;
        }
        Ok(DesiredImage {
            service: self.service.clone(),
            system: self.system.clone(),
            origin: Origin::Crate(self.image.clone()),
            platform,
            location,
            why_location,
            whole_key: manifest.key(),
            manifest,
        })
    }
}

/// A base by its reference and, where it is pinned, its digest.
pub(super) fn base_input(pin: &ImagePin) -> Input {
    let pin = pin.to_string();
    let (tagged, digest) = pin.split_once('@').unwrap_or((&pin, ""));
    Input::new(Kind::Base, tagged, digest)
}
