//! `.slipway/ENV/`: where a deployment keeps its state on this machine.

use crate::recorded_settings;
use anyhow::Result;
use base::files;
use model::name::{EnvironmentName, JobName, ServiceName, SystemName};
use std::path::{Path, PathBuf};

/// The folder of one environment. It is ignored by git and never below `target/`, so that `cargo clean` keeps it.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    pub fn new(root: &Path, environment: &EnvironmentName) -> Self {
        Self { dir: root.join(".slipway").join(environment.as_str()) }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes it with all that is in it. The folder of all environments goes with the last of them.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        files::remove(&self.dir)?;
        self.dir.parent().map(std::fs::remove_dir);
        Ok(())
    }

    pub fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    pub fn runs(&self) -> PathBuf {
        self.dir.join("runs")
    }

    pub fn lease(&self) -> PathBuf {
        self.dir.join("lease.json")
    }

    pub fn lease_lock(&self) -> PathBuf {
        self.dir.join("lease.lock")
    }

    pub fn ledger(&self) -> PathBuf {
        self.dir.join("ledger.json")
    }

    /// The settings that were deployed with last.
    pub fn settings(&self) -> PathBuf {
        self.dir.join(recorded_settings::FILE)
    }

    pub fn secrets(&self) -> PathBuf {
        self.dir.join("secrets.json")
    }

    pub fn ports(&self) -> PathBuf {
        self.dir.join("ports.json")
    }

    /// Which optional services the deployment has, see `target/host/choice.rs`.
    pub fn presence(&self) -> PathBuf {
        self.dir.join("presence.json")
    }

    pub fn releases(&self, system: &SystemName) -> PathBuf {
        self.dir.join("releases").join(format!("{system}.json"))
    }

    pub fn log(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("logs").join(format!("{service}.log"))
    }

    /// What came of the jobs of a system.
    pub fn jobs(&self, system: &SystemName) -> PathBuf {
        self.dir.join("jobs").join(system.as_str())
    }

    /// What they said.
    pub fn job_logs(&self, system: &SystemName) -> PathBuf {
        self.dir.join("logs").join(system.as_str())
    }

    pub fn job_log(&self, system: &SystemName, job: &JobName) -> PathBuf {
        self.job_logs(system).join(format!("{job}.log"))
    }

    pub fn data(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("data").join(service.as_str())
    }

    pub fn files(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("files").join(service.as_str())
    }

    /// Copies of what lay in the repository when a service was given it.
    pub fn copies(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("copies").join(service.as_str())
    }

    pub fn artifacts(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("artifacts").join(service.as_str())
    }

    /// What the chart was given for a system when it was released last.
    pub fn values(&self, system: &SystemName) -> PathBuf {
        self.dir.join("values").join(format!("{system}.json"))
    }

    /// What is known of the images of a service that were built for this environment.
    pub fn images(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("images").join(service.as_str())
    }

    /// What a registry has of a service for several platforms.
    pub fn index(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("indexes").join(format!("{}.json", service.apart()))
    }

    /// What is known of base images, by their ID.
    pub fn bases(&self) -> PathBuf {
        self.dir.join("bases")
    }

    /// What images are built from, while they are being built.
    pub fn contexts(&self) -> PathBuf {
        self.dir.join("contexts")
    }

    /// That of one service.
    pub fn context(&self, service: &ServiceName) -> PathBuf {
        self.contexts().join(service.apart())
    }

    /// What engines are given for a push, while there is one.
    pub fn push(&self) -> PathBuf {
        self.dir.join("push")
    }

    /// What the edges of systems are given.
    pub fn edges(&self) -> PathBuf {
        self.dir.join("edge")
    }

    /// Where the public services of a system are published by its edge, by name.
    pub fn published(&self, system: &SystemName) -> PathBuf {
        self.edges().join(system.as_str()).join("published.json")
    }

    /// Where cargo puts what it has built for this deployment, before it is kept as an artifact.
    pub fn built(&self) -> PathBuf {
        self.dir.join("built")
    }

    /// Programs installed for this deployment alone.
    pub fn tools(&self) -> PathBuf {
        self.dir.join("tools")
    }
}
