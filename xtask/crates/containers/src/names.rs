//! What everything of a deployment is called in an engine, and by which labels it is found again.

use super::prerequisites::VOLUME;
use anyhow::Result;
use engine::home::Home;
use engine::identity::{Identity, has_state, mark_at};
use engine::ledger::Entry;
use machine::supervised::Supervised;
use machine::supervised::publisher::HOME;
use machine::supervised::teardown::{DATA, data_of};
use model::environment::{Environment, Origin, Setting};
use model::name::{DeploymentId, JobName, ServiceName, SystemName};
use model::volume;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tools::oci::{Label, Labels};

/// The deployment that a thing belongs to.
pub(super) const DEPLOYMENT: &str = "dev.slipway.deployment";
/// Which of the deployments with that name: two checkouts may use one.
pub(super) const MARK: &str = "dev.slipway.mark";
pub(super) const SYSTEM: &str = "dev.slipway.system";
pub(super) const SERVICE: &str = "dev.slipway.service";
const JOB: &str = "dev.slipway.job";

/// Two hyphens part the deployment's name from the rest. A name of either may have them inside as well, so what is
/// called alike is told apart by its labels.
#[derive(Debug, Clone)]
pub(super) struct Names {
    id: DeploymentId,
    home: PathBuf,
    identity: Identity,
    /// The command line names the deployment, and nothing is recorded of it here: its folder was lost.
    is_lost: bool,
}

impl Names {
    pub(super) fn new(environment: &Environment, home: &Home) -> Result<Self> {
        let identity = Identity::of(home)?;
        let named = |setting: &Setting| setting.key == "deployment_id" && setting.origin == Origin::Flag;
        let is_lost = !identity.is_known && environment.origins.iter().any(named);
        Ok(Self { id: environment.deployment_id.clone(), home: home.dir().to_owned(), identity, is_lost })
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Whether what is there can only be found by its labels.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The folder of another checkout, where the deployment that made something still has its state.
    pub(super) fn elsewhere<'l>(&self, labels: &'l Labels) -> Option<&'l str> {
        let home = labels.get(HOME).filter(|home| **home != self.home())?;
        let lives = match labels.get(MARK) {
            Some(mark) => mark_at(Path::new(home)).as_ref() == Some(mark),
            None => has_state(Path::new(home)),
        };
        lives.then_some(home.as_str())
    }

    /// The network of a system.
    pub(super) fn network(&self, system: &SystemName) -> String {
        format!("{}--{system}", self.id)
    }

    /// The network through which an edge is reached from outside, where the system's own is out of reach for all.
    pub(super) fn front(&self, system: &SystemName) -> String {
        format!("{}--{system}--front", self.id)
    }

    /// The network in which those services of a system are that may leave it.
    pub(super) fn out(&self, system: &SystemName) -> String {
        format!("{}--{system}--out", self.id)
    }

    /// Where a service stores something: what it was given by the one in whose place it came, or else what is called after
    /// it.
    pub(super) fn volume(&self, core: &Supervised, service: &ServiceName, volume: &str) -> String {
        if let Some(name) = volume_entries(core, service).remove(volume) {
            return name;
        }
        let taken: Vec<String> = core.ledger().entries().iter().filter_map(volume_name).collect();
        let first = match volume {
            volume::DATA => format!("{}--{service}", self.id),
            _ => format!("{}--{service}--{volume}", self.id),
        };
        let names = (1..).map(|number| match number {
            1 => first.clone(),
            _ => format!("{first}--{number}"),
        });
        names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default()
    }

    /// All that a service has stored; what would be called after it, where nothing is known of it.
    pub(super) fn volumes(&self, core: &Supervised, service: &ServiceName) -> Vec<String> {
        let known: Vec<String> = volume_entries(core, service).into_values().collect();
        if known.is_empty() { vec![self.volume(core, service, volume::DATA)] } else { known }
    }

    /// What the names of a service's containers begin with.
    pub(super) fn container(&self, service: &ServiceName) -> String {
        format!("{}--{service}", self.id)
    }

    /// The container of an instance.
    pub(super) fn instance(&self, service: &ServiceName, number: u64) -> String {
        format!("{}-{number}", self.container(service))
    }

    /// Whether something was made by this deployment, and not by one of the same name in another checkout.
    pub(super) fn owns(&self, labels: &Labels) -> bool {
        if labels.get(DEPLOYMENT).map(String::as_str) != Some(self.id.as_str()) {
            return false;
        }
        let Some(home) = labels.get(HOME) else { return false };
        match (labels.get(MARK), &self.identity.mark) {
            (Some(theirs), Some(ours)) if theirs == ours => true,
            // Nothing is recorded here: it is found by its name alone, or by the place it was made from.
            (Some(_), _) => !self.identity.is_known && (self.is_found(labels) || *home == self.home()),
            // Made before there were marks. One whose folder has gone from there has been moved here.
            (None, _) if self.identity.homes.contains(home) || self.is_found(labels) => true,
            (None, _) => self.identity.is_known && self.identity.mark.is_none() && !has_state(Path::new(home)),
        }
    }

    fn is_found(&self, labels: &Labels) -> bool {
        self.is_lost && self.elsewhere(labels).is_none()
    }

    pub(super) fn home(&self) -> String {
        self.home.to_string_lossy().into_owned()
    }

    pub(super) fn labels(&self, system: &SystemName) -> Labels {
        let labels = [(DEPLOYMENT, self.id.to_string()), (HOME, self.home()), (SYSTEM, system.to_string())];
        let mark = self.identity.mark.iter().map(|mark| (MARK, mark.clone()));
        labels.into_iter().chain(mark).map(|(key, value)| (key.to_owned(), value)).collect()
    }

    pub(super) fn service_labels(&self, system: &SystemName, service: &ServiceName) -> Labels {
        let mut labels = self.labels(system);
        labels.insert(SERVICE.to_owned(), service.to_string());
        labels
    }

    /// What the name of a job's container begins with.
    pub(super) fn job(&self, system: &SystemName, job: &JobName) -> String {
        format!("{}--{system}--job-{job}", self.id)
    }

    /// The container of a run, of which there is one at a time.
    pub(super) fn job_run(&self, system: &SystemName, job: &JobName) -> String {
        format!("{}-1", self.job(system, job))
    }

    pub(super) fn job_labels(&self, system: &SystemName, job: &JobName) -> Labels {
        let mut labels = self.labels(system);
        labels.insert(JOB.to_owned(), job.to_string());
        labels
    }

    /// What everything of the deployment has.
    pub(super) fn label(&self) -> Label<'_> {
        (DEPLOYMENT, self.id.as_str())
    }
}

/// What the ledger calls a volume of a service.
pub(super) fn volume_id(service: &ServiceName, volume: &str) -> String {
    match volume {
        volume::DATA => format!("{DATA}{service}"),
        _ => format!("{DATA}{service}/{volume}"),
    }
}

/// The volumes that the ledger has of a service, and what they are called in the engine.
pub(super) fn volume_entries(core: &Supervised, service: &ServiceName) -> BTreeMap<String, String> {
    let ledger = core.ledger();
    let own = ledger.entries().iter().filter(|entry| data_of(&entry.id) == Some(service.as_str()));
    let volume = |entry: &Entry| entry.id.split_once('/').map_or(volume::DATA, |(_, volume)| volume).to_owned();
    own.filter_map(|entry| Some((volume(entry), volume_name(entry)?))).collect()
}

fn volume_name(entry: &Entry) -> Option<String> {
    (entry.kind == VOLUME).then(|| entry.identity["name"].as_str().map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(id: &str, identity: Identity, is_lost: bool) -> Names {
        Names { id: id.parse().unwrap(), home: "/here/.slipway/x".into(), identity, is_lost }
    }

    fn labels(id: &str, home: &str, mark: Option<&str>) -> Labels {
        let labels = [(DEPLOYMENT, Some(id)), (HOME, Some(home)), (MARK, mark)];
        labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
    }

    fn known(mark: Option<&str>) -> Identity {
        let homes = vec!["/here/.slipway/x".to_owned()];
        Identity { mark: mark.map(str::to_owned), homes, is_known: true, may_have_moved: false }
    }

    #[test]
    fn what_is_ours_goes_by_the_mark_and_not_by_the_path() {
        let ours = names("x", known(Some("m")), false);
        assert!(ours.owns(&labels("x", "/elsewhere/.slipway/x", Some("m"))));
        assert!(!ours.owns(&labels("x", "/here/.slipway/x", Some("other"))));
        assert!(!ours.owns(&labels("y", "/here/.slipway/x", Some("m"))));
        assert!(!ours.owns(&Labels::new()));
    }

    #[test]
    fn what_was_made_before_there_were_marks_is_ours_too() {
        let ours = names("x", known(None), false);
        assert!(ours.owns(&labels("x", "/here/.slipway/x", None)));
        assert!(ours.owns(&labels("x", "/nowhere-any-more/.slipway/x", None)), "it was moved here");
        let there = std::env::temp_dir().join(format!("xtask-names-{}", std::process::id()));
        std::fs::create_dir_all(&there).unwrap();
        std::fs::write(there.join("ledger.json"), "{}").unwrap();
        let foreign = labels("x", &there.to_string_lossy(), None);
        assert!(!ours.owns(&foreign), "another checkout");
        assert!(!names("x", known(Some("m")), false).owns(&labels("x", "/nowhere-any-more/.slipway/x", None)));
        std::fs::remove_dir_all(there).unwrap();
    }

    #[test]
    fn without_its_folder_a_deployment_is_found_by_its_name() {
        let fresh = || Identity { is_known: false, ..known(Some("new")) };
        let theirs = labels("x", "/elsewhere/.slipway/x", Some("m"));
        assert!(!names("x", fresh(), false).owns(&theirs));
        assert!(names("x", fresh(), true).owns(&theirs));
    }
}
