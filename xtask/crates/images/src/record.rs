//! What is remembered of an image that was built here: beside the list of its inputs, what came of it.

use super::build_location::{BuildLocation, GlibcCheck};
use super::elf::Glibc;
use anyhow::Result;
use base::files;
use engine::home::Home;
use keys::Manifest;
use model::container::Platform;
use model::name::ServiceName;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::SystemTime;

const INPUTS: &str = "inputs";
const RECORD: &str = "record.json";

/// What came of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// `None`: there is no image of this key, only what is known of the binary.
    pub(super) image: Option<Made>,
    pub(super) location: BuildLocation,
    pub(super) platform: Platform,
    pub(super) fit: Option<GlibcCheck>,
    /// When, in milliseconds since 1970.
    pub(super) at: u64,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) reference: String,
    /// `sha256:` and the digest of its configuration.
    pub(super) id: String,
    /// Of its manifest in the registry.
    pub(super) digest: Option<String>,
}

impl Record {
    pub(super) fn now(
        image: Option<Made>,
        location: BuildLocation,
        platform: Platform,
        fit: Option<GlibcCheck>,
    ) -> Self {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        Self { image, location, platform, fit, at: u64::try_from(at).unwrap_or(u64::MAX) }
    }

    fn to_json(&self) -> Value {
        let made = |made: &Made| json!({"reference": made.reference, "id": made.id, "digest": made.digest});
        let glibc = |version: Option<Glibc>| version.map(|version| version.to_string());
        let fit = |fit: GlibcCheck| json!({"needs": glibc(fit.needs), "has": glibc(fit.has)});
        json!({
            "schema": 1, "image": self.image.as_ref().map(made), "way": self.location.as_str(),
            "platform": self.platform.as_str(), "glibc": self.fit.map(fit), "at": self.at,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let made = |made: &Value| {
            Some(Made { reference: text(&made["reference"])?, id: text(&made["id"])?, digest: text(&made["digest"]) })
        };
        let glibc = |version: &Value| version.as_str().and_then(|version| version.parse().ok());
        let fit = |fit: &Value| GlibcCheck { needs: glibc(&fit["needs"]), has: glibc(&fit["has"]) };
        Some(Self {
            image: made(&value["image"]),
            location: BuildLocation::parse(value["way"].as_str()?)?,
            platform: value["platform"].as_str()?.parse().ok()?,
            fit: Some(&value["glibc"]).filter(|fit| fit.is_object()).map(fit),
            at: value["at"].as_u64()?,
        })
    }
}

/// The records of one service.
#[derive(Debug, Clone)]
pub(super) struct Records {
    folder: PathBuf,
}

impl Records {
    pub(super) fn new(home: &Home, service: &ServiceName) -> Self {
        Self { folder: home.images(service) }
    }

    /// What is known of a key. A record that cannot be understood is like one that is not there: it is made again.
    pub(super) fn read(&self, key: &str) -> Option<Record> {
        let document = files::read_json(&self.folder.join(key).join(RECORD)).ok()??;
        Record::from_json(&document)
    }

    /// The IDs of what was built from the very same for other services, be they of another system.
    pub(super) fn elsewhere(&self, key: &str) -> Vec<String> {
        let all = self.folder.parent().and_then(|all| std::fs::read_dir(all).ok()).into_iter().flatten().flatten();
        let others = all.map(|entry| Self { folder: entry.path() }).filter(|other| other.folder != self.folder);
        others.filter_map(|other| Some(other.read(key)?.image?.id)).collect()
    }

    /// What a key stands for.
    pub(super) fn inputs(&self, key: &str) -> Option<Manifest> {
        let text = std::fs::read_to_string(self.folder.join(key).join(INPUTS)).ok()?;
        Manifest::from_text(&text).ok()
    }

    /// The record comes last: where it is, the inputs are whole.
    ///
    /// # Errors
    /// When either cannot be written.
    pub(super) fn write(&self, manifest: &Manifest, record: &Record) -> Result<()> {
        let folder = self.folder.join(manifest.key().to_string());
        files::write_private(&folder.join(INPUTS), manifest.to_text().as_bytes())?;
        files::write_json(&folder.join(RECORD), &record.to_json())
    }

    /// # Errors
    /// When it cannot be written.
    pub(super) fn set_digest(&self, key: &str, reference: &str, digest: Option<String>) -> Result<()> {
        let Some(mut record) = self.read(key) else { return Ok(()) };
        let Some(made) = record.image.as_mut().filter(|made| made.reference == reference) else { return Ok(()) };
        made.digest = digest;
        files::write_json(&self.folder.join(key).join(RECORD), &record.to_json())
    }

    /// The key of the image for a platform that was built last.
    pub(super) fn last(&self, platform: Platform) -> Option<String> {
        let records = self.keys().into_iter().filter_map(|key| Some((self.read(&key)?, key)));
        let built = records.filter(|(record, _)| record.image.is_some() && record.platform == platform);
        built.max_by_key(|(record, _)| record.at).map(|(_, key)| key)
    }

    pub(super) fn keys(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// # Errors
    /// When it cannot be removed.
    pub(super) fn forget(&self, key: &str) -> Result<()> {
        files::remove(&self.folder.join(key))
    }
}
