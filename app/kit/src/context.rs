//! What a service is given when it starts.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::health::Health;
use crate::metrics::Metrics;

/// Handles to what the kit runs for a service.
#[derive(Clone)]
pub struct Context {
    /// Readiness conditions and the heartbeats of background work.
    pub health: Health,
    /// Where the service registers counters of its own.
    pub metrics: Metrics,
    /// Cancelled when the process is told to stop.
    pub stopping: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Context {
    pub(crate) fn new(health: Health, metrics: Metrics) -> Self {
        Self { health, metrics, stopping: CancellationToken::new(), tasks: TaskTracker::new() }
    }

    /// Runs background work that is waited for at shutdown: it has to end soon after [`Context::stopping`].
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }
}
