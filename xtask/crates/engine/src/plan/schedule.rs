//! Which step of a plan is next. What each answer costs does not grow with the number of steps.

use super::{Holds, PLACES, Plan, Step, StepId};
use crate::journal::{StepEnd, StepResult};
use base::error::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// Why a step is not begun once the lease is lost.
pub(super) const LOST_BEFORE: &str = "the lease was lost before it started";

/// The steps of a plan, by their places in it, on their way from waiting to ended.
pub(super) struct Schedule<'p> {
    steps: &'p [Step],
    needs: Vec<BTreeSet<usize>>,
    dependents: Vec<Vec<usize>>,
    /// How many needs of each step have not ended.
    open: Vec<usize>,
    /// Those that only what others hold keeps from starting.
    ready: BTreeMap<Holds, BTreeSet<usize>>,
    /// How many that run hold each thing.
    running: BTreeMap<Holds, usize>,
    ends: Vec<Option<StepEnd>>,
}

impl<'p> Schedule<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        let steps = plan.steps();
        let places: BTreeMap<&StepId, usize> = steps.iter().zip(0..).map(|(step, place)| (&step.id, place)).collect();
        let needs = |step: &Step| step.needs.iter().filter_map(|need| places.get(need).copied()).collect();
        let needs: Vec<BTreeSet<usize>> = steps.iter().map(needs).collect();
        let open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
        let mut ready: BTreeMap<Holds, BTreeSet<usize>> = BTreeMap::new();
        for place in (0..steps.len()).filter(|place| open[*place] == 0) {
            ready.entry(steps[place].holds).or_default().insert(place);
        }
        let (dependents, running) = (super::dependents(&needs), BTreeMap::new());
        Self { steps, dependents, needs, open, ready, running, ends: vec![None; steps.len()] }
    }

    /// The first step that can start; from now on it runs.
    pub(super) fn next(&mut self) -> Option<(usize, &'p Step)> {
        let first = |(holds, places): (&Holds, &BTreeSet<usize>)| {
            self.has_room(*holds).then(|| places.first().copied()).flatten()
        };
        let place = self.ready.iter().filter_map(first).min()?;
        let step = &self.steps[place];
        self.ready.get_mut(&step.holds)?.remove(&place);
        *self.running.entry(step.holds).or_default() += 1;
        Some((place, step))
    }

    fn has_room(&self, holds: Holds) -> bool {
        let running = |holds| self.running.get(&holds).copied().unwrap_or_default();
        if running(Holds::Machine) > 0 {
            return false;
        }
        match holds {
            Holds::Nothing => true,
            Holds::Lock(_) | Holds::Locks(_) => {
                let held = self.running.iter().filter(|(_, count)| **count > 0).flat_map(|(other, _)| other.locks());
                !held.into_iter().any(|name| holds.locks().contains(name))
            }
            Holds::Place(_) => running(holds) < PLACES,
            Holds::Machine => self.running.values().all(|count| *count == 0),
        }
    }

    /// Takes the end of a step that ran. Returns those that come to nothing by it, the first one first.
    pub(super) fn end(&mut self, place: usize, end: StepEnd) -> Vec<(usize, StepEnd)> {
        if let Some(count) = self.running.get_mut(&self.steps[place].holds) {
            *count -= 1;
        }
        let mut blocked = Vec::new();
        let mut settled = BTreeSet::from([place]);
        self.ends[place] = Some(end);
        while let Some(place) = settled.pop_first() {
            for dependent in self.dependents[place].clone() {
                self.open[dependent] -= 1;
                // One that was cancelled meanwhile has ended already.
                if self.open[dependent] > 0 || self.ends[dependent].is_some() {
                    continue;
                }
                match self.blocked(dependent) {
                    Some(end) => {
                        self.ends[dependent] = Some(end.clone());
                        blocked.push((dependent, end));
                        settled.insert(dependent);
                    }
                    None => {
                        self.ready.entry(self.steps[dependent].holds).or_default().insert(dependent);
                    }
                }
            }
        }
        blocked.sort_by_key(|(place, _)| *place);
        blocked
    }

    /// What becomes of a step all of whose needs have ended, and one of them not well.
    fn blocked(&self, place: usize) -> Option<StepEnd> {
        let ended = |need: &usize| blocked_by(&self.steps[*need].id, self.ends[*need].as_ref()?);
        self.needs[place].iter().find_map(ended)
    }

    /// Ends all that have not started. Returns them, the first one first.
    pub(super) fn cancel(&mut self, running: &BTreeSet<usize>, why: &str) -> Vec<(usize, StepEnd)> {
        let waits = |place: &usize| self.ends[*place].is_none() && !running.contains(place);
        let cancelled = not_run(StepResult::Cancelled, why.to_owned());
        let all: Vec<_> = (0..self.steps.len()).filter(waits).map(|place| (place, cancelled.clone())).collect();
        for (place, end) in &all {
            self.ends[*place] = Some(end.clone());
        }
        self.ready.clear();
        all
    }

    /// Ends all that have not started, for a reason that one of them tells unless one that ran has.
    pub(super) fn refuse(&mut self, fault: &Fault) -> Vec<(usize, StepEnd)> {
        let failures = self.ends.iter().flatten().filter_map(|end| end.failure.as_ref());
        let is_told = failures.into_iter().any(|failure| failure.code == fault.code);
        let mut ended = self.cancel(&BTreeSet::new(), LOST_BEFORE);
        if let Some((place, end)) = ended.first_mut().filter(|_| !is_told) {
            *end = StepEnd { result: StepResult::Failed, seconds: 0.0, reason: None, failure: Some(fault.clone()) };
            self.ends[*place] = Some(end.clone());
        }
        ended
    }

    /// How each step ended, in the order of the plan.
    pub(super) fn ends(self) -> Vec<(StepId, StepEnd)> {
        self.steps.iter().zip(self.ends).filter_map(|(step, end)| Some((step.id.clone(), end?))).collect()
    }
}

/// What becomes of a step when one that it needs did not succeed. The first cause is handed on, not the chain.
fn blocked_by(need: &StepId, end: &StepEnd) -> Option<StepEnd> {
    match end.result {
        StepResult::Done | StepResult::Unchanged => None,
        StepResult::Failed => Some(not_run(StepResult::Skipped, format!("needs `{need}`, which failed"))),
        StepResult::Skipped | StepResult::Cancelled => {
            Some(not_run(end.result, end.reason.clone().unwrap_or_else(|| format!("needs `{need}`"))))
        }
    }
}

fn not_run(result: StepResult, reason: String) -> StepEnd {
    StepEnd { result, seconds: 0.0, reason: Some(reason), failure: None }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Nothing, step};
    use super::*;

    fn done() -> StepEnd {
        StepEnd { result: StepResult::Done, seconds: 0.0, reason: None, failure: None }
    }

    #[test]
    fn only_so_many_hold_a_place_at_once() {
        let mut steps: Vec<_> = (0..PLACES + 2).map(|n| step(&format!("s{n:02}"), &[], Nothing)).collect();
        steps.iter_mut().for_each(|step| step.holds = Holds::Place("start"));
        steps.push(step("beside", &[], Nothing));
        let plan = Plan::new(steps).unwrap();
        let mut schedule = Schedule::new(&plan);
        let started: Vec<usize> = std::iter::from_fn(|| schedule.next().map(|(place, _)| place)).collect();
        let expected: Vec<usize> = (0..PLACES).chain([PLACES + 2]).collect();
        assert_eq!(started, expected);
        assert!(schedule.end(3, done()).is_empty());
        assert_eq!(schedule.next().map(|(place, _)| place), Some(PLACES));
        assert!(schedule.next().is_none());
    }

    #[test]
    fn a_step_waits_for_each_of_its_locks() {
        let mut steps = ["a", "b", "both"].map(|id| step(id, &[], Nothing));
        steps[0].holds = Holds::Lock("one");
        steps[1].holds = Holds::Locks(&["other"]);
        steps[2].holds = Holds::Locks(&["one", "other"]);
        let plan = Plan::new(steps.into()).unwrap();
        let mut schedule = Schedule::new(&plan);
        let started: Vec<usize> = std::iter::from_fn(|| schedule.next().map(|(place, _)| place)).collect();
        assert_eq!(started, [0, 1]);
        schedule.end(0, done());
        assert!(schedule.next().is_none());
        schedule.end(1, done());
        assert_eq!(schedule.next().map(|(place, _)| place), Some(2));
    }

    #[test]
    fn what_a_failure_keeps_from_running_ends_with_it() {
        let plan = Plan::new(vec![
            step("a", &[], Nothing),
            step("b", &["a"], Nothing),
            step("c", &["b"], Nothing),
            step("d", &[], Nothing),
        ]);
        let plan = plan.unwrap();
        let mut schedule = Schedule::new(&plan);
        let (place, _) = schedule.next().unwrap();
        let blocked = schedule.end(place, StepEnd { result: StepResult::Failed, ..done() });
        let told: Vec<_> = blocked.iter().map(|(place, end)| (*place, end.reason.clone().unwrap())).collect();
        let reason = "needs `a`, which failed".to_owned();
        assert_eq!(told, [(1, reason.clone()), (2, reason)]);
        assert_eq!(schedule.next().map(|(place, _)| place), Some(3));
    }
}
