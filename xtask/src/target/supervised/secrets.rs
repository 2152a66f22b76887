//! Generated secrets: made once per deployment, kept in a file that only its owner may read, never printed.

use crate::home;
use anyhow::{Context, Result};
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
        Self { path, writing: Mutex::new(()) }
    }

    /// The secret of this name, made now if there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the system has no randomness to give.
    pub(super) fn get(&self, name: &str) -> Result<String> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = match home::read_json(&self.path)? {
            Some(Value::Object(all)) => all,
            _ => Map::new(),
        };
        if let Some(secret) = all.get(name).and_then(Value::as_str) {
            return Ok(secret.to_owned());
        }
        let secret = generate().with_context(|| format!("generate the secret `{name}`"))?;
        all.insert(name.to_owned(), Value::from(secret.clone()));
        home::write_json(&self.path, &Value::Object(all))?;
        Ok(secret)
    }

    /// The secret of this name, if it was ever made.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn peek(&self, name: &str) -> Result<Option<String>> {
        let all = home::read_json(&self.path)?.unwrap_or_default();
        Ok(all[name].as_str().map(str::to_owned))
    }
}

/// 160 bits in hexadecimal digits, which need no quoting in a URL or a configuration file.
///
/// # Errors
/// When the system has no randomness to give.
pub(in crate::target) fn generate() -> Result<String> {
    let mut bytes = [0u8; 20];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
