//! Which of the wanted images the engine has, whoever built them.

use super::desired_image::Origin;
use super::record::{Made, Record};
use super::{Built, DesiredImage, Images, KEY_LABEL, contradiction};
use anyhow::Result;
use base::error::Fault;
use base::proc::Proc;
use builds::cleanup::IMAGE;
use engine::ledger;
use serde_json::json;
use std::collections::BTreeMap;
use tools::oci::{Engine, Image};

impl Images {
    /// The image of a place, if the engine has it. It is asked once for all.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn found(&self, proc: &Proc, place: usize) -> Result<Option<Built>> {
        let mut state = self.state();
        if state.found.is_none() {
            state.found = Some(self.survey(proc)?);
        }
        let found = state.found.as_ref().and_then(|found| found.get(&place).cloned());
        if let Some(found) = &found {
            state.made.insert(place, found.clone());
        }
        Ok(found)
    }

    fn survey(&self, proc: &Proc) -> Result<BTreeMap<usize, Built>> {
        let engine = self.engine.get(proc)?.engine;
        let names: Vec<String> = self.wanted().iter().flat_map(|wanted| self.names(wanted)).collect();
        let images = engine.images(proc, &names)?;
        let mut found = BTreeMap::new();
        for (place, wanted) in self.wanted().iter().enumerate() {
            if let Some(built) = self.adopt(proc, &engine, wanted, &images)? {
                found.insert(place, built);
            }
        }
        Ok(found)
    }

    /// Looks for one image alone.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(super) fn find(&self, proc: &Proc, engine: &Engine, wanted: &DesiredImage) -> Result<Option<Built>> {
        let images = engine.images(proc, &self.names(wanted))?;
        self.adopt(proc, engine, wanted, &images)
    }

    /// Has the image that was made in this run for another service be this one's as well, where both are the same.
    ///
    /// # Errors
    /// When the engine does not do it.
    pub(super) fn share(&self, proc: &Proc, place: usize) -> Result<Option<Built>> {
        let first = self.twin(place).and_then(|first| self.state().made.get(&first).cloned());
        let Some(first) = first else { return Ok(None) };
        let (engine, wanted) = (self.engine.get(proc)?.engine, &self.wanted()[place]);
        self.enter_image(&engine, wanted)?;
        proc.read(&engine.tag(&first.id, &self.reference(wanted)))?;
        let built = self.as_built(wanted, first.id, None);
        self.remember(wanted, &built, None)?;
        Ok(Some(built))
    }

    fn names(&self, wanted: &DesiredImage) -> Vec<String> {
        let (records, key) = (self.records(wanted), wanted.key());
        let made = records.read(&key).and_then(|record| record.image).map(|made| made.id);
        std::iter::once(self.reference(wanted)).chain(made).chain(records.elsewhere(&key)).collect()
    }

    /// Takes an image that has the key for what was to be built, and records it like one that was.
    fn adopt(&self, proc: &Proc, engine: &Engine, wanted: &DesiredImage, images: &[Image]) -> Result<Option<Built>> {
        let reference = self.reference(wanted);
        let named = images.iter().find(|image| has_name(image, &reference));
        if let Some(stranger) = named.filter(|image| !is_of(image, wanted)) {
            let cause = format!("`{reference}` is already another image, {}, and is not overwritten", stranger.id);
            let hint = format!("remove it if nobody needs it: {}", engine.image_remove(&reference));
            return Err(Fault::failed("name-taken", cause).hint(hint).into());
        }
        let Some(image) = named.or_else(|| images.iter().find(|image| is_of(image, wanted))) else { return Ok(None) };
        if let Origin::Dockerfile(docker) = &wanted.origin
            && contradiction::check(&docker.build.file, image, &docker.service).is_err()
        {
            // Its own step says why.
            return Ok(None);
        }
        if named.is_none() {
            self.enter_image(engine, wanted)?;
            proc.read(&engine.tag(&image.id, &reference))?;
        }
        if let Some(known) = self.recorded(wanted).filter(|known| known.id == image.id) {
            return Ok(Some(known));
        }
        let record = self.records(wanted).read(&wanted.key());
        let fit = record.as_ref().and_then(|record| record.fit);
        // Whichever of a key's images the engine has, a registry has what it has under this name.
        let made = record.and_then(|record| record.image).filter(|made| made.reference == reference);
        let digest = made.and_then(|made| made.digest);
        let built = Built { digest, ..self.as_built(wanted, image.id.clone(), fit) };
        self.remember(wanted, &built, fit)?;
        Ok(Some(built))
    }

    /// Writes down what became of a key.
    pub(super) fn remember(&self, wanted: &DesiredImage, built: &Built, fit: Option<super::GlibcCheck>) -> Result<()> {
        let made = Made { reference: built.reference.clone(), id: built.id.clone(), digest: built.digest.clone() };
        self.records(wanted).write(&wanted.manifest, &Record::now(Some(made), wanted.location, wanted.platform, fit))
    }

    /// # Errors
    /// When the ledger cannot be written; the image must then not be made.
    pub(super) fn enter_image(&self, engine: &Engine, wanted: &DesiredImage) -> Result<()> {
        let reference = self.reference(wanted);
        (self.enter)(ledger::Entry {
            kind: IMAGE.to_owned(),
            id: reference.clone(),
            system: Some(wanted.system.to_string()),
            identity: json!({"engine": engine.kind.as_str(), "reference": reference}),
        })
    }
}

fn is_of(image: &Image, wanted: &DesiredImage) -> bool {
    let key = wanted.whole_key().full();
    image.labels.get(KEY_LABEL) == Some(&key) && image.platform == Some(wanted.platform)
}

/// docker leaves out the registry that it takes for granted.
fn has_name(image: &Image, reference: &str) -> bool {
    let short = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let shortest = short.strip_prefix("library/").unwrap_or(short);
    image.tags.iter().any(|tag| [reference, short, shortest].contains(&tag.as_str()))
}
