//! Runs Helm on the releases of a deployment, and tells why it refused.

use super::Kubernetes;
use super::chart::CHART;
use super::claims;
use super::diagnostics;
use super::release_context::{DesiredRelease, ReleaseContext};
use super::running::{self, Record, STAMP};
use super::scale;
use anyhow::Result;
use base::files;
use base::proc::CommandLine;
use engine::plan::pace::every;
use engine::plan::runner::StepCx;
use kube::path;
use model::name::SystemName;
use remote_tools::helm;
use remote_tools::helm::{Chart, Major, Release};
use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a webhook may be away: about as long as its pods take to start.
pub(super) const WEBHOOK_WITHIN: Duration = Duration::from_secs(60);
/// How often Helm is run meanwhile.
const WEBHOOK_EVERY: Duration = Duration::from_secs(3);

/// Has the chart make a system's release what is wanted.
///
/// # Errors
/// When Helm or the cluster refuses, with the reason's code.
pub(super) fn upgrade(run: &ReleaseContext, desired: &DesiredRelease, cx: &StepCx<'_>) -> Result<()> {
    let system = &desired.wanted.system;
    files::write_json(&run.core.deployment.home.values(system), &desired.values)?;
    claims::make_way(&run.core, system, &desired.values, cx)?;
    let grows = |service: &str| desired.values["services"][service]["scale"].is_object();
    scale::keep_running(&run.core, system, &grows)?;
    execute(&upgrade_line(run, run.core.access.helm()?, run.helm()?, system, &desired.stamp), cx)?;
    scale::to_minimum(&run.core, system)
}

/// How that is done; `helm` is the line up to the verb.
pub(super) fn upgrade_line(
    run: &ReleaseContext,
    helm: CommandLine,
    major: Major,
    system: &SystemName,
    stamp: impl fmt::Display,
) -> CommandLine {
    let deployment = &run.core.deployment;
    let values = deployment.home.values(system);
    let values: PathBuf = values.strip_prefix(&deployment.root).map_or_else(|_| values.clone(), Path::to_owned);
    let namespace = run.core.names.namespace(system);
    let release = Release { name: system.as_str(), namespace: &namespace };
    let labels = format!("{},{STAMP}={stamp}", run.core.names.selector());
    let chart = Chart::Folder(CHART.into());
    helm::upgrade(helm, major, release, &chart, &[&values], &labels).dir(&deployment.root)
}

/// # Errors
/// Those of [`upgrade`].
pub(super) fn roll_back(run: &ReleaseContext, system: &SystemName, revision: u64, cx: &StepCx<'_>) -> Result<()> {
    // What grew then is not known here; what is said of others is what they have.
    scale::keep_running(&run.core, system, &|_| true)?;
    execute(&roll_back_line(run, run.core.access.helm()?, run.helm()?, system, revision), cx)?;
    scale::to_minimum(&run.core, system)
}

pub(super) fn roll_back_line(
    run: &ReleaseContext,
    helm: CommandLine,
    major: Major,
    system: &SystemName,
    revision: u64,
) -> CommandLine {
    let namespace = run.core.names.namespace(system);
    helm::rollback(helm, major, Release { name: system.as_str(), namespace: &namespace }, revision)
}

/// # Errors
/// Those of [`upgrade`].
pub(super) fn uninstall(run: &ReleaseContext, system: &SystemName, cx: &StepCx<'_>) -> Result<()> {
    let namespace = run.core.names.namespace(system);
    let release = Release { name: system.as_str(), namespace: &namespace };
    execute(&helm::uninstall(run.core.access.helm()?, release), cx)
}

/// Runs Helm, again for a while where a webhook of the cluster is not answered for at the moment.
pub(super) fn execute(line: &CommandLine, cx: &StepCx<'_>) -> Result<()> {
    let refused = RefCell::new(String::new());
    let run = every(WEBHOOK_EVERY, || {
        let finished = cx.try_run(line, &|_, _| {})?;
        if finished.success {
            return Ok(Some(()));
        }
        // A Helm that was killed says nothing.
        let words = if finished.stderr.trim().is_empty() { finished.status } else { finished.stderr };
        if !kube::awaits_webhook(&words) {
            return Err(diagnostics::refusal(&words).fault().into());
        }
        cx.status(format!("waiting for a webhook of the cluster: {}", words.trim()));
        refused.replace(words);
        Ok(None)
    });
    cx.wait_for(WEBHOOK_WITHIN, run, || diagnostics::refusal(&refused.borrow()).fault())
}

/// Takes away the records of a Helm that was killed in the middle: with one of them as the newest, no other Helm would
/// begin. Whoever calls this holds the lease, so none is at work. What is left of the records, the newest last.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn repair(run: &ReleaseContext, system: &SystemName, cx: &StepCx<'_>) -> Result<Vec<Record>> {
    let namespace = run.core.names.namespace(system);
    repair_release(&run.core, Release { name: system.as_str(), namespace: &namespace }, cx)
}

/// The same for any release.
///
/// # Errors
/// Those of [`repair`].
pub(super) fn repair_release(core: &Kubernetes, release: Release<'_>, cx: &StepCx<'_>) -> Result<Vec<Record>> {
    let (unfinished, kept): (Vec<Record>, _) =
        running::records_of(core, release)?.into_iter().partition(Record::is_unfinished);
    let api = core.access.api()?;
    for Record { name, revision, status, .. } in unfinished {
        let told = |refusal| kube::fault("repair the release", &refusal);
        api.delete(&path::SECRET.at(release.namespace, &name), false).map_err(told)?;
        cx.news(format!("revision {revision} of the release was left `{status}` by a killed run; repaired"));
    }
    Ok(kept)
}
