//! docker and podman: what each is asked, as argument lists, and what they say of themselves.
//!
//! Both take nearly the same arguments; where they differ, it is decided in here and nowhere else.

mod detect;
mod facts;
mod run;

pub use detect::{By, Found, Lazy, Mend, Silence, candidates, detect, mend};
pub use facts::{Facts, Here};
pub use run::{Mount, RunSpec};

use crate::proc::CommandLine;
use crate::spec::container::EngineKind;
use std::path::PathBuf;

/// An engine's client on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub kind: EngineKind,
    pub program: PathBuf,
}

impl Engine {
    /// The client without arguments.
    pub fn command(&self) -> CommandLine {
        CommandLine::new(&self.program)
    }
}
