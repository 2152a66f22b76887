//! The commands that only this program itself calls.

use crate::cli::{ExecArgs, SuperviseArgs};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Exit;
use base::proc;

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
