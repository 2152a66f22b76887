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

/// A service: one program with one port. Its file gives it a name that is unique within its system; where another system
/// has one of that name, [`Spec::tell_apart`](super::Spec::tell_apart) makes of it one that is unique everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName {
    text: String,
    /// Its system, where the name alone would not say which service is meant.
    system: Option<SystemName>,
}

/// What parts the system from the service in a name that has both. No label has it, and folders, containers and images may.
const BETWEEN: char = '_';

impl ServiceName {
    /// What its things are called: its folder, its container, its image.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name in its system's file.
    pub fn local(&self) -> &str {
        self.text.split_once(BETWEEN).map_or(&self.text, |(_, local)| local)
    }

    /// The system that is part of it.
    pub fn system(&self) -> Option<&SystemName> {
        self.system.as_ref()
    }

    /// As a person names it: `SYSTEM/SERVICE` where there is another of that name.
    pub fn shown(&self) -> String {
        match &self.system {
            Some(system) => format!("{system}/{}", self.local()),
            None => self.text.clone(),
        }
    }

    /// The same with its system in what its things are called.
    #[must_use]
    pub fn qualified(&self, system: &SystemName) -> Self {
        Self { text: format!("{system}{BETWEEN}{}", self.local()), system: Some(system.clone()) }
    }

    /// The same, told from those of other systems although its things are called as theirs: each system has a namespace.
    #[must_use]
    pub fn marked(&self, system: &SystemName) -> Self {
        Self { text: self.local().to_owned(), system: Some(system.clone()) }
    }

    /// What a further port of the service is called where ports of a machine are counted. No service has such a name.
    #[must_use]
    pub fn port(&self, name: &str) -> Self {
        Self { text: format!("{self}.{name}"), system: self.system.clone() }
    }

    /// What [`ServiceName::port`] made, or the name of a service.
    pub fn of_port(text: &str) -> Option<Self> {
        match text.split_once('.') {
            Some((service, port)) => Some(service.parse::<Self>().ok()?.port(port)),
            None => text.parse().ok(),
        }
    }

    /// The service whose port it is.
    #[must_use]
    pub fn owner(&self) -> Self {
        let text = self.text.split('.').next().unwrap_or_default().to_owned();
        Self { text, system: self.system.clone() }
    }

    /// What only it is called, wherever its things are.
    pub fn apart(&self) -> String {
        self.system.as_ref().map_or_else(|| self.text.clone(), |system| self.qualified(system).text)
    }

    /// The same without its system, for what is recorded where that is known.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { text: self.text.clone(), system: None }
    }

    /// The same as its system's file has it.
    #[must_use]
    pub fn in_file(&self) -> Self {
        Self { text: self.local().to_owned(), system: None }
    }

    /// The name in the file of a system, and nothing but that.
    pub(super) fn check_local(text: &str) -> Result<(), BadName> {
        parse_label(text).map(drop)
    }
}

impl FromStr for ServiceName {
    type Err = BadName;

    /// `SERVICE`, or both names: as a person names it or as its things are called.
    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.split_once(['/', BETWEEN]) {
            Some((system, service)) => {
                Ok(Self { text: parse_label(service)?, system: None }.qualified(&system.parse()?))
            }
            None => Ok(Self { text: parse_label(text)?, system: None }),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl AsRef<str> for ServiceName {
    fn as_ref(&self) -> &str {
        &self.text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_its_system_is_read_as_it_is_shown_and_as_things_are_called() {
        let name: ServiceName = "shop/db".parse().unwrap();
        assert_eq!((name.as_str(), name.local(), name.shown().as_str()), ("shop_db", "db", "shop/db"));
        assert_eq!("shop_db".parse(), Ok(name.clone()));
        let plain: ServiceName = "db".parse().unwrap();
        let shop: SystemName = "shop".parse().unwrap();
        assert_eq!((plain.shown().as_str(), plain.system()), ("db", None));
        assert_eq!(plain.qualified(&shop), name);
        let marked = plain.marked(&shop);
        assert_eq!((marked.as_str(), marked.shown().as_str()), ("db", "shop/db"));
        assert!(marked != plain && marked != name);
        for wrong in ["", "/", "a/", "_b", "a_b_c", "A/b", "a/b/c", "a.b"] {
            assert!(wrong.parse::<ServiceName>().is_err(), "{wrong}");
        }
    }
}
