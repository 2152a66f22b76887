//! Parse, run, exit code.

use std::process::ExitCode;
use xtask::cli::{self, Command};
use xtask::cmd;
use xtask::ctx::Ctx;
use xtask::error::{Exit, Fault};
use xtask::proc;
use xtask::ui;

fn main() -> ExitCode {
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

fn run(command: Command) -> anyhow::Result<u8> {
    let exit: anyhow::Result<Exit> = match command {
        Command::Doctor(args) => cmd::doctor::run(&args, &Ctx::new()?),
        Command::Deploy(args) => cmd::deploy::run(&args, &Ctx::new()?),
        Command::Plan(args) => cmd::plan::run(&args, &Ctx::new()?),
        Command::Status(args) => cmd::status::run(&args, &Ctx::new()?),
        Command::Logs(args) => cmd::logs::run(&args, &Ctx::new()?),
        Command::Smoke(args) => cmd::smoke::run(&args, &Ctx::new()?),
        Command::Rollback(args) => cmd::rollback::run(&args, &Ctx::new()?),
        Command::Teardown(args) => cmd::teardown::run(&args, &Ctx::new()?),
        Command::Build(args) => cmd::build::run(&args, &Ctx::new()?),
        Command::Cluster(args) => cmd::cluster::run(&args, &Ctx::new()?),
        Command::Infra(args) => cmd::infra::run(&args, &Ctx::new()?),
        Command::Cert(args) => cmd::cert::run(&args, &Ctx::new()?),
        Command::Render(args) => cmd::render::run(&args, &Ctx::new()?),
        Command::Report(args) => cmd::report::run(&args, &Ctx::new()?),
        Command::Diagram(args) => cmd::diagram::run(&args, &Ctx::new()?),
        Command::Ci(args) => cmd::ci::run(&args, &Ctx::new()?),
        Command::Completions(args) => cmd::completions::run(&args),
        Command::Supervise(args) => cmd::hidden::supervise(&args),
        Command::Exec(args) => cmd::hidden::exec(&args),
        Command::Container(args) => return cmd::hidden::container(&args),
        Command::Tether(args) => return proc::hold(&args.command),
    };
    exit.map(Exit::code)
}
