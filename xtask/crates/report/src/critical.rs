//! When each step of a run waited and worked, and which of them decided how long the run took.

use super::record::{Run, Step};
use engine::journal::StepResult;
use std::collections::BTreeMap;

/// What became of a step, told from its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ended(StepResult),
    /// It ended in a way that only a later version of this tool knows.
    Unknown,
    /// It had begun when the records stop.
    Unfinished,
    /// Nothing was heard of it.
    NotReached,
}

impl State {
    pub(super) fn of(step: &Step) -> Self {
        match &step.end {
            Some(end) => end.result.map_or(Self::Unknown, Self::Ended),
            None if step.started.is_some() || !step.said.is_empty() => Self::Unfinished,
            None => Self::NotReached,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ended(result) => result.word(),
            Self::Unknown => "ended",
            Self::Unfinished => "unfinished",
            Self::NotReached => "not reached",
        }
    }
}

/// A step's time, in milliseconds since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Everything that it needs had ended.
    pub(super) ready: u64,
    /// It checked whether it is already done.
    pub(super) begin: u64,
    /// It found something to do.
    pub(super) acted: Option<u64>,
    pub(super) end: u64,
}

impl Span {
    pub(super) fn took(self) -> u64 {
        self.end - self.begin
    }

    /// How long it waited though all that it needs was there: for a lock, or for the machine.
    pub(super) fn waited(self) -> u64 {
        self.begin - self.ready
    }
}

/// The time of each step that ran, in the order of the steps.
pub(super) fn spans(run: &Run) -> Vec<Option<Span>> {
    let ends: BTreeMap<&str, u64> =
        run.steps.iter().filter_map(|step| Some((step.id.as_str(), step.end.as_ref()?.at))).collect();
    let span = |step: &Step| {
        let (begin, end) = match &step.end {
            Some(end) if end.took == 0 && step.started.is_none() && !was_asked(end.result) => return None,
            Some(end) => (end.at - end.took, end.at),
            None => (first_heard(step)?, run.last),
        };
        let needed = step.needs.iter().filter_map(|need| ends.get(need.as_str()).copied());
        let ready = needed.max().unwrap_or(run.planned).min(begin);
        let acted = step.started.map(|started| started.clamp(begin, end));
        Some(Span { ready, begin, acted, end })
    };
    run.steps.iter().map(span).collect()
}

/// Whether a step of this result was run; one that was held back took no time.
fn was_asked(result: Option<StepResult>) -> bool {
    !matches!(result, Some(StepResult::Skipped | StepResult::Cancelled))
}

fn first_heard(step: &Step) -> Option<u64> {
    let said = step.said.first().map(|(at, _)| *at);
    [step.started, said].into_iter().flatten().min()
}

/// The chain of needs that took longest: with everything else for nothing, the run would have taken this long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Critical {
    /// Indices of steps, the first one first.
    pub(super) steps: Vec<usize>,
    /// In milliseconds.
    pub(super) took: u64,
}

impl Critical {
    /// Looks only at needs that come before their step, as they do in every plan.
    pub(super) fn of(steps: &[Step], spans: &[Option<Span>]) -> Self {
        // For each step: how long the longest chain that ends with it took, when that was over, and the step before it.
        let mut longest: Vec<(u64, u64, Option<usize>)> = Vec::with_capacity(steps.len());
        let mut index = BTreeMap::new();
        for (at, (step, span)) in steps.iter().zip(spans).enumerate() {
            let before = step.needs.iter().filter_map(|need| index.get(need.as_str()).copied());
            let before = before.filter(|need: &usize| longest[*need].0 > 0).max_by_key(|need| {
                let (took, end, _) = longest[*need];
                (took, end)
            });
            let so_far = before.map_or(0, |need| longest[need].0);
            let own = span.map_or(0, Span::took);
            longest.push((so_far + own, span.map_or(0, |span| span.end), before));
            index.insert(step.id.as_str(), at);
        }
        let last = (0..longest.len()).filter(|at| spans[*at].is_some_and(|span| span.took() > 0));
        let Some(last) = last.max_by_key(|at| (longest[*at].0, longest[*at].1)) else { return Self::default() };
        let mut chain: Vec<usize> = std::iter::successors(Some(last), |at| longest[*at].2).collect();
        chain.retain(|at| spans[*at].is_some_and(|span| span.took() > 0));
        chain.reverse();
        Self { steps: chain, took: longest[last].0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::End;
    use super::*;

    fn step(id: &str, needs: &[&str], begin: u64, end: u64) -> Step {
        let result = Some(StepResult::Done);
        Step {
            id: id.to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            started: Some(begin),
            end: Some(End { at: end, result, took: end - begin, ..End::default() }),
            ..Step::default()
        }
    }

    fn critical(run: &Run) -> (Vec<&str>, u64) {
        let critical = Critical::of(&run.steps, &spans(run));
        (critical.steps.iter().map(|at| run.steps[*at].id.as_str()).collect(), critical.took)
    }

    fn run(steps: Vec<Step>) -> Run {
        Run { planned: 2, last: 1000, steps, ..Run::default() }
    }

    #[test]
    fn the_longest_chain_decides_not_the_longest_step() {
        let steps = vec![
            step("a", &[], 0, 100),
            step("b", &[], 0, 250),
            step("c", &["a"], 100, 300),
            step("d", &["b", "c"], 300, 310),
        ];
        assert_eq!(critical(&run(steps)), (vec!["a", "c", "d"], 310));
    }

    /// `c` could have begun earlier but for a lock: what it waited for is not part of the path.
    #[test]
    fn waiting_for_a_lock_counts_for_nothing() {
        let run = run(vec![step("a", &[], 0, 100), step("b", &[], 0, 400), step("c", &["a"], 400, 900)]);
        assert_eq!(critical(&run), (vec!["a", "c"], 600));
        let spans = spans(&run);
        assert_eq!(spans[2].map(|span| (span.ready, span.waited(), span.took())), Some((100, 300, 500)));
        assert_eq!(spans[0].map(|span| span.ready), Some(0));
    }

    #[test]
    fn what_was_held_back_has_no_time_and_is_on_no_path() {
        let mut skipped = step("b", &["a"], 100, 100);
        skipped.started = None;
        skipped.end.as_mut().unwrap().result = Some(StepResult::Skipped);
        let mut never = step("c", &["b"], 0, 0);
        (never.started, never.end) = (None, None);
        let run = run(vec![step("a", &[], 0, 100), skipped, never]);
        assert_eq!(spans(&run)[1..], [None, None]);
        assert_eq!(critical(&run), (vec!["a"], 100));
        assert_eq!(State::of(&run.steps[2]), State::NotReached);
    }

    #[test]
    fn a_step_that_was_cut_off_lasts_until_the_last_record() {
        let mut cut = step("b", &["a"], 100, 100);
        cut.end = None;
        let run = run(vec![step("a", &[], 0, 100), cut]);
        assert_eq!(State::of(&run.steps[1]), State::Unfinished);
        assert_eq!(critical(&run), (vec!["a", "b"], 1000));
    }

    #[test]
    fn needs_in_a_circle_or_unknown_do_no_harm() {
        let run = run(vec![step("a", &["b", "x"], 0, 5), step("b", &["a", "b"], 5, 9)]);
        assert_eq!(critical(&run), (vec!["a", "b"], 9));
        assert_eq!(critical(&Run::default()), (vec![], 0));
    }
}
