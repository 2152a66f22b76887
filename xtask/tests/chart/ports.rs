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
