//! Services that scale: as many from the beginning as there are to be at least. Their autoscaler begins with one and takes
//! some seconds to look, so that a release would be proven before it is what was asked for.

use super::Kubernetes;
use super::names::INSTANCE;
use anyhow::Result;
use kube::object::{name, number, text};
use kube::path::{AUTOSCALER, DEPLOYMENT, Kind};
use model::name::SystemName;
use serde_json::{Value, json};

const TARGET: &str = "/spec/scaleTargetRef";

/// Says of each of a system's Deployments that is to get an autoscaler how many there are, as a release is about to leave that
/// to the autoscaler: Helm takes its own number back then, and what nobody else has said falls to one. Whoever names another
/// number afterwards has it. Helm 3 takes the number back whoever else has said it.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn keep_running(core: &Kubernetes, system: &SystemName, grows: &dyn Fn(&str) -> bool) -> Result<()> {
    let api = core.access.api()?;
    let namespace = core.names.namespace(system);
    let selector = format!("{INSTANCE}={system},{}", core.names.selector());
    let keep = || {
        let scaled = api.list(&AUTOSCALER.within(&namespace), &selector)?;
        let workloads = api.list(&DEPLOYMENT.within(&namespace), &selector)?;
        unscaled(&workloads, &scaled).filter(|workload| grows(name(workload))).try_for_each(|workload| {
            let said = json!({"apiVersion": DEPLOYMENT.version(), "kind": DEPLOYMENT.name,
                "metadata": {"name": name(workload)}, "spec": {"replicas": workload["spec"]["replicas"]}});
            api.apply(&DEPLOYMENT.at(&namespace, name(workload)), &said).map(drop)
        })
    };
    keep().map_err(|refusal| kube::fault(&format!("keep as many of `{system}` as there are"), &refusal).into())
}

fn unscaled<'w>(workloads: &'w [Value], scaled: &'w [Value]) -> impl Iterator<Item = &'w Value> {
    let is_scaled =
        |workload: &Value| scaled.iter().any(|scaler| text(scaler, &format!("{TARGET}/name")) == name(workload));
    workloads.iter().filter(move |workload| !is_scaled(workload))
}

/// Raises what a system's autoscalers have not raised yet.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn to_minimum(core: &Kubernetes, system: &SystemName) -> Result<()> {
    let api = core.access.api()?;
    let namespace = core.names.namespace(system);
    let selector = format!("{INSTANCE}={system},{}", core.names.selector());
    let raise = |autoscaler: &Value| {
        let Some(kind) = autoscaler.pointer(TARGET).and_then(Kind::of) else { return Ok(()) };
        let place = kind.at(&namespace, text(autoscaler, &format!("{TARGET}/name")));
        let least = number(autoscaler, "/spec/minReplicas");
        match api.get(&place)? {
            Some(workload) if number(&workload, "/spec/replicas") < least => {
                api.merge(&place, &json!({"spec": {"replicas": least}})).map(drop)
            }
            _ => Ok(()),
        }
    };
    let found = api.list(&AUTOSCALER.within(&namespace), &selector);
    let raised = found.and_then(|found| found.iter().try_for_each(raise));
    raised.map_err(|refusal| kube::fault(&format!("start as many of `{system}` as there are to be"), &refusal).into())
}
