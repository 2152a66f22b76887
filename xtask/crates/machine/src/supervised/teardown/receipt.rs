//! The search for anything of a deployment that is still there, and what is forgotten of it once nothing is.

use super::{DATA, paths};
use crate::supervised::records::stored_in;
use crate::supervised::{Remains, Scope, Supervised, removal};
use anyhow::{Context, Result};
use base::os::ProcessId;
use base::{files, os};
use builds::cleanup;
use engine::backend::Survivor;
use engine::ledger::Entry;
use engine::teardown::is_struck;
use model::name::ServiceName;
use serde_json::Value;
use std::collections::BTreeSet;

impl Supervised {
    /// Looks everything up again: what the ledger names, what a supervisor wrote down, and any process that carries
    /// this deployment's mark.
    pub(in crate::supervised) fn find_remains(&self, scope: &Scope, keep_data: bool) -> Result<Remains> {
        let mut remains = Remains::default();
        let mut seen = BTreeSet::new();
        // The same process may be known to more than one of those who are asked.
        let mut add = |remains: &mut Remains, id: &ProcessId, found| {
            if seen.insert(id.pid) {
                remains.survivors.push(found);
            }
        };
        let ledger = engine::ledger::Ledger::open(&self.home().ledger())?;
        for entry in ledger.entries().iter().filter(|entry| scope.covers(entry.system.as_deref())) {
            if entry.kind == "process" {
                if let Some(id) = ProcessId::from_json(&entry.identity).filter(os::is_alive) {
                    let found = self.found_process(&id, &entry.id, entry.system.as_deref());
                    add(&mut remains, &id, found);
                }
            } else if let Some(path) =
                paths::of_entry(&self.deployment.root, &entry.identity).filter(|path| path.exists())
            {
                let mut found = self.found_path(entry);
                let kept = keep_data && entry.id.starts_with(DATA);
                if let Some(stored) = stored_in(&path).filter(|_| kept) {
                    found.id = format!("{}{}", found.id, removal::size(stored.size));
                }
                remains.add(kept, found);
            }
        }
        let supervised = self.supervised_processes(scope)?;
        let leaders = supervised.iter().map(|(_, id, _)| id.pid).collect();
        let families: BTreeSet<u32> = os::members_of(&leaders).into_iter().map(|member| member.pid).collect();
        for (service, id, remove) in supervised {
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
        remains.survivors.extend(cleanup::remaining(self.home(), &self.engine, &self.proc, scope)?);
        self.runtime.find_remains(self, scope, keep_data, &mut remains)?;
        Ok(remains)
    }

    /// Each service's process, and how to end it: one that is supervised would be started again after a `kill`.
    fn supervised_processes(&self, scope: &Scope) -> Result<Vec<(ServiceName, ProcessId, String)>> {
        let services = self.scope_services(scope);
        let mut all = Vec::new();
        for status in self.supervised()? {
            if let Some(id) = status.current.and_then(|current| os::identity(current.pid?)) {
                let owner = self.owner(status.service.as_str()).map(|system| format!(" {system}"));
                let environment = &self.deployment.environment.name;
                let remove = format!("cargo xtask teardown{} --env {environment}", owner.unwrap_or_default());
                all.push((status.service, id, remove));
            }
        }
        for orphan in supervisor::orphans(self.home().dir()) {
            let remove = format!("kill {}", orphan.process.pid);
            all.push((orphan.service, orphan.process, remove));
        }
        let in_scope = |service: &ServiceName| {
            services.contains(service) || self.behind(service).is_some_and(|system| scope.has(&system))
        };
        all.retain(|(service, ..)| scope.everything || in_scope(service));
        Ok(all)
    }

    fn found_process(&self, id: &ProcessId, name: &str, system: Option<&str>) -> Survivor {
        let owner = self.owner(name).or(system.map(str::to_owned));
        let owner = owner.unwrap_or_else(|| self.deployment.environment.deployment_id.to_string());
        Survivor::new("process", format!("{name} ({})", id.pid), owner, format!("kill {}", id.pid))
    }

    pub(crate) fn owner(&self, service: &str) -> Option<String> {
        let service = service.parse().ok()?;
        let declared = || self.system_of(&service).map(|system| system.name);
        let behind = || self.behind(&service);
        self.made_for(&service).or_else(declared).or_else(behind).map(|system| system.to_string())
    }

    fn found_path(&self, entry: &Entry) -> Survivor {
        let path = entry.identity["path"].as_str().unwrap_or_default();
        let owner = entry.system.clone().unwrap_or_else(|| self.deployment.environment.deployment_id.to_string());
        Survivor::new(&entry.kind, format!("{} ({path})", entry.id), owner, format!("rm -r {path}"))
    }

    /// Strikes the scope from the ledger; without a scope to speak of, the folder of the deployment goes as a whole,
    /// down to what stored data needs to be of use again.
    pub(in crate::supervised) fn forget_scope(&self, scope: &Scope, keep_data: bool) -> Result<()> {
        let kept = |entry: &Entry| keep_data && entry.id.starts_with(DATA);
        for system in self.known_systems().iter().filter(|system| scope.has(&system.name)) {
            let services = system.services.iter().map(|service| &service.name);
            self.secrets.forget_given(&system.name, services, &BTreeSet::new())?;
        }
        if !scope.everything {
            if !keep_data {
                self.forget_presence(scope)?;
            }
            return self.ledger().strike(|entry| is_struck(entry, scope, kept));
        }
        if keep_data && self.has_any_data() {
            self.ledger().strike(|entry| is_struck(entry, scope, kept))?;
            let keep = [
                "data",
                "jobs",
                "secrets.json",
                "presence.json",
                "ledger.json",
                "lease.json",
                "lease.lock",
                "engine.json",
                engine::recorded_settings::FILE,
                engine::identity::FILE,
            ];
            return self.empty_home(&keep);
        }
        self.home().remove()
    }

    /// Where there is nothing stored any more, a next deploy decides anew where to.
    fn forget_presence(&self, scope: &Scope) -> Result<()> {
        let Some(Value::Object(mut all)) = files::read_json(&self.home().presence())? else { return Ok(()) };
        let services = self.scope_services(scope);
        all.retain(|name, _| !services.iter().any(|service| service.as_str() == name));
        files::write_json(&self.home().presence(), &Value::Object(all))
    }

    /// Whether anything is stored, whoever has stored it.
    fn has_any_data(&self) -> bool {
        let recorded = self.read_recorded().unwrap_or_default();
        recorded.units().any(|(_, known)| known.data.is_some()) || stored_in(&self.home().dir().join("data")).is_some()
    }

    fn empty_home(&self, keep: &[&str]) -> Result<()> {
        let dir = self.home().dir();
        let entries = std::fs::read_dir(dir).with_context(|| format!("read `{}`", dir.display()))?;
        for entry in entries.flatten().filter(|entry| !keep.iter().any(|name| entry.file_name() == *name)) {
            files::remove(&entry.path())?;
        }
        Ok(())
    }
}
