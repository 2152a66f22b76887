//! The binary with all backends, and with the verbs that only these need. `cargo xtask` builds it when such a verb or
//! environment is first asked for, and becomes it.

mod checks;
mod cmd;
mod targets;

use base::ctx::Ctx;
use base::error::Exit;
use std::process::ExitCode;
use verbs::Backends;
use verbs::cli::Command;

const BACKENDS: Backends = Backends { open: targets::of, checks: checks::EXTRA };

fn main() -> ExitCode {
    verbs::main(run)
}

fn run(command: Command) -> anyhow::Result<u8> {
    let exit: anyhow::Result<Exit> = match command {
        Command::Build(args) => cmd::build::run(&args, &Ctx::new()?),
        Command::Add(args) => cmd::add::run(&args, &Ctx::new()?),
        Command::Cluster(args) => cmd::cluster::run(&args, &Ctx::new()?),
        Command::Infra(args) => cmd::infra::run(&args, &Ctx::new()?),
        Command::Cert(args) => cmd::cert::run(&args, &Ctx::new()?),
        Command::Render(args) => cmd::render::run(&args, &Ctx::new()?),
        Command::Report(args) => cmd::report::run(&args, &Ctx::new()?),
        Command::Diagram(args) => cmd::diagram::run(&args, &Ctx::new()?),
        Command::Reference(args) => cmd::reference::run(&args, &Ctx::new()?),
        Command::Container(args) => return cmd::container::run(&args),
        Command::Ci(args) => cmd::ci::run(&args, &Ctx::new()?),
        other => return verbs::run(other, &BACKENDS),
    };
    exit.map(Exit::code)
}
