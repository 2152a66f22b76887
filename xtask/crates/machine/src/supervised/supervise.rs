//! The step that sees to the supervisor.

use super::Supervised;
use anyhow::Result;
use base::text::counted;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use std::sync::Arc;
use supervisor::{Client, Connection};

/// Sees to it that the supervisor runs. Services that a killed one left behind are ended first.
pub(super) struct SupervisorWork {
    pub(super) core: Arc<Supervised>,
}

impl Work for SupervisorWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(match Client::connect(self.core.home().dir()) {
            Connection::Live(client) if !client.has_ended() => Some(format!("process {}", client.process().pid)),
            Connection::Live(_) | Connection::Absent | Connection::Foreign(_) => None,
        })
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let dir = self.core.home().dir();
        cx.status("starting");
        let ensured = supervisor::ensure(dir, &self.core.own_program, &self.core.surroundings())?;
        let process = ensured.client.process();
        self.core.enter(Entry {
            kind: "process".to_owned(),
            id: "supervisor".to_owned(),
            system: None,
            identity: process.to_json(),
        })?;
        let mut words = vec![format!("process {}", process.pid)];
        if ensured.replaced.is_some() {
            words.push("instead of one of another version".to_owned());
        }
        if !ensured.orphans.is_empty() {
            words.push(format!(
                "ended {} of one that was killed",
                counted(ensured.orphans.len(), "service", "services")
            ));
        }
        Ok(Outcome::DoneWith(words.join(", ")))
    }
}
