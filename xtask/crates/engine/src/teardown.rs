//! The end of a deployment: which systems go, in which stages, and what is forgotten of them.
//!
//! A backend says of each stage what it removes of a system, or of what all systems share, and how: its work waits until
//! that is gone, on the world's own word, and can be asked at any time whether it is. What comes after what is worked out
//! here, the same for all.

use crate::deployment::Scope;
use crate::ledger::Entry;
use crate::plan::{Action, Holds, Preview, Step, StepId, Work};
use model::name::SystemName;
use std::collections::{BTreeMap, BTreeSet};

/// The systems that go: of those that something was entered for in the ledger, and of `others` that are known by other means,
/// those in the scope.
pub fn going(scope: &Scope, entries: &[Entry], others: impl IntoIterator<Item = SystemName>) -> BTreeSet<SystemName> {
    let made = entries.iter().filter_map(|entry| entry.system.as_deref()?.parse().ok());
    made.chain(others).filter(|system| scope.has(system)).collect()
}

/// Whether an entry is struck from the ledger once the scope is proven gone. What is `kept` is to be found again.
pub fn is_struck(entry: &Entry, scope: &Scope, kept: impl Fn(&Entry) -> bool) -> bool {
    scope.covers(entry.system.as_deref()) && !kept(entry)
}

/// What a stage removes, and how.
pub struct Removal {
    pub title: String,
    pub preview: Vec<Preview>,
    pub work: Box<dyn Work>,
}

impl Removal {
    pub fn new(title: impl Into<String>, preview: Vec<Preview>, work: impl Work + 'static) -> Self {
        Self { title: title.into(), preview, work: Box::new(work) }
    }
}

type OfSystem<'b> = Box<dyn Fn(&SystemName) -> Option<Removal> + 'b>;

/// One stage of a teardown.
pub struct Stage<'b> {
    action: Action,
    /// The stages before it: of one that is about systems, those of the same system.
    after: Vec<Action>,
    what: What<'b>,
}

enum What<'b> {
    /// Something of each system, if it has that.
    OfSystems(OfSystem<'b>),
    /// Something that all of them share.
    Shared(Removal),
    /// Steps of others, that come first.
    Given(Vec<StepId>),
}

impl<'b> Stage<'b> {
    /// Removes something of each system. Of a system that `removal` has nothing of there is no step, and what comes after
    /// it comes after what it would have come after.
    pub fn of_systems(action: Action, after: &[Action], removal: impl Fn(&SystemName) -> Option<Removal> + 'b) -> Self {
        Self { action, after: after.to_vec(), what: What::OfSystems(Box::new(removal)) }
    }

    /// Removes, at once, what belongs to none of the systems. After a stage about systems it comes after that of each.
    pub fn shared(action: Action, after: &[Action], removal: Removal) -> Self {
        Self { action, after: after.to_vec(), what: What::Shared(removal) }
    }

    /// These steps, which somebody else adds, are what stages after `action` come after.
    pub fn given(action: Action, steps: Vec<StepId>) -> Self {
        Self { action, after: Vec::new(), what: What::Given(steps) }
    }

    pub fn action(&self) -> Action {
        self.action
    }

    /// The same stage with other work in its steps.
    pub fn with_work(self, work: impl Fn(Box<dyn Work>) -> Box<dyn Work> + 'b) -> Self {
        let what = match self.what {
            What::OfSystems(removal) => What::OfSystems(Box::new(move |system| {
                removal(system).map(|removal| Removal { work: work(removal.work), ..removal })
            })),
            What::Shared(removal) => What::Shared(Removal { work: work(removal.work), ..removal }),
            What::Given(steps) => What::Given(steps),
        };
        Self { what, ..self }
    }
}

/// A step about the deployment as a whole that is planned elsewhere, too.
impl From<Step> for Stage<'_> {
    fn from(step: Step) -> Self {
        let Step { id, title, needs, preview, work, .. } = step;
        let after: Vec<Action> = needs.iter().map(StepId::action).collect();
        Self::shared(id.action(), &after, Removal { title, preview, work })
    }
}

/// The steps of these stages for these systems. Stages about systems that stand side by side are listed system by system.
pub fn steps(stages: Vec<Stage<'_>>, systems: impl IntoIterator<Item = SystemName>) -> Vec<Step> {
    let systems: BTreeSet<SystemName> = systems.into_iter().collect();
    let mut rows: Vec<Row> = stages.into_iter().map(|stage| Row::of(stage, &systems)).collect();
    let mut places = Vec::new();
    let mut end = 0;
    for group in rows.chunk_by(|row, next| row.is_of_systems() && next.is_of_systems()) {
        let indices = end..end + group.len();
        end = indices.end;
        match group {
            [row] if !row.is_of_systems() => places.push((indices.start, None)),
            _ => places.extend(systems.iter().flat_map(|system| indices.clone().map(move |row| (row, Some(system))))),
        }
    }
    let graph = Graph { rows: &rows, systems: &systems };
    let needs: Vec<Vec<StepId>> = places.iter().map(|(row, system)| graph.needs(&rows[*row].after, *system)).collect();
    let step = |((row, system), needs): ((usize, Option<&SystemName>), Vec<StepId>)| rows[row].step(system, needs);
    places.into_iter().zip(needs).filter_map(step).collect()
}

/// A stage with all that it removes.
struct Row {
    action: Action,
    after: Vec<Action>,
    made: Made,
}

enum Made {
    OfSystems(BTreeMap<SystemName, Removal>),
    Shared(Option<Removal>),
    Given(Vec<StepId>),
}

impl Row {
    fn of(stage: Stage<'_>, systems: &BTreeSet<SystemName>) -> Self {
        let made = match stage.what {
            What::OfSystems(removal) => {
                let made = |system: &SystemName| Some((system.clone(), removal(system)?));
                Made::OfSystems(systems.iter().filter_map(made).collect())
            }
            What::Shared(removal) => Made::Shared(Some(removal)),
            What::Given(steps) => Made::Given(steps),
        };
        Self { action: stage.action, after: stage.after, made }
    }

    fn is_of_systems(&self) -> bool {
        matches!(self.made, Made::OfSystems(_))
    }

    fn step(&mut self, system: Option<&SystemName>, needs: Vec<StepId>) -> Option<Step> {
        let (id, removal) = match (&mut self.made, system) {
            (Made::OfSystems(made), Some(system)) => (self.action.of(system), made.remove(system)?),
            (Made::Shared(removal), _) => (StepId::new(self.action), removal.take()?),
            _ => return None,
        };
        let Removal { title, preview, work } = removal;
        Some(Step { id, title, system: system.map(ToString::to_string), needs, holds: Holds::Nothing, preview, work })
    }
}

/// What comes after what.
struct Graph<'r> {
    rows: &'r [Row],
    systems: &'r BTreeSet<SystemName>,
}

impl Graph<'_> {
    fn row(&self, action: Action) -> Option<&Row> {
        self.rows.iter().find(|row| row.action == action)
    }

    /// The steps of these stages: those of one system, or of all.
    fn needs(&self, after: &[Action], system: Option<&SystemName>) -> Vec<StepId> {
        let is_of_systems = |action: &Action| self.row(*action).is_some_and(Row::is_of_systems);
        let mut needs = Vec::new();
        for group in after.chunk_by(|action, next| is_of_systems(action) && is_of_systems(next)) {
            match system {
                None if group.iter().all(is_of_systems) => {
                    let all = self.systems.iter().flat_map(|system| group.iter().map(move |action| (action, system)));
                    all.for_each(|(action, system)| self.add(*action, Some(system), &mut needs));
                }
                _ => group.iter().for_each(|action| self.add(*action, system, &mut needs)),
            }
        }
        needs
    }

    /// Adds a stage's steps, or what they would come after. Of a stage that is not there the plan says so.
    fn add(&self, action: Action, system: Option<&SystemName>, needs: &mut Vec<StepId>) {
        let found = match (self.row(action).map(|row| (&row.made, &row.after)), system) {
            (Some((Made::OfSystems(made), _)), Some(system)) if made.contains_key(system) => vec![action.of(system)],
            (Some((Made::OfSystems(_), after)), _) => self.needs(after, system),
            (Some((Made::Given(steps), _)), _) => steps.clone(),
            (Some((Made::Shared(_), _)) | None, _) => vec![StepId::new(action)],
        };
        for id in found {
            if !needs.contains(&id) {
                needs.push(id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
