//! Secrets of services and systems: those that are made once per deployment, and those that somebody gives, of which each
//! value that a kept revision ran with is kept as well. All are in a file that only its owner may read, never printed.

use anyhow::{Context, Result};
use base::error::Fault;
use base::{files, random, redact};
use engine::reconcile::UnitId;
use engine::secrets::generate;
use model::name::{ServiceName, SystemName};
use model::secret::Shape;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Stands between the key of a secret that somebody gives and what its value goes by.
const VALUE: char = '@';

pub(super) struct Secrets {
    path: PathBuf,
    /// Services that start at the same time share one file.
    writing: Mutex<()>,
    /// Values that were given to this run, by their places; written down when something starts with them.
    given: Mutex<BTreeMap<String, String>>,
}

impl Secrets {
    pub(super) fn new(path: PathBuf) -> Self {
        let secrets = Self { path, writing: Mutex::new(()), given: Mutex::default() };
        // What a service says of them is shown without them, whoever asks. A broken file is told of where it is needed.
        if let Ok(Some(Value::Object(all))) = files::read_json(&secrets.path) {
            all.values().filter_map(Value::as_str).for_each(redact::learn);
        }
        secrets
    }

    /// Where a value that somebody gives for this key is, or will be once something starts with it. The name of the place
    /// is random: it stands in revisions, and tells nobody what the value is.
    ///
    /// # Errors
    /// When the file cannot be read, or the system has no randomness to give.
    pub(super) fn place(&self, key: &str, value: &str) -> Result<String> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.read()?;
        let kept = kept.iter().filter_map(|(place, kept)| Some((place.as_str(), kept.as_str()?)));
        let known = given.iter().map(|(place, given)| (place.as_str(), given.as_str()));
        let same = kept.chain(known).find(|(place, known)| key_of(place) == Some(key) && *known == value);
        if let Some((place, _)) = same {
            return Ok(place.to_owned());
        }
        let place = format!("{key}{VALUE}{}", random::hex::<8>()?);
        given.insert(place.clone(), value.to_owned());
        Ok(place)
    }

    /// The place of a value that nobody has given.
    pub(super) fn nowhere(key: &str) -> String {
        format!("{key}{VALUE}")
    }

    /// What is at this place. A secret of ours is made now if there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, the system has no randomness to give, or what was given is gone.
    pub(super) fn get(&self, place: &str, shape: Shape) -> Result<String> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.read()?;
        if let Some(secret) = all.get(place).and_then(Value::as_str) {
            redact::learn(secret);
            return Ok(secret.to_owned());
        }
        let secret = match (self.given(place), key_of(place)) {
            (Some(given), _) => given,
            (None, Some(key)) => {
                let cause = format!("what `{key}` was then is not kept any more");
                return Err(Fault::failed("secret-gone", cause)
                    .hint("deploy with the value that it is to have")
                    .into());
            }
            (None, None) => generate(shape).with_context(|| format!("generate the secret `{place}`"))?,
        };
        all.insert(place.to_owned(), Value::from(secret.clone()));
        files::write_json(&self.path, &Value::Object(all))?;
        Ok(secret)
    }

    /// What is at this place, if it was ever made or given.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn peek(&self, place: &str) -> Result<Option<String>> {
        let kept = self.read()?;
        Ok(kept.get(place).and_then(Value::as_str).map(str::to_owned).or_else(|| self.given(place)))
    }

    /// Gives the secrets of one service to another as well, and those of its system where that is another, too.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn copy(&self, from: &UnitId, to: &UnitId) -> Result<()> {
        self.change(|all| {
            let mut copies = Vec::new();
            for (place, secret) in all.iter() {
                let copy = |from: &str, to: &str| Some(format!("{to}{}", place.strip_prefix(from)?));
                let own = copy(&format!("{}.", from.service), &format!("{}.", to.service));
                let shared = copy(&format!("{}/", from.system), &format!("{}/", to.system));
                // Another service of the heir's may have made one of these by now.
                let shared = shared.filter(|place| !all.contains_key(place));
                copies.extend(own.or(shared).map(|place| (place, secret.clone())));
            }
            all.extend(copies);
        })
    }

    /// Forgets the secrets of a service.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn forget(&self, service: &ServiceName) -> Result<()> {
        self.change(|all| all.retain(|place, _| !place.starts_with(&format!("{service}."))))
    }

    /// Forgets the secrets that all services of a system share.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn forget_shared(&self, system: &SystemName) -> Result<()> {
        self.change(|all| all.retain(|place, _| !place.starts_with(&format!("{system}/"))))
    }

    /// Forgets what was given for a system and these of its services, but for what is at the places in use.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn forget_given<'s>(
        &self,
        system: &SystemName,
        services: impl Iterator<Item = &'s ServiceName>,
        used: &BTreeSet<&str>,
    ) -> Result<()> {
        let mut owners: Vec<String> = services.map(|service| format!("{service}.")).collect();
        owners.push(format!("{system}/"));
        let is_of_these = |key: &str| owners.iter().any(|owner| key.starts_with(owner));
        self.change(|all| {
            all.retain(|place, _| used.contains(place.as_str()) || !key_of(place).is_some_and(is_of_these));
        })
    }

    fn given(&self, place: &str) -> Option<String> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn read(&self) -> Result<Map<String, Value>> {
        Ok(match files::read_json(&self.path)? {
            Some(Value::Object(all)) => all,
            _ => Map::new(),
        })
    }

    fn change(&self, change: impl Fn(&mut Map<String, Value>)) -> Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Value::Object(before)) = files::read_json(&self.path)? else { return Ok(()) };
        let mut all = before.clone();
        change(&mut all);
        if all == before { Ok(()) } else { files::write_json(&self.path, &Value::Object(all)) }
    }
}

/// The key of a secret that somebody gives, by the place of one of its values.
fn key_of(place: &str) -> Option<&str> {
    Some(place.split_once(VALUE)?.0)
}
