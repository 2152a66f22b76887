//! How a service takes the place of one that no file declares any more: with its port, its data and its secrets.

use super::start::launch;
use super::{Supervised, revision};
use anyhow::{Context, Result};
use engine::plan::runner::StepCx;
use engine::reconcile::{Change, Changes, UnitId};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a service takes over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Succession {
    /// Whose data and secrets it gets.
    pub(super) from: Option<UnitId>,
    /// Those in whose place it comes.
    pub(super) old: Vec<UnitId>,
}

impl Succession {
    pub(super) fn of(changes: &Changes, unit: &UnitId) -> Self {
        let from = changes.adopted(unit).cloned();
        let old = match changes.units.get(unit) {
            Some(Change::Replace { old } | Change::Adopt { old, .. }) => old.iter().cloned().collect(),
            _ => Vec::new(),
        };
        Self { from, old }
    }

    pub(super) fn is_none(&self) -> bool {
        self.from.is_none() && self.old.is_empty()
    }

    /// What a reader of the plan should know: when something stops before its successor runs.
    pub(super) fn preview(&self, core: &Supervised, unit: &UnitId) -> Vec<String> {
        let takes = |old: &UnitId| match (&self.from, self.stops_first(core, unit, old)) {
            (Some(from), _) if from == old => format!("in the place of `{old}`, which stops first: it gets its data"),
            (_, true) => format!("in the place of `{old}`, which stops first: it cannot pass its port on"),
            (_, false) => format!("in the place of `{old}`"),
        };
        self.old.iter().map(takes).collect()
    }

    /// Whether something has to end before its successor can start: they would share what is stored, or a port that is
    /// not passed on.
    fn stops_first(&self, core: &Supervised, unit: &UnitId, old: &UnitId) -> bool {
        if old.service == unit.service {
            return false;
        }
        let in_the_way = core.shared_address(unit, old).is_some_and(|shared| !core.passes_socket(unit, old, shared));
        self.from.as_ref() == Some(old) || in_the_way
    }

    /// Ends what has to end first, and hands its data over.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(super) fn begin(&self, core: &Supervised, unit: &UnitId, cx: &StepCx<'_>) -> Result<()> {
        for old in self.old.iter().filter(|old| self.stops_first(core, unit, old)) {
            cx.status(format!("stopping `{old}`"));
            core.client()?.stop(&old.service)?;
        }
        if let Some(from) = &self.from {
            core.secrets.copy(from, unit)?;
        }
        if let Some(from) = self.from.as_ref().filter(|from| from.service != unit.service) {
            cx.status(format!("taking over what `{from}` stored"));
            core.runtime.hand_over(core, &from.service, unit)?;
        }
        Ok(())
    }

    /// Ends those whose port has been passed on.
    ///
    /// # Errors
    /// When the supervisor refuses.
    pub(super) fn complete(&self, core: &Supervised, unit: &UnitId) -> Result<()> {
        for old in self.old.iter().filter(|old| old.service != unit.service && core.shares_address(unit, old)) {
            core.client()?.stop(&old.service)?;
        }
        Ok(())
    }

    /// Puts everything back as it was: the data first, where there is some. Says which units serve again.
    ///
    /// # Errors
    /// When one of them does not start, or data cannot be moved.
    pub(super) fn revert(&self, core: &Arc<Supervised>, unit: &UnitId, cx: &StepCx<'_>) -> Result<Vec<UnitId>> {
        let moved = self.old.iter().any(|old| old.service == unit.service);
        let handed = self.from.as_ref().filter(|from| from.service != unit.service);
        if let Some(from) = handed {
            core.client()?.stop(&unit.service)?;
            core.runtime.hand_over(core, &unit.service, from)?;
        }
        core.runtime.give_back(core, unit, &self.old, cx)?;
        let mut again = Vec::new();
        for old in &self.old {
            let mut history = revision::history(&core.home().releases(&old.system))?.into_iter().rev();
            let recipe =
                history.find_map(|proven| proven.recipes.into_iter().find(|known| known.service == old.service));
            let Some(recipe) = recipe else { continue };
            launch(core, &recipe, &old.system, cx).with_context(|| format!("start `{old}` again"))?;
            again.push(old.clone());
        }
        if handed.is_none() && !moved && !self.old.is_empty() {
            core.client()?.stop(&unit.service)?;
        }
        Ok(again)
    }

    /// Whether nothing of it is left to be done.
    pub(super) fn is_done(&self, core: &Supervised, unit: &UnitId) -> Result<bool> {
        if self.is_none() {
            return Ok(true);
        }
        let status = core.supervised()?;
        let runs = |old: &&UnitId| old.service != unit.service && status.iter().any(|s| s.service == old.service);
        let waits =
            self.old.iter().filter(runs).any(|old| self.stops_first(core, unit, old) || core.shares_address(unit, old));
        Ok(self.from.is_none() && !waits)
    }
}

impl Supervised {
    /// Whether a service is to listen where an old one does.
    fn shares_address(&self, unit: &UnitId, old: &UnitId) -> bool {
        self.shared_address(unit, old).is_some()
    }

    /// Where an old service listens in the way of a new one.
    fn shared_address(&self, unit: &UnitId, old: &UnitId) -> Option<SocketAddr> {
        if !self.runtime.shares_addresses() {
            return None;
        }
        let wanted = self.wanted_address(unit)?;
        let status = self.supervised().unwrap_or_default();
        let holds = status.into_iter().find(|status| status.service == old.service).and_then(|status| status.current);
        holds.map(|current| current.listen).filter(|listen| supervisor::overlap(wanted, *listen))
    }

    fn wanted_address(&self, unit: &UnitId) -> Option<SocketAddr> {
        self.addresses().ok()?.get(&unit.service).copied()
    }

    /// Whether the supervisor passes on the socket that an old one has there: both have to take one, of the same address.
    fn passes_socket(&self, unit: &UnitId, old: &UnitId, listen: SocketAddr) -> bool {
        let is_own = |name| self.service(name).is_some_and(|service: &model::system::Service| service.is_own());
        self.wanted_address(unit) == Some(listen) && is_own(&unit.service) && is_own(&old.service)
    }
}

/// "`shop/epoch`, `shop/redis`"
pub(super) fn names(again: &[UnitId]) -> String {
    again.iter().map(|unit| format!("`{unit}`")).collect::<Vec<_>>().join(", ")
}
