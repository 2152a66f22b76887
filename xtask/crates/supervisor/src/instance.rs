//! One instance of a service: its process, how it is doing, and when it is started again.
//!
//! Time is passed in and nothing here waits, so that one loop can watch all instances.

mod passing;
mod spawn;

use super::backoff::Backoff;
use super::launch::LaunchSpec;
use super::launch_strategy::LaunchStrategy;
use super::question::{Answer, Question};
use super::relay::Relay;
use super::route::Switch;
use super::status::{Ending, InstanceStatus, State};
use anyhow::Result;
use base::http::Via;
use base::os;
use base::os::ProcessId;
use base::proc::ServiceChild;
use nix::sys::signal::Signal;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// So many liveness probes may fail in a row before the process is replaced, as Kubernetes has it by default.
const MISSES: u32 = 3;
/// A process that was ready for so long has recovered from what made its predecessors fail.
const STEADY: Duration = Duration::from_secs(60);
/// How often one that starts is asked, soon after its start and later on.
const EAGER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));
const EAGER_FOR: Duration = Duration::from_secs(2);

pub(super) struct Instance {
    pub(super) number: u64,
    pub(super) spec: LaunchSpec,
    /// With handover, from the first start on: the socket of `spec.listen`, shared with other instances.
    pub(super) socket: Option<Arc<TcpListener>>,
    /// What passes on to it what comes to `spec.listen`, shared with the version that follows.
    pub(super) relay: Option<Arc<Relay>>,
    /// It was to be behind a relay, and listens on `spec.listen` by itself.
    is_direct: bool,
    process: Option<Process>,
    phase: Phase,
    since: SystemTime,
    restarts: u64,
    reason: Option<String>,
    last_exit: Option<Ending>,
    last_probe: Option<String>,
    overdue: Option<Vec<u16>>,
    /// Liveness probes that failed in a row.
    misses: u32,
    backoff: Backoff,
    /// Tells the answers about this process from those about its predecessors.
    starts: u64,
    /// For which of its processes its route was written last; none before it was promoted.
    routed: Option<u64>,
    next_probe: Instant,
    probing: bool,
    /// Set while requests may still come to one that another has taken over from: when it is told to end.
    drained_at: Option<Instant>,
}

struct Process {
    child: ServiceChild,
    id: Option<ProcessId>,
    admin: Option<Via>,
    started: Instant,
    /// Set when it was told to end: when it is killed.
    kill_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be started once what it replaces has ended.
    Waiting,
    Starting,
    Ready(Instant),
    Unready,
    /// Told to end, to be started again or not.
    Ending,
    /// Between two starts.
    Resting(Instant),
    /// Ended for a candidate that needs its port, and kept in case that fails.
    Displaced,
    /// A candidate that will not become ready.
    Failed,
}

/// Cheap to take and to compare: number, phase, restarts, process.
pub(super) type Mark = (u64, Phase, u64, Option<u32>);

impl Instance {
    pub(super) fn new(number: u64, spec: LaunchSpec, now: Instant) -> Self {
        Self {
            number,
            spec,
            socket: None,
            relay: None,
            is_direct: false,
            process: None,
            phase: Phase::Waiting,
            since: SystemTime::now(),
            restarts: 0,
            reason: None,
            last_exit: None,
            last_probe: None,
            overdue: None,
            misses: 0,
            backoff: Backoff::default(),
            starts: 0,
            routed: None,
            next_probe: now,
            probing: false,
            drained_at: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn has_process(&self) -> bool {
        self.process.is_some()
    }

    /// Whether something is about to happen to it that somebody waits for.
    pub(super) fn is_moving(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Starting | Phase::Ending | Phase::Displaced)
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        if std::mem::discriminant(&self.phase) != std::mem::discriminant(&phase) {
            self.since = SystemTime::now();
        }
        self.phase = phase;
    }

    /// Starts the process; `exec` is this binary. Failing to is left to the caller to enter.
    pub(super) fn launch(&mut self, exec: &Path, now: Instant) -> Result<()> {
        self.starts += 1;
        self.misses = 0;
        self.probing = false;
        self.next_probe = now;
        let (child, admin) = self.spawn(exec)?;
        let id = os::identity(child.pid());
        self.process = Some(Process { child, id, admin, started: now, kill_at: None });
        self.enter(Phase::Starting);
        Ok(())
    }

    /// Tells the process to end, and kills it when it takes longer than allowed.
    pub(super) fn end(&mut self, now: Instant) {
        if let Some(process) = self.process.as_mut().filter(|process| process.kill_at.is_none()) {
            process.child.signal_group(Signal::SIGTERM);
            process.kill_at = Some(now + self.spec.kill_after());
        }
    }

    /// Ends it for good. Without our hold on the socket, connections are refused as soon as the process closes its own.
    pub(super) fn retire(&mut self, now: Instant) {
        self.end(now);
        self.enter(Phase::Ending);
        self.let_go();
    }

    /// Makes room for a candidate that cannot run beside it.
    pub(super) fn displace(&mut self, now: Instant) {
        self.end(now);
        self.enter(Phase::Displaced);
        self.let_go();
    }

    /// Leaves the port to others.
    pub(super) fn let_go(&mut self) {
        self.socket = None;
        self.relay = None;
    }

    /// Whether this one and `other` may run at the same time.
    pub(super) fn runs_beside(&self, other: &Self) -> bool {
        self.spec.runs_beside(&other.spec) && !self.is_direct && !other.is_direct
    }

    /// Whether a candidate may start: this current instance can run beside it, or has made room.
    pub(super) fn is_out_of_the_way(&self) -> bool {
        self.phase != Phase::Displaced || self.process.is_none()
    }

    /// Whether `other` cannot start while this one runs.
    pub(super) fn blocks(&self, other: &Self) -> bool {
        self.process.is_some() && !self.runs_beside(other)
    }

    /// Looks after the process. `true` when it has just ended.
    pub(super) fn reap(&mut self, now: Instant) -> bool {
        let Some(process) = &mut self.process else { return false };
        // Should the system refuse to say how a child is, it is asked again.
        let Ok(Some(status)) = process.child.try_wait() else {
            if process.kill_at.is_some_and(|at| now >= at) {
                process.child.signal_group(Signal::SIGKILL);
            }
            return false;
        };
        let ending = Ending::of(status);
        let told = process.kill_at.is_some();
        if let Some(refusal) = process.child.refusal() {
            self.reason = Some(refusal);
        } else if !told {
            self.reason = Some(ending.to_string());
        }
        self.last_exit = Some(ending);
        self.process = None;
        true
    }

    /// Notes why it cannot go on, and ends what still runs.
    pub(super) fn fail(&mut self, reason: String, now: Instant) {
        self.reason = Some(reason);
        self.end(now);
    }

    /// Counts a restart, and waits longer before each of those that follow one another.
    pub(super) fn rest(&mut self, now: Instant) {
        self.restarts += 1;
        let until = now + self.backoff.next();
        self.enter(Phase::Resting(until));
    }

    /// What is to be asked now, if anything; the answer is then awaited.
    pub(super) fn question(&mut self, now: Instant) -> Option<Question> {
        let process = self.process.as_ref().filter(|process| process.kill_at.is_none())?;
        let asked = matches!(self.phase, Phase::Starting | Phase::Ready(_) | Phase::Unready);
        if !asked || self.probing || now < self.next_probe {
            return None;
        }
        let starting = self.phase == Phase::Starting;
        let age = now.saturating_duration_since(process.started);
        let address = match &process.admin {
            Some(Via::Address(address)) => *address,
            _ => self.spec.local_address(),
        };
        let own = || vec![self.spec.listen.port(), address.port()];
        let question = Question {
            number: self.number,
            starts: self.starts,
            pid: process.child.pid(),
            address,
            shim: self.shim(),
            age,
            dir: self.spec.dir.clone(),
            env: self.filled(address.port()),
            live: (!starting).then(|| self.spec.live.clone()),
            ready: self.spec.ready.clone(),
            directly: (starting && self.spec.style == LaunchStrategy::Relay && self.relay.is_none())
                .then(|| self.spec.local_address()),
            overdue: (starting && age >= self.spec.ready_within).then(own),
        };
        let eager = if age < EAGER_FOR { EAGER.0 } else { EAGER.1 };
        self.next_probe = now + if starting { eager.min(self.spec.probe_every) } else { self.spec.probe_every };
        self.probing = true;
        Some(question)
    }

    /// The question could not be asked.
    pub(super) fn unasked(&mut self) {
        self.probing = false;
    }

    /// Takes an answer in. Returns why the process has to be given up, when it has to.
    pub(super) fn learn(&mut self, answer: Answer, now: Instant) -> Option<String> {
        if answer.starts != self.starts {
            return None;
        }
        self.probing = false;
        if !matches!(self.phase, Phase::Starting | Phase::Ready(_) | Phase::Unready) {
            return None;
        }
        self.last_probe = Some(answer.ready.text.clone());
        if self.phase == Phase::Starting && answer.ready.ok {
            self.is_direct = answer.is_direct;
            if let Some(process) = self.process.as_mut().filter(|_| answer.is_direct) {
                process.admin = None;
            }
        }
        match (self.phase, answer.ready.ok) {
            (Phase::Ready(_), true) => {}
            (_, true) => self.enter(Phase::Ready(now)),
            (Phase::Starting, false) => {}
            (_, false) => self.enter(Phase::Unready),
        }
        if answer.overdue && !answer.ready.ok {
            self.overdue = Some(answer.elsewhere.clone());
            return Some(answer.why_not_ready(&self.spec));
        }
        let live = answer.live?;
        self.misses = if live.ok { 0 } else { self.misses + 1 };
        (self.misses >= MISSES).then(|| format!("{MISSES} liveness probes failed: {}", live.text))
    }

    /// The socket of the shim of its container, while that runs.
    pub(super) fn shim(&self) -> Option<PathBuf> {
        match &self.process.as_ref()?.admin {
            Some(Via::Socket(socket)) => Some(socket.clone()),
            _ => None,
        }
    }

    /// What has to be written somewhere for this instance to be sent requests.
    pub(super) fn switch(&self) -> Option<Switch> {
        Switch::of(&self.spec.style, self.number, self.shim())
    }

    /// Its route was written for the process that it has.
    pub(super) fn is_routed(&mut self) {
        self.routed = Some(self.starts);
    }

    pub(super) fn is_to_be_renewed(&self) -> bool {
        matches!(self.phase, Phase::Ready(_)) && self.routed.is_some_and(|starts| starts != self.starts)
    }

    /// What has to be written again since it was started again; not told twice.
    pub(super) fn renewal(&mut self) -> Option<Switch> {
        self.is_to_be_renewed().then(|| self.is_routed())?;
        self.switch()
    }

    /// Forgets former failures once it has been well for long enough.
    pub(super) fn settle(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Ready(since) if now.saturating_duration_since(since) >= STEADY) {
            self.backoff = Backoff::default();
        }
    }

    /// Differs whenever something is worth telling.
    pub(super) fn mark(&self) -> Mark {
        (self.number, self.phase, self.restarts, self.process.as_ref().map(|process| process.child.pid()))
    }

    pub(super) fn id(&self) -> Option<&ProcessId> {
        self.process.as_ref()?.id.as_ref()
    }

    pub(super) fn status(&self) -> InstanceStatus {
        InstanceStatus {
            instance: self.number,
            release: self.spec.release.clone(),
            pid: self.process.as_ref().map(|process| process.child.pid()),
            state: match self.phase {
                Phase::Waiting | Phase::Starting => State::Starting,
                Phase::Ready(_) => State::Ready,
                Phase::Unready => State::Unready,
                Phase::Ending | Phase::Displaced => State::Stopping,
                Phase::Resting(_) | Phase::Failed => State::Failed,
            },
            restarts: self.restarts,
            since: self.since,
            reason: self.reason.clone(),
            last_exit: self.last_exit,
            last_probe: self.last_probe.clone(),
            overdue: self.overdue.clone(),
            listen: self.spec.listen,
            admin: self.process.as_ref().and_then(|process| process.admin.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
