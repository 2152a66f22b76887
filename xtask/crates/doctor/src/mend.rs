//! Tries to fix what a report names: prints each command, asks, runs it.

use super::fix::Fix;
use super::{Checked, Outcome, Report};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::proc::CommandLine;
use base::terminal;

/// The commands for one finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Remedy {
    /// The checks it is for.
    pub ids: Vec<String>,
    pub commands: Vec<CommandLine>,
}

/// What may be run for the findings of a report. Two findings with the same cure have one remedy. The other half is
/// what only a person can do, as lines.
pub fn remedies(report: &Report) -> (Vec<Remedy>, Vec<String>) {
    let mut remedies: Vec<Remedy> = Vec::new();
    let mut by_hand = Vec::new();
    let open = |checked: &&Checked| matches!(checked.finding.outcome, Outcome::Fail | Outcome::Warn);
    for checked in report.checks.iter().filter(open) {
        let command = |fix: &Fix| match fix {
            Fix::Run(command) => Some(command.clone()),
            Fix::AsRoot(_) | Fix::ByHand(_) => None,
        };
        let commands: Option<Vec<CommandLine>> = checked.finding.fix.iter().map(command).collect();
        match commands.filter(|commands| !commands.is_empty()) {
            Some(commands) => match remedies.iter_mut().find(|remedy| remedy.commands == commands) {
                Some(remedy) => remedy.ids.push(checked.id.clone()),
                None => remedies.push(Remedy { ids: vec![checked.id.clone()], commands }),
            },
            None => by_hand.extend(checked.finding.fix.iter().map(|fix| format!("{}: {fix}", checked.id))),
        }
    }
    (remedies, by_hand)
}

/// Asks about each remedy and runs it. A command that fails ends its own remedy only. Returns whether any was run.
///
/// # Errors
/// When nobody is there to ask and `yes` was not given, or the run was interrupted.
pub fn apply(ctx: &Ctx, remedies: &[Remedy], yes: bool) -> Result<bool> {
    let mut any = false;
    for remedy in remedies {
        terminal::say(&format!("{}:", remedy.ids.join(", ")));
        for command in &remedy.commands {
            terminal::say(&format!("  {command}"));
        }
        if terminal::confirm(ctx, yes, "this would be run to fix it")? {
            any = true;
            run(ctx, remedy);
        }
        if let Some(signal) = ctx.interrupts.first() {
            return Err(Fault::interrupted(signal).into());
        }
    }
    Ok(any)
}

fn run(ctx: &Ctx, remedy: &Remedy) {
    for command in &remedy.commands {
        let command = command.clone().dir(&ctx.root);
        if let Err(error) = ctx.proc.follow(&command, &|_, line| terminal::say(&format!("  │ {line}"))) {
            // What it was for is checked again anyway; this says why that will fail.
            terminal::say(&format!("  that did not work: {error:#}"));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finding, Group};
    use std::time::Duration;

    fn checked(id: &str, finding: Finding) -> Checked {
        Checked { id: id.to_owned(), group: Group::Tools, title: id.to_owned(), finding, took: Duration::ZERO }
    }

    #[test]
    fn one_cure_for_two_findings_is_run_once_and_what_needs_root_never() {
        let update = || Fix::Run(CommandLine::new("rustup").args(["update", "stable"]));
        let apt = Fix::AsRoot(CommandLine::new("apt-get").args(["install", "redis-server"]));
        let report = Report {
            checks: vec![
                checked("tool.cargo", Finding::fail("old").fix([update()])),
                checked("tool.rustc", Finding::fail("old").fix([update()])),
                checked("tool.redis", Finding::warn("missing").fix([apt])),
                checked("tool.git", Finding::pass("2.0.0").fix([update()])),
            ],
        };
        let (remedies, by_hand) = remedies(&report);
        assert_eq!(remedies.len(), 1);
        assert_eq!(remedies[0].ids, ["tool.cargo", "tool.rustc"]);
        assert_eq!(by_hand, ["tool.redis: sudo apt-get install redis-server"]);
    }
}
