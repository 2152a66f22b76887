//! All services of a supervisor, what can be asked of them, and what is written down about them.

use super::instance::{Instance, Mark};
use super::launch::LaunchSpec;
use super::note;
use super::question::{Answer, Question};
use super::records::{self, Record};
use super::route::Switch;
use super::schedule::{self, Schedule};
use super::service::Service;
use super::status::{InstanceStatus, ServiceStatus};
use model::name::ServiceName;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Writing records takes one part in so many, and one more, of the supervisor's time at most.
const WRITING_SHARE: u32 = 10;

pub(super) struct ServiceManager {
    state_dir: PathBuf,
    /// This binary, for the step that passes sockets on.
    exec: PathBuf,
    services: BTreeMap<ServiceName, Service>,
    /// The services in the order they were first started in: those that others need come first.
    started: Vec<ServiceName>,
    pub(super) schedule: Schedule,
    next_number: u64,
    /// Nothing is started any more.
    closing: bool,
    /// Nothing is left to do.
    pub(super) over: bool,
    /// The instances as they were last told of.
    marks: BTreeMap<u64, Mark>,
    /// Whether the file of records is up to date.
    written: bool,
    /// Not written again before then: with many services the file is large, and all of them may start at once.
    write_after: Instant,
    complained: bool,
    /// The last line the log has about an instance.
    told: BTreeMap<u64, String>,
}

impl ServiceManager {
    pub(super) fn new(state_dir: PathBuf, exec: PathBuf) -> Self {
        Self {
            state_dir,
            exec,
            services: BTreeMap::new(),
            started: Vec::new(),
            schedule: Schedule::default(),
            next_number: 1,
            closing: false,
            over: false,
            marks: BTreeMap::new(),
            written: false,
            write_after: Instant::now(),
            complained: false,
            told: BTreeMap::new(),
        }
    }

    pub(super) fn start(&mut self, spec: LaunchSpec, now: Instant) -> Result<u64, String> {
        if self.closing {
            return Err("the supervisor is shutting down".to_owned());
        }
        let number = self.next_number;
        self.next_number += 1;
        if !self.services.contains_key(&spec.service) {
            self.started.push(spec.service.clone());
        }
        let socket = self.services.iter().filter(|(name, _)| **name != spec.service);
        let socket = socket.into_iter().find_map(|(_, other)| other.socket_for(&spec));
        // It alone, since many may be started at once; all are tended in a moment.
        let service = self.services.entry(spec.service.clone()).or_default();
        service.start(number, spec, socket, now);
        service.tend(&self.exec, now);
        Ok(number)
    }

    pub(super) fn promote(&mut self, service: &ServiceName, number: u64, now: Instant) -> Result<(), String> {
        let known = self.services.get_mut(service).ok_or_else(|| format!("there is no service `{service}`"))?;
        known.promote(number, now)
    }

    /// What has to be written somewhere before this candidate may be promoted, which has to be ready.
    pub(super) fn switch(&self, service: &ServiceName, number: u64) -> Result<Option<Switch>, String> {
        let known = self.services.get(service).ok_or_else(|| format!("there is no service `{service}`"))?;
        known.switch(number)
    }

    /// The socket of the shim of a service's current instance.
    pub(super) fn shim(&self, service: &ServiceName) -> Option<PathBuf> {
        self.services.get(service)?.shim()
    }

    pub(super) fn discard(&mut self, service: &ServiceName, number: u64, now: Instant) {
        if let Some(service) = self.services.get_mut(service) {
            service.discard(number, now);
        }
    }

    pub(super) fn stop(&mut self, service: &ServiceName, now: Instant) {
        if let Some(service) = self.services.get_mut(service) {
            service.stop(now);
        }
    }

    /// Starts nothing from now on. Returns the services in the order to end them in: those named, then the others,
    /// the last started first.
    pub(super) fn close(&mut self, order: Vec<ServiceName>) -> Vec<ServiceName> {
        self.closing = true;
        let rest = self.started.iter().rev().filter(|service| !order.contains(service)).cloned();
        let rest: Vec<_> = rest.collect();
        order.into_iter().chain(rest).collect()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether no process of a service that was told to end still runs.
    pub(super) fn is_settled(&self, service: &ServiceName) -> bool {
        self.services.get(service).is_none_or(Service::is_settled)
    }

    /// Of these services, or of all when none is named.
    pub(super) fn status(&self, services: &[ServiceName]) -> Vec<ServiceStatus> {
        if services.is_empty() {
            return self.services.iter().filter_map(|(name, service)| service.status(name)).collect();
        }
        services.iter().filter_map(|name| self.services.get(name)?.status(name)).collect()
    }

    /// Looks after everything and writes down what has changed.
    pub(super) fn tend(&mut self, now: Instant) {
        for service in self.services.values_mut() {
            service.tend(&self.exec, now);
        }
        self.schedule.tend(&self.exec, now, schedule::this_minute());
        self.services.retain(|_, service| !service.is_over());
        self.started.retain(|service| self.services.contains_key(service));
        let marks: BTreeMap<u64, Mark> =
            self.services.values().flat_map(Service::instances).map(|one| (one.number, one.mark())).collect();
        if marks != self.marks {
            let before = std::mem::replace(&mut self.marks, marks);
            self.tell(&before);
            self.written = false;
        }
        if !self.written && now >= self.write_after {
            self.save();
            let finished = Instant::now();
            self.write_after = finished + finished.saturating_duration_since(now) * WRITING_SHARE;
        }
    }

    pub(super) fn questions(&mut self, now: Instant) -> Vec<(ServiceName, Question)> {
        let services = self.services.iter_mut();
        services.flat_map(|(name, service)| service.questions(now).into_iter().map(|q| (name.clone(), q))).collect()
    }

    pub(super) fn learn(&mut self, service: &ServiceName, answer: Answer, now: Instant) {
        if let Some(service) = self.services.get_mut(service) {
            service.learn(answer, now);
        }
    }

    pub(super) fn unasked(&mut self, service: &ServiceName, number: u64) {
        if let Some(service) = self.services.get_mut(service) {
            service.unasked(number);
        }
    }

    /// Whether somebody is likely to wait for what happens next.
    pub(super) fn is_moving(&self) -> bool {
        self.services.values().flat_map(Service::instances).any(Instance::is_moving)
    }

    pub(super) fn logs(&self) -> Vec<PathBuf> {
        let mut logs: Vec<_> =
            self.services.values().flat_map(Service::instances).map(|instance| instance.spec.log.clone()).collect();
        logs.extend(self.schedule.logs());
        logs.sort_unstable();
        logs.dedup();
        logs
    }

    /// Every change of an instance is a line in the supervisor's log.
    fn tell(&mut self, before: &BTreeMap<u64, Mark>) {
        for instance in self.services.values().flat_map(Service::instances) {
            if before.get(&instance.number) == self.marks.get(&instance.number) {
                continue;
            }
            let line = describe(&instance.spec.service, &instance.status());
            if self.told.get(&instance.number) != Some(&line) {
                note(&line);
                self.told.insert(instance.number, line);
            }
        }
        for number in before.keys().filter(|number| !self.marks.contains_key(number)) {
            let Some(line) = self.told.remove(number) else { continue };
            let name = line.split_once(": ").map_or(line.as_str(), |(name, _)| name);
            note(&format!("{name}: gone"));
        }
    }

    /// Has the file of records written again when somebody has damaged it.
    pub(super) fn check_records(&mut self) {
        self.written &= records::are_written(&self.state_dir, &self.records());
    }

    fn records(&self) -> Vec<Record> {
        let record = |instance: &Instance| {
            let status = instance.status();
            Some(Record {
                service: instance.spec.service.clone(),
                release: status.release,
                process: instance.id()?.clone(),
                listen: status.listen,
                admin: status.admin,
                state: status.state.as_str(),
                restarts: status.restarts,
                stop_within: instance.spec.kill_after(),
            })
        };
        self.services.values().flat_map(Service::instances).filter_map(record).collect()
    }

    /// A file that cannot be written (a full disk) is tried again, and is no reason to do anything else differently.
    fn save(&mut self) {
        match records::write(&self.state_dir, &self.records()) {
            Ok(()) => {
                self.written = true;
                self.complained = false;
            }
            Err(error) if !self.complained => {
                note(&format!("{error:#}"));
                self.complained = true;
            }
            Err(_) => {}
        }
    }
}

/// "epoch 3 (r1): failed, restarts 2: exited with code 1". The part before the first colon is its name.
fn describe(service: &ServiceName, status: &InstanceStatus) -> String {
    let InstanceStatus { instance, release, state, restarts, .. } = status;
    let process = status.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
    let restarts = if *restarts > 0 { format!(", restarts {restarts}") } else { String::new() };
    let reason = status.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{service} {instance} ({release}): {}{process}{restarts}{reason}", state.as_str())
}

/// The manager as the threads of a supervisor share it.
pub(super) struct Shared {
    manager: Mutex<ServiceManager>,
    changed: Condvar,
    /// Something has changed since the processes were last looked after.
    stirred: AtomicBool,
    /// Held by whoever writes a route, which takes longer than anybody may hold the manager.
    routes: Mutex<()>,
}

impl Shared {
    pub(super) fn new(manager: ServiceManager) -> Self {
        Self {
            manager: Mutex::new(manager),
            changed: Condvar::new(),
            stirred: AtomicBool::new(false),
            routes: Mutex::default(),
        }
    }

    /// One thread's failure must not end the watch over all services.
    pub(super) fn lock(&self) -> MutexGuard<'_, ServiceManager> {
        self.manager.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the manager, and lets everyone look at the outcome.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut ServiceManager, Instant) -> T) -> T {
        let outcome = act(&mut self.lock(), Instant::now());
        self.stirred.store(true, Ordering::SeqCst);
        self.changed.notify_all();
        outcome
    }

    /// The same for whoever looks after the processes, and then waits for what others change.
    pub(super) fn look<T>(&self, act: impl FnOnce(&mut ServiceManager, Instant) -> T) -> T {
        self.stirred.store(false, Ordering::SeqCst);
        let outcome = act(&mut self.lock(), Instant::now());
        self.changed.notify_all();
        outcome
    }

    /// Lets a candidate take over: first where requests are sent to it, then where its predecessor is ended.
    pub(super) fn promote(&self, service: &ServiceName, number: u64) -> Result<(), String> {
        let _routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let switch = self.lock().switch(service, number)?;
        let made = switch.map(|switch| switch.make(|edge| self.lock().shim(edge))).transpose()?;
        let promoted = self.with(|manager, now| manager.promote(service, number, now));
        if let (Some(made), Err(_)) = (made, &promoted) {
            made.undo();
        }
        promoted
    }

    /// Sends requests to where an instance is since it was started again.
    pub(super) fn renew(&self, service: &ServiceName) {
        let due = |manager: &ServiceManager| manager.services.get(service).is_some_and(Service::is_to_be_renewed);
        if !due(&self.lock()) {
            return;
        }
        let _routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        // A promotion may have been faster.
        let switch = self.lock().services.get_mut(service).and_then(Service::renewal);
        if let Some(switch) = switch {
            switch.renew();
        }
    }

    /// Waits for a change by somebody else since the last look, `longest` at most.
    pub(super) fn wait(&self, longest: Duration) {
        let unstirred = |_: &mut ServiceManager| !self.stirred.load(Ordering::SeqCst);
        drop(self.changed.wait_timeout_while(self.lock(), longest, unstirred));
    }

    pub(super) fn wait_until(&self, is_so: impl Fn(&ServiceManager) -> bool) {
        let outcome = self.changed.wait_while(self.lock(), |manager| !is_so(manager));
        drop(outcome);
    }

    /// Ends all services one after the other.
    pub(super) fn shut_down(&self, order: Vec<ServiceName>) {
        self.with(|manager, now| manager.schedule.drop_all(now));
        for service in self.with(|manager, _| manager.close(order)) {
            self.with(|manager, now| manager.stop(&service, now));
            self.wait_until(|manager| manager.is_settled(&service));
        }
        self.wait_until(|manager| manager.schedule.is_empty());
    }
}
