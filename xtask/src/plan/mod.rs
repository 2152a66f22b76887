//! The deploy graph as data: steps, what each needs, and what it would run. Nothing happens here; [`runner`] runs it.

pub mod pace;
pub mod runner;

use crate::journal::PlannedStep;
use crate::proc::CommandLine;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The name of a step, unique within a plan: `build`, `start:epoch`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(String);

impl StepId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a step would do, for `--dry-run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preview {
    /// An outside program, with its exact arguments.
    Run(CommandLine),
    /// Something that this program does itself.
    Do(String),
}

/// What a running step may share with others, and what not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Holds {
    #[default]
    Nothing,
    /// A lock that only one step can have at a time, by name (cargo's build directory).
    Lock(&'static str),
    /// The whole machine: benchmarks and load tell nothing beside other work.
    Machine,
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
    fn already(&self, cx: &runner::StepCx<'_>) -> Result<Option<String>>;

    /// Makes it so.
    ///
    /// # Errors
    /// When it cannot; whatever was good before must still be so.
    fn act(&self, cx: &runner::StepCx<'_>) -> Result<Outcome>;
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
        let mut waiting: BTreeMap<StepId, Step> = BTreeMap::new();
        let mut order = Vec::new();
        for step in steps {
            order.push(step.id.clone());
            if let Some(twice) = waiting.insert(step.id.clone(), step) {
                bail!("two steps are called `{}`", twice.id);
            }
        }
        for step in waiting.values() {
            if let Some(missing) = step.needs.iter().find(|need| !waiting.contains_key(need)) {
                bail!("step `{}` needs `{missing}`, which is not in the plan", step.id);
            }
        }
        let mut placed = BTreeSet::new();
        let mut sorted = Vec::new();
        while !waiting.is_empty() {
            let ready =
                |id: &&StepId| waiting.get(id).is_some_and(|step| step.needs.iter().all(|n| placed.contains(n)));
            let Some(id) = order.iter().find(ready).cloned() else {
                let stuck: Vec<_> = waiting.keys().map(StepId::as_str).collect();
                bail!("steps need each other in a circle: {}", stuck.join(", "));
            };
            sorted.extend(waiting.remove(&id));
            placed.insert(id);
        }
        Ok(Self { steps: sorted })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
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
pub(crate) mod testing {
    use super::*;

    /// A step that does nothing, for tests of the graph.
    pub(crate) struct Nothing;

    impl Work for Nothing {
        fn already(&self, _: &runner::StepCx<'_>) -> Result<Option<String>> {
            Ok(None)
        }

        fn act(&self, _: &runner::StepCx<'_>) -> Result<Outcome> {
            Ok(Outcome::Done)
        }
    }

    pub(crate) fn step(id: &str, needs: &[&str], work: impl Work + 'static) -> Step {
        Step {
            id: StepId::new(id),
            title: format!("do {id}"),
            system: None,
            needs: needs.iter().copied().map(StepId::new).collect(),
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
    fn a_dry_run_prints_needs_and_exact_lines() {
        let mut second = step("b", &["a"], Nothing);
        second.preview =
            vec![Preview::Run(CommandLine::new("cargo").args(["build", "x y"])), Preview::Do("start it".to_owned())];
        let plan = Plan::new(vec![step("a", &[], Nothing), second]).unwrap();
        assert_eq!(plan.to_string(), "a  do a\nb  do b  (after a)\n    $ cargo build 'x y'\n    - start it\n");
    }
}
