//! Runs a plan: in parallel where needs allow, each step on a thread of its own.
//!
//! A failed step blocks only what depends on it, and never cancels a sibling half-way. After a signal no further step
//! starts; those running are waited for.

use super::schedule::{LOST_BEFORE, Schedule};
use super::{Outcome, Plan, Step, StepId};
use crate::journal::{Event, Journal, StepEnd, StepResult};
use anyhow::Result;
use base::error::Fault;
use base::fence;
use base::proc::{CommandLine, Finished, Proc, Stream};
use base::signal::Interrupts;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long after a signal a step that is still running is worth a word.
const SIGNAL_PAUSE: Duration = Duration::from_millis(100);

/// What a step is given to work with.
pub struct StepCx<'a> {
    step: &'a str,
    pub proc: &'a Proc,
    pub interrupts: &'a Interrupts,
    journal: &'a Journal,
}

/// Records what a step's own threads see.
#[derive(Clone)]
pub struct Recorder {
    step: String,
    journal: Journal,
}

impl Recorder {
    pub fn record(&self, event: impl FnOnce(String) -> Event) {
        self.journal.record(event(self.step.clone()));
    }
}

impl StepCx<'_> {
    /// Says what the step does or waits for at this moment.
    pub fn status(&self, text: impl Into<String>) {
        self.journal.record(Event::Status { step: self.step.to_owned(), text: text.into() });
    }

    /// Says what has happened, which stays on the screen.
    pub fn news(&self, text: impl Into<String>) {
        self.journal.record(Event::News { step: self.step.to_owned(), text: text.into() });
    }

    /// Records something else about the step.
    pub fn record(&self, event: impl FnOnce(String) -> Event) {
        self.journal.record(event(self.step.to_owned()));
    }

    /// Records on other threads, which may go on while the step does something else.
    pub fn recorder(&self) -> Recorder {
        Recorder { step: self.step.to_owned(), journal: self.journal.clone() }
    }

    /// The folder name of this run: the journal's.
    pub fn run_name(&self) -> &str {
        self.journal.run()
    }

    /// Records a line that a step runs by other means than these.
    pub fn commanded(&self, command: &CommandLine) {
        self.journal.record(Event::Command { step: self.step.to_owned(), argv: command.shown() });
    }

    /// A tool that a terminal's Ctrl-C has reached as well did not fail: it was interrupted. So was one that was ended
    /// because the lease is lost.
    fn interruption(&self) -> Option<Fault> {
        self.proc.fence().lost().or_else(|| self.interrupts.first().map(Fault::interrupted))
    }

    /// Runs a tool whose end the step judges itself.
    ///
    /// # Errors
    /// Those of [`Proc::try_follow`].
    pub fn try_run(&self, command: &CommandLine, on_line: &(dyn Fn(Stream, &str) + Sync)) -> Result<Finished> {
        self.commanded(command);
        let finished = self.proc.try_follow(command, on_line)?;
        match self.interruption() {
            Some(fault) if !finished.success => Err(fault.into()),
            _ => Ok(finished),
        }
    }

    /// Runs a tool that has to succeed.
    ///
    /// # Errors
    /// Those of [`Proc::follow`].
    pub fn run(&self, command: &CommandLine) -> Result<()> {
        self.commanded(command);
        self.proc.follow(command, &|_, _| {}).map_err(|error| match self.interruption() {
            Some(fault) => fault.into(),
            None => error,
        })
    }

    /// Asks again and again until there is an answer. The pauses grow from 10 to 250 milliseconds.
    ///
    /// # Errors
    /// When a question fails, a signal arrives, or `within` has passed; `expired` then says what was seen last.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        mut ask: impl FnMut() -> Result<Option<T>>,
        expired: impl FnOnce() -> Fault,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        let mut pause = Duration::from_millis(10);
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                return Err(expired().into());
            }
            if self.interrupts.pause(pause) {
                return Err(self.interruption().unwrap_or_else(expired).into());
            }
            pause = (pause * 3 / 2).min(Duration::from_millis(250));
        }
    }
}

/// Runs every step it can and returns how each ended, in the order of the plan.
pub fn run(plan: &Plan, proc: &Proc, interrupts: &Interrupts, journal: &Journal) -> Vec<(StepId, StepEnd)> {
    journal.record(Event::Plan { steps: plan.outline() });
    let mut schedule = Schedule::new(plan);
    let mut running: BTreeSet<usize> = BTreeSet::new();
    let (sender, receiver) = mpsc::channel::<(usize, StepEnd)>();
    let mut told = 0;
    let record = |place: usize, end: &StepEnd| {
        journal.record(Event::Ended { step: plan.steps()[place].id.to_string(), end: end.clone() });
    };
    std::thread::scope(|scope| {
        loop {
            while !interrupts.stopping() && proc.fence().lost().is_none() {
                let Some((place, step)) = schedule.next() else { break };
                running.insert(place);
                let sender = sender.clone();
                scope.spawn(move || {
                    let end = run_step(step, proc, interrupts, journal);
                    // The receiver lives until every step has ended.
                    let _ = sender.send((place, end));
                });
            }
            let ended = match proc.fence().lost() {
                // One of those that run may tell of it.
                Some(_) if !running.is_empty() => Vec::new(),
                Some(fault) => schedule.refuse(&fault),
                None if interrupts.stopping() => schedule.cancel(&running, "interrupted before it started"),
                None => Vec::new(),
            };
            ended.iter().for_each(|(place, end)| record(*place, end));
            if running.is_empty() {
                break;
            }
            let names = |place: &usize| &plan.steps()[*place].id;
            let Some((place, end)) = next_end(&receiver, &running, &names, interrupts, &mut told, journal) else {
                break;
            };
            record(place, &end);
            // What waits for it is not to blame it: nothing is begun without the lease.
            if end.failure.as_ref().is_some_and(|failure| failure.code == fence::LEASE_LOST) {
                let cancelled = schedule.cancel(&running, LOST_BEFORE);
                cancelled.iter().for_each(|(place, end)| record(*place, end));
            }
            running.remove(&place);
            schedule.end(place, end).iter().for_each(|(place, end)| record(*place, end));
        }
    });
    schedule.ends()
}

/// Waits for a step to end. A person who has interrupted the run is told what it waits for, and what another time does.
fn next_end<'a>(
    receiver: &mpsc::Receiver<(usize, StepEnd)>,
    running: &BTreeSet<usize>,
    name: &dyn Fn(&usize) -> &'a StepId,
    interrupts: &Interrupts,
    told: &mut usize,
    journal: &Journal,
) -> Option<(usize, StepEnd)> {
    loop {
        match receiver.recv_timeout(SIGNAL_PAUSE) {
            Ok(end) => return Some(end),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let count = interrupts.count();
        if count > *told {
            *told = count;
            let names: Vec<_> = running.iter().map(|place| format!("`{}`", name(place))).collect();
            journal.note(interrupt_note(count, &names.join(", ")));
        }
    }
}

/// What so many signals have brought about, and what one more would.
fn interrupt_note(signals: usize, steps: &str) -> String {
    match signals {
        1 => format!("interrupted; {steps} may finish first; another Ctrl-C asks the tools it runs to stop"),
        2 => format!("asked the tools of {steps} to stop; another Ctrl-C kills them"),
        _ => format!("killed the tools of {steps}"),
    }
}

fn run_step(step: &Step, proc: &Proc, interrupts: &Interrupts, journal: &Journal) -> StepEnd {
    let started = Instant::now();
    let cx = StepCx { step: step.id.as_str(), proc, interrupts, journal };
    let outcome = catch_unwind(AssertUnwindSafe(|| match step.work.is_done(&cx)? {
        Some(reason) => Ok((StepResult::Unchanged, Some(reason))),
        None => {
            proc.may_change()?;
            journal.record(Event::Started { step: step.id.to_string() });
            step.work.run(&cx).map(|outcome| match outcome {
                Outcome::Done => (StepResult::Done, None),
                Outcome::DoneWith(word) => (StepResult::Done, Some(word)),
                Outcome::Skipped(reason) => (StepResult::Skipped, Some(reason)),
            })
        }
    }));
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(Ok((result, reason))) => StepEnd { result, seconds, reason, failure: None },
        Ok(Err(error)) => {
            // Without the lease everything may fail: a wait is ended, an answer came while nobody listened.
            let error = proc.may_change().err().unwrap_or(error);
            failed(Fault::of(&error), seconds)
        }
        Err(_) => {
            let cause = format!("`{}` panicked; this is a defect of the tool, its message is above", step.id);
            failed(Fault::failed("panic", cause), seconds)
        }
    }
}

fn failed(fault: Fault, seconds: f64) -> StepEnd {
    if matches!(fault.exit, base::error::Exit::Interrupted(_)) {
        return StepEnd { result: StepResult::Cancelled, seconds, reason: Some(fault.cause), failure: None };
    }
    StepEnd { result: StepResult::Failed, seconds, reason: None, failure: Some(fault) }
}

#[cfg(test)]
mod tests {
    use super::super::Holds;
    use super::super::testing::{Nothing, step};
    use super::*;
    use crate::journal::Watcher;
    use crate::plan::Work;
    use base::proc::Children;
    use std::sync::{Arc, Barrier};

    struct Nobody;

    impl Watcher for Nobody {
        fn event(&mut self, _: &Event) {}
    }

    struct Acts<F>(F);

    impl<F: Fn(&StepCx<'_>) -> Result<Outcome> + Send + Sync> Work for Acts<F> {
        fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
            Ok(None)
        }

        fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
            (self.0)(cx)
        }
    }

    fn run_all(steps: Vec<Step>, interrupts: &Interrupts) -> Vec<(String, StepResult)> {
        let plan = Plan::new(steps).unwrap();
        let proc = Proc::new(Children::default(), interrupts.clone(), std::ffi::OsString::new());
        let journal = Journal::open(None, "test", "test", Box::new(Nobody)).unwrap();
        let ends = run(&plan, &proc, interrupts, &journal);
        ends.into_iter().map(|(id, end)| (id.to_string(), end.result)).collect()
    }

    #[test]
    fn a_failure_blocks_only_what_depends_on_it() {
        let fails = Acts(|_: &StepCx<'_>| Err(Fault::failed("x", "no").into()));
        let steps = vec![
            step("a", &[], fails),
            step("b", &["a"], Nothing),
            step("c", &["b"], Nothing),
            step("d", &[], Nothing),
        ];
        let ends = run_all(steps, &Interrupts::default());
        let results: Vec<_> = ends.iter().map(|(_, result)| *result).collect();
        use StepResult::{Done, Failed, Skipped};
        assert_eq!(results, [Failed, Skipped, Skipped, Done]);
    }

    #[test]
    fn independent_steps_run_at_the_same_time() {
        let both = Arc::new(Barrier::new(2));
        let meet = |barrier: &Arc<Barrier>| {
            let barrier = Arc::clone(barrier);
            // Neither can end unless the other runs too.
            Acts(move |_: &StepCx<'_>| {
                barrier.wait();
                Ok(Outcome::Done)
            })
        };
        let steps = vec![step("a", &[], meet(&both)), step("b", &[], meet(&both))];
        assert!(run_all(steps, &Interrupts::default()).iter().all(|(_, result)| *result == StepResult::Done));
    }

    #[test]
    fn a_step_is_not_begun_without_the_lease_and_one_of_them_says_why() {
        let interrupts = Interrupts::default();
        let proc = Proc::new(Children::default(), interrupts.clone(), std::ffi::OsString::new());
        let (fence, stop) = (proc.fence().clone(), interrupts.clone());
        let loses = Acts(move |cx: &StepCx<'_>| {
            fence.lose("went to you@there");
            stop.stop();
            cx.wait_for(Duration::from_secs(60), || Ok(None::<Outcome>), || Fault::failed("late", "too late"))
        });
        let never = || Acts(|_: &StepCx<'_>| -> Result<Outcome> { panic!("it was begun") });
        let plan = Plan::new(vec![step("a", &[], loses), step("b", &["a"], never()), step("c", &[], Nothing)]).unwrap();
        let journal = Journal::open(None, "test", "test", Box::new(Nobody)).unwrap();
        let ends = run(&plan, &proc, &interrupts, &journal);
        let failure = ends[0].1.failure.as_ref().unwrap();
        assert!(failure.code == "lease-lost" && failure.cause.contains("went to you@there"), "{failure:?}");
        assert_eq!(ends[1].1.result, StepResult::Cancelled);
        // Nothing runs that would have to be waited for: the first step says it.
        let ends = run(&plan, &proc, &interrupts, &journal);
        let results: Vec<_> = ends.iter().map(|(_, end)| end.result).collect();
        assert_eq!(results, [StepResult::Failed, StepResult::Cancelled, StepResult::Cancelled]);
    }

    #[test]
    fn a_panic_is_a_failure_of_its_step_alone() {
        let panics = Acts(|_: &StepCx<'_>| -> Result<Outcome> { panic!("on purpose") });
        let ends = run_all(vec![step("a", &[], panics), step("b", &[], Nothing)], &Interrupts::default());
        assert_eq!(ends[0].1, StepResult::Failed);
        assert_eq!(ends[1].1, StepResult::Done);
    }

    #[test]
    fn what_holds_the_machine_runs_alone() {
        let busy = Arc::new(std::sync::Mutex::new(()));
        let alone = |busy: &Arc<std::sync::Mutex<()>>| {
            let busy = Arc::clone(busy);
            Acts(move |_: &StepCx<'_>| match busy.try_lock() {
                Ok(_guard) => {
                    std::thread::yield_now();
                    Ok(Outcome::Done)
                }
                Err(_) => Err(Fault::failed("beside", "not alone").into()),
            })
        };
        let mut steps: Vec<_> = (0..8).map(|n| step(&format!("s{n}"), &[], alone(&busy))).collect();
        for step in &mut steps {
            step.holds = Holds::Machine;
        }
        assert!(run_all(steps, &Interrupts::default()).iter().all(|(_, result)| *result == StepResult::Done));
    }
}
