//! A container as data, and the arguments that start it.

use super::Engine;
use crate::spec::container::{Cpu, Memory, User};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A container that is about to run, all but its name.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSpec {
    /// What is run: an image's ID, or a reference with its digest.
    pub image: String,
    pub labels: BTreeMap<String, String>,
    pub network: String,
    /// Names by which others on the network find it, beside its own.
    pub aliases: Vec<String>,
    /// Where it is published on this machine, and which port of its own that is.
    pub publish: Vec<(SocketAddr, u16)>,
    /// Variables by name alone: the client has the values in its own environment, so no argument shows them.
    pub env: Vec<String>,
    pub mounts: Vec<Mount>,
    pub user: Option<User>,
    /// Paths that are file systems in memory.
    pub writable: Vec<String>,
    pub memory: Memory,
    pub cpu: Cpu,
    pub low_ports: bool,
    /// Arguments of the program.
    pub args: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A named volume, writable.
    Volume { name: String, at: String },
    /// A file or folder of this machine, read-only.
    Bind { source: PathBuf, at: String },
}

impl Engine {
    /// The arguments after the client's name that run this in the foreground as `name`.
    pub fn run(&self, name: &str, spec: &RunSpec) -> Vec<String> {
        let _ = (name, spec);
        todo!()
    }
}
