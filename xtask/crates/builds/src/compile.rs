//! One run of cargo for all crates that need it.

use anyhow::Result;
use base::proc::{CommandLine, Stream};
use engine::plan::runner::StepCx;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tools::cargo;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Compiled {
    build: cargo::Build,
    /// The end of what cargo said.
    pub said: String,
}

impl Compiled {
    /// The binary of a crate, or why there is none, as the compiler rendered it.
    ///
    /// # Errors
    /// The compiler's words.
    pub fn binary(&self, name: &str) -> Result<&Path, String> {
        self.build.binary(name).map_err(|error| error.unwrap_or_else(|| self.said.clone()))
    }
}

/// Runs a line of [`cargo::build`]; what cargo says of its progress is the step's status.
///
/// # Errors
/// When cargo cannot be started or the run was interrupted. Crates that do not compile are in the result.
pub fn compile(cx: &StepCx<'_>, command: &CommandLine) -> Result<Compiled> {
    let build = Mutex::new(cargo::Build::default());
    let on_line = |stream: Stream, line: &str| match stream {
        Stream::Out => build.lock().unwrap_or_else(PoisonError::into_inner).take(line),
        Stream::Err => cx.status(line.trim()),
    };
    let finished = cx.try_run(command, &on_line)?;
    let build = build.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Compiled { build, said: finished.stderr })
}
