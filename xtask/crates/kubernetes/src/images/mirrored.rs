//! Public images that get to the nodes like those that are built here, where the environment says so: `mirror = true`. Each
//! is fetched once, gets a name of ours, and is pushed to the registry or given to the nodes under it.
//!
//! What a name of ours stands for is noted, so that a deploy which changes nothing asks nobody. Limits: one platform, as
//! one engine fetches an image for one; manifests of `render` name public images by their pins.

use super::Way;
use super::nodes::Nodes;
use crate::Kubernetes;
use crate::release_spec::ImageRef;
use anyhow::{Result, anyhow};
use base::error::Fault;
use base::files;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use images::{Images, mirror};
use model::container::{Platform, Registry};
use model::image::{Digest, ImagePin};
use model::name::SystemName;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// A public image on its way to the nodes.
pub(super) struct Mirrored {
    pub(super) core: Arc<Kubernetes>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) images: Arc<Images>,
    pub(super) way: Way,
    /// The short name that systems use.
    pub(super) name: String,
    pub(super) pin: ImagePin,
    /// The first that runs it, with which this machine's copy goes.
    pub(super) system: SystemName,
}

impl Mirrored {
    pub(super) fn step_id(&self) -> StepId {
        Action::new("mirror").of(&self.name)
    }

    pub(super) fn step(self: &Arc<Self>) -> Step {
        let to = match &self.way {
            Way::Registry(_) => self.registry().to_string(),
            Way::Nodes(loads) => loads.cluster.to_string(),
        };
        Step {
            id: self.step_id(),
            title: format!("have {} in {to}", self.pin),
            system: None,
            needs: Vec::new(),
            holds: match &self.way {
                Way::Registry(_) => Holds::Nothing,
                Way::Nodes(loads) => loads.holds(),
            },
            preview: vec![Preview::Do(format!("fetch {} and bring it to {to}, unless it is there", self.pin))],
            work: Box::new(MirrorWork(Arc::clone(self))),
        }
    }

    /// What pods run, as it was when it was last brought there.
    pub(super) fn known(&self) -> Option<ImageRef> {
        let noted = files::read_json(&self.note_file()).ok()??;
        let same = noted["pin"] == self.pin.to_string() && noted["registry"] == self.registry().as_str();
        let reference = noted["reference"].as_str().filter(|_| same)?.to_owned();
        Some(ImageRef { reference, version: self.pin.tag.clone() })
    }

    fn registry(&self) -> Registry {
        self.core.deployment.environment.registry.clone().unwrap_or_else(Registry::local)
    }

    fn note_file(&self) -> PathBuf {
        self.core.deployment.home.dir().join("mirrored").join(format!("{}.json", self.name))
    }

    fn note(&self, name: &ImagePin, digest: Option<&Digest>) -> Result<()> {
        let reference = digest.map_or_else(|| name.to_string(), |digest| format!("{}@{digest}", name.repository));
        let note = json!({
            "pin": self.pin.to_string(), "registry": self.registry().as_str(), "name": name.to_string(),
            "reference": reference,
        });
        files::write_json(&self.note_file(), &note)
    }

    /// Its name of ours, unless that takes the image to know.
    fn own_name(&self) -> Option<ImagePin> {
        if let Some(digest) = &self.pin.digest {
            return self.name_of(digest.as_str()).ok();
        }
        self.known()?;
        files::read_json(&self.note_file()).ok()??["name"].as_str()?.parse().ok()
    }

    fn name_of(&self, of: &str) -> Result<ImagePin> {
        mirror::name(&self.registry(), &self.name, &self.pin, of).map_err(|why| anyhow!(why))
    }

    fn platform(&self) -> Result<Platform, Fault> {
        let here = Platform::of_architecture(std::env::consts::ARCH).unwrap_or(Platform::LinuxAmd64);
        match self.nodes.platforms().as_slice() {
            [] => Ok(self.core.deployment.environment.platforms.first().copied().unwrap_or(here)),
            [platform] => Ok(*platform),
            _ => {
                let cause = "`mirror` brings public images for one platform, and the nodes are of several";
                let hint = "mirror them by hand, and name the copies in `deploy/images.local.toml`";
                Err(Fault::could_not_run("image-platform", cause).hint(hint))
            }
        }
    }
}

struct MirrorWork(Arc<Mirrored>);

impl Work for MirrorWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let (image, platform) = (&self.0, self.0.platform()?);
        let Some(name) = image.own_name() else { return Ok(None) };
        match &image.way {
            Way::Registry(pushes) => {
                let Some(digest) = pushes.digest(cx, &name, platform)? else { return Ok(None) };
                image.note(&name, Some(&digest))?;
                Ok(Some(format!("{} is there, as {digest}", name.tag)))
            }
            Way::Nodes(_) if image.nodes.have(&name.to_string()) => {
                image.note(&name, None)?;
                Ok(Some(format!("the nodes have {}", name.tag)))
            }
            Way::Nodes(_) => Ok(None),
        }
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (image, platform) = (&self.0, self.0.platform()?);
        let (engine, id) = image.images.fetch(cx, &image.pin, platform)?;
        let name = image.name_of(image.pin.digest.as_ref().map_or(&id, |digest| digest.as_str()))?;
        image.images.name_as(cx, &engine, &id, &name, &image.system)?;
        let digest = match &image.way {
            Way::Registry(pushes) => Some(pushes.send(cx, &engine, &name, platform)?),
            Way::Nodes(loads) => {
                if loads.shared(cx)?.is_none() {
                    loads.give(cx, &engine, &name.to_string(), &format!("public.{}", image.name))?;
                }
                None
            }
        };
        image.note(&name, digest.as_ref())?;
        Ok(Outcome::DoneWith(digest.map_or(name.tag.clone(), |digest| format!("{}, as {digest}", name.tag))))
    }
}
