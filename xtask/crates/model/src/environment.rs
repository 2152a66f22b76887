//! Environments: where and how systems run. Settings come from the environment's file, then its untracked
//! `.local.toml`, then `--set`; each remembers where it came from.

use super::aws::Aws;
use super::cluster::Cluster;
use super::container::{EngineKind, Platform, Registry};
use super::name::{DeploymentId, EnvironmentName, ServiceName};
use super::system::{Managed, Service, TargetKind};
use base::redact;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The environment that commands assume.
const DEFAULT: &str = "local";

/// One environment with all its settings resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    pub name: EnvironmentName,
    pub target: TargetKind,
    /// What everything made here carries. The environment's name unless set.
    pub deployment_id: DeploymentId,
    pub ports: Ports,
    /// The address that public services listen on (`host`); internal ones always take loopback.
    pub bind: IpAddr,
    /// What builds and runs images; whichever answers first when unset.
    pub engine: Option<EngineKind>,
    /// Where the binaries of images are built.
    pub build: BuildPlace,
    /// Where images are pushed to. Unset: they stay on this machine.
    pub registry: Option<Registry>,
    /// Public images get to a cluster like those that are built here.
    pub mirror: bool,
    /// What images are built for. Empty: for the engine's own platform.
    pub platforms: Vec<Platform>,
    /// The cluster, on the targets that have one.
    pub cluster: Cluster,
    /// The account, on the target that has one.
    pub aws: Option<Aws>,
    /// `env.NAME`: extra environment variables for every service.
    pub env: BTreeMap<String, String>,
    /// `services.NAME.env.NAME`: those of one service, by its name or by `SYSTEM/NAME`; they win over the others.
    pub service_env: BTreeMap<String, BTreeMap<String, String>>,
    /// Where each setting came from, for `deploy --dry-run`, sorted by key.
    pub origins: Vec<Setting>,
}

impl Environment {
    /// A command of this tool as a person would type it for this environment: "cargo xtask logs epoch --env try".
    pub fn command(&self, words: &str) -> String {
        match self.name.as_str() {
            DEFAULT => format!("cargo xtask {words}"),
            name => format!("cargo xtask {words} --env {name}"),
        }
    }

    /// What is set here for a service beyond what its system says.
    pub fn env_of(&self, service: &ServiceName) -> BTreeMap<String, String> {
        let own = self.service_env.get(&service.shown()).cloned().unwrap_or_default();
        self.env.clone().into_iter().chain(own).collect()
    }

    /// Whether the platform has something in the place of a service, as the service allows and `terraform.NAME` asks for.
    pub fn manages(&self, service: &Service) -> bool {
        let asked = |name| self.aws.as_ref().and_then(|aws| aws.variable(name)) == Some("true");
        self.target == TargetKind::Eks
            && service.managed.is_some_and(|managed| match managed {
                Managed::Cache => asked("cache"),
            })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// The ports that the systems declare where those are free, and any free ones elsewhere.
    Prefer,
    /// The ports that the systems declare, and no others.
    Declared,
    /// Any free ones, chosen once per deployment.
    Free,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildPlace {
    /// On this machine where the binary suits the image, inside a container elsewhere.
    Auto,
    Host,
    Inside,
}

/// One setting as it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

impl Setting {
    /// The name of what it gives to others: a variable of services, an input of the platform. `None` for what the tool
    /// itself goes by, which is never a secret.
    pub fn given(&self) -> Option<&str> {
        let of_service = || self.key.strip_prefix("services.")?.split_once(".env.").map(|(_, name)| name);
        let prefixes = ["env.", "terraform."];
        prefixes.iter().find_map(|prefix| self.key.strip_prefix(prefix)).or_else(of_service)
    }

    /// Whether it stands in a file that git has, and so is known to whoever has the repository.
    pub fn is_tracked(&self) -> bool {
        matches!(&self.origin, Origin::File { path, .. } if !path.ends_with(".local.toml"))
    }

    /// The value, unless its name says that it is a secret, and without the user and the password of an address.
    pub fn shown(&self) -> String {
        match self.given() {
            Some(name) => redact::value(name, &self.value),
            None => redact::userinfo(&self.value),
        }
    }

    /// Has a secret that only its owner knows shown nowhere from now on.
    pub fn learn(&self) {
        if let (Some(name), false) = (self.given(), self.is_tracked()) {
            redact::learn_named(name, &self.value);
        }
    }
}

/// Whether a variable is nothing that others may read: its name says so, or there is a password in it.
pub fn is_secret(name: &str, value: &str) -> bool {
    !value.is_empty() && (redact::is_name(name) || redact::userinfo(value) != value)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// A file below the root, and the line in it.
    File {
        path: String,
        line: usize,
    },
    /// `--set`.
    Flag,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_is_a_secret_is_not_shown() {
        let setting = |key: &str| Setting { key: key.to_owned(), value: "x".to_owned(), origin: Origin::Flag };
        assert_eq!(setting("terraform.cache_password").shown(), redact::HIDDEN);
        assert_eq!(setting("env.AWS_SECRET_ACCESS_KEY").shown(), redact::HIDDEN);
        assert_eq!(setting("env.LOG").shown(), "x");
        let url = Setting { value: "redis://me:word@h:1/0".to_owned(), ..setting("env.REDIS_URL") };
        assert_eq!(url.shown(), format!("redis://{}@h:1/0", redact::HIDDEN));
        assert_eq!(setting("services.auth.env.DB_PASS").shown(), redact::HIDDEN);
        // Names of what has a secret, and of services, hide nothing.
        assert_eq!(setting("pull_secrets").shown(), "x");
        assert_eq!(setting("services.auth.replicas").shown(), "x");
    }
}
