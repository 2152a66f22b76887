//! What tries to connect: a program in an image that is here anyway.

use model::container::{Cpu, Memory, NONROOT, User};
use shim::RunSpec;
use shim::edge;
use std::net::SocketAddr;

/// An image whose program can try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    /// That of a service of this repository.
    Own(String),
    /// That of the edge, where all else is public images.
    Edge(String),
}

impl Program {
    /// The part of a container's specification that is the program's.
    pub(super) fn fill(self, to: SocketAddr, spec: &mut RunSpec) {
        let (image, args, memory, user): (_, _, _, Option<User>) = match self {
            Self::Own(image) => (image, vec!["reach".to_owned(), to.to_string()], Memory(32 << 20), None),
            Self::Edge(image) => (image, edge::reach(to), Memory(128 << 20), Some(NONROOT)),
        };
        (spec.image, spec.args, spec.memory, spec.user) = (image, args, memory, user);
        spec.cpu = Cpu(500);
    }

    /// Whether a connection came about, by how the program has ended; `None` when it could not try.
    pub(super) fn reached(&self, success: bool, status: &str, words: &str) -> Option<bool> {
        match self {
            // Any other end is that of an engine that could not run it.
            Self::Own(_) => (success || status.ends_with(": 1")).then_some(success),
            Self::Edge(_) => edge::reached(success, words),
        }
    }
}
