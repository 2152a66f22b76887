//! The command line, the verbs that every backend answers, and what a person sees of them. Which backends there are is the
//! binary's to say: [`Backends`].

pub mod backends;
pub mod cli;
pub mod cmd;
pub mod ui;

pub use backends::Backends;

use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::{proc, redact};
use cli::Command;
use std::process::ExitCode;

/// Parses the command line, has `run` do what it says, and exits with what came of it.
pub fn main(run: impl FnOnce(Command) -> Result<u8>) -> ExitCode {
    std::env::args_os().filter_map(|argument| argument.into_string().ok()).for_each(|argument| learn(&argument));
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(wrong) => return ui::print_usage(&wrong),
    };
    let code = run(command).unwrap_or_else(|error| {
        let fault = Fault::of(&error);
        ui::print_fault(&fault);
        fault.exit.code()
    });
    ExitCode::from(code)
}

/// What is given on the command line is secret from the first word on that is said of it: `--set env.API_TOKEN=…`.
fn learn(argument: &str) {
    let setting = argument.strip_prefix("--set=").unwrap_or(argument);
    if let Some((name, value)) = setting.split_once('=') {
        redact::learn_named(name, value);
    }
}

/// Runs a verb that every backend answers.
///
/// # Errors
/// Those of the verb, and when it is one of those that only the binary with all backends has.
pub fn run(command: Command, backends: &Backends) -> Result<u8> {
    let exit: Result<Exit> = match command {
        Command::Doctor(args) => cmd::doctor::run(&args, &Ctx::new()?, backends),
        Command::Deploy(args) => cmd::deploy::run(&args, &Ctx::new()?, backends),
        Command::Plan(args) => cmd::plan::run(&args, &Ctx::new()?, backends),
        Command::Status(args) => cmd::status::run(&args, &Ctx::new()?, backends),
        Command::Logs(args) => cmd::logs::run(&args, &Ctx::new()?, backends),
        Command::Smoke(args) => cmd::smoke::run(&args, &Ctx::new()?, backends),
        Command::Rollback(args) => cmd::rollback::run(&args, &Ctx::new()?, backends),
        Command::Run(args) => cmd::run::run(&args, &Ctx::new()?, backends),
        Command::Teardown(args) => cmd::teardown::run(&args, &Ctx::new()?, backends),
        Command::Completions(args) => cmd::completions::run(&args),
        Command::Supervise(args) => cmd::hidden::supervise(&args),
        Command::Exec(args) => cmd::hidden::exec(&args),
        Command::Guard(args) => return proc::guard(&args.command),
        Command::Build(_)
        | Command::Add(_)
        | Command::Cluster(_)
        | Command::Infra(_)
        | Command::Cert(_)
        | Command::Render(_)
        | Command::Report(_)
        | Command::Diagram(_)
        | Command::Reference(_)
        | Command::Ci(_)
        | Command::Container(_) => {
            Err(Fault::could_not_run("other-binary", "this binary does not have that command").into())
        }
    };
    exit.map(Exit::code)
}
