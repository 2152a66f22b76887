//! Waits until what was released is reached as its users reach it: an ingress takes in a new route some time after the
//! pods behind it are ready.

use super::release_spec::{ReleaseSpec, WorkloadSpec};
use super::{Kubernetes, exposure, traffic};
use anyhow::Result;
use base::error::Fault;
use base::http;
use base::http::{Request, Url};
use engine::plan::runner::StepCx;
use model::name::ServiceName;
use model::system::Probe;
use std::cell::RefCell;
use std::time::Duration;

/// How long an ingress may take. Those in a cluster take seconds.
const WITHIN: Duration = Duration::from_secs(120);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Has whoever has the host of a service serve it until what is released now is ready.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn beside_others(core: &Kubernetes, wanted: &ReleaseSpec) -> Result<()> {
    let Some(provider) = core.platform.ingress_provider() else { return Ok(()) };
    let hosts = wanted.public().iter().filter_map(|service| wanted.host(service)).collect();
    provider.keep_first(core, &wanted.system, &hosts)
}

/// # Errors
/// When a service does not answer well in time, with what is answered for it.
pub(super) fn wait(core: &Kubernetes, cx: &StepCx<'_>, wanted: &ReleaseSpec) -> Result<()> {
    let public: Vec<&WorkloadSpec> = wanted.parts.iter().filter(|part| part.service.public).collect();
    if let Some(provider) = core.platform.ingress_provider() {
        return provider.arrive(core, cx, &wanted.system, &public);
    }
    for part in public {
        let service = &part.service.name;
        let Some(request) = traffic::request(core, service).or_else(|| undeclared(core, part)) else { continue };
        let seen = RefCell::new(String::new());
        let ask = || {
            let Err(answer) = ask(&request, cx) else { return Ok(Some(())) };
            if *seen.borrow() != answer {
                cx.status(format!("waiting for the ingress to lead to `{service}`: {answer}"));
                seen.replace(answer);
            }
            Ok(None)
        };
        cx.wait_for(WITHIN, ask, || unreached(core, service, &request, &seen.borrow()))?;
    }
    Ok(())
}

/// What one is asked that an earlier release had, and that no file declares any more.
fn undeclared(core: &Kubernetes, part: &WorkloadSpec) -> Option<Request> {
    let is_declared = core.deployment.find_service(&part.service.name).is_some();
    let Probe::Http { path } = &part.service.ready else { return None };
    if is_declared {
        return None;
    }
    let endpoint = exposure::endpoint(core, &part.service.name).ok()?;
    Some(Request::get(Url { endpoint, path: path.clone() }, ANSWER))
}

/// # Errors
/// What came instead of the answer of a service that is ready.
fn ask(request: &Request, cx: &StepCx<'_>) -> Result<(), String> {
    match http::send(request, &|| cx.interrupts.stopping()) {
        Ok(response) if response.passes_probe() => Ok(()),
        Ok(response) => Err(format!("status {}", response.status)),
        Err(error) => Err(error.to_string()),
    }
}

fn unreached(core: &Kubernetes, service: &ServiceName, request: &Request, seen: &str) -> Fault {
    let (url, within) = (&request.url, WITHIN.as_secs());
    let cause = format!("`{service}` is ready, but cannot be reached from outside within {within} s: {url}: {seen}");
    let namespace = core.system_of(service).map(|system| core.names.namespace(&system.name)).unwrap_or_default();
    Fault::failed("not-routed", cause)
        .hint(format!("`kubectl describe ingress -n {namespace}` shows what the ingress controller reports"))
}
