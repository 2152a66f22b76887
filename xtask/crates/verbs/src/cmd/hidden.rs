//! The commands that only this program itself calls.

use crate::cli::{ContainerArgs, ExecArgs, SuperviseArgs};
use anyhow::{Context, Result};
use base::ctx::{Ctx, Vars};
use base::error::Exit;
use base::proc;
use std::io::Write;
use supervisor::container;
use supervisor::container::{End, ShimSpec};

/// Runs a supervisor until it is told to end.
///
/// # Errors
/// When it cannot start: another one runs, or the state folder cannot be written.
pub fn supervise(args: &SuperviseArgs) -> Result<Exit> {
    supervisor::run(&args.state_dir, &Ctx::own_program()?)?;
    Ok(Exit::Done)
}

/// Becomes a service, with the sockets that it is passed in their places.
///
/// # Errors
/// When the program cannot be started.
pub fn exec(args: &ExecArgs) -> Result<Exit> {
    match proc::exec_service(&args.log, &args.command)? {}
}

/// Stands for a container until that has ended, and returns the exit code that it ended with, which is none of those
/// that this program has for itself. Standard error is the way back to the supervisor.
///
/// # Errors
/// When the engine's client cannot be started.
pub fn container(args: &ContainerArgs) -> Result<u8> {
    let listener = proc::shim_socket()?;
    let vars = Vars::of_process();
    let spec = serde_json::from_str(&args.spec).ok().as_ref().and_then(ShimSpec::from_json);
    let instance = vars.get(container::INSTANCE).and_then(|number| number.parse().ok());
    let (spec, instance) = spec.zip(instance).context("only a supervisor starts a shim")?;
    let End { code, reason } = container::run(spec, instance, listener, &args.log, &vars)?;
    let _ = write!(std::io::stderr(), "{}", reason.unwrap_or_default());
    Ok(u8::try_from(code).unwrap_or(1))
}
