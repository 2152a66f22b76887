//! Generated secrets: made once per deployment, kept in a file that only its owner may read, never printed.

use anyhow::{Context, Result};
use base::{files, random, redact};
use model::name::ServiceName;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

pub(super) struct Secrets {
    path: PathBuf,
    /// Services that start at the same time share one file.
    writing: Mutex<()>,
}

impl Secrets {
    pub(super) fn new(path: PathBuf) -> Self {
        let secrets = Self { path, writing: Mutex::new(()) };
        // What a service says of them is shown without them, whoever asks. A broken file is told of where it is needed.
        if let Ok(Some(Value::Object(all))) = files::read_json(&secrets.path) {
            all.values().filter_map(Value::as_str).for_each(redact::learn);
        }
        secrets
    }

    /// The secret of this name, made now if there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the system has no randomness to give.
    pub(super) fn get(&self, name: &str) -> Result<String> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = match files::read_json(&self.path)? {
            Some(Value::Object(all)) => all,
            _ => Map::new(),
        };
        if let Some(secret) = all.get(name).and_then(Value::as_str) {
            redact::learn(secret);
            return Ok(secret.to_owned());
        }
        let secret = random::secret().with_context(|| format!("generate the secret `{name}`"))?;
        redact::learn(&secret);
        all.insert(name.to_owned(), Value::from(secret.clone()));
        files::write_json(&self.path, &Value::Object(all))?;
        Ok(secret)
    }

    /// Gives the secrets of one service to another as well.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn copy(&self, from: &ServiceName, to: &ServiceName) -> Result<()> {
        self.change(|all| {
            let own = all.iter().filter_map(|(name, secret)| Some((name.strip_prefix(&format!("{from}."))?, secret)));
            let copies: Vec<_> = own.map(|(name, secret)| (format!("{to}.{name}"), secret.clone())).collect();
            all.extend(copies);
        })
    }

    /// Forgets the secrets of a service.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(super) fn forget(&self, service: &ServiceName) -> Result<()> {
        self.change(|all| all.retain(|name, _| !name.starts_with(&format!("{service}."))))
    }

    fn change(&self, change: impl Fn(&mut Map<String, Value>)) -> Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Value::Object(before)) = files::read_json(&self.path)? else { return Ok(()) };
        let mut all = before.clone();
        change(&mut all);
        if all == before { Ok(()) } else { files::write_json(&self.path, &Value::Object(all)) }
    }

    /// The secret of this name, if it was ever made.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn peek(&self, name: &str) -> Result<Option<String>> {
        let all = files::read_json(&self.path)?.unwrap_or_default();
        Ok(all[name].as_str().map(str::to_owned))
    }
}
