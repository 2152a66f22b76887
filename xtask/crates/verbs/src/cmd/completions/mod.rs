//! `completions`: the script that lets a shell complete our command line, also behind `cargo`.

use crate::cli;
use crate::cli::CompletionsArgs;
use crate::ui;
use anyhow::Result;
use base::error::Exit;
use clap::Command;
use clap_complete::Shell;

/// What the script calls us. zsh's own completion of cargo looks for the name with a hyphen when it meets
/// `cargo xtask`; with one, clap's script for bash knows no command's options.
fn name(shell: Shell) -> &'static str {
    if shell == Shell::Zsh { "cargo-xtask" } else { "cargo_xtask" }
}

/// # Errors
/// When standard output cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    let name = name(args.shell);
    clap_complete::generate(args.shell, &mut public(name), name, &mut script);
    script.extend(behind_cargo(args.shell).as_bytes());
    ui::result(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}

/// The command line without what only this program itself calls.
fn public(name: &'static str) -> Command {
    let all = cli::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new(name).version(env!("CARGO_PKG_VERSION")).subcommands(shown)
}

/// People type `cargo xtask`; this hands what follows over to the script.
fn behind_cargo(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("cargo.bash"),
        Shell::Fish => include_str!("cargo.fish"),
        _ => "",
    }
}
