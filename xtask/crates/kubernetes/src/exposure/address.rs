//! Where an ingress answers: what the environment sets, or what the controller writes into the Ingresses of its class,
//! remembered on the deployment's home namespace, where every machine finds it.

use super::controller::Class;
use crate::Kubernetes;
use crate::helm::WEBHOOK_WITHIN;
use crate::names::DEPLOYMENT;
use anyhow::Result;
use base::error::Fault;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use kube::object;
use kube::path;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// On the home namespace: the address that hosts were last made from.
const KEPT: &str = "slipway/ingress-address";
/// An Ingress that is there only until it reports an address.
const PROBE: &str = "slipway-address";
/// It leads nowhere, and its host is nobody's (RFC 6761).
const PROBE_HOST: &str = "slipway-address.invalid";
/// How long a controller may take to report an address; that of a cloud first makes a load balancer.
const WITHIN: Duration = Duration::from_secs(180);

/// An address at which an ingress answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) ip: IpAddr,
}

/// The address, as far as it is known without making anything.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn known(core: &Kubernetes, class: &Class) -> Result<Option<Reported>> {
    if let Some(set) = core.deployment.environment.cluster.ingress_address {
        return Ok(Some(Reported { ip: set.ip }));
    }
    let api = core.access.api()?;
    let kept = || -> Result<Option<IpAddr>> {
        let home = api.get(&path::NAMESPACE.named(&core.names.home));
        let home = home.map_err(|refusal| kube::fault("look for the address of the ingress", &refusal))?;
        Ok(home.and_then(|home| object::annotation(&home, KEPT).parse().ok()))
    };
    let ingresses = match api.list(&path::INGRESS.everywhere(), "") {
        Ok(ingresses) => ingresses,
        // Who may not see those of others has at least what was found out before.
        Err(refusal) if refusal.status == 403 => Vec::new(),
        Err(refusal) => return Err(kube::fault("look for Ingresses", &refusal).into()),
    };
    let mut reporting: Vec<&Value> = ingresses.iter().filter(|ingress| is_of(ingress, class)).collect();
    // Its own first: other Ingresses of the class may be published elsewhere.
    reporting.sort_by_key(|ingress| object::label(ingress, DEPLOYMENT) != core.names.id);
    match reporting.iter().flat_map(|ingress| places(ingress)).next() {
        None => Ok(kept()?.map(|ip| Reported { ip })),
        Some(Place::Ip(ip)) => Ok(Some(Reported { ip })),
        Some(Place::Host(host)) => resolve(&host, kept()?).map(Some),
    }
}

/// Remembers it for times at which no Ingress reports one.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn keep(core: &Kubernetes, via: Option<SocketAddr>) -> Result<()> {
    let set = core.deployment.environment.cluster.ingress_address.is_some();
    let Some(via) = via.filter(|_| !set) else { return Ok(()) };
    let patch = json!({"metadata": {"annotations": {KEPT: via.ip().to_string()}}});
    let kept = core.access.api()?.merge(&path::NAMESPACE.named(&core.names.home), &patch);
    kept.map_err(|refusal| kube::fault("keep the address of the ingress", &refusal))?;
    Ok(())
}

/// Makes an Ingress, waits until it reports an address, and removes it.
///
/// # Errors
/// `ingress-address-unknown`
pub(super) fn probe(core: &Kubernetes, cx: &StepCx<'_>, class: &Class) -> Result<Reported> {
    let api = core.access.api()?;
    let at = path::INGRESS.at(&core.names.home, PROBE);
    core.records.enter(Entry {
        kind: path::INGRESS.name.to_owned(),
        id: format!("{}/{PROBE}", core.names.home),
        system: None,
        identity: json!({"namespace": core.names.home, "name": PROBE}),
    })?;
    cx.status(format!("looking up the address of class `{}`", class.name));
    let refused = RefCell::new(None);
    let make = || match api.apply(&at, &ingress(core, class)) {
        Ok(_) => Ok(Some(())),
        Err(refusal) => {
            let waits = kube::awaits_webhook(&refusal.message);
            let fault = kube::fault("create an Ingress to learn the address", &refusal);
            refused.replace(Some(fault.clone()));
            if waits { Ok(None) } else { Err(fault.into()) }
        }
    };
    cx.wait_for(WEBHOOK_WITHIN, make, || refused.take().unwrap_or_else(|| expired(class, &Value::Null)))?;
    let ask = || -> Result<Option<Reported>> {
        let there = api.get(&at).map_err(|refusal| kube::fault("look for the address of the ingress", &refusal))?;
        match there.as_ref().and_then(|ingress| places(ingress).into_iter().next()) {
            None => Ok(None),
            Some(Place::Ip(ip)) => Ok(Some(Reported { ip })),
            // The name of a new load balancer takes a while to spread.
            Some(Place::Host(host)) => Ok(resolve(&host, None).ok()),
        }
    };
    let answer = cx.wait_for(WITHIN, ask, || {
        let there = api.get(&at).ok().flatten().unwrap_or_default();
        expired(class, &there)
    });
    let removed = api.delete(&at, false);
    let reported = answer?;
    removed.map_err(|refusal| kube::fault("remove the Ingress that showed the address", &refusal))?;
    Ok(reported)
}

fn expired(class: &Class, ingress: &Value) -> Fault {
    let seen = match places(ingress).into_iter().next() {
        Some(Place::Host(host)) => format!("reports `{host}`, which does not resolve from here"),
        _ => "reports no address".to_owned(),
    };
    let cause = format!("an Ingress of the class `{}` {seen} after {} s", class.name, WITHIN.as_secs());
    Fault::failed("ingress-address-unknown", cause)
        .hint("is its controller running? Set `ingress_address` where it answers, such as `127.0.0.1:8080`")
}

fn ingress(core: &Kubernetes, class: &Class) -> Value {
    let backend = json!({"service": {"name": PROBE, "port": {"number": 80}}});
    let http = json!({"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]});
    json!({
        "apiVersion": path::INGRESS.version(), "kind": path::INGRESS.name,
        "metadata": {"name": PROBE, "namespace": core.names.home, "labels": core.names.labels(None)},
        "spec": {"ingressClassName": class.name, "rules": [{"host": PROBE_HOST, "http": http}]},
    })
}

/// What an Ingress reports.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Ip(IpAddr),
    Host(String),
}

fn places(ingress: &Value) -> Vec<Place> {
    let place = |entry: &Value| match (object::text(entry, "/ip"), object::text(entry, "/hostname")) {
        ("", "") => None,
        ("", host) => Some(Place::Host(host.to_owned())),
        (ip, _) => ip.parse().ok().map(Place::Ip),
    };
    object::list(ingress, "/status/loadBalancer/ingress").iter().filter_map(place).collect()
}

fn is_of(ingress: &Value, class: &Class) -> bool {
    let old = object::annotation(ingress, "kubernetes.io/ingress.class");
    match object::text(ingress, "/spec/ingressClassName") {
        "" if old.is_empty() => class.is_default,
        "" => old == class.name,
        name => name == class.name,
    }
}

/// The address of a load balancer that reports a name. It may have several that change; the one that hosts were made from
/// is taken again as long as it is one of them.
fn resolve(host: &str, kept: Option<IpAddr>) -> Result<Reported> {
    let found = (host, 80).to_socket_addrs();
    let found: Vec<IpAddr> = found.map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default();
    let again = kept.filter(|kept| found.contains(kept) || found.is_empty());
    let first = found.iter().find(|ip| ip.is_ipv4()).or(found.first()).copied();
    let ip = again.or(first).ok_or_else(|| {
        let cause = format!("the ingress is at `{host}`, which does not resolve from here");
        Fault::failed("ingress-address-unknown", cause).hint("set `domain`, and `ingress_address` if need be")
    })?;
    Ok(Reported { ip })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingress_reports_addresses_or_names() {
        let of = |entries: Value| places(&json!({"status": {"loadBalancer": {"ingress": entries}}}));
        assert_eq!(of(json!([{"ip": "10.0.0.1"}])), [Place::Ip("10.0.0.1".parse().unwrap())]);
        assert_eq!(of(json!([{"hostname": "localhost"}])), [Place::Host("localhost".to_owned())]);
        assert_eq!(of(json!([{}])), []);
        assert_eq!(places(&json!({})), []);
    }

    #[test]
    fn an_ingress_belongs_to_a_class_by_name_or_by_default() {
        let class = |is_default| Class { name: "a".to_owned(), controller: String::new(), is_default };
        let named = |name: &str| json!({"spec": {"ingressClassName": name}});
        let old = json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}});
        assert!(is_of(&named("a"), &class(false)) && !is_of(&named("b"), &class(true)));
        assert!(is_of(&old, &class(false)));
        assert!(is_of(&json!({}), &class(true)) && !is_of(&json!({}), &class(false)));
    }

    #[test]
    fn a_name_leads_to_the_address_that_was_kept_while_that_is_one_of_its_own() {
        let kept: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(resolve("localhost", Some(kept)).unwrap(), Reported { ip: kept });
        let other: IpAddr = "10.9.9.9".parse().unwrap();
        assert_eq!(resolve("localhost", Some(other)).unwrap(), Reported { ip: kept });
    }
}
