//! What the load balancer of a service's public further ports is told by annotations: a Network Load Balancer, which
//! passes on what is neither HTTP nor looked into (kubernetes-sigs.github.io/aws-load-balancer-controller, "NLB").

use super::derive;
use aws::infra::Outputs;
use model::environment::Environment;
use model::port::FurtherPort;
use model::system::Service;
use serde_json::{Value, json};

/// What every annotation begins with.
const PREFIX: &str = "service.beta.kubernetes.io/aws-load-balancer";

/// As the chart takes it; `None` for a service without public further ports.
pub(super) fn of(service: &Service, environment: &Environment, outputs: &Outputs) -> Option<Value> {
    if !service.has_public_port() {
        return None;
    }
    let mut all = vec![
        // Its own controller is meant, and no other that a cluster may have.
        ("type", "external".to_owned()),
        ("nlb-target-type", "ip".to_owned()),
        ("scheme", "internet-facing".to_owned()),
        ("additional-resource-tags", derive::tag_list(environment)),
    ];
    let by_udp = |further: &FurtherPort| further.public && further.speaks.is_udp();
    // Nobody can ask a port of datagrams whether somebody listens there.
    let asked = service.port.filter(|_| service.ports.values().any(by_udp));
    if let Some(main) = asked {
        all.extend([("healthcheck-protocol", "tcp".to_owned()), ("healthcheck-port", main.to_string())]);
    }
    let annotations = all.into_iter().map(|(key, value)| (format!("{PREFIX}-{key}"), Value::from(value)));
    let mut balancer = json!({"annotations": annotations.collect::<serde_json::Map<_, _>>()});
    if asked.is_some() {
        balancer["checks"] = outputs.public_subnets.values().map(|subnet| subnet.cidr.clone()).collect();
    }
    Some(balancer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingress::tests::{environment, outputs};
    use model::system::TargetKind;

    fn told(ports: &[(&str, bool)]) -> Option<Value> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let spec = model::load(root).unwrap();
        let system = spec.systems.iter().find(|system| system.name.as_str() == "epoch").unwrap();
        let environment = environment(&[]);
        let mut parts = kubernetes::release_spec::parts(system, &environment, TargetKind::Eks).unwrap();
        let further = |(speaks, public): &(&str, bool)| {
            let port = json!({"x": {"port": 9, "host_port": 9, "speaks": speaks, "public": public}});
            let read = model::port::from_json(&port).unwrap()["x"];
            (format!("{speaks}{public}"), read)
        };
        parts[0].service.ports = ports.iter().map(further).collect();
        of(&parts[0].service, &environment, &outputs())
    }

    #[test]
    fn public_ports_have_a_network_load_balancer_that_anybody_reaches() {
        assert_eq!(told(&[("grpc", false)]), None);
        let wanted = json!({"annotations": {
            "service.beta.kubernetes.io/aws-load-balancer-type": "external",
            "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip",
            "service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing",
            "service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags":
                "deployment_id=shop,environment=aws,managed_by=slipway",
        }});
        assert_eq!(told(&[("tcp", true), ("udp", false)]), Some(wanted));
    }

    #[test]
    fn the_health_of_a_port_of_datagrams_is_asked_at_the_main_one() {
        let told = told(&[("udp", true)]).unwrap();
        let of = |key: &str| told["annotations"][format!("{PREFIX}-healthcheck-{key}")].clone();
        assert_eq!((of("protocol"), of("port")), (json!("tcp"), json!("1337")));
        assert_eq!(told["checks"], json!(["10.42.0.0/24", "10.42.1.0/24"]));
    }
}
