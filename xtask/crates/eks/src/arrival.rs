//! Waits until what was released is reached as its users reach it: the Ingress has a load balancer, that is active, its
//! targets are healthy, names lead there, and an answer comes. Each has its own budget, and what fails is told by its hop.

use super::alb_ingress::{self, AlbIngress};
use super::balancer::{self, Balancer, Group, Seen, Target};
use super::certificate::CertificateState;
use super::dns::{self, Name};
use super::reconciled::{self, Next, Watch};
use super::{request_path, takeover};

use anyhow::Result;
use base::error::Fault;
use base::http;
use base::http::{Endpoint, Request, Scheme, Url, Via};
use engine::plan::pace::every;
use engine::plan::runner::StepCx;
use kube::object;
use kube::path::INGRESS;
use kubernetes::Kubernetes;
use kubernetes::release_spec::WorkloadSpec;
use model::name::{ServiceName, SystemName};
use model::system::Service;
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
const TIMEOUT: Duration = Duration::from_secs(5);
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

/// See [`kubernetes::platform::IngressProvider::arrive`].
///
/// # Errors
/// The first hop that fails.
pub(super) fn arrive(
    provider: &AlbIngress,
    core: &Kubernetes,
    cx: &StepCx<'_>,
    system: &SystemName,
    public: &[&WorkloadSpec],
) -> Result<()> {
    let services: Vec<ServiceName> = public.iter().map(|part| part.service.name.clone()).collect();
    provider.look_again(&services);
    let made = |part: &&WorkloadSpec| made(core, cx, system, &part.service);
    let arriving: Vec<Arriving> = public.iter().map(made).collect::<Result<_>>()?;
    let mut balancers: BTreeMap<String, Balancer> = BTreeMap::new();
    for host in arriving.iter().filter_map(|it| alb_ingress::balancer(&it.ingress)) {
        if !balancers.contains_key(host) {
            balancers.insert(host.to_owned(), active(provider, cx, host)?);
        }
    }
    let seen = enter(provider, core, &arriving, &balancers)?;
    for it in &arriving {
        healthy(provider, core, cx, it, &seen)?;
    }
    takeover::take_over(core, system, &takeover::hosts(arriving.iter().map(|it| &it.ingress)))?;
    let names = arriving.iter().filter_map(|it| {
        let host = Some(object::text(&it.ingress, "/spec/rules/0/host")).filter(|host| !host.is_empty())?;
        let balancer = balancers.get(alb_ingress::balancer(&it.ingress)?)?;
        Some(Name { system: &it.system, host: host.to_owned(), balancer })
    });
    dns::lead(provider, core, cx, &names.collect::<Vec<_>>())?;
    arriving.iter().try_for_each(|it| answers(provider, core, cx, it))?;
    tell_of_certificate(provider, cx)
}

/// Waits until the Ingress of a service reports a load balancer, and the controller has nothing to complain of.
fn made(core: &Kubernetes, cx: &StepCx<'_>, system: &SystemName, declared: &Service) -> Result<Arriving> {
    let service = &declared.name;
    let namespace = core.names.namespace(system);
    let at = INGRESS.at(&namespace, service.as_str());
    let api = core.access.api()?;
    let fault = |refusal: &kube::Refusal| kube::fault(&format!("look at the Ingress of `{service}`"), refusal);
    let mut watch = Watch::default();
    let seen = RefCell::new(None);
    cx.status(format!("waiting for the load balancer of `{service}`"));
    let ask = every(OFTEN, || {
        let Some(ingress) = api.get(&at).map_err(|refusal| fault(&refusal))? else {
            let cause = format!("the Ingress of `{service}` is gone");
            return Err(Fault::failed("no-ingress", cause).hint("someone removed it; deploy again").into());
        };
        let events = reconciled::events(&api, &namespace, service.as_str()).map_err(|refusal| fault(&refusal))?;
        let complaint = reconciled::complaint(&events);
        if let Some(complaint) = complaint.as_ref().filter(|complaint| seen.borrow().as_ref() != Some(*complaint)) {
            cx.status(format!(
                "waiting for the load balancer of `{service}`: {}: {}",
                complaint.reason, complaint.words
            ));
        }
        let next = watch.next(alb_ingress::balancer(&ingress).is_some(), complaint.as_ref(), Instant::now());
        seen.replace(complaint);
        match next {
            Next::Done => Ok(Some(ingress)),
            Next::Wait => Ok(None),
            Next::Ask => match reconciled::ask_again(&api, &at) {
                Err(refusal) if !kube::awaits_webhook(&refusal.message) => Err(fault(&refusal).into()),
                _ => Ok(None),
            },
            Next::GiveUp(complaint) => Err(request_path::complained(service.as_str(), &namespace, &complaint).into()),
        }
    });
    let ingress = cx.wait_for(MADE_WITHIN, ask, || match &*seen.borrow() {
        Some(complaint) => request_path::complained(service.as_str(), &namespace, complaint),
        None => silent(service, core),
    })?;
    Ok(Arriving { declared: declared.clone(), system: system.clone(), namespace, ingress })
}

fn silent(service: &ServiceName, core: &Kubernetes) -> Fault {
    let class = core.deployment.environment.cluster.ingress_class.as_deref().unwrap_or_default();
    let within = MADE_WITHIN.as_secs();
    let cause = format!("the load balancer controller does not report on the Ingress of `{service}` within {within} s");
    Fault::failed("no-balancer", cause).hint(format!("is it running, and does it serve the class `{class}`?"))
}

/// Waits until a load balancer takes requests.
fn active(provider: &AlbIngress, cx: &StepCx<'_>, host: &str) -> Result<Balancer> {
    let seen = RefCell::new(String::new());
    let ask = every(EVERY, || {
        let found = balancer::at(&provider.infra.aws, host);
        let found = found.map_err(|refusal| aws::fault("look at the load balancer", &refusal))?;
        let state = found.as_ref().map_or("not there yet", |found| found.state.as_str()).to_owned();
        if *seen.borrow() != state {
            cx.status(format!("waiting for load balancer `{host}`: {state}"));
            seen.replace(state);
        }
        match found {
            Some(found) if found.state.starts_with("active") => Ok(Some(found)),
            Some(found) if found.state == "failed" => {
                let cause = format!("load balancer `{}` has failed: {}", found.name, found.reason);
                Err(Fault::failed("balancer-failed", cause)
                    .hint("check the account's quotas and the free addresses in the subnets")
                    .into())
            }
            _ => Ok(None),
        }
    });
    cx.wait_for(ACTIVE_WITHIN, ask, || {
        let cause =
            format!("load balancer `{host}` is not active after {} s: {}", ACTIVE_WITHIN.as_secs(), seen.borrow());
        Fault::failed("balancer-late", cause).hint("run it again: AWS continues in the meantime")
    })
}

/// Enters what was made for these services into the ledger, since Terraform does not know it, and hands it on.
fn enter(
    provider: &AlbIngress,
    core: &Kubernetes,
    arriving: &[Arriving],
    balancers: &BTreeMap<String, Balancer>,
) -> Result<Seen> {
    let seen = provider.seen()?;
    let shared = core.deployment.environment.cluster.domain.is_some();
    let mut stacks = BTreeMap::new();
    for it in arriving {
        let Some(balancer) = alb_ingress::balancer(&it.ingress).and_then(|host| balancers.get(host)) else { continue };
        let tagged = seen.balancers.iter().find(|tagged| tagged.arn == balancer.arn);
        stacks.extend(tagged.map(|tagged| (tagged.stack.clone(), (!shared).then(|| it.system.clone()))));
    }
    provider.ledger.enter(&seen.entries(&stacks, &|namespace| core.names.system(namespace)))?;
    Ok(seen)
}

/// Waits until all targets of a service are healthy. Its groups are looked for again as long as `seen` has none.
fn healthy(provider: &AlbIngress, core: &Kubernetes, cx: &StepCx<'_>, it: &Arriving, seen: &Seen) -> Result<()> {
    let (aws, service) = (&provider.infra.aws, &it.declared.name);
    let what = format!("look at the targets of `{service}`");
    let is_its = |group: &&Group| group.is_of(&it.namespace, service.as_str());
    let mut groups: Vec<Group> = seen.groups.iter().filter(is_its).cloned().collect();
    let said = RefCell::new(String::new());
    let ask = every(EVERY, || {
        if groups.is_empty() {
            groups = provider.seen()?.groups.iter().filter(is_its).cloned().collect();
        }
        let mut targets = Vec::new();
        for group in &groups {
            targets.extend(balancer::targets(aws, group).map_err(|refusal| aws::fault(&what, &refusal))?);
        }
        let words = standing(&targets);
        if *said.borrow() != words {
            cx.status(format!("waiting for the targets of `{service}`: {words}"));
            said.replace(words);
        }
        Ok(are_healthy(&targets).then_some(()))
    });
    cx.wait_for(HEALTHY_WITHIN, ask, || {
        let within = HEALTHY_WITHIN.as_secs();
        let cause = format!("the targets of `{service}` are not healthy after {within} s: {}", said.borrow());
        explained(provider, core, it, Fault::failed("targets-unhealthy", cause))
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
fn answers(provider: &AlbIngress, core: &Kubernetes, cx: &StepCx<'_>, it: &Arriving) -> Result<()> {
    let service = &it.declared.name;
    // What the name led to when it had no record may still be remembered.
    provider.look_again(std::slice::from_ref(service));
    let Some(path) = it.declared.asked_from_outside().map(str::to_owned) else { return Ok(()) };
    let Some(endpoint) = alb_ingress::endpoint(&it.ingress, &alb_ingress::resolve) else { return Ok(()) };
    let request = Request::get(Url { endpoint: endpoint.clone(), path }, TIMEOUT);
    let seen = RefCell::new(String::new());
    let ask = every(OFTEN, || {
        let answer = match http::send(&request, &|| cx.interrupts.stopping()) {
            Ok(response) if kubernetes::is_from(&it.declared.ready, &response) => return Ok(Some(())),
            Ok(response) => format!("status {}", response.status),
            Err(error) => error.to_string(),
        };
        if *seen.borrow() != answer {
            cx.status(format!("waiting for an answer of `{service}`: {}: {answer}", request.url));
            seen.replace(answer);
        }
        Ok(None)
    });
    cx.wait_for(ANSWERS_WITHIN, ask, || {
        let (url, within) = (&request.url, ANSWERS_WITHIN.as_secs());
        let cause = format!("`{service}` cannot be reached within {within} s: {url}: {}", seen.borrow());
        explained(provider, core, it, Fault::failed("not-routed", cause))
    })?;
    if endpoint.scheme == Scheme::Https {
        redirects(cx, it, &endpoint)?;
    }
    Ok(())
}

/// That nobody is served without TLS.
fn redirects(cx: &StepCx<'_>, it: &Arriving, endpoint: &Endpoint) -> Result<()> {
    let port = Scheme::Http.port();
    let via = alb_ingress::balancer(&it.ingress).map(|host| Via::Name(host.to_owned(), port));
    let plain = Endpoint { scheme: Scheme::Http, host: endpoint.host.clone(), port, via };
    let request = Request::get(Url { endpoint: plain, path: "/".to_owned() }, TIMEOUT);
    let seen = RefCell::new(String::new());
    let ask = every(OFTEN, || {
        let answer = http::send(&request, &|| cx.interrupts.stopping());
        let leads = answer.as_ref().is_ok_and(|response| response.leads_to_tls(&request.url));
        seen.replace(answer.map_or_else(|error| error.to_string(), |response| format!("status {}", response.status)));
        Ok(leads.then_some(()))
    });
    cx.wait_for(HEALTHY_WITHIN, ask, || {
        let cause = format!("load balancer: {} is not redirected to HTTPS: {}", request.url, seen.borrow());
        Fault::failed("no-redirect", cause).hint(format!("kubectl describe ingress -n {}", it.namespace))
    })
}

/// The hop that fails first, in front of what was waited for.
fn explained(provider: &AlbIngress, core: &Kubernetes, it: &Arriving, fault: Fault) -> Fault {
    let way = request_path::look(provider, core, &it.declared);
    match way.ok().as_ref().and_then(request_path::first) {
        Some(hop) => Fault { cause: format!("{}; seen as: {}", hop.cause, fault.cause), ..hop },
        None => fault.hint("all hops are healthy; run it again"),
    }
}

/// A certificate that is on its way is no reason to wait, and one to say so.
fn tell_of_certificate(provider: &AlbIngress, cx: &StepCx<'_>) -> Result<()> {
    let Some(outputs) = provider.outputs()? else { return Ok(()) };
    if let CertificateState::Pending(arn, status) = provider.certificate(&outputs)? {
        let status_command = provider.infra.deployment.environment.command("cert status");
        cx.news(format!("plain HTTP for now: certificate `{arn}` is {status}; `{status_command}` shows what it needs"));
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
