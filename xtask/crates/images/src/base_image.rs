//! The public images that builds begin with: that they are here, and which glibc one has.

use super::elf::{self, Glibc};
use anyhow::{Context, Result, bail};
use base::error::Fault;
use base::files;
use engine::home::Home;
use engine::ledger;
use engine::plan::runner::StepCx;
use keys::Digest;
use model::container::Platform;
use serde_json::{Value, json};
use std::path::Path;
use tools::oci;
use tools::oci::{Engine, Labels};

/// Where distributions have it.
fn candidates(platform: Platform) -> [String; 4] {
    let triple = match platform {
        Platform::LinuxAmd64 => "x86_64-linux-gnu",
        Platform::LinuxArm64 => "aarch64-linux-gnu",
    };
    [
        format!("/lib/{triple}/libc.so.6"),
        format!("/usr/lib/{triple}/libc.so.6"),
        "/lib64/libc.so.6".to_owned(),
        "/usr/lib64/libc.so.6".to_owned(),
    ]
}

/// Fetches an image unless it is here; returns its ID.
///
/// # Errors
/// When it cannot be fetched, in the engine's words.
pub(super) fn have(cx: &StepCx<'_>, engine: &Engine, reference: &str, platform: Platform) -> Result<String> {
    let here = || -> Result<_> {
        let image = engine.image(cx.proc, reference)?;
        Ok(image.filter(|image| image.platform == Some(platform)).map(|image| image.id))
    };
    if let Some(id) = here()? {
        return Ok(id);
    }
    cx.status(format!("fetches {reference}"));
    let finished = cx.try_run(&engine.pull(reference, platform), &|_, line| cx.status(line.trim()))?;
    let absent = || {
        let words = finished.stderr.trim();
        Fault::failed("no-base", format!("`{reference}` for {platform} cannot be fetched: {words}"))
            .hint("a mirror of it goes into `deploy/images.local.toml`")
    };
    here()?.ok_or_else(|| absent().into())
}

/// The glibc of a base image, read from its library once and then remembered by its ID.
pub(super) struct Libc<'a> {
    pub(super) home: &'a Home,
    pub(super) deployment: &'a str,
    pub(super) enter: &'a (dyn Fn(ledger::Entry) -> Result<()> + Send + Sync),
}

impl Libc<'_> {
    /// `None`: it has none, or another C library.
    ///
    /// # Errors
    /// When the engine does not hand out its files.
    pub(super) fn of(&self, cx: &StepCx<'_>, engine: &Engine, id: &str, platform: Platform) -> Result<Option<Glibc>> {
        let record = self.home.bases().join(format!("{}.json", id.trim_start_matches("sha256:")));
        if let Ok(Some(known)) = files::read_json(&record)
            && let Some(glibc) = known.get("glibc")
        {
            return Ok(glibc.as_str().and_then(|version| version.parse().ok()));
        }
        let found = self.read(cx, engine, id, platform)?;
        let glibc = found.map_or(Value::Null, |version| Value::from(version.to_string()));
        files::write_json(&record, &json!({"schema": 1, "glibc": glibc}))?;
        Ok(found)
    }

    /// A container that never runs lets files be copied out of its image.
    fn read(&self, cx: &StepCx<'_>, engine: &Engine, id: &str, platform: Platform) -> Result<Option<Glibc>> {
        // One for each checkout: another one may have a deployment of the same name.
        let place = Digest::of(self.home.dir().to_string_lossy().as_bytes());
        let name = format!("slipway-{}-libc-{place:.8}", self.deployment);
        let labels = Labels::from([(super::DEPLOYMENT_LABEL.to_owned(), self.deployment.to_owned())]);
        (self.enter)(ledger::Entry {
            kind: "container".to_owned(),
            id: name.clone(),
            system: None,
            identity: json!({"engine": engine.kind.as_str(), "name": name}),
        })?;
        // A run that was killed here has left its own.
        oci::remove(cx.proc, &engine.container_remove(&name))?;
        cx.proc.read(&engine.create(&name, &labels, id)).context("look into the base image")?;
        let copy = self.home.bases().join(format!("{name}.so"));
        let found = self.search(cx, engine, &name, &copy, platform);
        let removed = oci::remove(cx.proc, &engine.container_remove(&name));
        let _ = files::remove(&copy);
        removed.and(found)
    }

    fn search(
        &self,
        cx: &StepCx<'_>,
        engine: &Engine,
        container: &str,
        copy: &Path,
        platform: Platform,
    ) -> Result<Option<Glibc>> {
        std::fs::create_dir_all(self.home.bases()).context("create the folder for facts about base images")?;
        for path in candidates(platform) {
            let finished = cx.proc.try_read(&engine.copy_out(container, &path, copy))?;
            let Ok(library) = std::fs::read(copy) else { continue };
            if finished.success
                && let Ok(found) = elf::defined(&library)
            {
                return Ok(found);
            }
        }
        // What nobody could look into says nothing of the image.
        match engine.container(cx.proc, container)? {
            Some(_) => Ok(None),
            None => bail!("look into the base image: somebody removed the container `{container}`"),
        }
    }
}
