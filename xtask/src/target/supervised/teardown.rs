//! Back to nothing: the services in the reverse of the order they need each other, then what they left on disk, then
//! the supervisor; and the search for anything that is still there.

use super::{Remains, Scope, Supervised, images};
use crate::error::Fault;
use crate::home;
use crate::ledger::Entry;
use crate::os::{self, ProcessId};
use crate::plan::runner::StepCx;
use crate::plan::{Holds, Outcome, Preview, Step, StepId, Work};
use crate::spec::name::{ServiceName, SystemName};
use crate::supervisor::{self, Client, Connection};
use crate::target::Survivor;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long a supervisor of another version may take to end its services and itself.
const FOREIGN_WITHIN: Duration = Duration::from_secs(120);

/// How long what is left in the end may take to end by itself, and then to be gone.
const STRAY_WITHIN: Duration = Duration::from_secs(5);

/// How the ledger's entries for stored data are called.
pub(in crate::target) const DATA: &str = "data of ";

pub(super) fn steps(core: &Arc<Supervised>, scope: &Scope, keep_data: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut stops = Vec::new();
    for system in core.deployment.systems() {
        // Those that need others come first.
        let services: Vec<ServiceName> = system.services.iter().rev().map(|service| service.name.clone()).collect();
        let stop = StepId::new(format!("stop:{}", system.name));
        steps.push(Step {
            id: stop.clone(),
            title: format!("stop `{}`", system.name),
            system: Some(system.name.to_string()),
            needs: Vec::new(),
            holds: Holds::Nothing,
            preview: services.iter().map(|service| Preview::Do(format!("stop `{service}`"))).collect(),
            work: Box::new(StopWork { core: Arc::clone(core), services: services.clone() }),
        });
        stops.push(stop.clone());
        let beside = core.runtime.removal(core, system, stop.clone(), keep_data);
        stops.extend(beside.iter().map(|step| step.id.clone()));
        let after = beside.iter().map(|step| step.id.clone()).chain([stop.clone()]).collect();
        let images = images::removal(core, system, after);
        stops.extend(images.iter().map(|step| step.id.clone()));
        let mut paths = paths(core, system.name.as_str(), &services, keep_data);
        paths.extend(core.runtime.system_paths(core, &system.name));
        steps.extend(beside.into_iter().chain(images));
        let title = format!("remove what `{}` left on disk", system.name);
        let id = format!("remove:{}", system.name);
        steps.push(removal(core, &id, title, Some(&system.name), stop, paths));
    }
    if scope.everything {
        let id = StepId::new("stop-supervisor");
        steps.push(Step {
            id: id.clone(),
            title: "stop the supervisor".to_owned(),
            system: None,
            needs: stops,
            holds: Holds::Nothing,
            preview: vec![Preview::Do("ask it to end".to_owned())],
            work: Box::new(StopSupervisorWork { core: Arc::clone(core) }),
        });
        // Services that run may be programs in there.
        let mut paths = core.runtime.shared_folders(core);
        paths.extend([core.home().built(), core.home().contexts()]);
        steps.push(removal(core, "remove-shared", "remove what all systems shared".to_owned(), None, id, paths));
    }
    steps
}

fn removal(
    core: &Supervised,
    id: &str,
    title: String,
    system: Option<&SystemName>,
    need: StepId,
    paths: Vec<PathBuf>,
) -> Step {
    Step {
        id: StepId::new(id),
        title,
        system: system.map(ToString::to_string),
        needs: vec![need],
        holds: Holds::Nothing,
        preview: preview_removal(&core.deployment.root, &paths),
        work: Box::new(RemoveWork { paths }),
    }
}

fn preview_removal(root: &Path, paths: &[PathBuf]) -> Vec<Preview> {
    let inside = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let there = paths.iter().filter(|path| path.exists());
    let preview: Vec<_> = there.map(|path| Preview::Do(format!("remove `{}`", inside(path)))).collect();
    if preview.is_empty() { vec![Preview::Do("nothing: nothing is there".to_owned())] } else { preview }
}

/// Everything on disk that belongs to a system.
fn paths(core: &Supervised, system: &str, services: &[ServiceName], keep_data: bool) -> Vec<PathBuf> {
    let home = core.home();
    let mut paths = Vec::new();
    for service in services {
        paths.extend([home.log(service), home.log(service).with_extension("log.1")]);
        paths.extend([home.files(service), home.artifacts(service), home.images(service)]);
        if !keep_data || is_empty(&home.data(service)) {
            paths.push(home.data(service));
        }
    }
    if let Ok(system) = system.parse() {
        paths.push(home.releases(&system));
    }
    paths
}

pub(in crate::target) fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

struct StopWork {
    core: Arc<Supervised>,
    services: Vec<ServiceName>,
}

impl Work for StopWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let running = self.core.supervised()?.into_iter().any(|status| self.services.contains(&status.service));
        let orphans = supervisor::orphans(self.core.home().dir());
        let orphaned = orphans.iter().any(|orphan| self.services.contains(&orphan.service));
        Ok((!running && !orphaned).then(|| "nothing of it runs".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        match Client::connect(self.core.home().dir()) {
            Connection::Live(client) => {
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

struct RemoveWork {
    paths: Vec<PathBuf>,
}

impl Work for RemoveWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.paths.iter().all(|path| !path.exists()).then(|| "nothing is there".to_owned()))
    }

    fn act(&self, _: &StepCx<'_>) -> Result<Outcome> {
        for path in &self.paths {
            home::remove(path)?;
        }
        Ok(Outcome::Done)
    }
}

struct StopSupervisorWork {
    core: Arc<Supervised>,
}

impl Work for StopSupervisorWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let absent = matches!(Client::connect(self.core.home().dir()), Connection::Absent);
        Ok((absent && self.core.marked().is_empty()).then(|| "none runs".to_owned()))
    }

    fn act(&self, _: &StepCx<'_>) -> Result<Outcome> {
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
        os::processes_with_env("SLIPWAY_STATE", &self.home().dir().to_string_lossy())
    }

    /// The supervisor and what all systems share serve nobody any more once the last system goes.
    pub(super) fn widened_scope(&self, scope: Scope) -> Result<Scope> {
        let other = |name: &str| !scope.systems.iter().any(|system| system.as_str() == name);
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let entered = ledger.entries().iter().filter_map(|entry| entry.system.as_deref()).any(other);
        let services = self.scope_services(&scope);
        let running = self.supervised()?.iter().any(|status| !services.contains(&status.service));
        let everything = scope.everything || (!entered && !running);
        Ok(Scope { everything, ..scope })
    }

    /// The services of the scope that have stored something.
    pub(super) fn data_in(&self, scope: &Scope) -> Vec<String> {
        let services = self.scope_services(scope);
        services.iter().filter(|service| self.runtime.has_data(self, service)).map(ToString::to_string).collect()
    }

    pub(in crate::target) fn scope_services(&self, scope: &Scope) -> BTreeSet<ServiceName> {
        let systems = self.deployment.spec.systems.iter().filter(|system| scope.has(&system.name));
        systems.flat_map(|system| &system.services).map(|service| service.name.clone()).collect()
    }

    /// Looks everything up again: what the ledger names, what a supervisor wrote down, and any process that carries
    /// this deployment's mark.
    pub(super) fn find_remains(&self, scope: &Scope, keep_data: bool) -> Result<Remains> {
        let mut remains = Remains::default();
        let mut seen = BTreeSet::new();
        // The same process may be known to more than one of those who are asked.
        let mut add = |remains: &mut Remains, id: &ProcessId, found| {
            if seen.insert(id.pid) {
                remains.survivors.push(found);
            }
        };
        let in_scope = |system: Option<&str>| match system {
            Some(name) => scope.systems.iter().any(|system| system.as_str() == name),
            None => scope.everything,
        };
        let ledger = crate::ledger::Ledger::open(&self.home().ledger())?;
        for entry in ledger.entries().iter().filter(|entry| in_scope(entry.system.as_deref())) {
            if entry.kind == "process" {
                if let Some(id) = ProcessId::from_json(&entry.identity).filter(os::is_alive) {
                    let found = self.found_process(&id, &entry.id, entry.system.as_deref());
                    add(&mut remains, &id, found);
                }
            } else if entry_path(&self.deployment.root, &entry.identity).is_some_and(|path| path.exists()) {
                let found = self.found_path(entry);
                let kept = keep_data && entry.id.starts_with(DATA);
                if kept { remains.kept.push(found) } else { remains.survivors.push(found) }
            }
        }
        let mut families = BTreeSet::new();
        for (service, id, remove) in self.supervised_processes(scope)? {
            families.extend(os::group_members(id.pid).into_iter().map(|member| member.pid));
            let found = self.found_process(&id, service.as_str(), None);
            add(&mut remains, &id, Survivor { remove, ..found });
        }
        if scope.everything {
            // What a service has started goes with it; the others are on their own.
            for process in self.marked().into_iter().filter(|process| !families.contains(&process.id.pid)) {
                let found = self.found_process(&process.id, "a process with this deployment's mark", None);
                add(&mut remains, &process.id, found);
            }
        }
        remains.survivors.extend(self.remaining_images(scope)?);
        self.runtime.find_remains(self, scope, keep_data, &mut remains)?;
        Ok(remains)
    }

    /// Each service's process, and how to end it: one that is supervised would be started again after a `kill`.
    fn supervised_processes(&self, scope: &Scope) -> Result<Vec<(ServiceName, ProcessId, String)>> {
        let services = self.scope_services(scope);
        let mut all = Vec::new();
        for status in self.supervised()? {
            if let Some(id) = status.current.and_then(|current| os::identity(current.pid?)) {
                let system = self.owner(status.service.as_str()).unwrap_or_default();
                let remove = format!("cargo xtask teardown {system} --env {}", self.deployment.environment.name);
                all.push((status.service, id, remove));
            }
        }
        for orphan in supervisor::orphans(self.home().dir()) {
            let remove = format!("kill {}", orphan.process.pid);
            all.push((orphan.service, orphan.process, remove));
        }
        all.retain(|(service, ..)| scope.everything || services.contains(service));
        Ok(all)
    }

    fn found_process(&self, id: &ProcessId, name: &str, system: Option<&str>) -> Survivor {
        let owner = self.owner(name).or(system.map(str::to_owned));
        Survivor {
            kind: "process".to_owned(),
            id: format!("{name} ({})", id.pid),
            owner: owner.unwrap_or_else(|| self.deployment.environment.deployment_id.to_string()),
            monthly_usd: None,
            remove: format!("kill {}", id.pid),
        }
    }

    pub(in crate::target) fn owner(&self, service: &str) -> Option<String> {
        let has = |system: &&crate::spec::system::System| system.services.iter().any(|s| s.name.as_str() == service);
        self.deployment.spec.systems.iter().find(has).map(|system| system.name.to_string())
    }

    fn found_path(&self, entry: &Entry) -> Survivor {
        let path = entry.identity["path"].as_str().unwrap_or_default();
        let owner = entry.system.clone();
        Survivor {
            kind: entry.kind.clone(),
            id: format!("{} ({path})", entry.id),
            owner: owner.unwrap_or_else(|| self.deployment.environment.deployment_id.to_string()),
            monthly_usd: None,
            remove: format!("rm -r {path}"),
        }
    }

    /// Strikes the scope from the ledger; without a scope to speak of, the folder of the deployment goes as a whole,
    /// down to what stored data needs to be of use again.
    pub(super) fn forget_scope(&self, scope: &Scope, keep_data: bool) -> Result<()> {
        let kept = |entry: &Entry| keep_data && entry.id.starts_with(DATA);
        if !scope.everything {
            let gone = |entry: &Entry| {
                let named =
                    entry.system.as_deref().is_some_and(|name| scope.systems.iter().any(|s| s.as_str() == name));
                named && !kept(entry)
            };
            return self.ledger.lock().unwrap_or_else(PoisonError::into_inner).strike(gone);
        }
        if keep_data && !self.data_in(scope).is_empty() {
            self.ledger.lock().unwrap_or_else(PoisonError::into_inner).strike(|entry| !kept(entry))?;
            return self.empty_home(&["data", "secrets.json", "ledger.json", "lease.json", "lease.lock"]);
        }
        home::remove(self.home().dir())?;
        // The folder of all environments goes with the last of them.
        self.home().dir().parent().map(std::fs::remove_dir);
        Ok(())
    }

    fn empty_home(&self, keep: &[&str]) -> Result<()> {
        let dir = self.home().dir();
        let entries = std::fs::read_dir(dir).with_context(|| format!("read `{}`", dir.display()))?;
        for entry in entries.flatten().filter(|entry| !keep.iter().any(|name| entry.file_name() == *name)) {
            home::remove(&entry.path())?;
        }
        Ok(())
    }
}

/// The path in a ledger entry.
fn entry_path(root: &Path, identity: &Value) -> Option<PathBuf> {
    identity["path"].as_str().map(|path| root.join(path))
}
