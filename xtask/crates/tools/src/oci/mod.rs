//! docker and podman: what each is asked, as argument lists, and what they say of themselves. How images are built and
//! pushed is in `images`, and how a container is run in `shim`.
//!
//! Both take nearly the same arguments; where they differ, it is decided in here and nowhere else.

mod argv;
mod ask;
mod detect;
mod facts;
mod inspect;
mod mend;

pub use argv::{Label, Labels};
pub use ask::remove;
pub use detect::{Found, Lazy, Noted, Silent, Why, answers_within, candidates, detect};
pub use facts::{Facts, Here};
pub use inspect::{Container, Image, Named, lines, says_absent, says_interface_gone};
pub use mend::{By, Mend, mend};

use base::proc::CommandLine;
use model::container::EngineKind;
use std::path::PathBuf;

/// An engine's client on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub kind: EngineKind,
    pub program: PathBuf,
}

impl Engine {
    /// The client as one would type it, for lines that are only shown.
    pub fn as_typed(kind: EngineKind) -> Self {
        Self { kind, program: kind.as_str().into() }
    }

    /// The client without arguments.
    pub fn command(&self) -> CommandLine {
        CommandLine::new(&self.program)
    }
}
