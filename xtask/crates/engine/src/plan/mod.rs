//! The deploy graph as data: steps, what each needs, and what it would run. Nothing happens here; [`runner`] runs it.

pub mod pace;
pub mod runner;
mod schedule;
mod step_id;

pub use step_id::{Action, StepId, Subject, ToSubject};

use crate::journal::PlannedStep;
use anyhow::{Result, bail};
use base::proc::CommandLine;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a step would do, for `--dry-run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preview {
    /// An outside program, with its exact arguments.
    Run(CommandLine),
    /// Something that this program does itself.
    Do(String),
}

/// How many steps that hold a place of one name run at once.
pub const PLACES: usize = 16;

/// What a running step may share with others, and what not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Holds {
    #[default]
    Nothing,
    /// A lock that only one step can have at a time, by name (cargo's build directory).
    Lock(&'static str),
    /// Several of them.
    Locks(&'static [&'static str]),
    /// One of the places of this name, of which there are [`PLACES`]: what a machine does hundreds of at once, it does
    /// none of in time.
    Place(&'static str),
    /// The whole machine: benchmarks and load tell nothing beside other work.
    Machine,
}

impl Holds {
    /// The locks that only one step can have at a time.
    fn locks(&self) -> &[&'static str] {
        match self {
            Self::Lock(name) => std::slice::from_ref(name),
            Self::Locks(names) => names,
            Self::Nothing | Self::Place(_) | Self::Machine => &[],
        }
    }
}

/// A node of the graph.
pub struct Step {
    pub id: StepId,
    /// For people: "build 4 services with cargo".
    pub title: String,
    /// The system it belongs to, when it belongs to one.
    pub system: Option<String>,
    pub needs: Vec<StepId>,
    pub holds: Holds,
    pub preview: Vec<Preview>,
    pub work: Box<dyn Work>,
}

/// The behaviour of a step. It may be asked at any time, in any state that an earlier, killed run has left.
pub trait Work: Send + Sync {
    /// Is it already so? The answer is the reason to give; `None` means that there is something to do.
    ///
    /// # Errors
    /// When that cannot be found out; the step has then failed.
    fn is_done(&self, cx: &runner::StepCx<'_>) -> Result<Option<String>>;

    /// Makes it so.
    ///
    /// # Errors
    /// When it cannot; whatever was good before must still be so.
    fn run(&self, cx: &runner::StepCx<'_>) -> Result<Outcome>;
}

/// How a step that acted ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Done, with a word on what it found or made.
    DoneWith(String),
    /// It cannot be had on this machine, which is not a failure. What needs it is skipped with the same reason.
    Skipped(String),
}

/// A graph whose ids are unique, whose needs exist, and which has no cycle. Steps are in an order in which each comes
/// after those it needs.
pub struct Plan {
    steps: Vec<Step>,
}

impl Plan {
    /// # Errors
    /// When the steps do not form such a graph; that is a mistake of the target that contributed them.
    pub fn new(steps: Vec<Step>) -> Result<Self> {
        let mut places: BTreeMap<&StepId, usize> = BTreeMap::new();
        for (place, step) in steps.iter().enumerate() {
            if places.insert(&step.id, place).is_some() {
                bail!("two steps are called `{}`", step.id);
            }
        }
        let needs = |step: &Step| {
            let place = |need: &StepId| match places.get(need) {
                Some(place) => Ok(*place),
                None => bail!("step `{}` needs `{need}`, which is not in the plan", step.id),
            };
            step.needs.iter().map(place).collect::<Result<BTreeSet<usize>>>()
        };
        let needs = steps.iter().map(needs).collect::<Result<Vec<_>>>()?;
        let (order, stuck) = sorted(&needs);
        if !stuck.is_empty() {
            let mut stuck: Vec<_> = stuck.iter().map(|place| steps[*place].id.as_str()).collect();
            stuck.sort_unstable();
            bail!("steps need each other in a circle: {}", stuck.join(", "));
        }
        let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
        Ok(Self { steps: order.into_iter().filter_map(|place| steps[place].take()).collect() })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What it does, as far as that can be told before: each step, what that comes after, and what it would run. Two plans
    /// that are alike in this do the same.
    pub fn effect(&self) -> Vec<(StepId, Vec<StepId>, Vec<Preview>)> {
        let effect = |step: &Step| (step.id.clone(), step.needs.clone(), step.preview.clone());
        self.steps.iter().map(effect).collect()
    }

    /// The plan as the journal records it.
    pub fn outline(&self) -> Vec<PlannedStep> {
        let outline = |step: &Step| PlannedStep {
            id: step.id.to_string(),
            title: step.title.clone(),
            system: step.system.clone(),
            needs: step.needs.iter().map(ToString::to_string).collect(),
        };
        self.steps.iter().map(outline).collect()
    }
}

/// The places in an order in which each comes after those it needs, otherwise the first one first; and those that are
/// never reached, since they are in a circle or behind one.
fn sorted(needs: &[BTreeSet<usize>]) -> (Vec<usize>, Vec<usize>) {
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let dependents = dependents(needs);
    let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|place| open[*place] == 0).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(place) = ready.pop_first() {
        order.push(place);
        for dependent in &dependents[place] {
            open[*dependent] -= 1;
            if open[*dependent] == 0 {
                ready.insert(*dependent);
            }
        }
    }
    let stuck = (0..needs.len()).filter(|place| open[*place] > 0).collect();
    (order, stuck)
}

/// For each place those that need it.
fn dependents(needs: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    let mut dependents = vec![Vec::new(); needs.len()];
    for (place, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| dependents[*need].push(place));
    }
    dependents
}

/// The plan as `--dry-run` prints it: every step with what it needs and the exact command lines.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "{}  {}", step.id, step.title)?;
            if !step.needs.is_empty() {
                let needs: Vec<_> = step.needs.iter().map(StepId::as_str).collect();
                write!(f, "  (after {})", needs.join(", "))?;
            }
            writeln!(f)?;
            for preview in &step.preview {
                match preview {
                    Preview::Run(command) => writeln!(f, "    $ {command}")?,
                    Preview::Do(sentence) => writeln!(f, "    - {sentence}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// A step that does nothing, for tests of the graph.
    pub struct Nothing;

    impl Work for Nothing {
        fn is_done(&self, _: &runner::StepCx<'_>) -> Result<Option<String>> {
            Ok(None)
        }

        fn run(&self, _: &runner::StepCx<'_>) -> Result<Outcome> {
            Ok(Outcome::Done)
        }
    }

    /// Tests make their names up.
    fn id_of(id: &str) -> StepId {
        StepId::new(Action::new(String::leak(id.to_owned())))
    }

    pub fn step(id: &str, needs: &[&str], work: impl Work + 'static) -> Step {
        Step {
            id: id_of(id),
            title: format!("do {id}"),
            system: None,
            needs: needs.iter().copied().map(id_of).collect(),
            holds: Holds::Nothing,
            preview: Vec::new(),
            work: Box::new(work),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Nothing, step};
    use super::*;

    fn error(steps: Vec<Step>) -> String {
        Plan::new(steps).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn steps_come_after_what_they_need() {
        let steps = vec![step("c", &["b"], Nothing), step("b", &["a"], Nothing), step("a", &[], Nothing)];
        let plan = Plan::new(steps).unwrap();
        let ids: Vec<_> = plan.steps().iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
    }

    #[test]
    fn circles_strangers_and_twins_are_refused() {
        let circle = vec![step("a", &["b"], Nothing), step("b", &["a"], Nothing)];
        assert_eq!(error(circle), "steps need each other in a circle: a, b");
        assert_eq!(error(vec![step("a", &["x"], Nothing)]), "step `a` needs `x`, which is not in the plan");
        assert_eq!(error(vec![step("a", &[], Nothing), step("a", &[], Nothing)]), "two steps are called `a`");
    }

    #[test]
    fn plans_are_told_apart_by_what_they_do() {
        let effect = |needs: &[&str], line: &str| {
            let mut last = step("b", needs, Nothing);
            last.preview = vec![Preview::Do(line.to_owned())];
            Plan::new(vec![step("a", &[], Nothing), last]).unwrap().effect()
        };
        let one = effect(&["a"], "to revision 3");
        assert_eq!(one, effect(&["a"], "to revision 3"));
        assert_ne!(one, effect(&["a"], "to revision 4"));
        assert_ne!(one, effect(&[], "to revision 3"));
    }

    #[test]
    fn a_dry_run_prints_needs_and_exact_lines() {
        let mut second = step("b", &["a"], Nothing);
        second.preview =
            vec![Preview::Run(CommandLine::new("cargo").args(["build", "x y"])), Preview::Do("start it".to_owned())];
        let plan = Plan::new(vec![step("a", &[], Nothing), second]).unwrap();
        assert_eq!(plan.to_string(), "a  do a\nb  do b  (after a)\n    $ cargo build 'x y'\n    - start it\n");
    }
}
