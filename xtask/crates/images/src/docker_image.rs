//! An image by a Dockerfile of the repository: what its build sees, and what the engine is told.
//!
//! What the builder sees is worked out here and laid out for it, so that it is the same whichever engine builds, and the key
//! covers just that. Names of bases are written out, since engines differ in what they take a short one for.

use super::desired_image::base_input;
use super::dockerfile::{Base, Dockerfile, full_name};
use super::ignore::Ignored;
use anyhow::{Context, Result};
use base::ctx::Vars;
use base::error::Fault;
use engine::deployment::Deployment;
use engine::secrets::{MissingSecret, read};
use keys::{Input, Kind, Manifest};
use model::build::DockerBuild;
use model::container::Platform;
use model::image::ImagePin;
use model::name::SystemName;
use model::system::Service;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The ignore files of a context, the first that is there counts.
const IGNORE_FILES: [&str; 2] = [".dockerignore", ".containerignore"];
/// Left out unless the Dockerfile names it: it changes with each look at the repository.
const GIT: &str = ".git";
const STATE: &str = ".slipway";

/// What is told an engine to build, the same for all platforms.
#[derive(Debug, Clone)]
pub(super) struct DockerImage {
    pub(super) service: Service,
    pub(super) build: DockerBuild,
    /// The Dockerfile, with the whole names of its bases.
    pub(super) recipe: String,
    /// What has to be here before, as engines fetch it.
    pub(super) bases: Vec<(String, bool)>,
}

impl DockerImage {
    /// The image and everything that its build sees, but for the platform.
    ///
    /// # Errors
    /// When the files cannot be read, or contradict what the service says of them.
    pub(super) fn read(deployment: &Deployment, service: &Service, build: &DockerBuild) -> Result<(Self, Manifest)> {
        let root = &deployment.root;
        let text = std::fs::read_to_string(root.join(&build.file)).with_context(|| format!("read `{}`", build.file))?;
        let mut manifest = Manifest::default();
        manifest.add(Input::new(Kind::Dockerfile, &build.file, &text));
        let dockerfile = Dockerfile::read(text, &build.args);
        let refuse = |why: String| Fault::could_not_run("wrong-dockerfile", format!("`{}`: {why}", build.file));
        let bases = dockerfile.bases(build.target.as_deref()).map_err(|why| {
            let hint = format!("`target` of `[services.{}.build]` names a stage of it", service.name.local());
            refuse(why).hint(hint)
        })?;
        let fetched =
            |name: &str| pinned(deployment, build, name).map_or_else(|| full_name(name), ImagePin::pull_reference);
        unused(build, &bases).map_or(Ok(()), |why| Err(refuse(why)))?;
        for base in &bases {
            manifest.add(
                pinned(deployment, build, &base.name)
                    .map_or_else(|| Input::new(Kind::Base, full_name(&base.name), ""), base_input),
            );
        }
        for input in context(root, build, &dockerfile)? {
            manifest.add(input);
        }
        let target = build.target.iter().map(|target| ("target", target.as_str()));
        let arguments = build.args.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        manifest.add(Input::new(Kind::Spec, "context", &build.context));
        target.for_each(|(name, value)| manifest.add(Input::new(Kind::Spec, name, value)));
        arguments.for_each(|(name, value)| manifest.add(Input::new(Kind::Argument, name, value)));
        // That a build has it may change what it makes; its value is in no key.
        build.secrets.iter().for_each(|name| manifest.add(Input::new(Kind::Spec, format!("secret {name}"), "")));
        let bases = bases.iter().map(|base| (fetched(&base.name), base.on_builder)).collect();
        let recipe = dockerfile.renamed(fetched);
        Ok((Self { service: service.clone(), build: build.clone(), recipe, bases }, manifest))
    }

    /// What the build may mount, or else all of that which is missing.
    pub(super) fn secrets(
        &self,
        root: &Path,
        vars: &Vars,
        system: &SystemName,
    ) -> Result<Vec<(&str, String)>, Vec<MissingSecret>> {
        let (mut values, mut missing) = (Vec::new(), Vec::new());
        for name in &self.build.secrets {
            let Some(secret) = self.service.secrets.get(name) else { continue };
            match read(root, vars, &secret.source) {
                Ok(value) => values.push((name.as_str(), value)),
                Err(lack) => {
                    missing.push(MissingSecret { system: system.clone(), key: self.service.secret_key(name), lack });
                }
            }
        }
        if missing.is_empty() { Ok(values) } else { Err(missing) }
    }

    /// The images that a build for a platform begins with, and what each is to be for.
    pub(super) fn bases_for(&self, platform: Platform) -> impl Iterator<Item = (&str, Platform)> {
        let here = Platform::of_architecture(std::env::consts::ARCH).unwrap_or(platform);
        self.bases.iter().map(move |(name, on_builder)| (name.as_str(), if *on_builder { here } else { platform }))
    }

    /// The recipe with a label in each stage, by which what engines keep of a build is found again.
    pub(super) fn labelled(&self, label: &str) -> String {
        Dockerfile::read(self.recipe.clone(), &self.build.args).labelled(label)
    }
}

/// The pin that is taken in the place of a base.
fn pinned<'d>(deployment: &'d Deployment, build: &DockerBuild, name: &str) -> Option<&'d ImagePin> {
    let named = build.bases.iter().find(|(known, _)| full_name(known) == full_name(name));
    named.and_then(|(_, pin)| deployment.spec.images.get(pin))
}

/// What is said of a base that the Dockerfile does not have would be for nothing.
fn unused(build: &DockerBuild, bases: &[Base]) -> Option<String> {
    let known = |name: &String| bases.iter().any(|base| full_name(&base.name) == full_name(name));
    let unused = build.bases.keys().find(|name| !known(name))?;
    let names: Vec<String> = bases.iter().map(|base| format!("`{}`", base.name)).collect();
    Some(format!("it takes nothing from `{unused}`, which `bases` names; its bases: {}", names.join(", ")))
}

/// The files that the builder sees.
fn context(root: &Path, build: &DockerBuild, dockerfile: &Dockerfile) -> Result<Vec<Input>> {
    let folder = PathBuf::from(&build.context);
    let ignored = ignored(root, build)?;
    let takes = |path: &Path, is_folder: bool| {
        if ignored.has(path) {
            return is_folder && ignored.may_take_back(path);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == STATE && folder.join(path) == Path::new(STATE) {
            return false;
        }
        let can_be_made_again = || is_folder && keys::is_tagged_cache(&root.join(&folder).join(path));
        dockerfile.mentions(&name) || (name != GIT && !can_be_made_again())
    };
    keys::read_folder(root, &folder, &takes).with_context(|| format!("read what `{}` is built from", build.file))
}

/// The ignore file beside the Dockerfile goes first.
fn ignored(root: &Path, build: &DockerBuild) -> Result<Ignored> {
    let beside = format!("{}.dockerignore", build.file);
    let shared = IGNORE_FILES.map(|name| Path::new(&build.context).join(name));
    for path in std::iter::once(PathBuf::from(beside)).chain(shared) {
        let text = match std::fs::read_to_string(root.join(&path)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("read `{}`", path.display())),
        };
        let refuse = |why| Fault::could_not_run("wrong-dockerignore", format!("`{}`: {why}", path.display()));
        return Ignored::parse(&text).map_err(|why| refuse(why).into());
    }
    Ok(Ignored::default())
}
