//! Services without a port, and with several.

use super::helm::{find, helm, names};
use super::systems::sample;
use serde_json::{Value, json};

#[test]
fn a_worker_is_reached_by_nobody_and_has_to_run_for_a_while() {
    let helm = skip::unless!(helm());
    let mut values = sample("invoices", 2);
    let worker = values["services"]["payment-provider"].as_object_mut().unwrap();
    for key in ["port", "metrics"] {
        worker.remove(key);
    }
    worker["http"] = json!(false);
    worker["probes"] = json!({"startSeconds": 30, "runsSeconds": 5});
    values["services"]["invoice-app"]["needs"] = json!(["ledger"]);
    let objects = helm.objects(&values);
    assert!(!names(&objects, "Service").contains(&"payment-provider"));
    let workload = &find(&objects, "Deployment", "payment-provider")["spec"];
    assert_eq!(workload["minReadySeconds"], 5);
    let container = &workload["template"]["spec"]["containers"][0];
    for key in ["ports", "startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container[key], Value::Null, "{key}");
    }
    let policy = &find(&objects, "NetworkPolicy", "payment-provider")["spec"];
    assert_eq!(policy["ingress"], Value::Null);
    assert_eq!(find(&objects, "Deployment", "invoice-app")["spec"]["minReadySeconds"], Value::Null);

    values["services"]["payment-provider"]["probes"] =
        json!({"startSeconds": 30, "ready": {"exec": ["pgrep", "x"]}, "live": {"exec": ["pgrep", "x"]}});
    let objects = helm.objects(&values);
    let container = &find(&objects, "Deployment", "payment-provider")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["readinessProbe"]["exec"]["command"], json!(["pgrep", "x"]));
}

#[test]
fn further_ports_are_those_of_the_service_and_open_to_whoever_needs_it() {
    let helm = skip::unless!(helm());
    let mut values = sample("invoices", 2);
    values["services"]["payment-provider"]["ports"] = json!([
        {"name": "grpc", "port": 9999, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
        {"name": "dns", "port": 8082, "protocol": "UDP"},
    ]);
    let objects = helm.objects(&values);
    let ports = &find(&objects, "Service", "payment-provider")["spec"]["ports"];
    let wanted = json!([
        {"name": "main", "port": 8082, "targetPort": "main", "protocol": "TCP", "appProtocol": "http"},
        {"name": "grpc", "port": 9999, "targetPort": "grpc", "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
        {"name": "dns", "port": 8082, "targetPort": "dns", "protocol": "UDP"},
    ]);
    assert_eq!(*ports, wanted);
    let container = &find(&objects, "Deployment", "payment-provider")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["ports"][2], json!({"name": "dns", "containerPort": 8082, "protocol": "UDP"}));
    assert_eq!(container["readinessProbe"]["httpGet"]["port"], "main");
    let further = json!([{"port": 9999, "protocol": "TCP"}, {"port": 8082, "protocol": "UDP"}]);
    let rules = &find(&objects, "NetworkPolicy", "payment-provider")["spec"]["ingress"];
    assert_eq!((&rules[1]["ports"], rules[1]["from"].as_array().unwrap().len()), (&further, 1));
    let egress = find(&objects, "NetworkPolicy", "invoice-app")["spec"]["egress"].as_array().unwrap().clone();
    let main = json!({"port": 8082, "protocol": "TCP"});
    let all: Vec<Value> = std::iter::once(main).chain(further.as_array().unwrap().clone()).collect();
    assert!(egress.iter().any(|rule| rule["ports"] == json!(all)), "{egress:#?}");
}

#[test]
fn public_further_ports_have_a_load_balancer_that_everybody_is_let_in_by() {
    let helm = skip::unless!(helm());
    let mut values = sample("invoices", 2);
    let service = &mut values["services"]["payment-provider"];
    service["team"] = json!("payers");
    service["ports"] = json!([
        {"name": "grpc", "port": 9999, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
        {"name": "line", "port": 7000, "protocol": "TCP", "publicPort": 700},
        {"name": "dns", "port": 5300, "protocol": "UDP", "publicPort": 53},
    ]);
    let objects = helm.objects(&values);
    let balancer = find(&objects, "Service", "payment-provider-balancer");
    let ports = json!([
        {"name": "line", "port": 700, "targetPort": "line", "protocol": "TCP"},
        {"name": "dns", "port": 53, "targetPort": "dns", "protocol": "UDP"},
    ]);
    let spec = &balancer["spec"];
    assert_eq!((&spec["type"], &spec["ports"]), (&json!("LoadBalancer"), &ports));
    assert_eq!(spec["selector"], find(&objects, "Service", "payment-provider")["spec"]["selector"]);
    assert_eq!((&find(&objects, "Service", "payment-provider")["spec"]["type"]), &json!("ClusterIP"));
    let open = json!({"ports": [{"port": 7000, "protocol": "TCP"}, {"port": 5300, "protocol": "UDP"}]});
    let rules = |objects: &[Value]| {
        find(objects, "NetworkPolicy", "payment-provider")["spec"]["ingress"].as_array().unwrap().clone()
    };
    assert_eq!(*rules(&objects).last().unwrap(), open);
    let services = &find(&objects, "Role", "payment-provider")["rules"][2];
    assert_eq!(services["resourceNames"], json!(["payment-provider", "payment-provider-balancer"]));

    // What the platform tells it, whose checks come to the main port.
    let told = json!({"annotations": {"a/scheme": "internet-facing"}, "checks": ["10.0.0.0/20"]});
    values["services"]["payment-provider"]["balancer"] = told;
    let objects = helm.objects(&values);
    let balancer = find(&objects, "Service", "payment-provider-balancer");
    assert_eq!(balancer["metadata"]["annotations"], json!({"a/scheme": "internet-facing"}));
    let checks = json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/20"}}], "ports": [{"port": 8082, "protocol": "TCP"}]});
    assert_eq!(rules(&objects)[rules(&objects).len() - 2..], [open, checks]);

    values["services"]["invoice-app"]["aliases"] = json!(["payment-provider-balancer"]);
    let said = helm.manifests(&values).unwrap_err();
    assert!(said.contains("payment-provider-balancer is what the load balancer"), "{said}");
}
