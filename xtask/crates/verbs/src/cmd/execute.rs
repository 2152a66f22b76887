//! What every command that changes something has in common: the lease, the journal, the run, and what came of it.

use crate::ui;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::os;
use engine::backend::{Guard, SkippedSystem, Target};
use engine::home::Home;
use engine::journal::{Event, Journal, StepEnd, StepResult, Watcher};
use engine::lease::{Claim, Lease};
use engine::plan::{Plan, StepId, runner};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many journals are kept.
const JOURNALS: usize = 50;

/// A run that has ended, while its lease is still held.
pub struct Execution {
    pub run: String,
    pub ends: Vec<(StepId, StepEnd)>,
    /// The system of each step, in the same order.
    systems: Vec<Option<String>>,
    interrupted: Option<i32>,
    /// Somebody else has the lease.
    lost: bool,
    pub journal: Journal,
    /// Given back before the lease.
    _guard: Guard,
    _lease: Lease,
}

/// Takes the lease and runs the plan. Until the lease is held somebody else may change what the plan goes by: `again` looks
/// once more, before the first change, and may plan anew or refuse.
///
/// # Errors
/// When the lease is held or the journal cannot be written, and those of `again`. Failed steps are in the result.
pub fn execute(
    ctx: &Ctx,
    target: &dyn Target,
    command: &str,
    environment: &str,
    plan: Plan,
    again: impl FnOnce() -> Result<Option<Plan>>,
) -> Result<Execution> {
    execute_watched(ctx, target, (command, environment), ui::watcher(ctx), plan, again)
}

/// The same with a watcher of one's own. `names`: of the command and the environment.
///
/// # Errors
/// Those of [`execute`].
pub fn execute_watched(
    ctx: &Ctx,
    target: &dyn Target,
    names: (&str, &str),
    watcher: Box<dyn Watcher>,
    plan: Plan,
    again: impl FnOnce() -> Result<Option<Plan>>,
) -> Result<Execution> {
    let guard = |claim: &Claim<'_>, journal: &Journal| target.guard(ctx, claim, journal);
    execute_guarded(ctx, target.home(), names, watcher, &guard, |journal| {
        let Some(anew) = again()? else { return Ok(plan) };
        journal.note("another run has changed the deployment since it was looked at: this is planned anew".to_owned());
        Ok(anew)
    })
}

/// What a command says that must not go by what was looked at before somebody else changed it.
pub fn changed_meanwhile(command: &str) -> Fault {
    let cause = format!("another run has changed the deployment while `{command}` was about to begin");
    Fault::could_not_run("changed-meanwhile", cause).hint("nothing was touched; look at `status`, then try again")
}

/// The same for what concerns this machine alone.
///
/// # Errors
/// Those of [`execute`].
pub fn execute_here(ctx: &Ctx, home: &Home, command: &str, environment: &str, plan: Plan) -> Result<Execution> {
    execute_guarded(ctx, home, (command, environment), ui::watcher(ctx), &|_, _| Ok(Box::new(())), |_| Ok(plan))
}

fn execute_guarded(
    ctx: &Ctx,
    home: &Home,
    (command, environment): (&str, &str),
    watcher: Box<dyn Watcher>,
    guard: &dyn Fn(&Claim<'_>, &Journal) -> Result<Guard>,
    plan: impl FnOnce(&Journal) -> Result<Plan>,
) -> Result<Execution> {
    warn_of_root(ctx);
    let journal = Journal::open(Some(&home.runs()), command, environment, watcher)?;
    let claim = Claim { who: ctx.vars.who(), command, run: journal.run() };
    let lease = Lease::take(home, &claim, ctx.proc.children(), &ctx.interrupts, &journal)?;
    let guard = guard(&claim, &journal)?;
    let plan = plan(&journal)?;
    forget_old_journals(home);
    let ends = runner::run(&plan, &ctx.proc, &ctx.interrupts, &journal);
    let run = journal.run().to_owned();
    let systems = plan.steps().iter().map(|step| step.system.clone()).collect();
    let interrupted = ctx.interrupts.first();
    let lost = ctx.proc.fence().lost().is_some();
    let execution = Execution { run, ends, systems, interrupted, lost, journal, _guard: guard, _lease: lease };
    execution.journal.record(Event::Finished { result: execution.result().to_owned() });
    Ok(execution)
}

/// What root makes in somebody else's checkout, that person can neither change nor end.
fn warn_of_root(ctx: &Ctx) {
    if let Some(owner) = os::foreign_owner(&ctx.root).filter(|_| os::is_root()) {
        let paint = ui::Paint::new(ctx);
        let told = format!("running as root in a checkout of `{owner}`, who cannot change what is made now");
        ui::say(&format!("{} {told}; run it as `{owner}`", paint.warn("warning:")));
    }
}

/// What was measured while each step replaced something.
fn traffic(events: &[Event]) -> BTreeMap<&str, Vec<Value>> {
    let mut all: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for event in events {
        if let Event::Measured { step, service, requests, failed, longest_gap } = event {
            all.entry(step).or_default().push(json!({
                "service": service, "requests": requests, "failed": failed,
                "longest_gap_seconds": longest_gap.as_secs_f64(),
            }));
        }
    }
    all
}

fn forget_old_journals(home: &Home) {
    let Ok(entries) = std::fs::read_dir(home.runs()) else { return };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut journals: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "ndjson")).collect();
    // Their names begin with their time.
    journals.sort();
    for old in journals.iter().take(journals.len().saturating_sub(JOURNALS)) {
        let _ = std::fs::remove_file(old);
        // The page that `report` may have drawn from it.
        let _ = std::fs::remove_file(old.with_extension("html"));
    }
}

impl Execution {
    /// The first step that failed, with its failure.
    pub fn failure(&self) -> Option<(&StepId, &Fault)> {
        self.ends.iter().find_map(|(id, end)| Some((id, end.failure.as_ref()?)))
    }

    /// Every failure, in the order of the plan.
    pub fn failures(&self) -> impl Iterator<Item = (&StepId, &Fault)> {
        self.ends.iter().filter_map(|(id, end)| Some((id, end.failure.as_ref()?)))
    }

    /// A run whose last step ended well before the signal came was not interrupted by it.
    fn cut_short(&self) -> Option<i32> {
        let cancelled = self.ends.iter().any(|(_, end)| end.result == StepResult::Cancelled);
        // A run that has lost its lease has ended its own waits.
        self.interrupted.filter(|_| cancelled && !self.lost)
    }

    pub fn result(&self) -> &'static str {
        if self.cut_short().is_some() {
            "interrupted"
        } else if self.failure().is_some() {
            "failed"
        } else if self.ends.iter().any(|(_, end)| end.result == StepResult::Done) {
            "deployed"
        } else {
            "unchanged"
        }
    }

    pub fn exit(&self) -> Exit {
        match (self.cut_short(), self.failure()) {
            (Some(signal), _) => Exit::Interrupted(signal),
            (None, Some(_)) => Exit::Failed,
            (None, None) => Exit::Done,
        }
    }

    /// What became of one system: the worst of its steps.
    fn system_result(&self, name: &str) -> (&'static str, Option<String>) {
        let own = || {
            let steps = self.ends.iter().zip(&self.systems).filter(|(_, system)| system.as_deref() == Some(name));
            steps.map(|((_, end), _)| end)
        };
        let failed = own().find(|end| end.result == StepResult::Failed);
        let skipped = own().find(|end| matches!(end.result, StepResult::Skipped | StepResult::Cancelled));
        if let Some(end) = failed {
            return ("failed", end.failure.as_ref().map(|fault| fault.cause.clone()));
        }
        match skipped {
            // A step that could not be run because a shared one failed is a failure of the system too.
            Some(end) if self.failure().is_some() => ("failed", end.reason.clone()),
            Some(end) => ("skipped", end.reason.clone()),
            None if own().any(|end| end.result == StepResult::Done) => ("deployed", None),
            None => ("unchanged", None),
        }
    }

    /// The document of `deploy --json`.
    pub fn document(&self, environment: &str, systems: &[String], skipped: &[SkippedSystem]) -> Value {
        let events = self.journal.events();
        let traffic = traffic(&events);
        let step = |(id, end): &(StepId, StepEnd)| {
            let reason = end.reason.clone().or(end.failure.as_ref().map(|fault| fault.cause.clone()));
            json!({
                "id": id.as_str(), "result": end.result.word(), "seconds": end.seconds, "reason": reason,
                "traffic": traffic.get(id.as_str()).map(Vec::as_slice).unwrap_or_default(),
            })
        };
        let failure = self.failure().map(
            |(id, fault)| json!({"step": id.as_str(), "code": fault.code, "cause": fault.cause, "hint": fault.hint}),
        );
        json!({
            "schema": 1, "run": self.run, "env": environment, "result": self.result(),
            "systems": self.system_results(systems, skipped),
            "steps": self.ends.iter().map(step).collect::<Vec<_>>(),
            "failure": failure,
        })
    }

    fn system_results(&self, systems: &[String], skipped: &[SkippedSystem]) -> Vec<Value> {
        let of = |name: &String| match skipped.iter().find(|system| system.name.as_str() == name) {
            Some(system) => json!({"name": name, "result": "skipped", "reason": system.reason}),
            None => {
                let (result, reason) = self.system_result(name);
                json!({"name": name, "result": result, "reason": reason})
            }
        };
        systems.iter().map(of).collect()
    }

    /// Prints every failure: what failed and why, then what to type next.
    pub fn print_failures(&self) {
        for (_, fault) in self.failures() {
            ui::print_fault(fault);
        }
        if self.cut_short().is_some() {
            ui::say("interrupted; the same command again continues where it stopped");
        }
        if let (Some(path), Some(_)) = (self.journal.path(), self.failure()) {
            ui::say(&format!("  the run is recorded in `{}`", path.display()));
        }
    }
}
