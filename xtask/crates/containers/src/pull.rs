//! Sees to it that a public image is here, and notes what its name stood for: that is what runs, and runs again after
//! a rollback.

use anyhow::{Result, anyhow};
use base::error::Fault;
use base::files;
use engine::home::Home;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use images::{check_user, fits};
use keys::Digest;
use machine::supervised::Supervised;
use model::container::Platform;
use model::image::ImagePin;
use model::name::ServiceName;
use model::system::Source;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use tools::oci::{Engine, Found, Image};

/// The folder of notes.
pub(super) const FOLDER: &str = "pulled";

fn note_file(home: &Home, reference: &str) -> PathBuf {
    home.dir().join(FOLDER).join(format!("{:.20}.json", Digest::of(reference)))
}

/// The ID of the image that this name stood for when it was fetched.
pub(super) fn noted(home: &Home, reference: &str) -> Result<Option<String>> {
    let note = files::read_json(&note_file(home, reference))?.unwrap_or_default();
    Ok(note["id"].as_str().map(str::to_owned))
}

/// What the registry had under this name when it was fetched; an engine may know it by several digests.
pub(super) fn digests(home: &Home, pin: &ImagePin) -> Vec<model::image::Digest> {
    let note = files::read_json(&note_file(home, &pin.to_string())).ok().flatten().unwrap_or_default();
    let known = note["digests"].as_array().into_iter().flatten();
    known.filter_map(|digest| digest.as_str()?.parse().ok()).collect()
}

fn note(home: &Home, pin: &ImagePin, image: &Image) -> Result<()> {
    let of_repository = |known: &String| {
        let (repository, digest) = known.split_once('@')?;
        let (wanted, short) = (pin.repository.as_str(), pin.repository.as_str().trim_start_matches("docker.io/"));
        let same = [wanted, short, short.trim_start_matches("library/")].contains(&repository);
        same.then(|| digest.to_owned())
    };
    let digests: Vec<String> = image.digests.iter().filter_map(of_repository).collect();
    let reference = pin.to_string();
    let note = json!({"reference": reference, "id": image.id, "digests": digests});
    files::write_json(&note_file(home, &reference), &note)
}

pub(super) fn step_id(name: &str) -> StepId {
    Action::new("pull").of(name)
}

/// A public image, and the services that run as the user that it names.
pub(super) struct Public {
    pub(super) name: String,
    pub(super) pin: ImagePin,
    pub(super) as_named: Vec<ServiceName>,
}

/// The step that fetches a public image.
pub(super) fn step(core: &Arc<Supervised>, public: Public, needs: Vec<StepId>) -> Step {
    let preview = match core.found_engine().map(|found| (found.facts.platform, found.engine.kind)) {
        Ok((Some(platform), kind)) => Preview::Run(Engine::as_typed(kind).pull(&public.pin.pull_reference(), platform)),
        _ => Preview::Do(format!("pull {}", public.pin)),
    };
    Step {
        id: step_id(&public.name),
        title: format!("fetch {}", public.pin),
        system: None,
        needs,
        holds: Holds::Nothing,
        preview: vec![preview],
        work: Box::new(PullWork { core: Arc::clone(core), public }),
    }
}

/// What containers run on here.
pub(super) fn platform(found: &Found) -> Result<Platform> {
    let cause = "the engine runs containers of an architecture that nothing here is made for";
    found.facts.platform.ok_or_else(|| Fault::could_not_run("unknown-platform", cause).into())
}

struct PullWork {
    core: Arc<Supervised>,
    public: Public,
}

impl Work for PullWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let found = self.core.engine.get(cx.proc)?;
        let Some(noted) = noted(self.core.home(), &self.reference())? else { return Ok(None) };
        let here = found.engine.image(cx.proc, &noted)?;
        Ok(here.map(|image| format!("{:.19} is here", image.id)))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let found = self.core.engine.get(cx.proc)?;
        let reference = self.public.pin.pull_reference();
        let image = match found.engine.image(cx.proc, &reference)? {
            Some(image) => image,
            None => self.pull(&found, &reference, cx)?,
        };
        fits(&self.reference(), &image, platform(&found)?)?;
        check_user(&self.public.pin, &image.user, &self.public.as_named)?;
        for service in self.core.deployment.systems().flat_map(|system| &system.services) {
            let is_of_it = matches!(&service.source, Source::Image { image, .. } if *image == self.public.name);
            let note = images::health(&image, service).filter(|_| is_of_it && service.container.health.is_empty());
            note.into_iter().for_each(|note| cx.news(format!("`{}`: {note}", service.name)));
        }
        note(self.core.home(), &self.public.pin, &image)?;
        Ok(Outcome::DoneWith(format!("{:.19}", image.id)))
    }
}

impl PullWork {
    fn reference(&self) -> String {
        self.public.pin.to_string()
    }

    fn pull(&self, found: &Found, reference: &str, cx: &StepCx<'_>) -> Result<Image> {
        let pull = found.engine.pull(reference, platform(found)?);
        let finished = cx.try_run(&pull, &|_, line| cx.status(line))?;
        if !finished.success {
            let words = finished.stderr.trim();
            let words = if words.is_empty() { finished.status.as_str() } else { words };
            return Err(Fault::failed("image-pull", format!("`{reference}` could not be fetched:\n{words}"))
                .hint("a mirror, or another digest, goes into `deploy/images.local.toml`")
                .into());
        }
        let image = found.engine.image(cx.proc, reference)?;
        image.ok_or_else(|| anyhow!("`{reference}` was fetched and is not there"))
    }
}
