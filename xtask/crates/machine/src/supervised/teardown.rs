//! Back to nothing: the services in the reverse of the order they need each other, then what they left on disk, then
//! the supervisor.

pub(crate) mod paths;
mod receipt;

use super::{Scope, Supervised, images, removal};
use anyhow::Result;
use base::error::Fault;
use base::os;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Outcome, Preview, Step, StepId, Work};
use engine::teardown::{Removal, Stage, going};
use model::name::{ServiceName, SystemName};
use model::system::System;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use supervisor::{Client, Connection};

/// How long a supervisor of another version may take to end its services and itself.
const FOREIGN_WITHIN: Duration = Duration::from_secs(120);

/// How long what is left in the end may take to end by itself, and then to be gone.
const STRAY_WITHIN: Duration = Duration::from_secs(5);

/// How the ledger's entries for stored data are called.
pub const DATA: &str = "data of ";

/// The service whose data an entry is: `data of NAME`, or `data of NAME/VOLUME` where it has several places for it.
pub fn data_of(id: &str) -> Option<&str> {
    id.strip_prefix(DATA).map(|rest| rest.split_once('/').map_or(rest, |(service, _)| service))
}

/// What is done to a system, and to what all of them share.
const STOP: Action = Action::new("stop");
const NETWORK: Action = Action::new("network");
const IMAGES: Action = Action::new("images");
const REMOVE: Action = Action::new("remove");
const FORGET: Action = Action::new("forget");
const STOP_SUPERVISOR: Action = Action::new("stop-supervisor");
const REMOVE_SHARED: Action = Action::new("remove-shared");

pub(super) fn steps(core: &Arc<Supervised>, scope: &Scope, keep_data: bool) -> Result<Vec<Step>> {
    let declared = core.deployment.spec.systems.iter().map(|system| system.name.clone());
    let others: Vec<SystemName> = declared.chain(core.runtime.lost(core)?.into_keys()).collect();
    let systems = going(scope, core.ledger().entries(), others);
    let mut stages = vec![Stage::of_systems(STOP, &[], |name| Some(stop(core, name)))];
    stages.extend(once_stopped(core, keep_data));
    stages.push(Stage::of_systems(REMOVE, &[STOP], |name| Some(remove(core, name, keep_data))));
    if scope.everything || core.is_all_that_ran(scope) {
        let removal = Removal::new(
            "stop the supervisor",
            vec![Preview::Do("ask it to end".to_owned())],
            StopSupervisorWork { core: Arc::clone(core) },
        );
        stages.push(Stage::shared(STOP_SUPERVISOR, &[STOP, NETWORK, IMAGES], removal));
        // Services that run may be programs in there.
        let mut paths = core.runtime.shared_folders(core);
        paths.extend([core.home().built(), core.home().contexts()]);
        let removal = paths::removal(core, "remove what all systems shared".to_owned(), paths);
        stages.push(Stage::shared(REMOVE_SHARED, &[STOP_SUPERVISOR], removal));
    }
    Ok(engine::teardown::steps(stages, systems))
}

/// The steps that a deploy takes for a system that no file declares any more, once those that end its services are done: what
/// they all shared goes, and then its records. What it stored stays.
pub(super) fn of_undeclared(core: &Arc<Supervised>, name: &SystemName, ends: Vec<StepId>) -> Vec<Step> {
    let mut stages = vec![Stage::given(STOP, ends)];
    stages.extend(once_stopped(core, true));
    stages.push(Stage::of_systems(FORGET, &[NETWORK, STOP, IMAGES], |name| Some(removal::forget(core, name))));
    engine::teardown::steps(stages, [name.clone()])
}

/// What goes of a system beside its files, once nothing of it runs.
fn once_stopped(core: &Arc<Supervised>, keep_data: bool) -> [Stage<'_>; 2] {
    [
        Stage::of_systems(NETWORK, &[STOP], move |name| {
            core.runtime.removal(core, &core.known_system(name), keep_data)
        }),
        Stage::of_systems(IMAGES, &[NETWORK, STOP], |name| images::removal(core, name)),
    ]
}

fn stop(core: &Arc<Supervised>, name: &SystemName) -> Removal {
    // Those that need others come first.
    let services: Vec<ServiceName> = core.services_made_for(&core.known_system(name)).into_iter().rev().collect();
    let preview = services.iter().map(|service| Preview::Do(format!("stop `{service}`"))).collect();
    Removal::new(format!("stop `{name}`"), preview, StopWork { core: Arc::clone(core), system: name.clone(), services })
}

fn remove(core: &Supervised, name: &SystemName, keep_data: bool) -> Removal {
    let services: Vec<ServiceName> = core.services_made_for(&core.known_system(name)).into_iter().rev().collect();
    let mut paths = paths::of_system(core, name, &services, keep_data);
    paths.extend(core.runtime.system_paths(core, name));
    paths.push(core.home().job_logs(name));
    // What was done to data that is kept is not done again.
    paths.extend((!keep_data).then(|| core.home().jobs(name)));
    paths::removal(core, format!("remove what `{name}` left on disk"), paths)
}

struct StopWork {
    core: Arc<Supervised>,
    system: SystemName,
    services: Vec<ServiceName>,
}

impl Work for StopWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let running = !self.core.supervised_of(&self.services)?.is_empty();
        let orphans = supervisor::orphans(self.core.home().dir());
        let orphaned = orphans.iter().any(|orphan| self.services.contains(&orphan.service));
        let running = running || self.core.runs_jobs_of(&self.system);
        Ok((!running && !orphaned).then(|| "nothing of it runs".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        match Client::connect(self.core.home().dir()) {
            Connection::Live(client) => {
                if self.core.runs_jobs_of(&self.system) {
                    client.unschedule(&self.system, None)?;
                }
                for service in &self.services {
                    cx.status(format!("stopping `{service}`"));
                    client.stop(service)?;
                }
            }
            // Without a supervisor all that it ran is orphaned alike.
            Connection::Absent => drop(supervisor::end_orphans(self.core.home().dir())),
            // It is ended as a whole, in a step of its own.
            Connection::Foreign(_) => {}
        }
        Ok(Outcome::Done)
    }
}

struct StopSupervisorWork {
    core: Arc<Supervised>,
}

impl Work for StopSupervisorWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let absent = matches!(Client::connect(self.core.home().dir()), Connection::Absent);
        let none = absent && self.core.marked().is_empty();
        if none {
            // Those of one that was killed and of its shims are left when nothing of it runs any more.
            base::socket::sweep();
        }
        Ok(none.then(|| "none runs".to_owned()))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        match Client::connect(self.core.home().dir()) {
            Connection::Live(client) => client.shutdown(&[])?,
            Connection::Foreign(foreign) if !foreign.end(FOREIGN_WITHIN) => {
                let cause = format!("the supervisor of another version (process {}) does not end", foreign.process.pid);
                return Err(Fault::failed("supervisor-survives", cause).into());
            }
            Connection::Foreign(_) | Connection::Absent => {}
        }
        // What a service has started and sent out of its process group has outlived it and the supervisor.
        let left = self.core.marked();
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let deadline = Instant::now() + STRAY_WITHIN;
            left.iter().for_each(|process| os::signal(&process.id, signal));
            if left.iter().all(|process| os::wait_gone(&process.id, deadline)) {
                break;
            }
        }
        Ok(Outcome::Done)
    }
}

impl Supervised {
    /// The processes that carry this deployment's mark, whoever has started them.
    fn marked(&self) -> Vec<os::Process> {
        os::processes_with_env(supervisor::MARK, &self.home().dir().to_string_lossy())
    }

    /// A supervisor that was started before the folder was moved here writes to where nothing is any more, and is about to
    /// notice that and end: it is ended now, so that what follows is not done by one that goes.
    pub(super) fn end_moved_supervisor(&self) -> Result<()> {
        let Connection::Live(client) = Client::connect(self.home().dir()) else { return Ok(()) };
        if self.marked().iter().any(|process| process.id == *client.process()) {
            return Ok(());
        }
        match client.shutdown(&[]) {
            Err(error) if os::is_alive(client.process()) => Err(error),
            _ => Ok(()),
        }
    }

    /// The supervisor and what all systems share serve nobody any more once the last system goes.
    pub(super) fn widened_scope(&self, scope: Scope) -> Result<Scope> {
        let other = |name: &str| !scope.systems.iter().any(|system| system.as_str() == name);
        // What a run meant to make and never did is nothing to stay for.
        let made = |entry: &&Entry| {
            let path = paths::of_entry(&self.deployment.root, &entry.identity);
            path.is_none_or(|path| path.exists())
        };
        // The ledger is open no longer than this: whatever asks for services reads it, too.
        let entered =
            self.ledger().entries().iter().filter(made).filter_map(|entry| entry.system.as_deref()).any(other);
        let everything = scope.everything || (!entered && !self.runs_beside(&scope)?);
        Ok(Scope { everything, ..scope })
    }

    /// Whether nothing else runs, nor is meant to: what is left of the others is their data.
    fn is_all_that_ran(&self, scope: &Scope) -> bool {
        let Ok(recorded) = self.read_recorded() else { return false };
        let mut others = recorded.units().filter(|(unit, _)| !scope.has(&unit.system));
        others.all(|(_, known)| known.only_data) && self.runs_beside(scope).is_ok_and(|others| !others)
    }

    /// Whether services of others are supervised. What is in front of a system goes with it.
    fn runs_beside(&self, scope: &Scope) -> Result<bool> {
        let services = self.scope_services(scope);
        let edge = |service: &ServiceName| service.as_str().starts_with("edge-");
        Ok(self.supervised()?.iter().any(|status| !services.contains(&status.service) && !edge(&status.service)))
    }

    /// The services of the scope that have stored something.
    pub(super) fn data_in(&self, scope: &Scope) -> Vec<String> {
        let services = self.scope_services(scope);
        let stored = services.iter().filter(|service| self.runtime.has_data(self, service)).cloned();
        let lost = self.runtime.lost(self).unwrap_or_default().into_iter();
        let lost = lost.filter(|(system, _)| scope.has(system)).flat_map(|(_, services)| services);
        let all: BTreeSet<ServiceName> = stored.chain(lost).collect();
        all.iter().map(ToString::to_string).collect()
    }

    /// The services that were made for a system, in the order in which they need each other; one that was never made is
    /// among them, and one that was made for another system is not.
    pub fn services_made_for(&self, system: &System) -> Vec<ServiceName> {
        let services = system.services.iter().map(|service| service.name.clone());
        services.filter(|name| self.made_for(name).is_none_or(|made_for| made_for == system.name)).collect()
    }

    pub(crate) fn scope_services(&self, scope: &Scope) -> BTreeSet<ServiceName> {
        let systems = self.known_systems().into_iter().filter(|system| scope.has(&system.name));
        systems.flat_map(|system| self.services_made_for(&system)).collect()
    }
}
