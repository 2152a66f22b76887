//! Ways from outside of the cluster that must not be there: an Ingress, a port of the nodes, a load balancer.

use crate::{Kubernetes, balancers, exposure};
use anyhow::Result;
use base::http;
use base::http::{Endpoint, Request, Url};
use kube::object;
use kube::{Api, path};
use model::system::{Probe, Service};
use serde_json::Value;
use std::time::Duration;

/// How long the ingress may take to say that it has no such host.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A way that leads to the service, in words; nothing when there is none.
///
/// # Errors
/// When the cluster refuses or does not answer.
pub(super) fn way(core: &Kubernetes, api: &Api, service: &Service, target: &Value) -> Result<Option<String>> {
    let namespace = object::namespace(target);
    let what = || format!("look for ways to `{}` from outside", service.name);
    let list =
        |kind: path::Kind| api.list(&kind.within(namespace), "").map_err(|refusal| kube::fault(&what(), &refusal));
    let services = list(path::SERVICE)?;
    let leading: Vec<&Value> = services.iter().filter(|it| selects(it, target)).collect();
    let open = leading.iter().filter(|it| !is_of_further(it, service));
    if let Some((open, how)) = open.into_iter().find_map(|it| Some((it, opened(it)?))) {
        return Ok(Some(format!(
            "the Service `{}` opens `{}` to the outside: {how}",
            object::name(open),
            service.name
        )));
    }
    let names: Vec<&str> = leading.iter().map(|it| object::name(it)).collect();
    if let Some(ingress) = list(path::INGRESS)?.iter().find(|ingress| leads_to(ingress, &names)) {
        let (ingress, name) = (object::name(ingress), &service.name);
        return Ok(Some(format!("the Ingress `{ingress}` leads to `{name}` from outside")));
    }
    Ok(answered(core, service))
}

/// Whether a Service leads to the pod.
fn selects(service: &Value, pod: &Value) -> bool {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let labels = &pod["metadata"]["labels"];
    selector.is_some_and(|selector| !selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value))
}

/// Whether it is the load balancer of public further ports, by which nobody comes to the main one that is meant.
fn is_of_further(it: &Value, service: &Service) -> bool {
    let further = |port: &Value| service.ports.contains_key(object::text(port, "/targetPort"));
    balancers::is_balancer(it) && object::list(it, "/spec/ports").iter().all(further)
}

/// How a Service can be reached from outside.
fn opened(service: &Value) -> Option<String> {
    let kind = object::text(service, "/spec/type");
    let external = !object::list(service, "/spec/externalIPs").is_empty();
    match kind {
        "NodePort" | "LoadBalancer" => Some(format!("its type is {kind}")),
        _ => external.then(|| "it has external addresses".to_owned()),
    }
}

fn leads_to(ingress: &Value, services: &[&str]) -> bool {
    let rules = object::list(ingress, "/spec/rules").iter();
    let paths = rules.flat_map(|rule| object::list(rule, "/http/paths"));
    let backends = paths.filter_map(|path| path.get("backend")).chain(ingress.pointer("/spec/defaultBackend"));
    backends.into_iter().any(|backend| services.contains(&object::text(backend, "/service/name")))
}

/// Whether the ingress answers for the host that the service would have, and otherwise than for any other host.
fn answered(core: &Kubernetes, service: &Service) -> Option<String> {
    let path = match &service.ready {
        Probe::Http { path } => path.clone(),
        Probe::Tcp { .. } | Probe::Command(_) | Probe::Runs(_) => "/".to_owned(),
    };
    // Without a way in there is none to the service.
    let endpoint = exposure::endpoint(core, &service.name).ok()?;
    let nobody = Endpoint { host: format!("nobody-{}", endpoint.host), ..endpoint.clone() };
    let ask = |endpoint: &Endpoint| {
        let url = Url { endpoint: endpoint.clone(), path: path.clone() };
        let answer = http::send(&Request::get(url, TIMEOUT), &|| core.interrupts.stopping());
        answer.ok().map(|response| response.status)
    };
    let status = ask(&endpoint)?;
    let differs = ask(&nobody) != Some(status);
    differs.then(|| format!("`http://{}{path}` answers with status {status}; expected no such host", endpoint.host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recalled;
    use serde_json::json;

    #[test]
    fn a_service_leads_to_the_pods_that_it_selects() {
        let pod = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let service = |selector: Value| json!({"spec": {"selector": selector}});
        assert!(selects(&service(json!({"a": "1"})), &pod));
        assert!(!selects(&service(json!({"a": "1", "b": "3"})), &pod));
        // Without a selector its addresses are whatever somebody writes.
        assert!(!selects(&json!({"spec": {}}), &pod));
    }

    #[test]
    fn a_service_is_open_by_its_type_or_its_addresses() {
        let of = |spec: Value| opened(&json!({"spec": spec}));
        assert_eq!(of(json!({"type": "ClusterIP"})), None);
        assert_eq!(of(json!({"type": "NodePort"})), Some("its type is NodePort".to_owned()));
        assert!(of(json!({"type": "ClusterIP", "externalIPs": ["10.0.0.1"]})).is_some());
    }

    #[test]
    fn a_load_balancer_of_further_ports_opens_no_other() {
        let values = json!({"port": 80, "ports": [{"name": "game", "port": 9, "protocol": "UDP", "publicPort": 9}]});
        let service = recalled::service(&"api".parse().unwrap(), &values);
        let balancer = |target: &str| {
            let labels = json!({"app.kubernetes.io/component": "balancer"});
            json!({"metadata": {"labels": labels}, "spec": {"ports": [{"targetPort": target}]}})
        };
        assert!(is_of_further(&balancer("game"), &service) && !is_of_further(&balancer("main"), &service));
    }

    #[test]
    fn an_ingress_leads_to_its_backends() {
        let backend = json!({"service": {"name": "redis", "port": {"number": 6379}}});
        let ruled = json!({"spec": {"rules": [{"http": {"paths": [{"path": "/", "backend": backend}]}}]}});
        let default = json!({"spec": {"defaultBackend": backend}});
        for ingress in [ruled, default] {
            assert!(leads_to(&ingress, &["redis"]) && !leads_to(&ingress, &["other"]));
        }
    }
}
