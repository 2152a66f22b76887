//! Public images: the cluster pulls them by their pins, or is brought them. One that would run as root or by a name is refused here, since the
//! cluster would refuse it only once the service is to start.

use super::mirrored::Mirrored;
use super::nodes::Nodes;
use crate::Kubernetes;
use crate::release_spec::{ImageRef, WorkloadSpec};
use anyhow::Result;
use base::error::Fault;
use base::files;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use images::check_user;
use images::registry::Client;
use keys::Digest;
use model::container::Platform;
use model::image::ImagePin;
use model::name::ServiceName;
use model::system::Source;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A public image, with the services that run as the user that it names.
pub(super) struct Public {
    core: Arc<Kubernetes>,
    nodes: Arc<Nodes>,
    pub(super) name: String,
    pin: ImagePin,
    as_named: Vec<ServiceName>,
    /// Where the nodes do not fetch it themselves.
    mirrored: Option<Arc<Mirrored>>,
}

/// The public images of these parts, by the services that run them.
pub(super) fn of<'p>(
    core: &Arc<Kubernetes>,
    nodes: &Arc<Nodes>,
    parts: impl Iterator<Item = &'p WorkloadSpec>,
    mirrored: &dyn Fn(&str, &ImagePin) -> Option<Arc<Mirrored>>,
) -> Result<BTreeMap<ServiceName, Arc<Public>>> {
    let mut users: BTreeMap<&str, Vec<&WorkloadSpec>> = BTreeMap::new();
    for part in parts {
        if let Source::Image { image, .. } = &part.service.source {
            users.entry(image).or_default().push(part);
        }
    }
    let mut publics = BTreeMap::new();
    for (name, parts) in users {
        let pin = core.deployment.spec.images.get(name).cloned().ok_or_else(|| {
            let cause = format!("the image `{name}` is not in `deploy/images.toml`");
            Fault::could_not_run("no-image", cause)
        })?;
        let as_named = parts.iter().filter(|part| part.service.container.takes_user_of_image());
        let as_named = as_named.map(|part| part.service.name.clone()).collect();
        let mirrored = mirrored(name, &pin);
        let (core, nodes, name) = (Arc::clone(core), Arc::clone(nodes), name.to_owned());
        let public = Arc::new(Public { core, nodes, name, pin, as_named, mirrored });
        publics.extend(parts.iter().map(|part| (part.service.name.clone(), Arc::clone(&public))));
    }
    Ok(publics)
}

impl Public {
    /// What pods run; `None` while it has to be brought to them.
    pub(super) fn reference(&self) -> Option<ImageRef> {
        match &self.mirrored {
            Some(mirrored) => mirrored.known(),
            None => Some(ImageRef { reference: self.pin.to_string(), version: self.pin.tag.clone() }),
        }
    }

    /// What stands for it until then.
    pub(super) fn unknown(&self) -> ImageRef {
        ImageRef { reference: format!("<digest of {}>", self.name), version: self.pin.tag.clone() }
    }

    pub(super) fn changes_since(&self, version: &str) -> Vec<String> {
        let now = &self.pin.tag;
        if version == now { Vec::new() } else { vec![format!("image `{}` is {now}, was {version}", self.name)] }
    }

    /// The step that looks as whom it runs; none where the services say that themselves.
    fn user_id(&self) -> Option<StepId> {
        (!self.as_named.is_empty()).then(|| Action::new("user").of(&self.name))
    }

    /// The steps after which it can run.
    pub(super) fn step_ids(&self) -> Vec<StepId> {
        self.user_id().into_iter().chain(self.mirrored.as_ref().map(|mirrored| mirrored.step_id())).collect()
    }

    pub(super) fn steps(self: &Arc<Self>) -> Vec<Step> {
        self.user_step().into_iter().chain(self.mirrored.as_ref().map(Mirrored::step)).collect()
    }

    fn user_step(self: &Arc<Self>) -> Option<Step> {
        Some(Step {
            id: self.user_id()?,
            title: format!("look up which user {} runs as", self.pin),
            system: None,
            needs: Vec::new(),
            holds: Holds::Nothing,
            preview: vec![Preview::Do(format!("ask {} which user it runs as", self.pin.repository.host()))],
            work: Box::new(UserWork(Arc::clone(self))),
        })
    }

    /// What its name stood for when it was looked at holds for as long as the name cannot stand for something else.
    fn note(&self) -> Option<PathBuf> {
        let name = format!("{:.20}.json", Digest::of(self.pin.to_string()));
        self.pin.digest.as_ref().map(|_| self.core.deployment.home.dir().join("users").join(name))
    }

    /// As its `USER` has it, by its registry or else by the engine; or why neither says.
    fn user(&self, cx: &StepCx<'_>) -> Result<String, String> {
        let here = Platform::of_architecture(std::env::consts::ARCH);
        let platform = self.nodes.platforms().first().copied().or(here).unwrap_or(Platform::LinuxAmd64);
        let reference = self.pin.digest.as_ref().map_or(self.pin.tag.as_str(), |digest| digest.as_str());
        let client = Client::new(cx.proc, cx.interrupts, None);
        let asked = client.config(&self.pin.repository, reference, platform);
        match asked {
            Ok(Some(config)) => Ok(config["config"]["User"].as_str().unwrap_or_default().to_owned()),
            Ok(None) => Err(format!("{} has no such image for {platform}", self.pin.repository.host())),
            Err(refusal) => self.user_by_engine(cx, platform).map_err(|error| format!("{}; {error:#}", refusal.words)),
        }
    }

    /// Whoever is signed in, or has a mirror, is so by means of the engine.
    fn user_by_engine(&self, cx: &StepCx<'_>, platform: Platform) -> Result<String> {
        let engine = self.core.engine.get(cx.proc)?.engine;
        let reference = self.pin.pull_reference();
        if let Some(image) = engine.image(cx.proc, &reference)? {
            return Ok(image.user);
        }
        cx.status(format!("fetches {reference}"));
        cx.proc.read(&engine.pull(&reference, platform))?;
        Ok(engine.image(cx.proc, &reference)?.map(|image| image.user).unwrap_or_default())
    }
}

struct UserWork(Arc<Public>);

impl Work for UserWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let Some(note) = self.0.note() else { return Ok(None) };
        let noted = files::read_json(&note)?.unwrap_or_default();
        let user = noted["user"].as_str().filter(|user| check_user(&self.0.pin, user, &self.0.as_named).is_ok());
        Ok(user.map(|user| format!("it runs as {user}")))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let public = &self.0;
        let user = match public.user(cx) {
            Ok(user) => user,
            Err(why) => {
                // The cluster looks, too, and starts nothing that runs as root.
                cx.news(format!("cannot tell which user {} runs as: {why}", public.pin));
                return Ok(Outcome::DoneWith("not known".to_owned()));
            }
        };
        check_user(&public.pin, &user, &public.as_named)?;
        if let Some(note) = public.note() {
            files::write_json(&note, &json!({"image": public.pin.to_string(), "user": user}))?;
        }
        Ok(Outcome::DoneWith(format!("it runs as {user}")))
    }
}
