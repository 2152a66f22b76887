//! Makes one image: its binary is fit or built inside, its context laid out, the engine told.

mod by_dockerfile;

use super::base_image::{self, Libc};
use super::build_location::{BuildLocation, GlibcCheck};
use super::context::{self, Context, secret_file};
use super::desired_image::{Common, CrateImage, DesiredImage, Origin};
use super::record::Record;
use super::{Built, Images, KEY_LABEL, PROFILE, elf};
use crate::build_spec::BuildSpec;
use anyhow::{Context as _, Result};
use base::error::Fault;
use base::proc::{CommandLine, Proc};
use engine::ledger;
use engine::plan::runner::StepCx;
use keys::Workspace;
use model::container::EngineKind;
use model::environment::BuildPlace;
use model::name::ServiceName;
use remote_tools::git;
use remote_tools::git::Head;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;
use tools::oci::{Engine, Found, Labels, candidates};

/// How much of what an engine said an error repeats.
const LAST_LINES: usize = 20;

/// How often a build is begun that another one breaks.
const ATTEMPTS: u32 = 3;

/// Everything that the making of one image takes.
pub(super) struct ImageBuilder<'a> {
    images: &'a Images,
    image: DesiredImage,
    engine: Engine,
    labels: Labels,
    time: Option<u64>,
}

impl<'a> ImageBuilder<'a> {
    /// For the command line alone: nothing is asked and nothing is made.
    pub(super) fn rehearsal(images: &'a Images, image: &DesiredImage) -> Self {
        let kind = candidates(images.deployment.environment.engine).first().copied().unwrap_or(EngineKind::Docker);
        let engine = Engine { kind, program: PathBuf::from(kind.as_str()) };
        let mut builder = Self { images, image: image.clone(), engine, labels: Labels::new(), time: None };
        builder.label(None, false);
        builder
    }

    /// # Errors
    /// When it cannot be made: the compiler's words, or the engine's.
    pub(super) fn make(images: &'a Images, image: &DesiredImage, cx: &StepCx<'_>) -> Result<Built> {
        let found = images.engine.get(cx.proc)?;
        // Where images for several platforms are built, the name of a base stands for one of them at a time.
        let several = images.wanted().iter().any(|other| other.platform != image.platform);
        let _alone = several.then(|| images.base.lock().unwrap_or_else(PoisonError::into_inner));
        let mut builder =
            Self { images, image: image.clone(), engine: found.engine.clone(), labels: Labels::new(), time: None };
        match (builder.image.origin.clone(), builder.image.location) {
            (Origin::Crate(crate_image), BuildLocation::Host) => builder.make_from_binary(cx, &found, &crate_image),
            (Origin::Crate(crate_image), BuildLocation::Inside) => builder.make_inside(cx, &found, &crate_image),
            (Origin::Dockerfile(docker), _) => builder.make_by_dockerfile(cx, &docker),
        }
    }

    fn make_from_binary(&mut self, cx: &StepCx<'_>, found: &Found, origin: &CrateImage) -> Result<Built> {
        let image = self.image.clone();
        let binary = self.binary(&origin.name)?;
        let base = self.have_base(cx, &origin.common)?;
        let home = &self.images.deployment.home;
        let deployment = self.images.deployment.environment.deployment_id.to_string();
        let libc = Libc { home, deployment: &deployment, enter: &*self.images.enter };
        let has = {
            // Read once, whichever image comes first.
            let _alone = self.images.libc.lock().unwrap_or_else(PoisonError::into_inner);
            libc.of(cx, &self.engine, &base, image.platform)?
        };
        let needs = elf::needed(&binary)
            .map_err(|why| Fault::failed("unreadable-binary", format!("the binary of `{}`: {why}", image.service)))?;
        let fit = GlibcCheck { needs, has };
        if fit.fits() {
            let context = self.context(&origin.common)?.with_binary(&binary)?;
            return self.build(cx, &context, Some(fit));
        }
        // The next run knows it without compiling.
        self.images
            .records(&image)
            .write(&image.manifest, &Record::now(None, BuildLocation::Host, image.platform, Some(fit)))?;
        if self.images.deployment.environment.build == BuildPlace::Host {
            let cause = format!("`{}` cannot be built on this machine: {fit}", image.service);
            return Err(Fault::failed("glibc-too-new", cause).hint("--set build=auto builds it in a container").into());
        }
        let why = format!("inside a container: built here, {fit}");
        self.image = image.built_inside(origin.common.builder(), why);
        match self.images.find(cx.proc, &self.engine, &self.image)? {
            Some(built) => Ok(built),
            None => self.make_inside(cx, found, origin),
        }
    }

    fn make_inside(&mut self, cx: &StepCx<'_>, found: &Found, origin: &CrateImage) -> Result<Built> {
        if !found.facts.cache_mounts {
            let cause = format!(
                "`{}` has to be built {}, and {} cannot do that",
                self.image.service, self.image.why_location, self.engine.kind
            );
            let hint = "install docker's buildx plugin, or use podman: --set engine=podman";
            return Err(Fault::failed("no-buildkit", cause).hint(hint).into());
        }
        self.have_base(cx, &origin.common)?;
        let builder = origin.common.bases.builder.pull_reference();
        base_image::have(cx, &self.engine, &builder, self.image.platform)?;
        let root = &self.images.deployment.root;
        let workspace = Workspace::read(root)?.with_profile(PROFILE);
        let excerpt = workspace.excerpt(&origin.name)?;
        self.refuse_changes(cx.proc)?;
        let context = self.context(&origin.common)?.with_sources(root, &self.image.manifest, &excerpt)?;
        self.build(cx, &context, None)
    }

    /// The manifests of an excerpt were read after the key was made, so nothing may have changed in between.
    fn refuse_changes(&self, proc: &Proc) -> Result<()> {
        let changed = self.images.changed_meanwhile(proc, &[&self.image])?;
        changed.values().next().map_or(Ok(()), |change| Err(context::changed(change).into()))
    }

    /// The binary that cargo has built, or why there is none.
    fn binary(&self, name: &str) -> Result<Vec<u8>> {
        let service = &self.image.service;
        let errors = self.images.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = errors.get(service) {
            return Err(Fault::failed("build-failed", format!("`{service}` does not compile:\n{error}")).into());
        }
        drop(errors);
        let path = self.images.state().binaries.get(name).cloned();
        let path = path.with_context(|| format!("`{name}` was not built"))?;
        std::fs::read(&path).with_context(|| format!("read `{}`", path.display()))
    }

    fn have_base(&self, cx: &StepCx<'_>, common: &Common) -> Result<String> {
        base_image::have(cx, &self.engine, &common.bases.base.pull_reference(), self.image.platform)
    }

    fn context(&self, common: &Common) -> Result<Context> {
        Context::new(self.folder(), &common.recipe)
    }

    fn folder(&self) -> PathBuf {
        let folder = self.images.deployment.home.context(&self.image.service);
        folder.join(self.image.platform.architecture())
    }

    fn build(&mut self, cx: &StepCx<'_>, context: &Context, fit: Option<GlibcCheck>) -> Result<Built> {
        self.describe(cx.proc)?;
        self.images.enter_image(&self.engine, &self.image)?;
        cx.status(format!("builds {}", self.image.why_location));
        let id = self.run_build(cx, context)?;
        let id = id.trim();
        let id = if id.starts_with("sha256:") { id.to_owned() } else { format!("sha256:{id}") };
        self.examine(cx, &id)?;
        let built = self.images.as_built(&self.image, id, fit);
        self.images.remember(&self.image, &built, fit)?;
        Ok(built)
    }

    /// The ID that the engine gives the image. What its own builds beside this one have broken is tried again.
    fn run_build(&self, cx: &StepCx<'_>, context: &Context) -> Result<String> {
        let command = self.command();
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            let finished = cx.try_run(&command, &|_, line| cx.status(line.trim()))?;
            let id = std::fs::read_to_string(context.id()).unwrap_or_default();
            if finished.success && !id.trim().is_empty() {
                return Ok(id);
            }
            let said = format!("{}\n{}", finished.stdout, finished.stderr);
            if left == 0 || !is_race(&finished.stderr) {
                let cause = format!("the image of `{}` cannot be built:\n{}", self.image.service, last_lines(&said));
                return Err(Fault::failed("image-failed", cause).into());
            }
            let last = finished.stderr.trim_end().lines().last().unwrap_or_default();
            cx.news(format!(
                "another build took a layer from that of `{}`, which begins again: {last}",
                self.image.service
            ));
        }
    }

    /// What the image says of itself.
    fn describe(&mut self, proc: &Proc) -> Result<()> {
        let root = &self.images.deployment.root;
        let head = Head::read(proc, root)?;
        let dirty = match head {
            Some(_) => !proc.read(&git::changes(root, &self.image.places()))?.trim().is_empty(),
            None => false,
        };
        self.label(head, dirty);
        Ok(())
    }

    fn label(&mut self, head: Option<Head>, dirty: bool) {
        let mut labels = vec![
            (KEY_LABEL, self.image.whole_key().full()),
            ("org.opencontainers.image.title", self.image.service.to_string()),
            ("org.opencontainers.image.version", self.image.key()),
        ];
        if let Origin::Crate(origin) = &self.image.origin {
            labels.push(("org.opencontainers.image.base.name", origin.common.bases.base.pull_reference()));
        }
        if let Some(head) = head {
            self.time = Some(head.time);
            labels.push(("org.opencontainers.image.created", head.date));
            let dirty = if dirty { "-dirty" } else { "" };
            labels.push(("org.opencontainers.image.revision", format!("{}{dirty}", head.commit)));
        }
        self.labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    }

    /// The line that builds it.
    pub(super) fn command(&self) -> CommandLine {
        let folder = self.folder();
        let (tree, dockerfile, id) = (folder.join("tree"), folder.join("Dockerfile"), folder.join("id"));
        let reference = self.images.reference(&self.image);
        let mut spec = BuildSpec {
            dockerfile: &dockerfile,
            context: &tree,
            stage: None,
            platform: self.image.platform,
            arguments: Vec::new(),
            secrets: Vec::new(),
            labels: self.labels.clone(),
            time: None,
            network: true,
            layers: true,
            tag: &reference,
            id: &id,
        };
        match &self.image.origin {
            Origin::Crate(origin) => {
                let inside = self.image.location == BuildLocation::Inside;
                spec.stage = Some(self.image.location.as_str());
                spec.arguments = recipe_arguments(origin, inside);
                (spec.time, spec.network, spec.layers) = (self.time, inside, false);
                spec.line(&self.engine)
            }
            Origin::Dockerfile(docker) => {
                spec.stage = docker.build.target.as_deref();
                let arguments = docker.build.args.iter();
                let secrets = docker.build.secrets.iter();
                spec.secrets = secrets.map(|name| (name.as_str(), secret_file(&folder, name))).collect();
                spec.arguments = arguments.map(|(name, value)| (name.as_str(), value.clone())).collect();
                spec.line(&self.engine)
            }
        }
    }
}

/// What [`super::DOCKERFILE`] asks for.
fn recipe_arguments(origin: &CrateImage, inside: bool) -> Vec<(&'static str, String)> {
    let bases = &origin.common.bases;
    let mut arguments =
        vec![("BASE", bases.base.pull_reference()), ("CRATE", origin.name.clone()), ("PROFILE", PROFILE.to_owned())];
    arguments.extend(origin.port.map(|port| ("PORT", port.to_string())));
    arguments.extend(inside.then(|| ("BUILDER", bases.builder.pull_reference())));
    arguments
}

impl DesiredImage {
    /// What a commit would have to hold for the image to be of that commit.
    fn places(&self) -> Vec<PathBuf> {
        let files = self.manifest.inputs().iter().filter(|input| input.kind().is_path());
        let mut places: Vec<PathBuf> = files.filter_map(|file| file.path().parent().map(PathBuf::from)).collect();
        match &self.origin {
            Origin::Crate(_) => places.extend(["Cargo.toml", "Cargo.lock", super::DOCKERFILE].map(PathBuf::from)),
            Origin::Dockerfile(docker) => {
                places = vec![PathBuf::from(&docker.build.context), PathBuf::from(&docker.build.file)];
            }
        }
        places.retain(|place| !place.as_os_str().is_empty());
        places.dedup();
        places
    }
}

impl Images {
    /// The services whose sources are not what they were when the run began, with the first change. What is built of
    /// them belongs to no key.
    pub(super) fn changed_meanwhile(
        &self,
        proc: &Proc,
        image: &[&DesiredImage],
    ) -> Result<BTreeMap<ServiceName, String>> {
        let services: Vec<_> = image.iter().map(|image| image.service.clone()).collect();
        let now = super::desired_image::plan(&self.deployment, &self.vars, proc, &services)?;
        let first_change = |before: &&DesiredImage| {
            let same = |now: &&DesiredImage| now.service == before.service && now.platform == before.platform;
            let now = now.iter().find(same).filter(|now| now.whole_key() != before.whole_key())?;
            let change = keys::diff(&before.manifest, &now.manifest).into_iter().next()?;
            Some((now.service.clone(), change.to_string()))
        };
        Ok(image.iter().filter_map(first_change).collect())
    }

    /// Where cargo puts what it builds.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) fn enter_built(&self) -> Result<()> {
        let built = self.deployment.home.built();
        let folder = built.strip_prefix(&self.deployment.root).unwrap_or(&built);
        (self.enter)(ledger::Entry {
            kind: "folder".to_owned(),
            id: "built".to_owned(),
            system: None,
            identity: json!({"path": folder.to_string_lossy()}),
        })
    }
}

/// Whether podman lost what another of its builds shares with this one or has just removed: the errors of its store that
/// tell so (github.com/containers/storage, `errors.go`).
fn is_race(said: &str) -> bool {
    ["layer not known", "image not known", "container not known"].iter().any(|race| said.contains(race))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_build_broke_is_told_from_what_cannot_be_built() {
        let race = "Error: committing container for step {Command:healthcheck}: copying layers and metadata for container \
                    \"a7bc\": committing the finished image: creating image \"91fb\": layer not known";
        assert!(is_race(race));
        assert!(!is_race("Error: building at STEP \"COPY x /x\": checking on sources: no such file or directory"));
        assert!(!is_race(""));
    }
}
