//! An image by a Dockerfile of the repository: its bases are here, its context and its secrets laid out, and what was built
//! held against its service.

use super::super::base_image;
use super::super::context::Context;
use super::super::contradiction;
use super::super::desired_image::Origin;
use super::super::docker_image::DockerImage;
use super::{Built, ImageBuilder, Images};
use anyhow::{Result, anyhow};
use builds::cleanup::{LAYERS, layers_label};
use engine::ledger;
use engine::plan::runner::StepCx;
use engine::secrets;
use serde_json::json;
use std::path::Path;

impl ImageBuilder<'_> {
    /// What the builder sees is laid out as the key has it, with the ignore file's rules already kept.
    pub(super) fn make_by_dockerfile(&mut self, cx: &StepCx<'_>, docker: &DockerImage) -> Result<Built> {
        for (base, platform) in docker.bases_for(self.image.platform) {
            base_image::have(cx, &self.engine, base, platform)?;
        }
        let images = self.images;
        let label = layers_label(&images.deployment.environment, &self.image.system);
        (images.enter)(ledger::Entry {
            kind: LAYERS.to_owned(),
            id: label.clone(),
            system: Some(self.image.system.to_string()),
            identity: json!({"engine": self.engine.kind.as_str(), "label": label}),
        })?;
        let recipe = docker.labelled(&label);
        let mut context = Context::new(self.folder(), recipe.as_bytes())?;
        for (name, value) in self.secrets(docker)? {
            context = context.with_secret(name, &value)?;
        }
        let folder = Path::new(&docker.build.context);
        let context = context.with_folder(&images.deployment.root, folder, &self.image.manifest)?;
        self.build(cx, &context, None)
    }

    /// What the build may mount.
    fn secrets<'d>(&self, docker: &'d DockerImage) -> Result<Vec<(&'d str, String)>> {
        let Images { deployment, vars, .. } = self.images;
        let missing = match docker.secrets(&deployment.root, vars, &self.image.system) {
            Ok(values) => return Ok(values),
            Err(missing) => missing,
        };
        Err(secrets::fault(&missing, &deployment.environment, "build")
            .map_or_else(|| anyhow!("no secrets"), Into::into))
    }

    /// Whether what was built by a Dockerfile of its own is as its service says.
    pub(super) fn examine(&self, cx: &StepCx<'_>, id: &str) -> Result<()> {
        let Origin::Dockerfile(docker) = &self.image.origin else { return Ok(()) };
        let Some(image) = self.engine.image(cx.proc, id)? else { return Ok(()) };
        for note in contradiction::notes(&image, &docker.service) {
            cx.news(format!("`{}`: {note}", self.image.service));
        }
        Ok(contradiction::check(&docker.build.file, &image, &docker.service)?)
    }
}
