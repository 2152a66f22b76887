//! `completions`: the script that lets a shell complete our command line.

use crate::cli::{Cli, CompletionsArgs};
use crate::error::Exit;
use crate::ui;
use anyhow::Result;
use clap::CommandFactory;

/// # Errors
/// When standard output cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cargo-xtask", &mut script);
    ui::result(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}
