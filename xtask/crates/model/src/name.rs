//! Names that end up in file names, host names, labels and tags, and are therefore DNS labels (RFC 1123).

use std::fmt;
use std::str::FromStr;

/// Why a text is not a name: a sentence without a full stop, ready to follow `error: `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName(pub String);

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadName {}

/// A lower-case DNS label: letters, digits and inner hyphens, 1 to 40 characters.
///
/// Kubernetes allows 63; the rest is kept for what a target adds around the name.
fn parse_label(text: &str) -> Result<String, BadName> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid = !text.is_empty()
        && text.len() <= 40
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if valid {
        Ok(text.to_owned())
    } else {
        Err(BadName(format!("`{text}` is not a name: 1 to 40 lower-case letters, digits and inner hyphens")))
    }
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                parse_label(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

label! {
    /// A service: one program. Unique over all systems, since users name services alone (`logs epoch`).
    ServiceName
}

impl ServiceName {
    /// What a further port of the service is called where ports of a machine are counted. No service has such a name.
    pub fn port(&self, name: &str) -> Self {
        Self(format!("{self}.{name}"))
    }

    /// What [`ServiceName::port`] made, or the name of a service.
    pub fn of_port(text: &str) -> Option<Self> {
        match text.split_once('.') {
            Some((service, port)) => Some(service.parse::<Self>().ok()?.port(port)),
            None => text.parse().ok(),
        }
    }

    /// The service whose port it is.
    pub fn owner(&self) -> Self {
        Self(self.0.split('.').next().unwrap_or_default().to_owned())
    }
}

label! {
    /// A system: the stem of its file in `deploy/systems/`.
    SystemName
}
label! {
    /// An environment: the stem of its file in `deploy/environments/`.
    EnvironmentName
}
label! {
    /// What everything made by a deployment carries, so that it can be found again and removed.
    DeploymentId
}
label! {
    /// A team that owns services and has access to those only.
    TeamName
}
label! {
    /// A job: a program that ends. Unique among the jobs and services of its system.
    JobName
}
