//! On which hop a request from outside fails first: pod, Service, target group, load balancer, DNS, TLS.

use super::alb_ingress::{self, AlbIngress};
use super::balancer::{self, Balancer, Target};
use super::reconciled::{self, Complaint};
use anyhow::Result;
use base::error::Fault;
use base::http::curl;
use base::http::{Endpoint, Scheme};
use base::proc::Proc;
use kube::object;
use kube::path;
use kubernetes::{Kubernetes, pods};
use model::name::ServiceName;
use model::system::Service;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// How long a look at a certificate may take.
const LOOK: Duration = Duration::from_secs(10);
/// The label that an EndpointSlice has of its Service (kubernetes.io/docs/concepts/services-networking/endpoint-slices).
const SLICE_OF: &str = "kubernetes.io/service-name";

/// What was seen on the way to a service, as far as it was looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestPath {
    pub(super) service: String,
    pub(super) namespace: String,
    pub(super) port: u16,
    pub(super) ready_pods: usize,
    /// What one of those that are not says.
    pub(super) pod_trouble: Option<String>,
    pub(super) endpoints: usize,
    pub(super) complaint: Option<Complaint>,
    /// What the Ingress reports.
    pub(super) reported: Option<String>,
    pub(super) balancer: Option<Balancer>,
    pub(super) listeners: Vec<(u64, String)>,
    pub(super) targets: Vec<Target>,
    pub(super) endpoint: Option<Endpoint>,
    /// Addresses of the public name and of the load balancer.
    pub(super) leads_to: BTreeSet<IpAddr>,
    pub(super) should_lead_to: BTreeSet<IpAddr>,
    pub(super) certificate: Option<curl::Shown>,
}

/// The first hop that fails, if one can be told.
pub(super) fn first(hops: &RequestPath) -> Option<Fault> {
    inside(hops).or_else(|| on_aws(hops)).or_else(|| outside(hops))
}

fn inside(hops: &RequestPath) -> Option<Fault> {
    let RequestPath { service, namespace, .. } = hops;
    if hops.ready_pods == 0 {
        let words = hops.pod_trouble.as_deref().map(|words| format!(": {words}")).unwrap_or_default();
        let cause = format!("pod: no pod of `{service}` is ready{words}");
        return Some(Fault::failed("hop-pod", cause).hint(format!("kubectl get pods -n {namespace}")));
    }
    if hops.endpoints == 0 {
        let cause = format!("Service: `{service}` has no endpoints, though {} pods are ready", hops.ready_pods);
        let hint = format!("check its selector and its port: kubectl describe service {service} -n {namespace}");
        return Some(Fault::failed("hop-service", cause).hint(hint));
    }
    hops.complaint.as_ref().map(|complaint| complained(service, namespace, complaint))
}

/// What the controller says, in front of everything that follows from it.
pub(super) fn complained(service: &str, namespace: &str, complaint: &Complaint) -> Fault {
    let Complaint { reason, words, .. } = complaint;
    let cause = format!("the load balancer controller cannot serve the Ingress of `{service}`: {reason}: {words}");
    let hint = if words.contains("subnet") {
        "are the public subnets tagged `kubernetes.io/role/elb`? A deploy with `--verify` restores them".to_owned()
    } else if words.contains("ertificate") {
        "is the certificate issued, and in this region? `cert status` shows".to_owned()
    } else {
        format!("kubectl describe ingress {service} -n {namespace}")
    };
    Fault::failed("no-balancer", cause).hint(hint)
}

fn on_aws(hops: &RequestPath) -> Option<Fault> {
    let service = &hops.service;
    let Some(balancer) = &hops.balancer else {
        let cause = match &hops.reported {
            None => format!("load balancer: the Ingress of `{service}` reports none"),
            Some(host) => format!(
                "load balancer: `{host}`, which the Ingress of `{service}` reports, is not in this account and region"
            ),
        };
        return Some(Fault::failed("no-balancer", cause).hint("is the load balancer controller running?"));
    };
    let unhealthy: Vec<&Target> =
        hops.targets.iter().filter(|target| target.counts() && !target.is_healthy()).collect();
    let healthy = hops.targets.iter().filter(|target| target.is_healthy()).count();
    if healthy == 0 {
        return Some(no_target(hops, unhealthy.first().copied()));
    }
    if !balancer.state.starts_with("active") {
        let why = if balancer.reason.is_empty() { String::new() } else { format!(": {}", balancer.reason) };
        let cause = format!("load balancer: `{}` is {}{why}", balancer.name, balancer.state);
        return Some(
            Fault::failed("hop-load-balancer", cause)
                .hint("docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html"),
        );
    }
    let endpoint = hops.endpoint.as_ref()?;
    if !hops.listeners.iter().any(|(port, _)| *port == u64::from(endpoint.port)) {
        let there: Vec<String> = hops.listeners.iter().map(|(port, protocol)| format!("{protocol} {port}")).collect();
        let there = if there.is_empty() { "nowhere".to_owned() } else { format!("on {}", there.join(", ")) };
        let cause = format!("load balancer: `{}` listens {there}, not on port {}", balancer.name, endpoint.port);
        let hint = format!("kubectl describe ingress {service} -n {}", hops.namespace);
        return Some(Fault::failed("hop-load-balancer", cause).hint(hint));
    }
    None
}

fn no_target(hops: &RequestPath, target: Option<&Target>) -> Fault {
    let (service, port) = (&hops.service, hops.port);
    let Some(Target { address, state, reason, words }) = target else {
        let cause = format!(
            "target group: there is no target for `{service}`, though {} of its pods are ready",
            hops.ready_pods
        );
        return Fault::failed("hop-target-group", cause).hint("is the load balancer controller running?");
    };
    let why: Vec<&str> = [reason.as_str(), words.as_str()].into_iter().filter(|text| !text.is_empty()).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(": ")) };
    let cause = format!("target group: {address}, a pod of `{service}`, is {state}{why}");
    let hint = match reason.as_str() {
        "Target.Timeout" => format!(
            "a security group or a NetworkPolicy blocks the load balancer from port {port}: the pods accept requests \
             from the public subnets, and the nodes' security group must let them through"
        ),
        "Target.FailedHealthChecks" => {
            format!("it cannot be reached, or does not answer in time: does it listen on port {port} of all addresses?")
        }
        "Target.ResponseCodeMismatch" => {
            "its readiness path answers the load balancer differently from the cluster".to_owned()
        }
        "Target.NotInUse" => "no listener forwards there, or the load balancer is not in the pod's zone".to_owned(),
        _ => format!("kubectl describe ingress {service} -n {}", hops.namespace),
    };
    Fault::failed("hop-target-group", cause).hint(hint)
}

fn outside(hops: &RequestPath) -> Option<Fault> {
    let endpoint = hops.endpoint.as_ref()?;
    let balancer = hops.balancer.as_ref()?;
    let host = &endpoint.host;
    let list = |all: &BTreeSet<IpAddr>| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if hops.should_lead_to.is_empty() {
        let cause = format!("DNS: `{}` does not resolve from here yet", balancer.host);
        return Some(
            Fault::failed("hop-dns", cause)
                .hint("the name of a new load balancer takes some minutes to spread; run it again"),
        );
    }
    let tls = || {
        hops.certificate.as_ref().filter(|_| endpoint.scheme == Scheme::Https).and_then(|shown| untrusted(host, shown))
    };
    if let Some(fault) = tls() {
        return Some(fault);
    }
    // What the name leads to has been gone around; that it leads elsewhere is still what others see.
    if endpoint.via.is_some() && !hops.leads_to.is_empty() {
        let cause = format!(
            "DNS: `{host}` points to {}, not to the load balancer ({})",
            list(&hops.leads_to),
            list(&hops.should_lead_to)
        );
        let hint = format!("point it there: {host}. CNAME {}.", balancer.host);
        return Some(Fault::failed("hop-dns", cause).hint(hint));
    }
    if endpoint.via.is_some() {
        let cause = format!("DNS: `{host}` does not resolve from here");
        let hint = format!("create the record: {host}. CNAME {}.", balancer.host);
        return Some(Fault::failed("hop-dns", cause).hint(hint));
    }
    None
}

fn untrusted(host: &str, shown: &curl::Shown) -> Option<Fault> {
    let why = shown.complaint.as_ref()?;
    let told = [("for", &shown.subject), ("by", &shown.issuer), ("until", &shown.until)];
    let told: Vec<String> =
        told.into_iter().filter(|(_, text)| !text.is_empty()).map(|(word, text)| format!("{word} {text}")).collect();
    let told = if told.is_empty() { String::new() } else { format!(" (a certificate {})", told.join(", ")) };
    let cause = format!("TLS: `{host}` is not trusted: {why}{told}");
    Some(Fault::failed("hop-tls", cause).hint("`cert status` shows which certificate it should be"))
}

/// Looks at every hop on the way to a service.
///
/// # Errors
/// When the cluster or AWS does not answer.
pub(super) fn look(provider: &AlbIngress, core: &Kubernetes, service: &Service) -> Result<RequestPath> {
    let mut hops = in_cluster(core, &service.name)?;
    hops.port = service.port.unwrap_or_default();
    let Some(ingress) = AlbIngress::ingress(core, &service.name)? else { return Ok(hops) };
    let Some(host) = alb_ingress::balancer(&ingress).map(str::to_owned) else { return Ok(hops) };
    let aws = &provider.infra.aws;
    hops.reported = Some(host.clone());
    hops.balancer = balancer::at(aws, &host)?;
    let Some(found) = &hops.balancer else { return Ok(hops) };
    hops.listeners = balancer::listeners(aws, found)?;
    for group in provider.seen()?.groups.iter().filter(|group| group.is_of(&hops.namespace, &hops.service)) {
        hops.targets.extend(balancer::targets(aws, group)?);
    }
    hops.should_lead_to = alb_ingress::resolve(&host);
    hops.endpoint = alb_ingress::endpoint(&ingress, &alb_ingress::resolve);
    if let Some(endpoint) = hops.endpoint.clone() {
        hops.leads_to = alb_ingress::resolve(&endpoint.host);
        hops.certificate = (endpoint.scheme == Scheme::Https).then(|| certificate(&core.proc, &endpoint)).flatten();
    }
    Ok(hops)
}

fn in_cluster(core: &Kubernetes, service: &ServiceName) -> Result<RequestPath> {
    let namespace = core.system_of(service).map(|system| core.names.namespace(&system.name)).unwrap_or_default();
    let all = pods::of_service(core, service)?;
    let api = core.access.api()?;
    let slices = api.list(&path::ENDPOINT_SLICE.within(&namespace), &format!("{SLICE_OF}={service}"))?;
    let ready = |endpoint: &&serde_json::Value| endpoint.pointer("/conditions/ready") != Some(&false.into());
    let endpoints = slices.iter().flat_map(|slice| object::list(slice, "/endpoints")).filter(ready).count();
    let events = reconciled::events(&api, &namespace, service.as_str())?;
    Ok(RequestPath {
        service: service.to_string(),
        ready_pods: all.iter().filter(|pod| pods::is_ready(pod) && !object::is_going(pod)).count(),
        pod_trouble: all.iter().rev().find_map(pods::trouble),
        endpoints,
        complaint: reconciled::complaint(&events),
        namespace,
        ..RequestPath::default()
    })
}

/// What is shown for a name, and what is wrong with it.
pub(super) fn certificate(proc: &Proc, endpoint: &Endpoint) -> Option<curl::Shown> {
    let seen = |trusting| proc.ask(&curl::look(endpoint, LOOK, trusting), LOOK * 2).ok().flatten();
    let mut shown = curl::shown(&seen(true)?.stderr);
    let asked = seen(false)?;
    shown.complaint = (!asked.success).then(|| curl::complaint(&asked.stderr));
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops() -> RequestPath {
        let balancer = Balancer {
            arn: "a".to_owned(),
            name: "k8s-a".to_owned(),
            host: "k8s-a.elb".to_owned(),
            zone: String::new(),
            state: "active".to_owned(),
            reason: String::new(),
            stack: String::new(),
        };
        let endpoint = Endpoint { scheme: Scheme::Https, host: "a.example".to_owned(), port: 443, via: None };
        RequestPath {
            service: "epoch".to_owned(),
            namespace: "t-epoch".to_owned(),
            port: 1337,
            ready_pods: 2,
            endpoints: 2,
            reported: Some(balancer.host.clone()),
            balancer: Some(balancer),
            listeners: vec![(80, "HTTP".to_owned()), (443, "HTTPS".to_owned())],
            targets: vec![target("healthy", "")],
            endpoint: Some(endpoint),
            leads_to: BTreeSet::from(["10.0.0.1".parse().unwrap()]),
            should_lead_to: BTreeSet::from(["10.0.0.1".parse().unwrap()]),
            ..RequestPath::default()
        }
    }

    fn target(state: &str, reason: &str) -> Target {
        let words = if reason.is_empty() { String::new() } else { "Request timed out".to_owned() };
        Target { address: "10.0.0.7:1337".to_owned(), state: state.to_owned(), reason: reason.to_owned(), words }
    }

    /// The code and the cause of a way that is like the good one but for something.
    fn told(change: impl FnOnce(&mut RequestPath)) -> (&'static str, String) {
        let mut hops = hops();
        change(&mut hops);
        first(&hops).map(|fault| (fault.code, fault.cause)).unwrap_or_default()
    }

    #[test]
    fn the_first_hop_that_fails_is_told() {
        assert_eq!(told(|_| ()), ("", String::new()));
        let (code, cause) = told(|hops| (hops.ready_pods, hops.endpoints, hops.targets) = (0, 0, Vec::new()));
        assert_eq!((code, cause.as_str()), ("hop-pod", "pod: no pod of `epoch` is ready"));
        assert_eq!(told(|hops| hops.endpoints = 0).0, "hop-service");
        let (code, cause) =
            told(|hops| hops.targets = vec![target("draining", ""), target("unhealthy", "Target.Timeout")]);
        assert_eq!(code, "hop-target-group");
        assert_eq!(
            cause,
            "target group: 10.0.0.7:1337, a pod of `epoch`, is unhealthy: Target.Timeout: Request timed out"
        );
        let (code, cause) = told(|hops| hops.listeners.truncate(1));
        assert_eq!(
            (code, cause.as_str()),
            ("hop-load-balancer", "load balancer: `k8s-a` listens on HTTP 80, not on port 443")
        );
        assert_eq!(told(|hops| hops.balancer = None).0, "no-balancer");
    }

    #[test]
    fn a_name_that_leads_elsewhere_or_nowhere_and_a_wrong_certificate_are_told_apart() {
        let via = || Some(base::http::Via::Name("k8s-a.elb".to_owned(), 443));
        let go_around = |hops: &mut RequestPath, to: &[&str]| {
            hops.leads_to = to.iter().map(|ip| ip.parse().unwrap()).collect();
            hops.endpoint = hops.endpoint.take().map(|endpoint| Endpoint { via: via(), ..endpoint });
        };
        let (code, cause) = told(|hops| go_around(hops, &["10.9.9.9"]));
        assert_eq!(
            (code, cause.as_str()),
            ("hop-dns", "DNS: `a.example` points to 10.9.9.9, not to the load balancer (10.0.0.1)")
        );
        assert!(told(|hops| go_around(hops, &[])).1.contains("does not resolve"));
        let shown = curl::Shown {
            subject: "CN=other.example".to_owned(),
            issuer: "CN=Amazon".to_owned(),
            until: "Jan 1 2027".to_owned(),
            complaint: Some("SSL: no alternative certificate subject name matches".to_owned()),
        };
        let (code, cause) = told(|hops| hops.certificate = Some(shown));
        assert_eq!(code, "hop-tls");
        assert!(cause.contains("for CN=other.example, by CN=Amazon, until Jan 1 2027"), "{cause}");
    }
}
