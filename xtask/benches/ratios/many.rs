//! Many services in one deployment: the processor time of a deploy from nothing and of one that has nothing to do, that
//! of the supervisor included, for twice as many services each time. The binary is built before.

use crate::measure::{children_cpu, command, millis, once, ratio, root, tool};
use nix::unistd::{SysconfVar, sysconf};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use supervisor::{Client, Connection};

const SERVICES: [usize; 4] = [25, 50, 100, 200];
/// How many services a system has.
const PER_SYSTEM: usize = 5;

pub(crate) fn run() {
    let copy = root().join("target/scratch/bench-many");
    if copy.is_dir() {
        xtask(&copy, &["teardown", "--yes"]).status().ok();
    }
    remote_tools::scratch::copy_repository(root(), &copy).expect("copy the repository");
    declare(&copy, SERVICES[0]);
    // Compiles what all of them are.
    once(&mut xtask(&copy, &["deploy"]));
    once(&mut xtask(&copy, &["teardown", "--yes"]));
    let mut before: Option<(Duration, Duration)> = None;
    for services in SERVICES {
        declare(&copy, services);
        let first = cpu(&copy, &["deploy"]);
        let started = Instant::now();
        let again = cpu(&copy, &["deploy"]);
        let took = started.elapsed();
        once(&mut xtask(&copy, &["teardown", "--yes"]));
        println!("  {services} services: CPU {}, nothing to do {} in {}", millis(first), millis(again), millis(took));
        if let Some((half, half_again)) = before {
            println!("    to half as many: {}, nothing to do {}", ratio(first, half), ratio(again, half_again));
        }
        before = Some((first, again));
    }
    std::fs::remove_dir_all(&copy).ok();
}

/// Replaces all systems by such of one crate.
fn declare(copy: &Path, services: usize) {
    let folder = copy.join("deploy/systems");
    std::fs::remove_dir_all(&folder).expect("remove the systems");
    std::fs::create_dir(&folder).expect("make a folder");
    for system in 0..services / PER_SYSTEM {
        let name = |number: usize| format!("epoch-{system}-{number}");
        let service = |number: usize| {
            let port = 11_000 + system * PER_SYSTEM + number;
            format!("[services.{}]\ncrate = \"epoch\"\nport = {port}\npublic = true\n\n", name(number))
        };
        let services: String = (0..PER_SYSTEM).map(service).collect();
        let check = format!("[[smoke]]\nname = \"up\"\nservice = \"{}\"\nrequest = \"GET /\"\nstatus = 200\n", name(0));
        let text = format!("description = \"One of many\"\n\n{services}{check}");
        std::fs::write(folder.join(format!("many-{system}.toml")), text).expect("write a system");
    }
}

fn xtask(copy: &Path, args: &[&str]) -> Command {
    let mut command = command(tool());
    command.args(args).args(["--set", "ports=free"]).env("CARGO_TARGET_DIR", root().join("target")).current_dir(copy);
    command
}

/// The processor time of a run, and of what the supervisor did meanwhile.
fn cpu(copy: &Path, args: &[&str]) -> Duration {
    let before = children_cpu() + supervisor_cpu(copy);
    once(&mut xtask(copy, args));
    (children_cpu() + supervisor_cpu(copy)).saturating_sub(before)
}

/// Nothing where there is no supervisor, or no `/proc` to ask about it.
fn supervisor_cpu(copy: &Path) -> Duration {
    let ticks = || {
        let Connection::Live(client) = Client::connect(&copy.join(".slipway/local")) else { return None };
        let stat = PathBuf::from(format!("/proc/{}/stat", client.process().pid));
        let stat = std::fs::read_to_string(stat).ok()?;
        // Behind the name: the times in user and system mode are fields 14 and 15 of the whole.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(field(14)? + field(15)?)
    };
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    Duration::from_millis(ticks().unwrap_or_default() * 1000 / per_second.unwrap_or(100))
}
