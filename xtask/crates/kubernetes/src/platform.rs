//! Who provides the cluster: what differs between one that kubeconfig names and one that a deploy has made.

use super::Kubernetes;
use super::kubeconfig::Kubeconfig;
use super::release_spec::{Exposure, WorkloadSpec};
use anyhow::Result;
use base::error::Fault;
use base::http::Endpoint;
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use engine::secrets::Lack;
use images::auth::Ask;
use model::name::{ServiceName, SystemName};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Provides a cluster, and what services have beside it.
pub trait Platform: Send + Sync {
    /// Whether there is a cluster yet, as far as this can be told without a question to it.
    ///
    /// # Errors
    /// When it cannot be told.
    fn is_there(&self) -> Result<bool>;

    /// The private kubeconfig, made if need be.
    ///
    /// # Errors
    /// When there is no such cluster, with what helps.
    fn kubeconfig(&self) -> Result<Kubeconfig>;

    /// Who is asked for what signs in at the registry, when something is pushed. `None`: the environment's variables
    /// have it, or the engine knows by itself.
    fn registry_owner(&self) -> Option<Ask> {
        None
    }

    /// A line of kubectl or Helm, with what the programs need or must not see that sign in for them.
    fn prepared(&self, line: CommandLine) -> CommandLine {
        line
    }

    /// What the namespaces of systems carry beside the deployment's own labels.
    fn namespace_labels(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What a service gets from the platform. `None`: that is not known yet.
    ///
    /// # Errors
    /// When it cannot be told.
    fn grants(&self, part: &WorkloadSpec) -> Result<Option<ServiceBindings>> {
        let _ = part;
        Ok(Some(ServiceBindings::default()))
    }

    /// What it provides in the place of a service that it manages, as `provides` names it. `None`: that is not known yet.
    ///
    /// # Errors
    /// When it cannot be told, or there is no such thing.
    fn provided(&self, service: &ServiceName, name: &str) -> Result<Option<String>> {
        let cause = format!("nothing here replaces `{service}` and provides `{name}`");
        Err(Fault::could_not_run("not-managed", cause).into())
    }

    /// A secret that it keeps for services, by its name, or why it has none of it.
    ///
    /// # Errors
    /// When it cannot be told.
    fn secret(&self, name: &str) -> Result<Result<String, Lack>> {
        Ok(Err(Lack::new(format!("nothing here keeps `{name}`"), "deploy to target `eks`")))
    }

    /// The way in from outside, where the platform makes it. `None`: the cluster's own ingress is asked.
    fn ingress_provider(&self) -> Option<&dyn IngressProvider> {
        None
    }
}

/// What a service gets from the platform.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceBindings {
    /// Variables, for which the environment's own are not given up.
    pub env: BTreeMap<String, String>,
    /// Where it may connect to, as the chart has it: `{"cidrs": […], "ports": [{"port": 443, "protocol": "TCP"}]}`.
    pub egress: Vec<Value>,
    /// What the load balancer of its public further ports is told, as the chart has it:
    /// `{"annotations": {…}, "checks": [CIDR…]}`, the latter from where it asks the main port. `None`: what any cluster understands.
    pub balancer: Option<Value>,
}

/// Load balancers that the platform makes for Ingresses.
pub trait IngressProvider: Send + Sync {
    /// How public services are exposed. `None`: that is not known yet.
    ///
    /// # Errors
    /// When it cannot be told.
    fn exposure(&self) -> Result<Option<Exposure>>;

    /// What the Ingress of a public service carries beside [`Exposure::annotations`].
    fn annotations(&self, part: &WorkloadSpec) -> BTreeMap<String, String>;

    /// Where a public service is asked from here.
    ///
    /// # Errors
    /// The reason, for people.
    fn endpoint(&self, core: &Kubernetes, service: &ServiceName) -> Result<Endpoint, String>;

    /// What a person opens; `None` while that is not known.
    fn url(&self, core: &Kubernetes, service: &ServiceName) -> Option<String>;

    /// Waits until these services of a system are reached from outside: the load balancer is active, its targets are
    /// healthy, names lead there.
    ///
    /// # Errors
    /// The first hop that fails.
    fn arrive(&self, core: &Kubernetes, cx: &StepCx<'_>, system: &SystemName, public: &[&WorkloadSpec]) -> Result<()>;

    /// Has other systems that have one of these hosts go on serving them while this one is released: until it arrives.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    fn keep_first(&self, core: &Kubernetes, system: &SystemName, hosts: &BTreeSet<String>) -> Result<()>;

    /// Removes the Ingresses of a namespace, or those of these services in it, before what they lead to, and waits until
    /// the controller has let go of them: from then on nobody is sent there.
    ///
    /// # Errors
    /// When one of them stays: what holds it.
    fn close(
        &self,
        core: &Kubernetes,
        cx: &StepCx<'_>,
        namespace: &str,
        services: Option<&BTreeSet<ServiceName>>,
    ) -> Result<()>;

    /// Removes the public names of a system that no Ingress has any more, and strikes from the ledger the load balancers
    /// that are gone. Done once more it finds nothing to do.
    ///
    /// # Errors
    /// When a name cannot be removed, or it cannot be told what there is.
    fn forget_closed(&self, core: &Kubernetes, cx: &StepCx<'_>, system: &SystemName) -> Result<()>;

    /// Why one of these services is not reached, if a hop on the way from outside fails: the first one.
    fn explain(&self, core: &Kubernetes, services: &[ServiceName]) -> Option<Fault>;
}
