//! Runs checks side by side, each with its deadline.

use super::{Ask, Check, Checked, DEADLINE, Finding, Outcome, Probe, Report, Scene};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What a check may take beyond the programs it asks, which have been ended by then.
const GRACE: Duration = Duration::from_secs(1);

/// What each check found and how long that took, by its place in the list.
type Answers = BTreeMap<usize, (Finding, Duration)>;
type Answer = (usize, (Finding, Duration));

/// How long a probe is taken to be computing. One that takes longer waits for something, and keeps no core busy.
const COMPUTES: Duration = Duration::from_millis(100);

/// Runs all checks. One that neither answers nor ends is left behind: its thread ends with the process.
///
/// Slow ones start first, and no more at once than there are cores to run them: all together would finish no earlier,
/// and the slowest among them later.
pub fn examine(scene: &Arc<Scene>, checks: &[Check]) -> Report {
    let (sender, receiver) = channel();
    let mut answers = Answers::new();
    let mut order: Vec<usize> = (0..checks.len()).collect();
    order.sort_by_key(|index| !checks[*index].slow);
    let mut free = std::thread::available_parallelism().map_or(1, usize::from);
    for index in order {
        let Probe::Ask(ask) = &checks[index].probe else { continue };
        if free == 0 {
            // Without an answer, one of those that were started waits, and its core is free.
            free += 1;
            answers.extend(receiver.recv_timeout(COMPUTES));
        }
        free -= 1;
        start(scene, index, ask, &sender);
    }
    drop(sender);
    let longest = checks.iter().map(|check| check.within).max().unwrap_or(DEADLINE);
    collect(&receiver, Instant::now() + longest + GRACE, &mut answers);
    report(checks, answers)
}

/// Runs those again that did not pass in `report`, and puts their new findings into it.
pub fn again(scene: &Arc<Scene>, checks: Vec<Check>, report: &mut Report) {
    let passed =
        |id: &str| report.checks.iter().any(|checked| checked.id == id && checked.finding.outcome == Outcome::Pass);
    let (settled, open): (Vec<Check>, Vec<Check>) = checks.into_iter().partition(|check| passed(&check.id));
    let mut second = examine(scene, &open);
    let settled = |checked: &Checked| settled.iter().any(|check| check.id == checked.id);
    second.checks.extend(report.checks.iter().filter(|checked| settled(checked)).cloned());
    second.checks.sort_by_key(|checked| report.checks.iter().position(|first| first.id == checked.id));
    *report = second;
}

fn start(scene: &Arc<Scene>, index: usize, ask: &Ask, sender: &Sender<Answer>) {
    let (scene, ask, sender) = (Arc::clone(scene), Arc::clone(ask), sender.clone());
    std::thread::spawn(move || {
        let started = Instant::now();
        let asked = catch_unwind(AssertUnwindSafe(|| ask(&scene)));
        let finding = asked.unwrap_or_else(|panic| broken(&*panic));
        // Nobody listens any more once every check has had its time.
        let _ = sender.send((index, (finding, started.elapsed())));
    });
}

fn broken(panic: &(dyn Any + Send)) -> Finding {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Finding::fail(format!("this check itself is broken, please report it: {text}"))
}

/// Ends when the last check has answered, or at the deadline.
fn collect(receiver: &Receiver<Answer>, deadline: Instant, answers: &mut Answers) {
    while let Ok(answer) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        answers.extend([answer]);
    }
}

fn report(checks: &[Check], mut answers: Answers) -> Report {
    let late = |check: &Check| {
        (Finding::fail(format!("gave no answer within {} s", check.within.as_secs())), check.within + GRACE)
    };
    let checked = |(index, check): (usize, &Check)| {
        let (finding, took) = match &check.probe {
            Probe::Known(finding) => (finding.clone(), Duration::ZERO),
            Probe::Ask(_) => answers.remove(&index).unwrap_or_else(|| late(check)),
        };
        Checked { id: check.id.clone(), group: check.group, title: check.title.clone(), finding, took }
    };
    let mut report = Report { checks: checks.iter().enumerate().map(checked).collect() };
    skip_children(checks, &mut report);
    report
}

/// One cause, one line: what depends on a failed check is skipped. It ran all the same, since waiting for the parent
/// would cost every good run what only a bad one gains.
fn skip_children(checks: &[Check], report: &mut Report) {
    for check in checks {
        let Some(parent) = check.parent else { continue };
        let failed = |checked: &&Checked| checked.id == parent && !checked.finding.carries_children();
        let Some(parent) = report.checks.iter().find(failed) else { continue };
        let reason = match parent.finding.outcome {
            Outcome::Skip => parent.finding.detail.clone().unwrap_or_default(),
            _ => format!("not checked until `{}` passes", parent.id),
        };
        if let Some(child) = report.checks.iter_mut().find(|checked| checked.id == check.id) {
            child.finding = Finding::skip(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Group;

    fn answered(checks: &[Check], outcomes: Vec<Finding>) -> Report {
        let answers = outcomes.into_iter().map(|finding| (finding, Duration::ZERO)).enumerate().collect();
        report(checks, answers)
    }

    fn check(id: &str) -> Check {
        Check::new(Group::Tools, id, id, |_| Finding::pass("x"))
    }

    #[test]
    fn a_failed_parent_is_the_only_failure() {
        let checks = [check("a"), check("b").after("a"), check("c").after("b"), check("d")];
        let fail = || Finding::fail("missing");
        let report = answered(&checks, vec![fail(), fail(), fail(), fail()]);
        let outcomes: Vec<_> = report.checks.iter().map(|checked| checked.finding.outcome).collect();
        assert_eq!(outcomes, [Outcome::Fail, Outcome::Skip, Outcome::Skip, Outcome::Fail]);
        let reasons: Vec<_> = report.checks[1..3].iter().map(|checked| checked.finding.detail.clone()).collect();
        assert_eq!(reasons[0], reasons[1], "the first cause is named all the way down");
    }

    #[test]
    fn a_parent_that_is_merely_old_says_enough_for_its_children() {
        let checks = [check("a"), check("b").after("a")];
        let report = answered(&checks, vec![Finding::warn("old").found("1.0.0"), Finding::pass("x")]);
        assert_eq!(report.checks[1].finding.outcome, Outcome::Pass);
        let report = answered(&checks, vec![Finding::warn("missing"), Finding::pass("x")]);
        assert_eq!(report.checks[1].finding.outcome, Outcome::Skip);
    }

    #[test]
    fn a_check_without_an_answer_has_failed() {
        let report = report(&[check("a")], BTreeMap::new());
        assert_eq!(report.checks[0].finding.outcome, Outcome::Fail);
        assert!(report.checks[0].finding.detail.as_deref().is_some_and(|detail| detail.contains("5 s")));
    }

    #[test]
    fn a_check_that_hangs_is_not_waited_for() {
        let (sender, receiver) = channel();
        sender.send((0, (Finding::pass("x"), Duration::ZERO))).unwrap();
        let mut answers = Answers::new();
        collect(&receiver, Instant::now(), &mut answers);
        assert_eq!(answers.len(), 1, "what has answered counts, though the other still holds its sender");
    }

    #[test]
    fn a_panic_is_a_failure_with_its_text() {
        let panic = catch_unwind(|| panic!("index {}", 7)).unwrap_err();
        assert!(broken(&*panic).detail.is_some_and(|detail| detail.contains("index 7")));
    }
}
