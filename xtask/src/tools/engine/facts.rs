//! What an engine says of itself.

use super::Engine;
use crate::spec::container::Platform;
use crate::spec::version::Version;
use std::path::PathBuf;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub version: Version,
    pub rootless: bool,
    /// It runs in a virtual machine or on another one, so that containers have addresses that do not exist here.
    pub remote: bool,
    /// 1 or 2.
    pub cgroups: u8,
    /// What containers run on; `None` for an architecture that is not supported here.
    pub platform: Option<Platform>,
    /// Where images are stored, as the engine's own machine has it.
    pub storage: PathBuf,
    /// Its build has cache mounts (BuildKit, buildah).
    pub cache_mounts: bool,
}

impl Facts {
    /// Whether containers can be reached by their address from this machine.
    pub fn reaches_containers(&self) -> bool {
        !self.remote && !self.rootless
    }
}

impl Engine {
    /// The question whose answer [`Engine::facts`] reads.
    pub fn info(&self) -> crate::proc::CommandLine {
        self.command().args(["info", "--format", "{{json .}}"])
    }
}
