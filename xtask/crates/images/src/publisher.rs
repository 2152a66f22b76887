//! Carries images to one registry, during one run: asks what is there, sends what is not, and looks whether it arrived.
//!
//! A tag is never overwritten. What a registry has of an image already is not sent again: that is how registries work,
//! so a push that was broken off goes on where it was.

use super::auth::{AuthFile, Private, SignIn};
use super::refusal::{Kind, Refusal, again};
use super::registry::Client;
use crate::engine_push::{Access, Push};
use anyhow::Result;
use base::ctx::Vars;
use base::error::Fault;
use base::http::is_here;
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use model::container::{EngineKind, Platform};
use model::image::{Digest, ImagePin};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tools::oci;
use tools::oci::Engine;

/// The pauses before a registry is asked again.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// An engine that tells what cannot be asked without it; it is found only then.
pub type FindEngine<'a> = &'a dyn Fn() -> Result<Engine>;

/// What can be carried, and where to. Its folder is gone once it is dropped.
pub struct Publisher {
    host: String,
    sign_in: SignIn,
    vars: Vars,
    folder: PathBuf,
    kit: Mutex<Option<(EngineKind, Arc<Kit>)>>,
    count: AtomicU32,
}

/// What engines are given, made when the first is told to send something.
struct Kit {
    auth: Option<AuthFile>,
    folder: Private,
}

impl Publisher {
    /// `folder` is made when something is carried, and removed in the end.
    pub fn new(host: &str, sign_in: SignIn, vars: &Vars, folder: &Path) -> Self {
        Self {
            host: host.to_owned(),
            sign_in,
            vars: vars.clone(),
            folder: folder.to_owned(),
            kit: Mutex::default(),
            count: AtomicU32::new(0),
        }
    }

    /// The digest that the registry has under a name. `None`: there is nothing of this name.
    ///
    /// # Errors
    /// When neither the registry nor the engine can tell.
    pub fn digest(
        &self,
        cx: &StepCx<'_>,
        engine: FindEngine<'_>,
        name: &ImagePin,
        platform: Platform,
    ) -> Result<Option<Digest>> {
        let client = self.client(cx)?;
        let asked = self.again(cx, || client.digest(&name.repository, &name.tag));
        match asked {
            Err(refusal) if self.is_for_the_engine(&refusal) => self.digest_by_engine(cx, &engine()?, name, platform),
            asked => asked.map_err(|refusal| self.fault(cx, &format!("cannot look up `{name}`"), refusal)),
        }
    }

    /// Whether the registry has exactly this image under a name. `None`: it does not say.
    pub fn is_image(&self, cx: &StepCx<'_>, name: &ImagePin, id: &str) -> Option<bool> {
        let manifest = self.client(cx).ok()?.manifest(&name.repository, &name.tag).ok()??;
        Some(manifest.digest.as_str() == id || manifest.config.is_some_and(|config| config.as_str() == id))
    }

    /// Sends an image to where its name says, and checks that it has arrived.
    ///
    /// # Errors
    /// When the registry does not take it, in the engine's words.
    pub fn push(&self, cx: &StepCx<'_>, engine: &Engine, name: &ImagePin, platform: Platform) -> Result<Digest> {
        let kit = self.kit(engine.kind)?;
        let file = self.digest_file(&kit);
        let line = engine.push(&name.to_string(), self.access(&kit), &file);
        let sent = self.again(cx, || self.run(cx, &line));
        self.arrived(cx, engine, name, platform, sent, &file)
    }

    /// Puts images that the registry has into one for several platforms, and sends that.
    ///
    /// # Errors
    /// When the registry does not take it, in the engine's words.
    pub fn push_index(
        &self,
        cx: &StepCx<'_>,
        engine: &Engine,
        name: &ImagePin,
        images: &[(Platform, String)],
    ) -> Result<Digest> {
        let kit = self.kit(engine.kind)?;
        let (access, file, index) = (self.access(&kit), self.digest_file(&kit), name.to_string());
        let references: Vec<String> = images.iter().map(|(_, reference)| reference.clone()).collect();
        let remove = engine.index_remove(&index, access);
        let sent = self.again(cx, || {
            // An earlier attempt may have left it. What is not there is refused, and need not be removed.
            let _ = cx.proc.try_read(&remove);
            for line in engine.index_create(&index, &references, access) {
                self.run(cx, &line)?;
            }
            self.run(cx, &engine.index_push(&index, access, &file))
        });
        let _ = cx.proc.try_read(&remove);
        let platform = images.first().map_or(Platform::LinuxAmd64, |(platform, _)| *platform);
        self.arrived(cx, engine, name, platform, sent, &file)
    }

    /// Takes the engine's word for what it has sent, and the registry's for what it has.
    fn arrived(
        &self,
        cx: &StepCx<'_>,
        engine: &Engine,
        name: &ImagePin,
        platform: Platform,
        sent: Result<String, Refusal>,
        file: &Path,
    ) -> Result<Digest> {
        let stdout = match sent {
            Ok(stdout) => stdout,
            Err(refusal) => return Err(self.fault(cx, &format!("`{name}` cannot be pushed"), refusal)),
        };
        let cause = || format!("`{}` did not report what it pushed as `{name}`", engine.kind);
        let digest = engine.pushed(&stdout, file).ok_or_else(|| Fault::failed("push-unclear", cause()))?;
        cx.status("checking that it has arrived");
        let client = self.client(cx)?;
        let has = match self.again(cx, || client.digest(&name.repository, &name.tag)) {
            Err(refusal) if self.is_for_the_engine(&refusal) => {
                self.has_by_engine(cx, engine, name, &digest, platform)?.then(|| digest.clone())
            }
            asked => asked.map_err(|refusal| self.fault(cx, &format!("cannot look up `{name}`"), refusal))?,
        };
        if has.as_ref() == Some(&digest) {
            return Ok(digest);
        }
        let has = has.map_or_else(|| "nothing".to_owned(), |has| has.to_string());
        let cause = format!("{digest} was pushed as `{name}`, but {} has {has} there", self.host);
        let hint = "if someone else pushed it at the same time, run the same command again";
        Err(Fault::failed("digest-mismatch", cause).hint(hint).into())
    }
}

/// What the engine alone can find out, being signed in or trusting a certificate by its own means.
impl Publisher {
    fn is_for_the_engine(&self, refusal: &Refusal) -> bool {
        match refusal.kind {
            Kind::Untrusted => true,
            Kind::Denied => !self.sign_in.has_credentials(),
            _ => false,
        }
    }

    /// Fetches what the name stands for. Its layers are mostly here: it was built of the same sources.
    fn digest_by_engine(
        &self,
        cx: &StepCx<'_>,
        engine: &Engine,
        name: &ImagePin,
        platform: Platform,
    ) -> Result<Option<Digest>> {
        let reference = name.to_string();
        if !self.fetch(cx, engine, &reference, platform)? {
            return Ok(None);
        }
        // The engine may know several digests of one image, not all of which the registry has.
        let digests = engine.image(cx.proc, &reference)?.map(|image| image.digests).unwrap_or_default();
        let own = |known: &String| {
            let (repository, digest) = known.split_once('@')?;
            digest.parse().ok().filter(|_| repository == name.repository.as_str())
        };
        for digest in digests.iter().filter_map(own) {
            if self.has_by_engine(cx, engine, name, &digest, platform)? {
                return Ok(Some(digest));
            }
        }
        let cause = format!("`{}` does not report which digest {} has for `{name}`", engine.kind, self.host);
        Err(Fault::failed("digest-unknown", cause).into())
    }

    fn has_by_engine(
        &self,
        cx: &StepCx<'_>,
        engine: &Engine,
        name: &ImagePin,
        digest: &Digest,
        platform: Platform,
    ) -> Result<bool> {
        self.fetch(cx, engine, &format!("{}@{digest}", name.repository), platform)
    }

    /// Whether there is something of this name, which is then here as well.
    fn fetch(&self, cx: &StepCx<'_>, engine: &Engine, reference: &str, platform: Platform) -> Result<bool> {
        let kit = self.kit(engine.kind)?;
        let line = engine.pull_as(reference, platform, self.access(&kit));
        let fetched = self.again(cx, || match self.run(cx, &line) {
            Ok(_) => Ok(true),
            Err(refusal) if says_unknown(&refusal.words) => Ok(false),
            Err(refusal) => Err(refusal),
        });
        fetched.map_err(|refusal| self.fault(cx, &format!("cannot look up `{reference}`"), refusal))
    }
}

impl Publisher {
    fn client(&self, cx: &StepCx<'_>) -> Result<Client> {
        Ok(Client::new(cx.proc, cx.interrupts, self.sign_in.credentials()?))
    }

    fn kit(&self, kind: EngineKind) -> Result<Arc<Kit>> {
        let mut kit = self.kit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kit)) = kit.as_ref().filter(|(known, _)| *known == kind) {
            return Ok(Arc::clone(kit));
        }
        let folder = Private::new(&self.folder)?;
        let write = |credentials| AuthFile::new(&self.folder.join("auth"), kind, credentials, &self.vars);
        let made = Arc::new(Kit { auth: self.sign_in.credentials()?.as_ref().map(write).transpose()?, folder });
        *kit = Some((kind, Arc::clone(&made)));
        Ok(made)
    }

    /// Where credentials would be.
    pub(super) fn auth_path(&self, kind: EngineKind) -> PathBuf {
        AuthFile::path_in(&self.folder.join("auth"), kind)
    }

    /// The access of a rehearsal, which makes nothing.
    pub(super) fn rehearsed<'p>(&self, auth: &'p Path) -> Access<'p> {
        Access { auth: self.sign_in.has_credentials().then_some(auth), here: is_here(&self.host) }
    }

    fn access<'k>(&self, kit: &'k Kit) -> Access<'k> {
        Access { auth: kit.auth.as_ref().map(AuthFile::path), here: is_here(&self.host) }
    }

    fn digest_file(&self, kit: &Kit) -> PathBuf {
        kit.folder.path().join(format!("digest-{}", self.count.fetch_add(1, Ordering::Relaxed)))
    }

    fn again<T>(&self, cx: &StepCx<'_>, ask: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
        again(cx.interrupts, &PAUSES, &|words| cx.status(words), ask)
    }

    fn run(&self, cx: &StepCx<'_>, line: &CommandLine) -> Result<String, Refusal> {
        let finished = cx.try_run(line, &|_, line| cx.status(line.trim()));
        match finished {
            Ok(finished) if finished.success => Ok(finished.stdout),
            Ok(finished) => Err(Refusal::of_engine(&finished.stderr)),
            Err(error) => Err(Refusal::new(Kind::Other, format!("{error:#}"))),
        }
    }

    fn fault(&self, cx: &StepCx<'_>, what: &str, refusal: Refusal) -> anyhow::Error {
        refusal.into_fault(what, &self.host, self.sign_in.has_credentials(), cx.interrupts).into()
    }
}

/// Whether an engine says that a registry has nothing of a name.
fn says_unknown(words: &str) -> bool {
    let words = words.to_lowercase();
    ["manifest unknown", "name unknown", "not found"].iter().any(|sign| words.contains(sign))
}

/// Fails when an image is for another platform than it will run on.
///
/// # Errors
/// Says both platforms, and what to type.
pub fn fits(name: &str, image: &oci::Image, platform: Platform) -> Result<(), Fault> {
    if image.platform == Some(platform) {
        return Ok(());
    }
    let cause = format!("`{name}` is an image for {}, and it is to run on {platform}", image.built_for);
    let hint = format!(
        "for an image that is built here: --set platforms={platform}; for a public one, a tag or digest for {platform} \
         in `deploy/images.local.toml`"
    );
    Err(Fault::failed("platform-mismatch", cause).hint(hint))
}
