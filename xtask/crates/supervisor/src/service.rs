//! A service: the instance that serves, the one that may take its place, and those on their way out.

use super::instance::{Instance, Phase};
use super::launch::LaunchSpec;
use super::launch_strategy::LaunchStrategy;
use super::question::{Answer, Question};
use super::route::{self, Switch};
use super::status::ServiceStatus;
use model::name::ServiceName;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[derive(Default)]
pub(super) struct Service {
    current: Option<Instance>,
    candidate: Option<Candidate>,
    ending: Vec<Instance>,
}

struct Candidate {
    instance: Instance,
    /// Whoever started it has gone when it is still a candidate then.
    give_up_at: Instant,
}

impl Service {
    /// Puts a candidate beside the current instance, in place of an earlier one. `socket` is that of another service, which
    /// listens where this one is to.
    pub(super) fn start(&mut self, number: u64, spec: LaunchSpec, socket: Option<Arc<TcpListener>>, now: Instant) {
        self.drop_candidate(now);
        let give_up_at = now + spec.ready_within + spec.promote_within;
        let mut instance = Instance::new(number, spec, now);
        instance.socket = socket;
        if let Some(current) = &mut self.current {
            if current.runs_beside(&instance) {
                let same = current.spec.listen == instance.spec.listen;
                instance.relay = current.relay.as_ref().filter(|_| same).map(Arc::clone);
                instance.socket = current.socket.as_ref().filter(|_| same).map(Arc::clone).or(instance.socket);
            } else {
                current.displace(now);
            }
        }
        self.candidate = Some(Candidate { instance, give_up_at });
    }

    /// The socket of what serves, where something else that takes one is to listen on the same address.
    pub(super) fn socket_for(&self, spec: &LaunchSpec) -> Option<Arc<TcpListener>> {
        let current = self.current.as_ref().filter(|current| current.spec.listen == spec.listen)?;
        current.socket.as_ref().filter(|_| spec.style == LaunchStrategy::Handover).map(Arc::clone)
    }

    /// Makes the candidate the current instance; it has to be this one, and ready.
    pub(super) fn promote(&mut self, number: u64, now: Instant) -> Result<(), String> {
        let candidate = self.candidate.take_if(|candidate| {
            candidate.instance.number == number && matches!(candidate.instance.phase(), Phase::Ready(_))
        });
        let Some(mut candidate) = candidate else { return Err(self.why_not(number)) };
        if let Err(error) = candidate.instance.serve() {
            self.candidate = Some(candidate);
            return Err(format!("{error:#}"));
        }
        candidate.instance.is_routed();
        let style = candidate.instance.spec.style.clone();
        if let Some(mut old) = self.current.replace(candidate.instance) {
            route::leave(&old.spec.style, Some(&style));
            if old.has_to_drain() {
                old.drain(now);
            } else {
                old.retire(now);
            }
            self.ending.push(old);
        }
        Ok(())
    }

    /// What has to be written somewhere before this candidate may be promoted, which has to be ready.
    pub(super) fn switch(&self, number: u64) -> Result<Option<Switch>, String> {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.instance);
        let ready = |instance: &&Instance| instance.number == number && matches!(instance.phase(), Phase::Ready(_));
        let candidate = candidate.filter(ready).ok_or_else(|| self.why_not(number))?;
        Ok(candidate.switch())
    }

    pub(super) fn is_to_be_renewed(&self) -> bool {
        self.current.as_ref().is_some_and(Instance::is_to_be_renewed)
    }

    /// The route to the current instance, when that was started again since it was last written.
    pub(super) fn renewal(&mut self) -> Option<Switch> {
        self.current.as_mut()?.renewal()
    }

    /// The socket of the current instance's shim.
    pub(super) fn shim(&self) -> Option<PathBuf> {
        self.current.as_ref()?.shim()
    }

    fn why_not(&self, number: u64) -> String {
        match &self.candidate {
            Some(candidate) if candidate.instance.number == number => {
                let status = candidate.instance.status();
                let seen = status.reason.or(status.last_probe).unwrap_or_else(|| "not asked yet".to_owned());
                format!("instance {number} is {}: {seen}", status.state.as_str())
            }
            _ => format!("instance {number} is not the candidate"),
        }
    }

    /// Ends the candidate if it is this one. One that is no longer there is already as it should be.
    pub(super) fn discard(&mut self, number: u64, now: Instant) {
        if self.candidate.as_ref().is_some_and(|candidate| candidate.instance.number == number) {
            self.drop_candidate(now);
            self.restore(now);
        }
    }

    /// Ends everything.
    pub(super) fn stop(&mut self, now: Instant) {
        self.drop_candidate(now);
        self.ending.iter_mut().for_each(|instance| instance.retire(now));
        if let Some(mut current) = self.current.take() {
            route::leave(&current.spec.style, None);
            current.retire(now);
            self.ending.push(current);
        }
    }

    fn drop_candidate(&mut self, now: Instant) {
        if let Some(Candidate { mut instance, .. }) = self.candidate.take() {
            instance.retire(now);
            self.ending.push(instance);
        }
    }

    /// Starts the instance again that made room for a candidate.
    fn restore(&mut self, now: Instant) {
        if let Some(current) = self.current.as_mut().filter(|current| current.phase() == Phase::Displaced) {
            current.enter(Phase::Resting(now));
        }
    }

    /// Looks after all processes: what has ended, what is to be killed, given up or started.
    pub(super) fn tend(&mut self, exec: &Path, now: Instant) {
        self.ending.retain_mut(|instance| {
            instance.end_when_drained(now);
            instance.reap(now);
            instance.has_process()
        });
        self.tend_candidate(exec, now);
        self.tend_current(exec, now);
    }

    fn tend_candidate(&mut self, exec: &Path, now: Instant) {
        let room = self.ending.is_empty() && self.current.as_ref().is_none_or(Instance::is_out_of_the_way);
        let Some(candidate) = &mut self.candidate else { return };
        let instance = &mut candidate.instance;
        if instance.reap(now) {
            instance.enter(Phase::Failed);
        }
        if instance.phase() == Phase::Waiting && room {
            candidate.give_up_at = now + instance.spec.ready_within + instance.spec.promote_within;
            if let Err(error) = instance.launch(exec, now) {
                instance.fail(format!("{error:#}"), now);
                instance.enter(Phase::Failed);
            }
        }
        let (number, failed) = (instance.number, instance.phase() == Phase::Failed);
        if failed {
            // What made room for it listens there again.
            instance.let_go();
        }
        if now >= candidate.give_up_at {
            self.discard(number, now);
        } else if failed {
            self.restore(now);
        }
    }

    fn tend_current(&mut self, exec: &Path, now: Instant) {
        let Some(current) = &mut self.current else { return };
        let others = self.ending.iter().chain(self.candidate.iter().map(|candidate| &candidate.instance));
        let blocked = others.into_iter().any(|other| other.blocks(current));
        // One that was displaced, or displaced and called back, did not end by itself.
        if current.reap(now) && !matches!(current.phase(), Phase::Displaced | Phase::Resting(_)) {
            current.rest(now);
        }
        let due = matches!(current.phase(), Phase::Resting(until) if now >= until);
        if due
            && !current.has_process()
            && !blocked
            && let Err(error) = current.launch(exec, now)
        {
            current.fail(format!("{error:#}"), now);
            current.rest(now);
        }
        if let Err(error) = current.serve() {
            current.fail(format!("{error:#}"), now);
            current.enter(Phase::Ending);
        }
        current.settle(now);
    }

    pub(super) fn questions(&mut self, now: Instant) -> Vec<Question> {
        self.instances_mut().filter_map(|instance| instance.question(now)).collect()
    }

    pub(super) fn unasked(&mut self, number: u64) {
        self.instances_mut().filter(|instance| instance.number == number).for_each(Instance::unasked);
    }

    pub(super) fn learn(&mut self, answer: Answer, now: Instant) {
        let (number, current) = (answer.number, self.current.as_ref().map(|current| current.number));
        let Some(instance) = self.instances_mut().find(|instance| instance.number == number) else { return };
        if let Some(reason) = instance.learn(answer, now) {
            instance.fail(reason, now);
            // The current instance is started again once its process has ended, a candidate is not.
            instance.enter(if current == Some(number) { Phase::Ending } else { Phase::Failed });
        }
    }

    fn instances_mut(&mut self) -> impl Iterator<Item = &mut Instance> {
        self.current.iter_mut().chain(self.candidate.iter_mut().map(|candidate| &mut candidate.instance))
    }

    /// Everything that may have a process.
    pub(super) fn instances(&self) -> impl Iterator<Item = &Instance> {
        let candidate = self.candidate.iter().map(|candidate| &candidate.instance);
        self.current.iter().chain(candidate).chain(&self.ending)
    }

    /// Whether nothing that was told to end still runs.
    pub(super) fn is_settled(&self) -> bool {
        self.ending.is_empty()
    }

    /// Whether nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        self.instances().next().is_none()
    }

    /// Nothing to tell about a service of which only ending instances are left.
    pub(super) fn status(&self, service: &ServiceName) -> Option<ServiceStatus> {
        let current = self.current.as_ref().map(Instance::status);
        let candidate = self.candidate.as_ref().map(|candidate| candidate.instance.status());
        (current.is_some() || candidate.is_some()).then(|| ServiceStatus {
            service: service.clone(),
            current,
            candidate,
        })
    }
}
