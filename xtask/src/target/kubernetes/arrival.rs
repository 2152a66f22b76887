//! Waits until what was released is reached as its users reach it: an ingress takes in a new route some time after the
//! pods behind it are ready.

use super::{Kubernetes, traffic};
use crate::error::Fault;
use crate::http::{self, Request};
use crate::plan::runner::StepCx;
use crate::spec::name::ServiceName;
use anyhow::Result;
use std::cell::RefCell;
use std::time::Duration;

/// How long an ingress may take. Those in a cluster take seconds.
const WITHIN: Duration = Duration::from_secs(120);

/// # Errors
/// When a service does not answer well in time, with what is answered for it.
pub(super) fn wait(core: &Kubernetes, cx: &StepCx<'_>, services: &[ServiceName]) -> Result<()> {
    if let Some(front) = core.platform.front() {
        return front.arrive(core, cx, services);
    }
    for service in services {
        let Some(request) = traffic::request(core, service) else { continue };
        let seen = RefCell::new(String::new());
        let ask = || {
            let Err(answer) = ask(&request, cx) else { return Ok(Some(())) };
            if *seen.borrow() != answer {
                cx.status(format!("waits for the ingress to lead to `{service}`: {answer}"));
                seen.replace(answer);
            }
            Ok(None)
        };
        cx.wait_for(WITHIN, ask, || unreached(core, service, &request, &seen.borrow()))?;
    }
    Ok(())
}

/// # Errors
/// What came instead of the answer of a service that is ready.
fn ask(request: &Request, cx: &StepCx<'_>) -> Result<(), String> {
    match http::send(request, &|| cx.interrupts.stopping()) {
        Ok(response) if response.is_success() => Ok(()),
        Ok(response) => Err(format!("status {}", response.status)),
        Err(error) => Err(error.to_string()),
    }
}

fn unreached(core: &Kubernetes, service: &ServiceName, request: &Request, seen: &str) -> Fault {
    let (url, within) = (&request.url, WITHIN.as_secs());
    let cause = format!("`{service}` is ready, but from outside it is not reached within {within} s: {url}: {seen}");
    let namespace = core.system_of(service).map(|system| core.names.namespace(&system.name)).unwrap_or_default();
    Fault::failed("not-routed", cause)
        .hint(format!("`kubectl describe ingress -n {namespace}` tells what the ingress controller makes of it"))
}
