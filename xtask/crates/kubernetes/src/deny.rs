//! Proves that a service cannot be reached from where it must not be: short-lived pods try, in another namespace and in
//! its own, with the program of one of this repository's images, or else with that of the edge. One with the labels of a service that needs it has to
//! get through, or the failure of the others would prove nothing.

mod outside;
mod pod;
mod trial;

use self::pod::{Program, Tool};
use self::trial::{STUCK, Trial, Verdict};
use super::{Kubernetes, pods};
use anyhow::Result;
use base::error::Fault;
use engine::smoke::Outcome;
use kube::Api;
use kube::object;
use model::name::ServiceName;
use model::smoke::{DeniedPath, Origin};
use model::system::{Service, Source, System};
use serde_json::{Map, Value};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What comes with one pod of a controller alone.
const OF_ONE_POD: [&str; 4] = [
    "pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
];

pub(super) fn deny(core: &Kubernetes, denied: &DeniedPath) -> Outcome {
    let outcome = Attempt::new(core, denied).and_then(|attempt| match attempt {
        Ok(attempt) => attempt.judge(),
        Err(reason) => Ok(Outcome::Skipped(reason)),
    });
    outcome.unwrap_or_else(|error| Outcome::Failed(Fault::of(&error).cause))
}

/// Everything that it takes to find out.
struct Attempt<'a> {
    core: &'a Kubernetes,
    api: Arc<Api>,
    denied: &'a DeniedPath,
    service: &'a Service,
    system: &'a System,
    /// A pod of the service that serves.
    target: Value,
    address: SocketAddr,
    program: Program,
}

impl<'a> Attempt<'a> {
    /// Or why it cannot be tried.
    fn new(core: &'a Kubernetes, denied: &'a DeniedPath) -> Result<Result<Self, String>> {
        let declared = core.deployment.find_service(&denied.to).zip(core.system_of(&denied.to));
        let (service, system) =
            declared.ok_or_else(|| Fault::failed("no-service", format!("there is no service `{}`", denied.to)))?;
        let api = core.access.api()?;
        let Some((target, ip)) = pods::serving(core, &denied.to)?
            .into_iter()
            .find_map(|pod| object::text(&pod, "/status/podIP").parse::<IpAddr>().ok().map(|ip| (pod, ip)))
        else {
            return Ok(Err(format!("`{}` does not run here", denied.to)));
        };
        let Some(program) = program(core, system, &target)? else {
            let reason = "there is no program to try it with: no image of this repository runs, and \
                          `deploy/images.toml` has no `edge`";
            return Ok(Err(reason.to_owned()));
        };
        trial::clean_up(&api, &core.names)?;
        let address = SocketAddr::new(ip, service.port.unwrap_or_default());
        Ok(Ok(Self { core, api, denied, service, system, target, address, program }))
    }

    fn judge(&self) -> Result<Outcome> {
        if self.denied.from == Origin::Outside
            && let Some(way) = outside::way(self.core, &self.api, self.service, &self.target)?
        {
            return Ok(Outcome::Failed(way));
        }
        let (admitted, refused) = (self.admitted()?, self.refused()?);
        let trials: Vec<&Trial> = admitted.iter().chain(&refused).collect();
        let verdicts = match trial::run(self.core, &self.api, &self.program, &trials, self.address) {
            // The nodes may have no way to the edge's image, which nothing else here needs.
            Err(error) if self.program.tool == Tool::Edge && Fault::of(&error).code == STUCK => {
                return Ok(Outcome::Skipped(Fault::of(&error).cause));
            }
            verdicts => verdicts?,
        };
        for (trial, verdict) in trials.iter().zip(&verdicts) {
            match (trial.admitted, verdict) {
                (true, Verdict::Refused(words)) => {
                    let why = format!("`{}` could not be reached from {} either: {words}", self.denied.to, trial.from);
                    return Ok(Outcome::Failed(why));
                }
                (false, Verdict::Reached) => {
                    let why = format!(
                        "from {}: connected to {}; expected no connection (does the cluster's network enforce \
                         NetworkPolicy? That of minikube does with `--cni=calico` alone)",
                        trial.from, self.address
                    );
                    return Ok(Outcome::Failed(why));
                }
                _ => {}
            }
        }
        Ok(Outcome::Passed)
    }

    /// A pod that passes for one of a service that needs it.
    fn admitted(&self) -> Result<Option<Trial>> {
        let needing = self.system.services.iter().filter(|other| other.needs.contains(&self.denied.to));
        for other in needing {
            if let Some(trial) = self.disguised(&other.name, true)? {
                return Ok(Some(trial));
            }
        }
        Ok(None)
    }

    /// Those that must not get through.
    fn refused(&self) -> Result<Vec<Trial>> {
        let elsewhere = || Trial {
            from: format!("a pod in the namespace `{}`", self.core.names.home),
            namespace: self.core.names.home.clone(),
            labels: Map::new(),
            admitted: false,
        };
        let namespace = self.core.names.namespace(&self.system.name);
        let beside = || Trial {
            from: format!("another pod in the namespace `{namespace}`"),
            namespace: namespace.clone(),
            labels: Map::new(),
            admitted: false,
        };
        Ok(match &self.denied.from {
            Origin::Outside => vec![elsewhere()],
            Origin::OtherServices => vec![elsewhere(), beside()],
            Origin::Service(other) => self.disguised(other, false)?.into_iter().collect(),
        })
    }

    /// A pod that has the labels of a service, as the network knows it by them; nothing where that does not run.
    fn disguised(&self, service: &ServiceName, admitted: bool) -> Result<Option<Trial>> {
        let pods = pods::serving(self.core, service)?;
        Ok(pods.first().map(|pod| Trial {
            from: format!("a pod with the labels of `{service}`"),
            namespace: object::namespace(pod).to_owned(),
            labels: lasting_labels(pod),
            admitted,
        }))
    }
}

fn lasting_labels(pod: &Value) -> Map<String, Value> {
    let labels = pod["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.into_iter().filter(|(name, _)| !OF_ONE_POD.contains(&name.as_str())).collect()
}

/// The short name of the edge's image.
const EDGE: &str = "edge";

/// A program of this repository that runs: the system's own first, whose image its nodes have. Else that of the edge.
fn program(core: &Kubernetes, system: &System, target: &Value) -> Result<Option<Program>> {
    let others = core.deployment.spec.systems.iter().filter(|other| other.name != system.name);
    for system in std::iter::once(system).chain(others) {
        let own = system.services.iter().filter(|service| matches!(service.source, Source::Crate(_)));
        for service in own {
            if let Some(pod) = pods::serving(core, &service.name)?.first() {
                return Ok(Some(Program::of(pod)));
            }
        }
    }
    Ok(core.deployment.spec.images.get(EDGE).map(|pin| Program::edge(pin.to_string(), target)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_disguise_leaves_out_what_would_have_it_adopted() {
        let labels = json!({"app.kubernetes.io/name": "a", "pod-template-hash": "x", "deployment_id": "try"});
        let kept = lasting_labels(&json!({"metadata": {"labels": labels}}));
        assert_eq!(Value::from(kept), json!({"app.kubernetes.io/name": "a", "deployment_id": "try"}));
    }
}
