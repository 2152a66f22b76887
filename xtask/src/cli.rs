//! The whole command line, without behaviour.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Start here:
  cargo xtask deploy             from a fresh clone to running and proven, on this machine
  cargo xtask status             what runs, where, how healthy
  cargo xtask teardown           removes it all, and shows that nothing is left
  cargo xtask ci                 every check, the same here and in a pipeline

Exit codes:
  0  done
  1  a step or a check failed, or a teardown left something behind
  2  the command line is wrong, or needs an answer that nobody is there to give
  3  could not run: a tool is missing, the spec is wrong, someone else is at it
  130, 143  interrupted (Ctrl-C, SIGTERM)";

/// Takes this repository's systems from a fresh clone to running and proven, and back to nothing.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say whether this machine is ready for an environment, and how to mend what is not
    Doctor(DoctorArgs),
    /// Take systems from nothing to running and proven; again, it does only what is missing
    Deploy(DeployArgs),
    /// Show what a deploy would change, and why
    Plan(PlanArgs),
    /// Show what runs where, at which version, how healthy
    Status(StatusArgs),
    /// Show the logs of a service
    Logs(LogsArgs),
    /// Check what runs against its smoke contract
    Smoke(SmokeArgs),
    /// Go back to the previous revision of a system that was healthy
    Rollback(RollbackArgs),
    /// Remove what deploy made and nothing else, then prove that nothing is left
    Teardown(TeardownArgs),
    /// Run every check of this repository
    Ci(CiArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    #[command(name = "__supervise", hide = true)]
    Supervise(SuperviseArgs),
    #[command(name = "__exec", hide = true)]
    Exec(ExecArgs),
}

/// Which environment, and how its settings differ for this run.
#[derive(Debug, Clone, Args)]
pub struct EnvironmentArgs {
    /// The environment: a file in `deploy/environments/`
    #[arg(long = "env", value_name = "NAME", default_value = "local")]
    pub name: String,
    /// Change one setting for this run
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Which systems; all of them unless some are named.
#[derive(Debug, Clone, Args)]
pub struct SystemsArgs {
    /// Only these systems
    #[arg(value_name = "SYSTEM")]
    pub systems: Vec<String>,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct JsonArgs {
    /// Print one JSON document on standard output and nothing else
    #[arg(long)]
    pub json: bool,
}

/// How a command that changes something is held back or let go.
#[derive(Debug, Clone, Copy, Args)]
pub struct MutationArgs {
    /// Print the steps and their exact command lines, run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Answer every question with yes
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    #[command(flatten)]
    pub json: JsonArgs,
    /// Try to mend what can be mended here and undone again; asks first, never uses sudo
    #[arg(long)]
    pub fix: bool,
    /// With --fix: print what would be run, run nothing
    #[arg(long, requires = "fix")]
    pub dry_run: bool,
    /// With --fix: do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Show passed checks one by one
    #[arg(long, short)]
    pub verbose: bool,
}

#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub systems: SystemsArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    #[command(flatten)]
    pub mutation: MutationArgs,
    #[command(flatten)]
    pub json: JsonArgs,
    /// Also look for drift: run the smoke contracts though nothing changed
    #[arg(long)]
    pub verify: bool,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub systems: SystemsArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub systems: SystemsArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    /// Go on printing what is added
    #[arg(long, short)]
    pub follow: bool,
    /// How many of the last lines to print first
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 100)]
    pub lines: usize,
}

#[derive(Debug, Args)]
pub struct SmokeArgs {
    #[command(flatten)]
    pub systems: SystemsArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The system
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    #[command(flatten)]
    pub mutation: MutationArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct TeardownArgs {
    #[command(flatten)]
    pub systems: SystemsArgs,
    #[command(flatten)]
    pub environment: EnvironmentArgs,
    #[command(flatten)]
    pub mutation: MutationArgs,
    #[command(flatten)]
    pub json: JsonArgs,
    /// Keep what the services have stored
    #[arg(long)]
    pub keep_data: bool,
    /// Change nothing; look for what an earlier teardown or a lost ledger left behind
    #[arg(long, conflicts_with_all = ["keep_data", "dry_run"])]
    pub verify: bool,
}

#[derive(Debug, Args)]
pub struct CiArgs {
    /// Run only these checks
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Leave these checks out
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Print the checks and what each does
    #[arg(long)]
    pub list: bool,
    /// A check that would be skipped because its tool is missing fails
    #[arg(long)]
    pub strict: bool,
    /// Add the long matrices
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

const COMPLETIONS: &str = "\
Kept for every new shell:
  bash  cargo xtask completions bash > ~/.cargo-xtask.bash && echo '. ~/.cargo-xtask.bash' >> ~/.bashrc
  zsh   cargo xtask completions zsh > \"${fpath[1]}/_cargo-xtask\"
  fish  cargo xtask completions fish > ~/.config/fish/conf.d/cargo-xtask.fish";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub struct CompletionsArgs {
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct SuperviseArgs {
    /// The folder that holds the deployment's state
    pub state_dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Where the program's output is appended
    #[arg(long)]
    pub log: PathBuf,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
