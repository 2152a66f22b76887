//! What is known of a deployment: its releases that were proven, its generated secrets, its ledger. Kept in Secrets of
//! the deployment's home namespace, with a copy on this machine.

mod kept_secrets;
mod secrets;
mod state;
mod verified_release;

pub(super) use state::StatePlace;
pub(super) use verified_release::VerifiedRelease;

use self::secrets::{Secrets, noted_cluster};
use super::access::Access;
use super::identity::Identity;
use super::jobs;
use super::names::Names;
use super::namespaces::NAMESPACE;
use super::prerequisites::SECRET;
use anyhow::Result;
use base::files;
use engine::home::Home;
use engine::job::{JobRecord, LastRun};
use engine::ledger;
use engine::ledger::{Entry, Ledger};
use engine::reconcile::UnitId;
use engine::store::{DocumentName, Documents};
use model::Spec;
use model::name::{JobName, ServiceName, SystemName};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// In the folder of a deployment's state: what was entered before the cluster had a place for it.
const EARLY: &str = "early.json";
/// Where the document of state has the systems.
const SYSTEMS: &str = "systems";

/// Reads and writes the records of one deployment.
pub struct Records {
    documents: Documents<Secrets<Arc<Access>>>,
    access: Arc<Access>,
    /// Where this machine keeps what was entered early.
    early: PathBuf,
    /// The services that are told from others of their name.
    apart: BTreeSet<UnitId>,
    /// Whether there is a place in the cluster by now.
    settled: Mutex<bool>,
}

impl Records {
    pub(super) fn new(access: Arc<Access>, names: Names, home: Home) -> Self {
        let early = home.dir().join(EARLY);
        let documents = Documents::new(Secrets::new(Arc::clone(&access), names, home));
        Self { documents, access, early, apart: BTreeSet::new(), settled: Mutex::new(false) }
    }

    /// The same, with the services that are told from others of their name.
    pub(super) fn telling_apart(self, spec: &Spec) -> Self {
        let all = spec
            .systems
            .iter()
            .flat_map(|system| system.services.iter().map(|service| UnitId::new(&system.name, &service.name)));
        Self { apart: all.filter(|unit| unit.service.system().is_some()).collect(), ..self }
    }

    /// A service of a system that is recorded under this name.
    fn called(&self, system: &SystemName, name: ServiceName) -> ServiceName {
        let marked = name.marked(system);
        if self.apart.contains(&UnitId::new(system, &marked)) { marked } else { name }
    }

    fn releases(&self, system: &SystemName, document: &Value) -> Vec<VerifiedRelease> {
        let mut releases = verified_release::parse(document);
        for release in &mut releases {
            let versions = std::mem::take(&mut release.versions).into_iter();
            release.versions = versions.map(|(name, version)| (self.called(system, name), version)).collect();
        }
        releases
    }

    /// Lets the next question read everything again: somebody else may have deployed since.
    pub fn forget_what_was_read(&self) {
        self.documents.forget();
    }

    /// The proven releases of a system, the newest last.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn history(&self, system: &SystemName) -> Result<Vec<VerifiedRelease>> {
        Ok(self.releases(system, &self.read(&DocumentName::releases(system))?))
    }

    /// The systems that something is known of: those with a proven release, and those that something was made for.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn systems(&self) -> Result<BTreeSet<SystemName>> {
        if !self.access.is_there()? {
            return Ok(BTreeSet::new());
        }
        let made = self.entries()?.into_iter().filter(|entry| [NAMESPACE, SECRET].contains(&entry.kind.as_str()));
        let made = made.filter_map(|entry| entry.system?.parse().ok());
        Ok(self.documents.all()?.keys().filter_map(DocumentName::system).chain(made).collect())
    }

    /// Has the newest proven release of a system be what `amended` makes of it, with the same number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn amend(
        &self,
        system: &SystemName,
        amended: impl Fn(VerifiedRelease) -> VerifiedRelease,
    ) -> Result<()> {
        self.change(&DocumentName::releases(system), |document| {
            let mut releases = self.releases(system, document);
            if let Some(newest) = releases.pop() {
                releases.push(amended(newest));
                verified_release::write(document, releases);
            }
        })
    }

    /// Where the services of a system keep their state, as far as that was noted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn state(&self, system: &SystemName) -> Result<BTreeMap<ServiceName, StatePlace>> {
        let document = self.read(&state_name())?;
        let places = state::parse(&document[SYSTEMS][system.as_str()]).into_iter();
        let place = |place| match place {
            StatePlace::Service(name) => StatePlace::Service(self.called(system, name)),
            StatePlace::Managed(name) => StatePlace::Managed(self.called(system, name)),
            StatePlace::Own => StatePlace::Own,
        };
        Ok(places.map(|(name, kept)| (self.called(system, name), place(kept))).collect())
    }

    /// Notes where the services of a system keep their state.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note_state(&self, system: &SystemName, places: &BTreeMap<ServiceName, StatePlace>) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        self.change(&state_name(), |document| {
            let mut noted = state::parse(&document[SYSTEMS][system.as_str()]);
            noted.extend(places.iter().map(|(name, place)| (name.plain(), place.clone())));
            document[SYSTEMS][system.as_str()] = state::document(&noted);
        })
    }

    /// What is recorded of a job.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn job(&self, system: &SystemName, job: &JobName) -> Result<JobRecord> {
        Ok(jobs::record_in(&self.read(&jobs_name())?, system, job))
    }

    /// Writes down what came of a job, and that it ran for this `key`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note_job(&self, system: &SystemName, job: &JobName, last: &LastRun, key: Option<&str>) -> Result<()> {
        self.change(&jobs_name(), |document| jobs::note_in(document, system, job, last, key))
    }

    /// Forgets the jobs of a system that are not among these.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_jobs(&self, system: &SystemName, declared: &[JobName]) -> Result<()> {
        if self.read(&jobs_name())?[SYSTEMS][system.as_str()].is_null() {
            return Ok(());
        }
        let is_declared = |name: &String| declared.iter().any(|job| job.as_str() == name);
        self.change(&jobs_name(), |document| {
            if let Some(jobs) = document[SYSTEMS][system.as_str()].as_object_mut() {
                jobs.retain(|name, _| is_declared(name));
            }
        })
    }

    /// Appends what was proven just now, with the next number, and returns that. The same stamp again only renews the
    /// newest one's objects and Helm revision.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn prove(&self, system: &SystemName, proven: VerifiedRelease) -> Result<u64> {
        self.documents.update(&DocumentName::releases(system), |document| {
            let (releases, number) = verified_release::append(verified_release::parse(document), proven.clone());
            verified_release::write(document, releases);
            Ok(number)
        })
    }

    /// Enters something into the ledger before it is made; the same kind and id again replaces its identity.
    ///
    /// # Errors
    /// When it cannot be written; the thing must then not be made.
    pub fn enter(&self, entry: Entry) -> Result<()> {
        self.change(&DocumentName::ledger(), |document| drop(ledger::enter(document, std::slice::from_ref(&entry))))
    }

    /// Enters what may be made before there is a place for it in the cluster, or a cluster. Until [`Records::settle`] it is
    /// known to this machine alone.
    ///
    /// # Errors
    /// Those of [`Records::enter`].
    pub(super) fn enter_early(&self, entry: Entry) -> Result<()> {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if *settled { self.enter(entry) } else { Ledger::open(&self.early)?.enter(entry) }
    }

    /// Whether something was entered early that the cluster does not know yet.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(super) fn has_early(&self) -> Result<bool> {
        Ok(!Ledger::open(&self.early)?.entries().is_empty())
    }

    /// There is a place in the cluster from now on: what was entered early goes there.
    ///
    /// # Errors
    /// When it cannot be written there.
    pub(super) fn settle(&self) -> Result<()> {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in Ledger::open(&self.early)?.entries() {
            self.enter(entry.clone())?;
        }
        *settled = true;
        files::remove(&self.early)
    }

    /// The same as [`Records::enter`] while there is no place for it in the cluster yet.
    ///
    /// # Errors
    /// Those of [`Records::enter`].
    pub(super) fn enter_here(&self, entry: Entry) -> Result<()> {
        self.documents.update_copy(&DocumentName::ledger(), |document| {
            ledger::enter(document, &[entry]);
            Ok(())
        })
    }

    /// What is in the ledger; in its copy, where the cluster has none; and what was entered early.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if self.access.is_there()? {
            entries = ledger::entries(&self.documents.read(&DocumentName::ledger())?);
        }
        ledger::add(&mut entries, Ledger::open(&self.early)?.entries());
        Ok(entries)
    }

    /// Strikes out what is proven gone. Where the home namespace is gone as well, so is the ledger in it, and nothing is
    /// left to be written but the copy.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn strike(&self, gone: impl Fn(&Entry) -> bool) -> Result<()> {
        if self.has_early()? {
            Ledger::open(&self.early)?.strike(&gone)?;
        }
        if !self.access.is_there()? {
            return Ok(());
        }
        self.change_what_is_there(&DocumentName::ledger(), |document| drop(ledger::strike(document, &gone)))
    }

    /// Forgets the releases of a system.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn forget_releases(&self, system: &SystemName) -> Result<()> {
        self.documents.remove(&DocumentName::releases(system))
    }

    /// Forgets a system that is proven gone: its releases, its entries in the ledger but for those that `kept` names,
    /// and the generated secrets of these of its services.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn forget_system(
        &self,
        system: &SystemName,
        services: &[ServiceName],
        kept: impl Fn(&Entry) -> bool,
    ) -> Result<()> {
        self.forget_releases(system)?;
        self.forget_secrets(system, services)?;
        if !services.is_empty() {
            for name in [state_name(), jobs_name()] {
                self.change_what_is_there(&name, |document| {
                    if let Some(systems) = document[SYSTEMS].as_object_mut() {
                        systems.remove(system.as_str());
                    }
                })?;
            }
        }
        self.strike(|entry| entry.system.as_deref() == Some(system.as_str()) && !kept(entry))
    }

    /// The cluster that these records were written for, if there are any.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn cluster(&self) -> Result<Option<Identity>> {
        Ok(self.documents.all()?.values().find_map(noted_cluster))
    }

    /// A document; null where there is none, and where there is no cluster yet.
    fn read(&self, name: &DocumentName) -> Result<Value> {
        if self.access.is_there()? { self.documents.read(name) } else { Ok(Value::Null) }
    }

    fn change(&self, name: &DocumentName, change: impl Fn(&mut Value)) -> Result<()> {
        self.documents.update(name, |document| {
            change(document);
            Ok(())
        })
    }

    /// Changes a document, or its copy alone where the cluster has no documents: the home namespace is gone as well.
    fn change_what_is_there(&self, name: &DocumentName, change: impl Fn(&mut Value)) -> Result<()> {
        if !self.documents.all()?.is_empty() {
            return self.change(name, change);
        }
        self.documents.update_copy(name, |document| {
            change(document);
            Ok(())
        })
    }
}

/// The document of what came of jobs.
fn jobs_name() -> DocumentName {
    DocumentName::new("jobs")
}

/// The document of where services keep their state.
fn state_name() -> DocumentName {
    DocumentName::new("state")
}
