//! Which engine to use: the one that the environment names, else the first that answers.

use super::{Engine, Facts};
use crate::proc::Proc;
use crate::spec::container::EngineKind;
use anyhow::Result;

/// An engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub engine: Engine,
    pub facts: Facts,
}

/// Asks the engine that is wanted, or docker and podman in this order.
///
/// # Errors
/// When none answers: which are installed, what each said, and what to type.
pub fn detect(proc: &Proc, wanted: Option<EngineKind>) -> Result<Found> {
    let _ = (proc, wanted);
    todo!()
}
