//! Which images are to be there at this moment: what each is built from, where, and under which key.

use super::build_location::{BuildLocation, Circumstances, LocationChoice};
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

/// The recipe of all images, relative to the root.
pub const DOCKERFILE: &str = "app/Dockerfile";
/// The profile that binaries of images are built with.
pub const PROFILE: &str = "image";

/// An image to have.
#[derive(Debug, Clone)]
pub struct DesiredImage {
    pub service: ServiceName,
    /// The crate: the name of its package.
    pub name: String,
    pub system: SystemName,
    /// Where it listens, if the recipe asks for it: by itself it is no part of an image.
    pub port: Option<u16>,
    pub platform: Platform,
    pub location: BuildLocation,
    /// "on this machine", "inside a container: this machine is macOS"
    pub why_location: String,
    /// What it is built from there.
    pub manifest: Manifest,
    /// Over the manifest, which takes long enough to do it once.
    whole_key: Key,
    builder: Input,
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

    /// The same image from a build inside a container, which has a compiler of its own.
    pub(super) fn built_inside(&self, why_location: String) -> Self {
        let mut manifest = self.manifest.clone();
        manifest.retain(|input| match input.kind() {
            Kind::Toolchain | Kind::Read => false,
            Kind::Argument => ARGUMENTS.contains(&input.name()),
            _ => true,
        });
        manifest.add(argument(ARGUMENTS[0], BuildLocation::Inside.as_str()));
        manifest.add(self.builder.clone());
        Self { location: BuildLocation::Inside, why_location, whole_key: manifest.key(), manifest, ..self.clone() }
    }
}

fn argument(name: &str, value: &str) -> Input {
    Input::new(Kind::Argument, name, value)
}

/// The images that are to be there, and what all of them have in common.
pub(super) struct ImagePlan {
    pub(super) images: Vec<DesiredImage>,
    pub(super) bases: Bases,
    /// The text of [`DOCKERFILE`].
    pub(super) recipe: Vec<u8>,
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
    services: &[(ServiceName, String)],
) -> Result<ImagePlan> {
    let bases = Bases::of(deployment)?;
    let platforms = platforms(deployment)?;
    let crates: Vec<&str> = services.iter().map(|(_, name)| name.as_str()).collect();
    let here =
        |platform: &Platform| question(deployment, *platform).answer().is_ok_and(|c| c.location == BuildLocation::Host);
    let compiler = if platforms.iter().any(here) { Compiler::Here } else { Compiler::Elsewhere };
    let manner = Manner { compiler, profile: Some(PROFILE) };
    let sources = Sources::read(&deployment.root, vars, proc, manner, &crates)?;
    let recipe = std::fs::read(deployment.root.join(DOCKERFILE)).with_context(|| format!("read `{DOCKERFILE}`"))?;
    let input = Input::new(Kind::Dockerfile, DOCKERFILE, &recipe);
    let asks_for_port = String::from_utf8_lossy(&recipe).lines().any(|line| line.trim().starts_with("ARG PORT"));
    let mut images = Vec::new();
    for (service, name) in services {
        let Some((system, declared)) = find(deployment, service) else { continue };
        let port = Some(declared).filter(|_| asks_for_port);
        let order = Order { deployment, bases: &bases, recipe: &input, service, name, port, system };
        for &platform in &platforms {
            images.extend(order.desired(&sources, platform)?);
        }
    }
    Ok(ImagePlan { images, bases, recipe })
}

fn find<'d>(deployment: &'d Deployment, service: &ServiceName) -> Option<(&'d SystemName, u16)> {
    let all = deployment.spec.systems.iter();
    let mut all = all.flat_map(|system| system.services.iter().map(move |service| (&system.name, service)));
    all.find(|(_, found)| found.name == *service).map(|(system, found)| (system, found.port))
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
    bases: &'a Bases,
    recipe: &'a Input,
    service: &'a ServiceName,
    name: &'a str,
    system: &'a SystemName,
    port: Option<u16>,
}

impl Order<'_> {
    fn desired(&self, sources: &Sources, platform: Platform) -> Result<Option<DesiredImage>> {
        let question = question(self.deployment, platform);
        let LocationChoice { location, why } = self.answer(question)?;
        let manifest = match location {
            BuildLocation::Host => sources.built_here(self.name),
            BuildLocation::Inside => sources.of(self.name).cloned(),
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
            BuildLocation::Inside => image.built_inside(why),
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
        let builder = base_input(&self.bases.builder);
        manifest.add(self.recipe.clone());
        manifest.add(Input::new(Kind::Platform, platform.as_str(), ""));
        manifest.add(base_input(&self.bases.base));
        if location == BuildLocation::Inside {
            manifest.add(builder.clone());
        }
        let port = self.port.map(|port| port.to_string());
        let values = [location.as_str(), PROFILE, self.service.as_str(), self.name];
        for (name, value) in ARGUMENTS.into_iter().zip(values.into_iter().chain(port.as_deref())) {
            manifest.add(argument(name, value));
        }
        if location == BuildLocation::Host {
            beyond::complete(&self.deployment.home, &self.deployment.root, &mut manifest)?;
        }
        Ok(DesiredImage {
            service: self.service.clone(),
            name: self.name.to_owned(),
            system: self.system.clone(),
            port: self.port,
            platform,
            location,
            why_location,
            whole_key: manifest.key(),
            manifest,
            builder,
        })
    }
}

/// A base by its reference and, where it is pinned, its digest.
fn base_input(pin: &ImagePin) -> Input {
    let pin = pin.to_string();
    let (tagged, digest) = pin.split_once('@').unwrap_or((&pin, ""));
    Input::new(Kind::Base, tagged, digest)
}
