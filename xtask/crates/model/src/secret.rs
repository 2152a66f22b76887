//! Secrets of services and systems, and where their values come from.

use super::name::SystemName;
use super::system::{Reference, Service, TargetKind, Template};
use std::collections::BTreeMap;
use std::fmt;

/// The folder that the files of secrets are in; git ignores it.
pub const FOLDER: &str = "deploy/secrets";

/// A secret that a service may refer to as `${secret.NAME}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    pub source: SecretSource,
    /// The system that has it for all of its services; `None` for one of the service's own.
    pub system: Option<SystemName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Made once per deployment and kept with its state.
    Generated(Shape),
    /// A variable of whoever deploys.
    Env(String),
    /// A file below [`FOLDER`].
    File(String),
    /// A secret of AWS Secrets Manager, by its name or ARN.
    Aws(String),
}

/// What a generated secret looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub bytes: usize,
    pub alphabet: Alphabet,
}

/// How random bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Two digits a byte.
    Hex,
    Base64,
    /// A letter or digit a byte.
    Alphanumeric,
}

impl Default for Shape {
    /// 160 bits that need no quoting in a URL or a configuration file.
    fn default() -> Self {
        Self { bytes: 20, alphabet: Alphabet::Hex }
    }
}

impl SecretSource {
    /// Whether somebody gives its value, so that it may be missing, and may change.
    pub fn is_given(&self) -> bool {
        !matches!(self, Self::Generated(_))
    }
}

/// Where it comes from, for people: names alone.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generated(_) => f.write_str("generated"),
            Self::Env(name) => write!(f, "the variable `{name}`"),
            Self::File(name) => write!(f, "the file `{FOLDER}/{name}`"),
            Self::Aws(name) => write!(f, "`{name}` in AWS Secrets Manager"),
        }
    }
}

impl Service {
    /// What the value of one of its secrets is kept under: `SERVICE.NAME`, or `SYSTEM/NAME` for one that all share. No name
    /// has either sign in it.
    pub fn secret_key(&self, name: &str) -> String {
        match self.secrets.get(name).and_then(|secret| secret.system.as_ref()) {
            Some(system) => format!("{system}/{name}"),
            None => format!("{}.{name}", self.name),
        }
    }

    /// The secrets that its own texts refer to. One that nothing refers to need not be there.
    pub fn used_secrets(&self) -> BTreeMap<&str, &Secret> {
        let templates = self.templates().chain(self.provides.values());
        let secret = |reference: &Reference| match reference {
            Reference::Secret(name) => self.secrets.get_key_value(name),
            _ => None,
        };
        let used = templates.flat_map(Template::references).filter_map(secret);
        used.map(|(name, secret)| (name.as_str(), secret)).collect()
    }

    /// Why it cannot run on a target: a secret of it cannot be had there.
    pub fn lacks_secret(&self, target: TargetKind) -> Option<String> {
        let aws = |(_, secret): &(&str, &Secret)| matches!(secret.source, SecretSource::Aws(_));
        let (name, secret) = self.used_secrets().into_iter().find(|used| target != TargetKind::Eks && aws(used))?;
        Some(format!("the secret `{name}` of `{}` is {}, which only target `eks` reads", self.name, secret.source))
    }
}
