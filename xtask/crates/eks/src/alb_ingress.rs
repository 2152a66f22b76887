//! The way in from outside: Application Load AlbIngress, which the controller makes for the Ingresses of our class.
//!
//! With a `domain` all public services share one, told apart by their hosts; without one each has its own. Where they
//! are is read from the Ingresses, so that a question about what runs needs no answer from AWS.

use super::balancer::{self, Seen};
use super::certificate::{self, CertificateState};
use super::{ingress, request_path, takeover, teardown};

use anyhow::Result;
use aws::infra::ledger::AwsLedger;
use aws::infra::{Infra, Outputs};
use base::ctx::Ctx;
use base::error::Fault;
use base::http::{Endpoint, Scheme, Via};
use engine::plan::runner::StepCx;
use kube::object;
use kube::path;
use kubernetes::Kubernetes;
use kubernetes::platform::IngressProvider;
use kubernetes::release_spec::{Exposure, WorkloadSpec};
use model::name::{ServiceName, SystemName};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) struct AlbIngress {
    pub(super) infra: Arc<Infra>,
    pub(super) ledger: Arc<AwsLedger>,
    outputs: Mutex<Option<Outputs>>,
    certificate: Mutex<Option<CertificateState>>,
    /// Where services were found in this run.
    found: Mutex<BTreeMap<ServiceName, Endpoint>>,
}

impl AlbIngress {
    pub(super) fn new(infra: &Arc<Infra>, ledger: &Arc<AwsLedger>, _: &Ctx) -> Self {
        Self {
            infra: Arc::clone(infra),
            ledger: Arc::clone(ledger),
            outputs: Mutex::default(),
            certificate: Mutex::default(),
            found: Mutex::default(),
        }
    }

    pub(super) fn set_outputs(&self, outputs: &Outputs) {
        *lock(&self.outputs) = Some(outputs.clone());
        *lock(&self.certificate) = None;
    }

    pub(super) fn outputs(&self) -> Result<Option<Outputs>> {
        let mut known = lock(&self.outputs);
        if known.is_none() {
            *known = self.infra.applied(false)?.map(|(_, outputs)| outputs);
        }
        Ok(known.clone())
    }

    /// The certificate, asked for once in a run.
    pub(super) fn certificate(&self, outputs: &Outputs) -> Result<CertificateState> {
        let mut known = lock(&self.certificate);
        if known.is_none() {
            *known = Some(certificate::of(&self.infra, outputs)?);
        }
        Ok(known.clone().unwrap_or(CertificateState::None))
    }

    /// Has the Ingresses of these services looked at anew.
    pub(super) fn look_again(&self, services: &[ServiceName]) {
        lock(&self.found).retain(|service, _| !services.contains(service));
    }

    /// Everything that the load balancer controller has made for the deployment.
    ///
    /// # Errors
    /// When AWS refuses or does not answer.
    pub(super) fn seen(&self) -> Result<Seen> {
        let seen = balancer::seen(&self.infra.aws, &self.infra.names.base());
        Ok(seen.map_err(|refusal| aws::fault("look at the load balancers", &refusal))?)
    }

    /// The Ingress of a public service.
    ///
    /// # Errors
    /// When the cluster or the records cannot be read.
    pub(super) fn ingress(core: &Kubernetes, service: &ServiceName) -> Result<Option<Value>> {
        let Some(system) = core.owner_of(service)? else { return Ok(None) };
        let at = path::INGRESS.at(&core.names.namespace(&system), service.as_str());
        let found = core.access.api()?.get(&at);
        Ok(found.map_err(|refusal| kube::fault(&format!("look at the Ingress of `{service}`"), &refusal))?)
    }
}

/// The name of the load balancer that an Ingress reports.
pub(super) fn balancer(ingress: &Value) -> Option<&str> {
    Some(object::text(ingress, "/status/loadBalancer/ingress/0/hostname")).filter(|name| !name.is_empty())
}

/// Where the service of an Ingress is asked. `resolve` tells the addresses of a name as they are seen from here.
pub(super) fn endpoint(ingress: &Value, resolve: &dyn Fn(&str) -> BTreeSet<IpAddr>) -> Option<Endpoint> {
    let balancer = balancer(ingress)?;
    let has_certificate = !object::annotation(ingress, &ingress::certificate_key()).is_empty();
    let scheme = if has_certificate { Scheme::Https } else { Scheme::Http };
    let (host, port) = (object::text(ingress, "/spec/rules/0/host"), scheme.port());
    if host.is_empty() {
        return Some(Endpoint { scheme, host: balancer.to_owned(), port, via: None });
    }
    // Another address is not this deployment's: an old record, or somebody who passes requests on.
    let leads_there = !resolve(host).is_disjoint(&resolve(balancer));
    let via = (!leads_there).then(|| Via::Name(balancer.to_owned(), port));
    Some(Endpoint { scheme, host: host.to_owned(), port, via })
}

/// The addresses of a name as they are seen from here; none when it does not resolve.
pub(super) fn resolve(name: &str) -> BTreeSet<IpAddr> {
    let found = (name, 80).to_socket_addrs();
    found.map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default()
}

impl IngressProvider for AlbIngress {
    fn exposure(&self) -> Result<Option<Exposure>> {
        let Some(outputs) = self.outputs()? else { return Ok(None) };
        let certificate = self.certificate(&outputs)?;
        let environment = &self.infra.deployment.environment;
        Ok(Some(ingress::exposure(environment, &self.infra.names, &outputs, certificate.issued())))
    }

    fn annotations(&self, part: &WorkloadSpec) -> BTreeMap<String, String> {
        ingress::own(part)
    }

    fn endpoint(&self, core: &Kubernetes, service: &ServiceName) -> Result<Endpoint, String> {
        if let Some(known) = lock(&self.found).get(service) {
            return Ok(known.clone());
        }
        let ingress = Self::ingress(core, service).map_err(|error| Fault::of(&error).cause)?;
        let ingress = ingress.ok_or_else(|| format!("there is no Ingress for `{service}` yet"))?;
        let missing = || format!("the Ingress of `{service}` has no load balancer yet");
        let endpoint = endpoint(&ingress, &resolve).ok_or_else(missing)?;
        lock(&self.found).insert(service.clone(), endpoint.clone());
        Ok(endpoint)
    }

    fn url(&self, core: &Kubernetes, service: &ServiceName) -> Option<String> {
        let path = core.deployment.find_service(service).map_or("/", |declared| declared.public_name.first_path());
        let url = self.endpoint(core, service).ok()?.url();
        Some(format!("{}{path}", url.trim_end_matches('/')))
    }

    fn arrive(&self, core: &Kubernetes, cx: &StepCx<'_>, system: &SystemName, public: &[&WorkloadSpec]) -> Result<()> {
        super::arrival::arrive(self, core, cx, system, public)
    }

    fn keep_first(&self, core: &Kubernetes, system: &SystemName, hosts: &BTreeSet<String>) -> Result<()> {
        takeover::keep_first(core, system, hosts)
    }

    fn close(
        &self,
        core: &Kubernetes,
        cx: &StepCx<'_>,
        namespace: &str,
        services: Option<&BTreeSet<ServiceName>>,
    ) -> Result<()> {
        teardown::close(core, cx, namespace, services)
    }

    fn forget_closed(&self, core: &Kubernetes, cx: &StepCx<'_>, system: &SystemName) -> Result<()> {
        teardown::forget_closed(self, core, cx, system)
    }

    fn explain(&self, core: &Kubernetes, services: &[ServiceName]) -> Option<Fault> {
        let declared = services.iter().filter_map(|service| core.deployment.find_service(service));
        declared.filter(|service| service.public).find_map(|service| {
            let way = request_path::look(self, core, service).ok()?;
            request_path::first(&way)
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ingress(host: &str, balancer: &str, certificate: &str) -> Value {
        let rule = if host.is_empty() { json!({}) } else { json!({"host": host}) };
        json!({
            "metadata": {"annotations": {"alb.ingress.kubernetes.io/certificate-arn": certificate}},
            "spec": {"rules": [rule]},
            "status": {"loadBalancer": {"ingress": [{"hostname": balancer}]}},
        })
    }

    fn asked(ingress: &Value) -> Option<(String, Option<String>)> {
        let resolve = |name: &str| match name {
            "lb" | "known.example" => BTreeSet::from(["10.0.0.1".parse().unwrap()]),
            "moved.example" => BTreeSet::from(["10.9.9.9".parse().unwrap()]),
            _ => BTreeSet::new(),
        };
        let endpoint = endpoint(ingress, &resolve)?;
        Some((endpoint.url(), endpoint.via.map(|via| via.to_string())))
    }

    #[test]
    fn a_service_is_asked_by_its_name_by_way_of_the_balancer_where_the_name_does_not_lead_there() {
        let of = |host: &str, certificate: &str| asked(&ingress(host, "lb", certificate)).unwrap();
        assert_eq!(of("", ""), ("http://lb/".to_owned(), None));
        assert_eq!(of("known.example", ""), ("http://known.example/".to_owned(), None));
        assert_eq!(of("new.example", ""), ("http://new.example/".to_owned(), Some("lb:80".to_owned())));
        assert_eq!(of("moved.example", "arn"), ("https://moved.example/".to_owned(), Some("lb:443".to_owned())));
        assert_eq!(asked(&ingress("a.example", "", "")), None);
    }
}
