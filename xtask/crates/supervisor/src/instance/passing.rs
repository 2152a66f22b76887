//! What comes to a service is passed on to an instance, and to the next one when that takes over.

use super::spawn::bind;
use super::{Instance, Phase};
use crate::launch_strategy::LaunchStrategy;
use crate::relay::Relay;
use anyhow::Result;
use base::http::Via;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one that an edge sends nothing to any more still takes what comes: the edge may have chosen it for a request
/// just before, and not be connected yet. What a relay has passed on is known, and waited for.
pub(super) const DRAIN: Duration = Duration::from_secs(1);
impl Instance {
    /// Ends it for good once the requests that an edge has already sent on their way to it are there, or those that were
    /// passed on to it are done.
    pub(crate) fn drain(&mut self, now: Instant) {
        self.drained_at = Some(now + if self.relay.is_some() { self.spec.stop_within } else { DRAIN });
        self.enter(Phase::Ending);
    }

    pub(crate) fn end_when_drained(&mut self, now: Instant) {
        let is_left = || self.relay.as_ref().zip(self.own_address()).is_some_and(|(relay, own)| relay.is_left(own));
        if self.drained_at.is_some_and(|at| now >= at || is_left()) {
            self.end(now);
        }
    }

    /// Whether requests may still be on their way to it when another takes over.
    pub(crate) fn has_to_drain(&self) -> bool {
        self.relay.is_some() || self.switch().is_some()
    }

    /// Where it listens behind its relay.
    fn own_address(&self) -> Option<SocketAddr> {
        match self.process.as_ref()?.admin {
            Some(Via::Address(own)) if self.spec.style == LaunchStrategy::Relay => Some(own),
            _ => None,
        }
    }

    /// Has what comes to the service passed on to this one, once it is ready, where it is not asked directly.
    ///
    /// # Errors
    /// When the port of the service cannot be listened on.
    pub(crate) fn serve(&mut self) -> Result<()> {
        let own = self.own_address().filter(|_| matches!(self.phase, Phase::Ready(_) | Phase::Unready));
        if self.relay.is_none() && own.is_some() {
            self.relay = Some(Arc::new(Relay::on(bind(self.spec.listen)?)?));
        }
        self.relay.iter().for_each(|relay| relay.point(own));
        Ok(())
    }
}
