//! Waits until what was released is reached as its users reach it: an ingress takes in a new route some time after the
//! pods behind it are ready.

use super::release_spec::{ReleaseSpec, WorkloadSpec};
use super::{Kubernetes, balancers, exposure, traffic};
use anyhow::Result;
use base::error::Fault;
use base::http;
use base::http::{Request, Response, Url};
use engine::plan::runner::StepCx;
use model::system::{Probe, Service};
use std::cell::RefCell;
use std::time::Duration;

/// How long an ingress may take. Those in a cluster take seconds.
const WITHIN: Duration = Duration::from_secs(120);
/// What an ingress says of a host that it does not know.
const NOT_FOUND: u16 = 404;
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
    match core.platform.ingress_provider() {
        Some(provider) => provider.arrive(core, cx, &wanted.system, &public)?,
        None => by_ingress(core, cx, &public)?,
    }
    balancers::wait(core, cx, wanted)
}

fn by_ingress(core: &Kubernetes, cx: &StepCx<'_>, public: &[&WorkloadSpec]) -> Result<()> {
    for part in public {
        let service = &part.service.name;
        let Some(request) = traffic::request(core, service).or_else(|| undeclared(core, part)) else { continue };
        let seen = RefCell::new(String::new());
        let ask = || {
            let Err(answer) = ask(&request, &part.service, cx) else { return Ok(Some(())) };
            if *seen.borrow() != answer {
                cx.status(format!("waiting for the ingress to lead to `{service}`: {answer}"));
                seen.replace(answer);
            }
            Ok(None)
        };
        cx.wait_for(WITHIN, ask, || unreached(core, &part.service, &request, &seen.borrow()))?;
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
fn ask(request: &Request, service: &Service, cx: &StepCx<'_>) -> Result<(), String> {
    match http::send(request, &|| cx.interrupts.stopping()) {
        Ok(response) if is_from(&service.ready, &response) => Ok(()),
        Ok(response) => Err(format!("status {}", response.status)),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a service that is ready has answered itself. Where it is not asked over HTTP whether it is, nobody knows what it
/// says at `/`: it may refuse. An ingress that leads nowhere has no such answer but 404.
pub fn is_from(ready: &Probe, response: &Response) -> bool {
    let refuses = (400..500).contains(&response.status) && response.status != NOT_FOUND;
    response.passes_probe() || refuses && !ready.is_http()
}

fn unreached(core: &Kubernetes, service: &Service, request: &Request, seen: &str) -> Fault {
    let (name, url, within) = (&service.name, &request.url, WITHIN.as_secs());
    let cause = format!("`{name}` is ready, but cannot be reached from outside within {within} s: {url}: {seen}");
    let namespace = core.system_of(name).map(|system| core.names.namespace(&system.name)).unwrap_or_default();
    let reports = format!("`kubectl describe ingress -n {namespace}` shows what the ingress controller reports");
    Fault::failed("not-routed", cause).hint(match service.ready.is_http() {
        true => reports,
        false => format!(
            "if it has nothing there, name a path that it answers well: `ready = {{ http = \"/PATH\" }}`; {reports}"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_answer_where_nobody_knows_of_a_better_one() {
        let statuses = [200, 302, 400, 401, 404, 502];
        let are_from = |ready: &Probe| {
            statuses.map(|status| is_from(ready, &Response { status, headers: Vec::new(), body: Vec::new() }))
        };
        let tcp = Probe::Tcp { send: None, expect: None };
        assert_eq!(are_from(&tcp), [true, true, true, true, false, false]);
        let http = Probe::Http { path: "/up".to_owned() };
        assert_eq!(are_from(&http), [true, true, false, false, false, false]);
    }
}
