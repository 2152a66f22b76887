//! A release that is no system's: what the platform has in the cluster so that systems can run there.
//!
//! It is told from one that is otherwise by the same label that a system's release has, so that nothing has to be rendered
//! to know that nothing changed. What is changed by hand in it is its own matter.

use super::diagnostics::evidence::{Expected, is_complete};
use super::names::INSTANCE;
use super::running::{self, STAMP};
use super::{Kubernetes, chart, helm as releases, rollout};
use anyhow::{Context, Result};
use base::error::Fault;
use base::files;
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use kube::path;
use model::name::ServiceName;
use remote_tools::helm;
use remote_tools::helm::{Chart, Lazy, Major, Release};
use serde_json::Value;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One such release.
#[derive(Debug, Clone)]
pub struct Fixture {
    pub name: String,
    pub namespace: String,
    pub chart: Chart,
    /// A file of the repository with values that never differ, below its root.
    pub base: Option<&'static str>,
}

impl Fixture {
    fn release(&self) -> Release<'_> {
        Release { name: &self.name, namespace: &self.namespace }
    }

    /// Names what it is made from.
    ///
    /// # Errors
    /// When a file of the repository cannot be read.
    pub fn stamp(&self, root: &Path, values: &Value) -> Result<String> {
        let chart = match &self.chart {
            Chart::Folder(folder) => chart::digest_of(root, &folder.to_string_lossy())?,
            // A version that is published says the same for ever, wherever it was had from.
            Chart::Published { name, version, .. } => format!("{name}-{version}"),
        };
        let read = |base: &str| {
            let file = root.join(base);
            std::fs::read_to_string(&file).with_context(|| format!("read `{}`", file.display()))
        };
        let base = self.base.map(read).transpose()?.unwrap_or_default();
        Ok(chart::short(format!("{chart}\n{base}\n{values}")))
    }

    /// The line that makes it. `helm` is the line up to the verb.
    pub fn line(&self, core: &Kubernetes, helm: CommandLine, major: Major, stamp: impl Display) -> CommandLine {
        let deployment = &core.deployment;
        let file = self.file(core);
        let file = file.strip_prefix(&deployment.root).unwrap_or(&file);
        let values: Vec<&Path> = self.base.map(Path::new).into_iter().chain([file]).collect();
        let labels = format!("{},{STAMP}={stamp}", core.names.selector());
        helm::upgrade(helm, major, self.release(), &self.chart, &values, &labels).dir(&deployment.root)
    }

    /// The same as `--dry-run` shows it.
    pub fn line_as_typed(&self, core: &Kubernetes) -> CommandLine {
        self.line(core, core.access.helm_as_typed(), Major::Four, "<digest of its values>")
    }

    fn file(&self, core: &Kubernetes) -> PathBuf {
        core.deployment.home.dir().join("values").join(format!("{}.json", self.name))
    }

    /// The revision that Helm has made last, if it was made from this.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub fn standing(&self, core: &Kubernetes, stamp: &str) -> Result<Option<u64>> {
        let newest = running::records_of(core, self.release())?.pop();
        Ok(newest.filter(|newest| newest.is_deployed() && newest.stamp == stamp).map(|newest| newest.revision))
    }

    /// Has Helm make it.
    ///
    /// # Errors
    /// When Helm or the cluster refuses, with the reason's code.
    pub fn make(&self, core: &Kubernetes, cx: &StepCx<'_>, values: &Value, stamp: &str) -> Result<()> {
        releases::repair_release(core, self.release(), cx)?;
        files::write_json(&self.file(core), values)?;
        let major = Lazy::default().get(&core.proc, core.access.helm()?)?;
        releases::execute(&self.line(core, core.access.helm()?, major, stamp), cx)
    }

    /// Has Helm remove it. What is not there may be removed.
    ///
    /// # Errors
    /// Those of [`Fixture::make`].
    pub fn remove(&self, core: &Kubernetes, cx: &StepCx<'_>) -> Result<()> {
        // With an unfinished record as the newest, Helm would not begin.
        releases::repair_release(core, self.release(), cx)?;
        releases::execute(&helm::uninstall(core.access.helm()?, self.release()), cx)
    }

    /// The line that does so, as `--dry-run` shows it.
    pub fn removal_as_typed(&self, core: &Kubernetes) -> CommandLine {
        helm::uninstall(core.access.helm_as_typed(), self.release())
    }

    /// Whether Helm has any record of it.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub fn is_there(&self, core: &Kubernetes) -> Result<bool> {
        Ok(!running::records_of(core, self.release())?.is_empty())
    }

    /// Whether its Deployments are there, complete and ready.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub fn is_ready(&self, core: &Kubernetes) -> Result<bool> {
        let own = format!("{INSTANCE}={}", self.name);
        let found = core.access.api()?.list(&path::DEPLOYMENT.within(&self.namespace), &own);
        let found = found.map_err(|refusal| kube::fault(&format!("look at `{}`", self.name), &refusal))?;
        Ok(!found.is_empty() && found.iter().all(is_complete))
    }

    /// Waits until its one workload serves.
    ///
    /// # Errors
    /// The first cause that waiting does not mend, with diagnostics.
    pub fn watch(
        &self,
        core: &Kubernetes,
        cx: &StepCx<'_>,
        workload: &ServiceName,
        port: u16,
        within: Duration,
    ) -> Result<()> {
        let expected = Expected { name: workload.clone(), port: Some(port), needs: Vec::new(), ready_within: within };
        rollout::watch_release(core, cx, &self.namespace, &self.name, &[expected])
    }

    /// A fault of its own, in whose hint no file of a system is named.
    pub fn failed(&self, error: &anyhow::Error, what: &str) -> Fault {
        let fault = Fault::of(error);
        let hint = format!("its pods and events: `kubectl describe pods -n {}`", self.namespace);
        Fault { cause: format!("{what} does not come up: {}", fault.cause), hint: Some(hint), ..fault }
    }
}
