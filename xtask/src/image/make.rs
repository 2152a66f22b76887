//! Makes one image: its binary is fit or built inside, its context laid out, the engine told.

use super::base::{self, Libc};
use super::context::{self, Context};
use super::record::Record;
use super::wanted::Wanted;
use super::way::{Fit, Way};
use super::{Built, Images, KEY_LABEL, PROFILE, elf};
use crate::error::Fault;
use crate::key::{self, Workspace};
use crate::ledger;
use crate::plan::runner::StepCx;
use crate::proc::{CommandLine, Proc};
use crate::spec::container::EngineKind;
use crate::spec::environment::BuildPlace;
use crate::spec::name::ServiceName;
use crate::tools::engine::{BuildSpec, Engine, Found, Labels, candidates};
use crate::tools::git::{self, Head};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;

/// How much of what an engine said an error repeats.
const LAST_LINES: usize = 20;

/// Everything that the making of one image takes.
pub(super) struct Workshop<'a> {
    images: &'a Images,
    wanted: Wanted,
    engine: Engine,
    labels: Labels,
    time: Option<u64>,
}

impl<'a> Workshop<'a> {
    /// For the command line alone: nothing is asked and nothing is made.
    pub(super) fn rehearsal(images: &'a Images, wanted: &Wanted) -> Self {
        let kind = candidates(images.deployment.environment.engine).first().copied().unwrap_or(EngineKind::Docker);
        let engine = Engine { kind, program: PathBuf::from(kind.as_str()) };
        let mut workshop = Self { images, wanted: wanted.clone(), engine, labels: Labels::new(), time: None };
        workshop.label(None, false);
        workshop
    }

    /// # Errors
    /// When it cannot be made: the compiler's words, or the engine's.
    pub(super) fn make(images: &'a Images, wanted: &Wanted, cx: &StepCx<'_>) -> Result<Built> {
        let found = images.engine.get(cx.proc)?;
        // Where images for several platforms are built, the name of a base stands for one of them at a time.
        let several = images.wanted().iter().any(|other| other.platform != wanted.platform);
        let _alone = several.then(|| images.base.lock().unwrap_or_else(PoisonError::into_inner));
        let mut workshop =
            Self { images, wanted: wanted.clone(), engine: found.engine.clone(), labels: Labels::new(), time: None };
        match workshop.wanted.way {
            Way::Host => workshop.make_from_binary(cx, &found),
            Way::Inside => workshop.make_inside(cx, &found),
        }
    }

    fn make_from_binary(&mut self, cx: &StepCx<'_>, found: &Found) -> Result<Built> {
        let wanted = self.wanted.clone();
        let binary = self.binary()?;
        let base = self.have_base(cx)?;
        let home = &self.images.deployment.home;
        let deployment = self.images.deployment.environment.deployment_id.to_string();
        let libc = Libc { home, deployment: &deployment, enter: &*self.images.enter };
        let has = {
            // Read once, whichever image comes first.
            let _alone = self.images.libc.lock().unwrap_or_else(PoisonError::into_inner);
            libc.of(cx, &self.engine, &base, wanted.platform)?
        };
        let needs = elf::needed(&binary)
            .map_err(|why| Fault::failed("unreadable-binary", format!("the binary of `{}`: {why}", wanted.service)))?;
        let fit = Fit { needs, has };
        if fit.fits() {
            let context = self.context()?.with_binary(&binary)?;
            return self.build(cx, &context, Some(fit));
        }
        // The next run knows it without compiling.
        self.images
            .records(&wanted)
            .write(&wanted.manifest, &Record::now(None, Way::Host, wanted.platform, Some(fit)))?;
        if self.images.deployment.environment.build == BuildPlace::Host {
            let cause = format!("`{}` cannot be built on this machine: {fit}", wanted.service);
            return Err(Fault::failed("glibc-too-new", cause).hint("--set build=auto builds it in a container").into());
        }
        self.wanted = wanted.built_inside(format!("inside a container: built here, {fit}"));
        match self.images.find(cx.proc, &self.engine, &self.wanted)? {
            Some(built) => Ok(built),
            None => self.make_inside(cx, found),
        }
    }

    fn make_inside(&mut self, cx: &StepCx<'_>, found: &Found) -> Result<Built> {
        if !found.facts.cache_mounts {
            let cause = format!(
                "`{}` has to be built {}, and {} cannot do that",
                self.wanted.service, self.wanted.why_way, self.engine.kind
            );
            let hint = "install docker's buildx plugin, or use podman: --set engine=podman";
            return Err(Fault::failed("no-buildkit", cause).hint(hint).into());
        }
        self.have_base(cx)?;
        base::have(cx, &self.engine, &self.images.wish.bases.builder, self.wanted.platform)?;
        let root = &self.images.deployment.root;
        let workspace = Workspace::read(root)?.with_profile(PROFILE);
        let excerpt = workspace.excerpt(&self.wanted.name)?;
        self.refuse_changes(cx.proc)?;
        let context = self.context()?.with_sources(root, &self.wanted.manifest, &excerpt)?;
        self.build(cx, &context, None)
    }

    /// The manifests of an excerpt were read after the key was made, so nothing may have changed in between.
    fn refuse_changes(&self, proc: &Proc) -> Result<()> {
        let changed = self.images.changed_meanwhile(proc, &[&self.wanted])?;
        changed.values().next().map_or(Ok(()), |change| Err(context::changed(change).into()))
    }

    /// The binary that cargo has built, or why there is none.
    fn binary(&self) -> Result<Vec<u8>> {
        let Wanted { service, name, .. } = &self.wanted;
        let errors = self.images.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = errors.get(service) {
            return Err(Fault::failed("build-failed", format!("`{service}` does not compile:\n{error}")).into());
        }
        drop(errors);
        let path = self.images.state().binaries.get(name).cloned();
        let path = path.with_context(|| format!("nothing has built `{name}`"))?;
        std::fs::read(&path).with_context(|| format!("read `{}`", path.display()))
    }

    fn have_base(&self, cx: &StepCx<'_>) -> Result<String> {
        base::have(cx, &self.engine, &self.images.wish.bases.base, self.wanted.platform)
    }

    fn context(&self) -> Result<Context> {
        Context::new(self.folder(), &self.images.wish.recipe)
    }

    fn folder(&self) -> PathBuf {
        let folder = self.images.deployment.home.context(&self.wanted.service);
        folder.join(self.wanted.platform.architecture())
    }

    fn build(&mut self, cx: &StepCx<'_>, context: &Context, fit: Option<Fit>) -> Result<Built> {
        self.describe(cx.proc)?;
        self.images.enter_image(&self.engine, &self.wanted)?;
        cx.status(format!("builds {}", self.wanted.why_way));
        let finished = cx.try_run(&self.command(), &|_, line| cx.status(line.trim()))?;
        let id = std::fs::read_to_string(context.id()).unwrap_or_default();
        if !finished.success || id.trim().is_empty() {
            let said = format!("{}\n{}", finished.stdout, finished.stderr);
            let cause = format!("the image of `{}` cannot be built:\n{}", self.wanted.service, last_lines(&said));
            return Err(Fault::failed("image-failed", cause).into());
        }
        let id = id.trim();
        let id = if id.starts_with("sha256:") { id.to_owned() } else { format!("sha256:{id}") };
        let built = self.images.as_built(&self.wanted, id, fit);
        self.images.remember(&self.wanted, &built, fit)?;
        Ok(built)
    }

    /// What the image says of itself.
    fn describe(&mut self, proc: &Proc) -> Result<()> {
        let root = &self.images.deployment.root;
        let head = Head::read(proc, root)?;
        let dirty = match head {
            Some(_) => !proc.read(&git::changes(root, &self.wanted.places()))?.trim().is_empty(),
            None => false,
        };
        self.label(head, dirty);
        Ok(())
    }

    fn label(&mut self, head: Option<Head>, dirty: bool) {
        let base = base::reference(&self.images.wish.bases.base);
        let mut labels = vec![
            (KEY_LABEL, self.wanted.whole_key().full()),
            ("org.opencontainers.image.title", self.wanted.service.to_string()),
            ("org.opencontainers.image.version", self.wanted.key()),
            ("org.opencontainers.image.base.name", base),
        ];
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
        let reference = self.images.reference(&self.wanted);
        let bases = &self.images.wish.bases;
        let mut arguments = vec![
            ("BASE", base::reference(&bases.base)),
            ("PORT", self.wanted.port.to_string()),
            ("CRATE", self.wanted.name.clone()),
            ("PROFILE", PROFILE.to_owned()),
        ];
        if self.wanted.way == Way::Inside {
            arguments.push(("BUILDER", base::reference(&bases.builder)));
        }
        self.engine.build(&BuildSpec {
            dockerfile: &dockerfile,
            context: &tree,
            stage: self.wanted.way.as_str(),
            platform: self.wanted.platform,
            arguments,
            labels: self.labels.clone(),
            time: self.time,
            network: self.wanted.way == Way::Inside,
            tag: &reference,
            id: &id,
        })
    }
}

impl Wanted {
    /// What a commit would have to hold for the image to be of that commit.
    fn places(&self) -> Vec<PathBuf> {
        let files = self.manifest.inputs().iter().filter(|input| input.kind().is_path());
        let mut places: Vec<PathBuf> = files.filter_map(|file| file.path().parent().map(PathBuf::from)).collect();
        places.extend(["Cargo.toml", "Cargo.lock", super::DOCKERFILE].map(PathBuf::from));
        places.retain(|place| !place.as_os_str().is_empty());
        places.dedup();
        places
    }
}

impl Images {
    /// The services whose sources are not what they were when the run began, with the first change. What is built of
    /// them belongs to no key.
    pub(super) fn changed_meanwhile(&self, proc: &Proc, wanted: &[&Wanted]) -> Result<BTreeMap<ServiceName, String>> {
        let services: Vec<_> = wanted.iter().map(|wanted| (wanted.service.clone(), wanted.name.clone())).collect();
        let now = super::wanted::wish(&self.deployment, &self.vars, proc, &services)?;
        let first_change = |before: &&Wanted| {
            let same = |now: &&Wanted| now.service == before.service && now.platform == before.platform;
            let now = now.wanted.iter().find(same).filter(|now| now.whole_key() != before.whole_key())?;
            let change = key::diff(&before.manifest, &now.manifest).into_iter().next()?;
            Some((now.service.clone(), change.to_string()))
        };
        Ok(wanted.iter().filter_map(first_change).collect())
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

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
