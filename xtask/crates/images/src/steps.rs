//! The steps that have images: one run of cargo for all binaries that are built on this machine, then an image each.

use super::image_builder::ImageBuilder;
use super::{DesiredImage, Images, PROFILE};
use anyhow::Result;
use base::error::Fault;
use base::proc::CommandLine;
use base::text::counted;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use tools::cargo;

const BINARIES: Action = Action::new("binaries");
/// Only one cargo at a time can have the build directory.
const CARGO_LOCK: &str = "cargo";

impl Images {
    /// `binaries`, one run of cargo for all that are built on this machine, and then `image:SERVICE` for each, side by
    /// side. Whatever the records say, the engine is asked whether the images are there.
    pub fn steps(self: &Arc<Self>, needs: Vec<StepId>) -> Vec<Step> {
        let mut steps = Vec::new();
        let platforms = self.platform_step(&needs);
        let needs = platforms.as_ref().map_or(needs, |step| vec![step.id.clone()]);
        steps.extend(platforms);
        let here: Vec<usize> = self.all().filter(|place| self.wanted()[*place].binary().is_some()).collect();
        let mut needs_of_images = needs.clone();
        if !here.is_empty() {
            needs_of_images = vec![StepId::new(BINARIES)];
            let crates: BTreeSet<&str> = here.iter().filter_map(|place| self.wanted()[*place].binary()).collect();
            steps.push(Step {
                id: StepId::new(BINARIES),
                title: format!("build {} with cargo", counted(crates.len(), "binary", "binaries")),
                system: None,
                needs: needs.clone(),
                holds: Holds::Lock(CARGO_LOCK),
                preview: vec![self.preview_binaries()],
                work: Box::new(BinariesWork { images: Arc::clone(self), here }),
            });
        }
        steps.extend(self.all().map(|place| self.image_step(place, &needs, &needs_of_images)));
        steps
    }

    fn all(&self) -> std::ops::Range<usize> {
        0..self.wanted().len()
    }

    fn image_step(self: &Arc<Self>, place: usize, needs: &[StepId], after_binaries: &[StepId]) -> Step {
        let wanted = &self.wanted()[place];
        let mut needs = if wanted.binary().is_some() { after_binaries } else { needs }.to_vec();
        needs.extend(self.twin(place).map(|first| self.step_id(first)));
        Step {
            id: self.step_id(place),
            title: format!("image of `{}`, built {}", wanted.service, wanted.why_location),
            system: Some(wanted.system.to_string()),
            needs,
            holds: Holds::Nothing,
            preview: self.preview_image(wanted),
            work: Box::new(ImageWork { images: Arc::clone(self), place }),
        }
    }

    /// The first of those before a place that are built from the very same: what that one is, this is too.
    pub(super) fn twin(&self, place: usize) -> Option<usize> {
        let key = self.wanted()[place].whole_key();
        self.wanted()[..place].iter().position(|other| other.whole_key() == key)
    }

    /// Images for further platforms have theirs in the name.
    pub(super) fn step_id(&self, place: usize) -> StepId {
        let wanted = &self.wanted()[place];
        match self.places(&wanted.service).next() {
            Some(first) if first != place => {
                Action::new("image").of(&wanted.service).part(wanted.platform.architecture())
            }
            _ => Action::new("image").of(&wanted.service),
        }
    }

    fn preview_binaries(&self) -> Preview {
        let missing =
            self.wanted().iter().filter(|wanted| wanted.binary().is_some() && self.recorded(wanted).is_none());
        let missing: Vec<&DesiredImage> = missing.collect();
        match missing.is_empty() {
            true => Preview::Do("nothing: every image is current".to_owned()),
            false => Preview::Run(self.cargo()),
        }
    }

    fn preview_image(&self, wanted: &DesiredImage) -> Vec<Preview> {
        if self.recorded(wanted).is_some() || !self.records(wanted).elsewhere(&wanted.key()).is_empty() {
            return vec![Preview::Do("nothing, as long as the engine has it: it is current".to_owned())];
        }
        let builder = ImageBuilder::rehearsal(self, wanted);
        vec![Preview::Run(builder.command())]
    }

    /// One run of cargo for all that this machine builds, also for those that are current: cargo has nothing to do for
    /// them, and with fewer crates it would choose other features of what they share, and build all that anew.
    ///
    /// What panics say of places is the same in every checkout: the crates here are named from the root anyway, and a
    /// flag with the root in it would have everything built again for each.
    fn cargo(&self) -> CommandLine {
        let crates: BTreeSet<&str> = self.wanted().iter().filter_map(DesiredImage::binary).collect();
        let crates: Vec<String> = crates.into_iter().map(str::to_owned).collect();
        let root = &self.deployment.root;
        let (built, between) = (self.deployment.home.built(), cargo::build_directory(&self.vars));
        let out = built.strip_prefix(root).unwrap_or(&built);
        let between_here = root.join(between.as_deref().unwrap_or(out));
        let places = [(self.vars.cargo_home(), "/cargo"), (between_here, "/target")];
        let flags = places.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
        cargo::build(self.cargo.clone(), &crates, out, between.as_deref())
            .args(["--profile", PROFILE, "--config"])
            .arg(format!("build.rustflags={}", Value::from(flags.to_vec())))
    }
}

struct BinariesWork {
    images: Arc<Images>,
    /// The places whose binaries are built on this machine.
    here: Vec<usize>,
}

impl BinariesWork {
    fn missing(&self, cx: &StepCx<'_>) -> Result<Vec<&DesiredImage>> {
        let mut missing = Vec::new();
        for place in &self.here {
            if self.images.found(cx.proc, *place)?.is_none() {
                missing.push(&self.images.wanted()[*place]);
            }
        }
        Ok(missing)
    }
}

impl Work for BinariesWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let all = || counted(self.here.len(), "image is", "images are");
        Ok(self.missing(cx)?.is_empty().then(|| format!("{} current", all())))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let images = &self.images;
        let missing = self.missing(cx)?;
        images.enter_built()?;
        let compiled = builds::compile(cx, &images.cargo())?;
        let changed = images.changed_meanwhile(cx.proc, &missing)?;
        let mut errors = images.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut built: BTreeSet<&str> = BTreeSet::new();
        for wanted in &missing {
            let Some(name) = wanted.binary() else { continue };
            let error = match (compiled.binary(name), changed.get(&wanted.service)) {
                (Ok(binary), None) => {
                    builds::beyond::learn(&images.deployment.home, &images.deployment.root, &wanted.manifest, binary)?;
                    images.state().binaries.insert(name.to_owned(), PathBuf::from(binary));
                    built.insert(name);
                    continue;
                }
                (Ok(_), Some(change)) => format!("{change} while it was being built; run the same command again"),
                (Err(error), _) => error,
            };
            errors.insert(wanted.service.clone(), error);
        }
        if built.is_empty() {
            let first = errors.values().next().map_or(compiled.said.as_str(), String::as_str);
            return Err(Fault::failed("build-failed", format!("cargo built nothing:\n{first}")).into());
        }
        let all: BTreeSet<&str> = missing.iter().filter_map(|wanted| wanted.binary()).collect();
        Ok(Outcome::DoneWith(format!("built {} of {}", built.len(), all.len())))
    }
}

struct ImageWork {
    images: Arc<Images>,
    place: usize,
}

impl Work for ImageWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.images.found(cx.proc, self.place)?.map(|built| format!("{} is current", built.key)))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let wanted = &self.images.wanted()[self.place];
        let made = match self.images.share(cx.proc, self.place) {
            Ok(None) => ImageBuilder::make(&self.images, wanted, cx),
            Ok(Some(built)) => Ok(built),
            Err(error) => Err(error),
        };
        match made {
            Ok(built) => {
                let word = format!("{}, built {}", built.key, built.location);
                self.images.state().made.insert(self.place, built);
                Ok(Outcome::DoneWith(word))
            }
            Err(error) => {
                let mut errors = self.images.errors.lock().unwrap_or_else(PoisonError::into_inner);
                errors.entry(wanted.service.clone()).or_insert_with(|| Fault::of(&error).cause);
                Err(error)
            }
        }
    }
}
