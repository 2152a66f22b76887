//! `ci`: every check of this repository, the same here and in a pipeline.

mod binaries;
mod checks;
mod local;
mod skips;
mod terraform;

use self::checks::{Check, Needs};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::table;
use engine::deployment::unknown;
use engine::journal::{Event, Journal, StepEnd, StepResult};
use engine::plan::{Action, Plan, Step, StepId, runner};
use serde_json::{Value, json};
use verbs::cli::CiArgs;
use verbs::ui;

/// # Errors
/// When an id is unknown or the checks cannot be put together.
pub(crate) fn run(args: &CiArgs, ctx: &Ctx) -> Result<Exit> {
    let all = checks::all(ctx, args.full);
    if args.list {
        let rows: Vec<_> = all.iter().map(|check| vec![check.id.to_owned(), check.title.to_owned()]).collect();
        ui::result(&table::layout(&rows))?;
        return Ok(Exit::Done);
    }
    let chosen = choose(all, &args.only, &args.skip)?;
    let plan = Plan::new(chosen.into_iter().map(|check| step(check, args.strict)).collect())?;
    let journal = Journal::open(None, "ci", "ci", ui::watcher(ctx))?;
    let ends = runner::run(&plan, &ctx.proc, &ctx.interrupts, &journal);
    let exit = exit(ctx, &ends);
    journal.record(Event::Finished { result: format!("{exit:?}") });
    for (_, end) in &ends {
        if let Some(fault) = &end.failure {
            ui::print_fault(fault);
        }
    }
    if args.json.json {
        ui::document(&document(&ends))?;
    } else {
        ui::result(&summary(&ends))?;
    }
    Ok(exit)
}

/// The checks that were asked for. An id that matches nothing is an error: a pipeline that names a check which has
/// been renamed would otherwise pass without it.
fn choose(all: Vec<Check>, only: &[String], skip: &[String]) -> Result<Vec<Check>> {
    for id in only.iter().chain(skip) {
        if !all.iter().any(|check| check.id == id) {
            return Err(unknown("check", id, all.iter().map(|check| check.id)).into());
        }
    }
    let named = |list: &[String], check: &Check| list.iter().any(|id| id == check.id);
    let wanted = |check: &Check| (only.is_empty() || named(only, check)) && !named(skip, check);
    Ok(all.into_iter().filter(wanted).collect())
}

fn step(check: Check, strict: bool) -> Step {
    let missing = match &check.needs {
        Needs::Met => None,
        Needs::Missing(reason) => Some(reason.clone()),
    };
    let work = checks::Guarded { missing, strict, work: check.work };
    Step {
        id: StepId::new(Action::new(check.id)),
        title: check.title.to_owned(),
        system: None,
        needs: Vec::new(),
        holds: check.holds,
        preview: Vec::new(),
        work: Box::new(work),
    }
}

fn exit(ctx: &Ctx, ends: &[(StepId, StepEnd)]) -> Exit {
    match ctx.interrupts.first() {
        Some(signal) => Exit::Interrupted(signal),
        None if ends.iter().any(|(_, end)| end.result == StepResult::Failed) => Exit::Failed,
        None => Exit::Done,
    }
}

fn count(ends: &[(StepId, StepEnd)], results: &[StepResult]) -> usize {
    ends.iter().filter(|(_, end)| results.contains(&end.result)).count()
}

fn summary(ends: &[(StepId, StepEnd)]) -> String {
    let row = |(id, end): &(StepId, StepEnd)| {
        let reason = end.reason.clone().unwrap_or_default();
        vec![id.to_string(), end.result.word().to_owned(), format!("{:.1} s", end.seconds), reason]
    };
    let table = table::layout(&ends.iter().map(row).collect::<Vec<_>>());
    let passed = count(ends, &[StepResult::Done, StepResult::Unchanged]);
    let failed = count(ends, &[StepResult::Failed]);
    let skipped = count(ends, &[StepResult::Skipped, StepResult::Cancelled]);
    format!("{table}\nci: {passed} passed, {failed} failed, {skipped} skipped")
}

fn document(ends: &[(StepId, StepEnd)]) -> Value {
    let check = |(id, end): &(StepId, StepEnd)| {
        let reason = end.reason.clone().or(end.failure.as_ref().map(|fault| fault.cause.clone()));
        json!({"id": id.as_str(), "result": end.result.word(), "seconds": end.seconds, "reason": reason})
    };
    let ok = count(ends, &[StepResult::Failed, StepResult::Cancelled]) == 0;
    json!({"schema": 1, "ok": ok, "checks": ends.iter().map(check).collect::<Vec<_>>()})
}

/// The fault for a check whose tool is missing when that is not to be overlooked.
fn missing(reason: &str) -> Fault {
    Fault::failed("tool-missing", format!("{reason} (`--strict`)")).hint("`cargo xtask doctor` says how to install it")
}
