//! All services of a supervisor, what can be asked of them, and what is written down about them.

use super::instance::{Instance, Mark};
use super::launch::LaunchSpec;
use super::note;
use super::question::{Answer, Question};
use super::records::{self, Record};
use super::route::Switch;
use super::service::Service;
use super::status::{InstanceStatus, ServiceStatus};
use crate::spec::name::ServiceName;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) struct Fleet {
    state_dir: PathBuf,
    /// This binary, for the step that passes sockets on.
    exec: PathBuf,
    services: BTreeMap<ServiceName, Service>,
    /// The services in the order they were first started in: those that others need come first.
    started: Vec<ServiceName>,
    next_number: u64,
    /// Nothing is started any more.
    closing: bool,
    /// Nothing is left to do.
    pub(super) over: bool,
    /// The instances as they were last told of.
    marks: Vec<Mark>,
    /// Whether the file of records is up to date.
    written: bool,
    complained: bool,
    /// The last line the log has about an instance.
    told: BTreeMap<u64, String>,
}

impl Fleet {
    pub(super) fn new(state_dir: PathBuf, exec: PathBuf) -> Self {
        Self {
            state_dir,
            exec,
            services: BTreeMap::new(),
            started: Vec::new(),
            next_number: 1,
            closing: false,
            over: false,
            marks: Vec::new(),
            written: false,
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
        if !self.started.contains(&spec.service) {
            self.started.push(spec.service.clone());
        }
        self.services.entry(spec.service.clone()).or_default().start(number, spec, now);
        self.tend(now);
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

    /// Where the shim or the process of a service's current instance is asked.
    pub(super) fn admin(&self, service: &ServiceName) -> Option<SocketAddr> {
        self.services.get(service)?.admin()
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

    pub(super) fn status(&self) -> Vec<ServiceStatus> {
        self.services.iter().filter_map(|(name, service)| service.status(name)).collect()
    }

    /// Looks after everything and writes down what has changed.
    pub(super) fn tend(&mut self, now: Instant) {
        for service in self.services.values_mut() {
            service.tend(&self.exec, now);
        }
        self.services.retain(|_, service| !service.is_over());
        self.started.retain(|service| self.services.contains_key(service));
        let marks: Vec<Mark> = self.services.values().flat_map(Service::instances).map(Instance::mark).collect();
        if marks != self.marks {
            self.marks = marks;
            self.tell();
            self.written = false;
        }
        if !self.written {
            self.save();
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
        logs.sort_unstable();
        logs.dedup();
        logs
    }

    /// Every change of an instance is a line in the supervisor's log.
    fn tell(&mut self) {
        let instances = || self.services.values().flat_map(Service::instances);
        let mut told = BTreeMap::new();
        for instance in instances() {
            let line = describe(&instance.spec.service, &instance.status());
            if self.told.get(&instance.number) != Some(&line) {
                note(&line);
            }
            told.insert(instance.number, line);
        }
        for (_, line) in self.told.iter().filter(|(number, _)| !told.contains_key(number)) {
            let name = line.split_once(": ").map_or(line.as_str(), |(name, _)| name);
            note(&format!("{name}: gone"));
        }
        self.told = told;
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

/// The fleet as the threads of a supervisor share it.
pub(super) struct Shared {
    fleet: Mutex<Fleet>,
    changed: Condvar,
    /// Held by whoever writes a route, which takes longer than anybody may hold the fleet.
    routes: Mutex<()>,
}

impl Shared {
    pub(super) fn new(fleet: Fleet) -> Self {
        Self { fleet: Mutex::new(fleet), changed: Condvar::new(), routes: Mutex::default() }
    }

    /// One thread's failure must not end the watch over all services.
    pub(super) fn lock(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the fleet, and lets everyone look at the outcome.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Fleet, Instant) -> T) -> T {
        let outcome = act(&mut self.lock(), Instant::now());
        self.changed.notify_all();
        outcome
    }

    /// Lets a candidate take over: first where requests are sent to it, then where its predecessor is ended.
    pub(super) fn promote(&self, service: &ServiceName, number: u64) -> Result<(), String> {
        let _routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let switch = self.lock().switch(service, number)?;
        let made = switch.map(|switch| switch.make(|edge| self.lock().admin(edge))).transpose()?;
        let promoted = self.with(|fleet, now| fleet.promote(service, number, now));
        if let (Some(made), Err(_)) = (made, &promoted) {
            made.undo();
        }
        promoted
    }

    /// Sends requests to where an instance is since it was started again.
    pub(super) fn renew(&self, service: &ServiceName) {
        let due = |fleet: &Fleet| fleet.services.get(service).is_some_and(Service::is_to_be_renewed);
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

    /// Waits for a change, `longest` at most.
    pub(super) fn wait(&self, longest: Duration) {
        drop(self.changed.wait_timeout(self.lock(), longest));
    }

    pub(super) fn wait_until(&self, is_so: impl Fn(&Fleet) -> bool) {
        let outcome = self.changed.wait_while(self.lock(), |fleet| !is_so(fleet));
        drop(outcome);
    }

    /// Ends all services one after the other.
    pub(super) fn shut_down(&self, order: Vec<ServiceName>) {
        for service in self.with(|fleet, _| fleet.close(order)) {
            self.with(|fleet, now| fleet.stop(&service, now));
            self.wait_until(|fleet| fleet.is_settled(&service));
        }
    }
}
