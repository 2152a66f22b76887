//! The command that only a supervisor calls, for a container.

use anyhow::{Context, Result};
use base::ctx::Vars;
use base::proc;
use shim::End;
use std::io::Write;
use supervisor::container::{INSTANCE, ShimSpec};
use verbs::cli::ContainerArgs;

/// Stands for a container until that has ended, and returns the exit code that it ended with, which is none of those
/// that this program has for itself. Standard error is the way back to the supervisor.
///
/// # Errors
/// When the engine's client cannot be started.
pub(crate) fn run(args: &ContainerArgs) -> Result<u8> {
    let listener = proc::shim_socket()?;
    let vars = Vars::of_process();
    let spec = serde_json::from_str(&args.spec).ok().as_ref().and_then(ShimSpec::from_json);
    let instance = vars.get(INSTANCE).and_then(|number| number.parse().ok());
    let (spec, instance) = spec.zip(instance).context("only a supervisor starts a shim")?;
    let End { code, reason } = shim::run(spec, instance, listener, &args.log, &vars)?;
    let _ = write!(std::io::stderr(), "{}", reason.unwrap_or_default());
    Ok(u8::try_from(code).unwrap_or(1))
}
