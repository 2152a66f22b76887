//! Tries to connect from pods that are made for it, all at the same time, and removes them, whatever becomes of it.

use super::pod::Program;
use crate::Kubernetes;
use crate::names::Names;
use crate::pods;
use crate::pods::TRIAL;
use anyhow::{Result, anyhow};
use base::error::Fault;
use engine::lease::timestamp;
use kube::object;
use kube::{Api, path};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

/// How long it may take until all have ended.
const WITHIN: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(100);
/// What is left of others' trials is theirs for so long.
const LEFT: Duration = Duration::from_secs(300);

/// The code of a trial that came to nothing.
pub(super) const STUCK: &str = "trial-stuck";

/// A pod that tries.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    /// For people: "a pod in the namespace `shop`".
    pub(super) from: String,
    pub(super) namespace: String,
    pub(super) labels: Map<String, Value>,
    /// It has to get through.
    pub(super) admitted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Reached,
    /// In the program's words.
    Refused(String),
}

/// What each of them came to.
///
/// # Errors
/// When one cannot be made, or has not tried in time.
pub(super) fn run(
    core: &Kubernetes,
    api: &Api,
    program: &Program,
    trials: &[&Trial],
    to: SocketAddr,
) -> Result<Vec<Verdict>> {
    let mut pods = Vec::new();
    for trial in trials {
        let name = format!("slipway-trial-{}", number()?);
        // Removed even when the answer to its making is lost.
        let pod = Pod { api, path: path::POD.at(&trial.namespace, &name), last: Value::Null };
        let made = api.create(&path::POD.within(&trial.namespace), &program.pod(&core.names, trial, &name, to));
        pods.push(pod);
        made.map_err(|refusal| kube::fault(&format!("start {}", trial.from), &refusal))?;
    }
    let deadline = Instant::now() + WITHIN;
    loop {
        let verdicts: Vec<_> =
            trials.iter().zip(&mut pods).map(|(trial, pod)| pod.ask(program, trial)).collect::<Result<_>>()?;
        let unfinished = verdicts.iter().position(Option::is_none);
        let Some(waiting) = unfinished else { return Ok(verdicts.into_iter().flatten().collect()) };
        if core.interrupts.pause(PAUSE) {
            return Err(anyhow!("interrupted"));
        }
        if Instant::now() >= deadline {
            let (from, state) = (&trials[waiting].from, state(&pods[waiting].last));
            let cause = format!("{from} did not try within {} s: {state}", WITHIN.as_secs());
            return Err(Fault::failed(STUCK, cause).into());
        }
    }
}

/// Eight characters that no other trial has.
fn number() -> Result<String> {
    base::random::hex::<4>()
}

/// One that is there, and is removed with this.
struct Pod<'a> {
    api: &'a Api,
    path: String,
    last: Value,
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        // It ends by itself, and what cannot be removed now is by whoever tries the next time.
        let _ = self.api.delete(&self.path, false);
    }
}

impl Pod<'_> {
    fn ask(&mut self, program: &Program, trial: &Trial) -> Result<Option<Verdict>> {
        let pod = self.api.get(&self.path).map_err(|refusal| kube::fault(&format!("ask {}", trial.from), &refusal))?;
        self.last = pod.ok_or_else(|| anyhow!("somebody removed {}", trial.from))?;
        verdict(&self.last, program, trial).map_err(|why| anyhow!("{} could not try: {why}", trial.from))
    }
}

/// Nothing while it has not ended.
fn verdict(pod: &Value, program: &Program, trial: &Trial) -> Result<Option<Verdict>, String> {
    if object::text(pod, "/status/phase") == "Succeeded" {
        return Ok(Some(Verdict::Reached));
    }
    let container = pod.pointer("/status/containerStatuses/0");
    // One that is started again has its end in the state before.
    let ended = [("/state/terminated", 1), ("/lastState/terminated", 0)];
    let ended = ended.into_iter().find_map(|(at, now)| Some((container?.pointer(at)?, now)));
    let Some((ended, now)) = ended else {
        let failed = object::text(pod, "/status/phase") == "Failed";
        return if failed { Err(state(pod)) } else { Ok(None) };
    };
    // The pod takes a moment longer to end than its container.
    program.verdict(trial, ended, now + container.map_or(0, |container| object::number(container, "/restartCount")))
}

/// What it waits for.
fn state(pod: &Value) -> String {
    pods::trouble(pod).unwrap_or_else(|| object::text(pod, "/status/phase").to_owned())
}

/// Removes what killed runs have left.
///
/// # Errors
/// When the cluster does not answer.
pub(super) fn clean_up(api: &Api, names: &Names) -> Result<()> {
    let selector = format!("{},{TRIAL}=true", names.selector());
    let left = api.list(&path::POD.everywhere(), &selector);
    // Who may not look everywhere has to leave it to the end of the deployment.
    let left = left.unwrap_or_default();
    let before = timestamp(SystemTime::now() - LEFT);
    for pod in left.iter().filter(|pod| object::text(pod, "/metadata/creationTimestamp") < before.as_str()) {
        let at = path::POD.at(object::namespace(pod), object::name(pod));
        api.delete(&at, false).map_err(|refusal| kube::fault("remove an old trial", &refusal))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(phase: &str, container: Value) -> Value {
        json!({"status": {"phase": phase, "containerStatuses": [container]}})
    }

    fn refused(exit: u64) -> Value {
        json!({"terminated": {"exitCode": exit, "message": "connection refused\n"}})
    }

    fn verdict(pod: &Value) -> Result<Option<Verdict>, String> {
        let trial = Trial { from: String::new(), namespace: String::new(), labels: Map::new(), admitted: true };
        super::verdict(pod, &Program::of(&Value::Null), &trial)
    }

    #[test]
    fn a_verdict_is_how_the_program_has_ended() {
        assert_eq!(verdict(&pod("Succeeded", json!({}))), Ok(Some(Verdict::Reached)));
        assert_eq!(verdict(&pod("Running", json!({"state": refused(0)}))), Ok(Some(Verdict::Reached)));
        assert_eq!(verdict(&pod("Pending", json!({"state": {"waiting": {}}}))), Ok(None));
        let words = Verdict::Refused("connection refused".to_owned());
        assert_eq!(verdict(&pod("Failed", json!({"state": refused(1)}))), Ok(Some(words)));
    }

    #[test]
    fn a_program_that_could_not_run_proves_nothing() {
        let usage = pod("Failed", json!({"state": refused(2)}));
        assert_eq!(verdict(&usage), Err("exit code 2: connection refused".to_owned()));
        let evicted = json!({"status": {"phase": "Failed", "message": "node is gone"}});
        assert_eq!(verdict(&evicted), Err("node is gone".to_owned()));
    }
}
