//! Waits until what was released is reached as its users reach it: the Ingress has a load balancer, that is active, its
//! targets are healthy, names lead there, and an answer comes. Each has its own budget, and what fails is told by its hop.

use super::balancer::{self, Balancer, Target};
use super::certificate::Known;
use super::dns::{self, Name};
use super::front::{self, Balancers};
use super::hops;
use super::reconciled::{self, Next, Watch};
use crate::aws;
use crate::error::Fault;
use crate::http::{self, Endpoint, Request, Scheme, Url, Via};
use crate::kube::{self, object};
use crate::plan::pace::every;
use crate::plan::runner::StepCx;
use crate::spec::name::{ServiceName, SystemName};
use crate::spec::system::{Probe, Service};
use crate::target::kubernetes::Kubernetes;
use anyhow::Result;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the controller may take to make a load balancer; it waits for those before it.
const MADE_WITHIN: Duration = Duration::from_secs(240);
/// How long AWS may take to bring it up: two to four minutes as a rule.
const ACTIVE_WITHIN: Duration = Duration::from_secs(480);
/// How long targets may take: registered, and asked twice.
const HEALTHY_WITHIN: Duration = Duration::from_secs(180);
/// How long an answer may take: the name of a new load balancer has to spread.
const ANSWERS_WITHIN: Duration = Duration::from_secs(300);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often AWS is asked, which costs a program each time.
const EVERY: Duration = Duration::from_secs(3);
/// How often the cluster is.
const OFTEN: Duration = Duration::from_millis(500);

/// A public service on its way.
struct Arriving {
    declared: Service,
    system: SystemName,
    namespace: String,
    ingress: Value,
}

/// See [`crate::target::kubernetes::platform::Front::arrive`].
///
/// # Errors
/// The first hop that fails.
pub(super) fn arrive(front: &Balancers, core: &Kubernetes, cx: &StepCx<'_>, services: &[ServiceName]) -> Result<()> {
    front.look_again(services);
    let mut arriving = Vec::new();
    for service in services {
        arriving.extend(made(core, cx, service)?);
    }
    let mut balancers: BTreeMap<String, Balancer> = BTreeMap::new();
    for host in arriving.iter().filter_map(|it| front::balancer(&it.ingress)) {
        if !balancers.contains_key(host) {
            balancers.insert(host.to_owned(), active(front, cx, host)?);
        }
    }
    enter(front, core, &arriving, &balancers)?;
    for it in &arriving {
        healthy(front, core, cx, it)?;
    }
    let named = |it: &Arriving| {
        let host = Some(object::text(&it.ingress, "/spec/rules/0/host")).filter(|host| !host.is_empty())?;
        let balancer = balancers.get(front::balancer(&it.ingress)?)?;
        Some(Name { service: it.declared.name.clone(), host: host.to_owned(), balancer })
    };
    let names: Vec<Name<'_>> = arriving.iter().filter_map(named).collect();
    dns::lead(front, core, cx, &names)?;
    arriving.iter().try_for_each(|it| answers(front, core, cx, it))?;
    tell_of_certificate(front, cx)
}

/// Waits until the Ingress of a service reports a load balancer, and the controller has nothing to complain of.
fn made(core: &Kubernetes, cx: &StepCx<'_>, service: &ServiceName) -> Result<Option<Arriving>> {
    let (Some(declared), Some(system)) = (core.deployment.find_service(service), core.system_of(service)) else {
        return Ok(None);
    };
    let namespace = core.names.namespace(&system.name);
    let Some(at) = front::place(core, service) else { return Ok(None) };
    let api = core.access.api()?;
    let fault = |refusal: &kube::Refusal| kube::fault(&format!("look at the Ingress of `{service}`"), refusal);
    let mut watch = Watch::default();
    let seen = RefCell::new(None);
    cx.status(format!("waits for the load balancer of `{service}`"));
    let ask = every(OFTEN, || {
        let Some(ingress) = Balancers::ingress(core, service)? else {
            let cause = format!("the Ingress of `{service}` is gone");
            return Err(Fault::failed("no-ingress", cause).hint("who has removed it? Deploy again").into());
        };
        let events = reconciled::events(&api, &namespace, service.as_str()).map_err(|refusal| fault(&refusal))?;
        let complaint = reconciled::complaint(&events);
        if let Some(complaint) = complaint.as_ref().filter(|complaint| seen.borrow().as_ref() != Some(*complaint)) {
            cx.status(format!("waits for the load balancer of `{service}`: {}: {}", complaint.reason, complaint.words));
        }
        let next = watch.next(front::balancer(&ingress).is_some(), complaint.as_ref(), Instant::now());
        seen.replace(complaint);
        match next {
            Next::Done => Ok(Some(ingress)),
            Next::Wait => Ok(None),
            Next::Ask => match reconciled::ask_again(&api, &at) {
                Err(refusal) if !kube::awaits_webhook(&refusal.message) => Err(fault(&refusal).into()),
                _ => Ok(None),
            },
            Next::GiveUp(complaint) => Err(hops::complained(service.as_str(), &namespace, &complaint).into()),
        }
    });
    let ingress = cx.wait_for(MADE_WITHIN, ask, || match &*seen.borrow() {
        Some(complaint) => hops::complained(service.as_str(), &namespace, complaint),
        None => silent(service, core),
    })?;
    Ok(Some(Arriving { declared: declared.clone(), system: system.name.clone(), namespace, ingress }))
}

fn silent(service: &ServiceName, core: &Kubernetes) -> Fault {
    let class = core.deployment.environment.cluster.ingress_class.as_deref().unwrap_or_default();
    let within = MADE_WITHIN.as_secs();
    let cause = format!("the load balancer controller says nothing of the Ingress of `{service}` within {within} s");
    Fault::failed("no-balancer", cause).hint(format!("is it running, and does it serve the class `{class}`?"))
}

/// Waits until a load balancer takes requests.
fn active(front: &Balancers, cx: &StepCx<'_>, host: &str) -> Result<Balancer> {
    let seen = RefCell::new(String::new());
    let ask = every(EVERY, || {
        let found = balancer::at(&front.infra.aws, host);
        let found = found.map_err(|refusal| aws::fault("look at the load balancer", &refusal))?;
        let state = found.as_ref().map_or("not there yet", |found| found.state.as_str()).to_owned();
        if *seen.borrow() != state {
            cx.status(format!("waits for load balancer `{host}`: {state}"));
            seen.replace(state);
        }
        match found {
            Some(found) if found.state.starts_with("active") => Ok(Some(found)),
            Some(found) if found.state == "failed" => {
                let cause = format!("load balancer `{}` has failed: {}", found.name, found.reason);
                Err(Fault::failed("balancer-failed", cause).hint("quotas, and free addresses in the subnets?").into())
            }
            _ => Ok(None),
        }
    });
    cx.wait_for(ACTIVE_WITHIN, ask, || {
        let cause =
            format!("load balancer `{host}` is not active after {} s: {}", ACTIVE_WITHIN.as_secs(), seen.borrow());
        Fault::failed("balancer-late", cause).hint("run it again: AWS goes on meanwhile")
    })
}

/// Enters what was made for these services into the ledger, since Terraform does not know it.
fn enter(
    front: &Balancers,
    core: &Kubernetes,
    arriving: &[Arriving],
    balancers: &BTreeMap<String, Balancer>,
) -> Result<()> {
    let seen = front.seen()?;
    let shared = core.deployment.environment.cluster.domain.is_some();
    let mut stacks = BTreeMap::new();
    for it in arriving {
        let Some(balancer) = front::balancer(&it.ingress).and_then(|host| balancers.get(host)) else { continue };
        let tagged = seen.balancers.iter().find(|tagged| tagged.arn == balancer.arn);
        stacks.extend(tagged.map(|tagged| (tagged.stack.clone(), (!shared).then(|| it.system.clone()))));
    }
    let all = || core.deployment.spec.systems.iter();
    let systems = |namespace: &str| {
        all().find(|system| core.names.namespace(&system.name) == namespace).map(|system| system.name.clone())
    };
    front.ledger.enter(&seen.entries(&stacks, &systems))
}

/// Waits until all targets of a service are healthy.
fn healthy(front: &Balancers, core: &Kubernetes, cx: &StepCx<'_>, it: &Arriving) -> Result<()> {
    let (aws, service) = (&front.infra.aws, &it.declared.name);
    let what = format!("look at the targets of `{service}`");
    let mut groups = Vec::new();
    let said = RefCell::new(String::new());
    let ask = every(EVERY, || {
        if groups.is_empty() {
            let found = front.seen()?.groups.into_iter();
            groups = found.filter(|group| group.is_of(&it.namespace, service.as_str())).collect();
        }
        let mut targets = Vec::new();
        for group in &groups {
            targets.extend(balancer::targets(aws, group).map_err(|refusal| aws::fault(&what, &refusal))?);
        }
        let words = standing(&targets);
        if *said.borrow() != words {
            cx.status(format!("waits for the targets of `{service}`: {words}"));
            said.replace(words);
        }
        Ok(are_healthy(&targets).then_some(()))
    });
    cx.wait_for(HEALTHY_WITHIN, ask, || {
        let within = HEALTHY_WITHIN.as_secs();
        let cause = format!("the targets of `{service}` are not healthy after {within} s: {}", said.borrow());
        explained(front, core, it, Fault::failed("targets-unhealthy", cause))
    })
}

fn are_healthy(targets: &[Target]) -> bool {
    let mut counting = targets.iter().filter(|target| target.counts()).peekable();
    counting.peek().is_some() && counting.all(Target::is_healthy)
}

/// `1 of 2 healthy, 10.42.1.7:1337 is initial: Target registration is in progress`
fn standing(targets: &[Target]) -> String {
    let counting: Vec<&Target> = targets.iter().filter(|target| target.counts()).collect();
    let healthy = counting.iter().filter(|target| target.is_healthy()).count();
    let other = counting.iter().find(|target| !target.is_healthy()).map(|target| {
        let words = if target.words.is_empty() { &target.reason } else { &target.words };
        let words = if words.is_empty() { String::new() } else { format!(": {words}") };
        format!(", {} is {}{words}", target.address, target.state)
    });
    match counting.len() {
        0 => "there are none yet".to_owned(),
        all => format!("{healthy} of {all} healthy{}", other.unwrap_or_default()),
    }
}

/// Waits until a service answers by its public name, and, where there is a certificate, that what comes without TLS is
/// sent there.
fn answers(front: &Balancers, core: &Kubernetes, cx: &StepCx<'_>, it: &Arriving) -> Result<()> {
    let service = &it.declared.name;
    // What the name led to when it had no record may still be remembered.
    front.look_again(std::slice::from_ref(service));
    let path = match &it.declared.ready {
        Probe::Http { path } => path.clone(),
        Probe::Tcp { .. } => "/".to_owned(),
    };
    let Some(endpoint) = front::endpoint(&it.ingress, &front::resolve) else { return Ok(()) };
    let request = Request::get(Url { endpoint: endpoint.clone(), path }, PATIENCE);
    let seen = RefCell::new(String::new());
    let ask = every(OFTEN, || {
        let answer = match http::send(&request, &|| cx.interrupts.stopping()) {
            Ok(response) if response.is_success() || response.status / 100 == 3 => return Ok(Some(())),
            Ok(response) => format!("status {}", response.status),
            Err(error) => error.to_string(),
        };
        if *seen.borrow() != answer {
            cx.status(format!("waits for an answer of `{service}`: {}: {answer}", request.url));
            seen.replace(answer);
        }
        Ok(None)
    });
    cx.wait_for(ANSWERS_WITHIN, ask, || {
        let (url, within) = (&request.url, ANSWERS_WITHIN.as_secs());
        let cause = format!("`{service}` is not reached within {within} s: {url}: {}", seen.borrow());
        explained(front, core, it, Fault::failed("not-routed", cause))
    })?;
    if endpoint.scheme == Scheme::Https {
        redirects(cx, it, &endpoint)?;
    }
    Ok(())
}

/// That nobody is served without TLS.
fn redirects(cx: &StepCx<'_>, it: &Arriving, endpoint: &Endpoint) -> Result<()> {
    let port = Scheme::Http.port();
    let via = front::balancer(&it.ingress).map(|host| Via::Name(host.to_owned(), port));
    let plain = Endpoint { scheme: Scheme::Http, host: endpoint.host.clone(), port, via };
    let request = Request::get(Url { endpoint: plain, path: "/".to_owned() }, PATIENCE);
    let seen = RefCell::new(String::new());
    let ask = every(OFTEN, || {
        let answer = http::send(&request, &|| cx.interrupts.stopping());
        let leads = answer.as_ref().is_ok_and(|response| response.leads_to_tls(&request.url));
        seen.replace(answer.map_or_else(|error| error.to_string(), |response| format!("status {}", response.status)));
        Ok(leads.then_some(()))
    });
    cx.wait_for(HEALTHY_WITHIN, ask, || {
        let cause = format!("load balancer: {} is not sent to TLS: {}", request.url, seen.borrow());
        Fault::failed("no-redirect", cause).hint(format!("kubectl describe ingress -n {}", it.namespace))
    })
}

/// The hop that fails first, in front of what was waited for.
fn explained(front: &Balancers, core: &Kubernetes, it: &Arriving, fault: Fault) -> Fault {
    let way = hops::look(front, core, &it.declared);
    match way.ok().as_ref().and_then(hops::first) {
        Some(hop) => Fault { cause: format!("{}; seen as: {}", hop.cause, fault.cause), ..hop },
        None => fault.hint("every hop looks as it should; run it again"),
    }
}

/// A certificate that is on its way is no reason to wait, and one to say so.
fn tell_of_certificate(front: &Balancers, cx: &StepCx<'_>) -> Result<()> {
    let Some(outputs) = front.outputs()? else { return Ok(()) };
    if let Known::Pending(arn, status) = front.certificate(&outputs)? {
        let status_command = front.infra.deployment.environment.command("cert status");
        cx.news(format!("plain HTTP for now: certificate `{arn}` is {status}; `{status_command}` tells what it needs"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(state: &str) -> Target {
        let words = if state == "initial" { "Target registration is in progress" } else { "" };
        Target {
            address: "10.0.0.7:80".to_owned(),
            state: state.to_owned(),
            reason: String::new(),
            words: words.to_owned(),
        }
    }

    #[test]
    fn targets_are_healthy_when_all_are_that_are_not_on_their_way_out() {
        let of = |states: &[&str]| {
            let targets: Vec<Target> = states.iter().map(|state| target(state)).collect();
            (are_healthy(&targets), standing(&targets))
        };
        assert_eq!(of(&[]), (false, "there are none yet".to_owned()));
        assert_eq!(of(&["draining"]), (false, "there are none yet".to_owned()));
        assert_eq!(of(&["healthy", "draining"]), (true, "1 of 1 healthy".to_owned()));
        let initial = "1 of 2 healthy, 10.0.0.7:80 is initial: Target registration is in progress";
        assert_eq!(of(&["healthy", "initial"]), (false, initial.to_owned()));
    }
}
