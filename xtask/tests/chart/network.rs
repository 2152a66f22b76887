//! Who may reach whom.

use super::helm::{find, helm};
use super::systems::{sample, samples};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The services that a rule names, and whatever else it does by its text.
fn peers(rules: &Value, side: &str, port: Option<u64>) -> BTreeSet<String> {
    let rules = rules.as_array().into_iter().flatten();
    let of_port = rules.filter(|rule| port.is_none_or(|port| rule["ports"][0]["port"] == port));
    let all = of_port.flat_map(|rule| rule[side].as_array().into_iter().flatten());
    let shown = |peer: &Value| {
        let service = peer
            .get("namespaceSelector")
            .is_none()
            .then(|| peer.pointer("/podSelector/matchLabels/app.kubernetes.io~1name").and_then(Value::as_str));
        service.flatten().map_or_else(|| peer.to_string(), str::to_owned)
    };
    all.map(shown).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn all_pods_of_the_release_are_closed_both_ways_and_no_others() {
    let helm = skip::unless!(helm());
    for sample in samples() {
        let (objects, system) = (helm.objects(&sample.values), sample.values["system"].as_str().unwrap());
        let policy = &find(&objects, "NetworkPolicy", &format!("{system}.default-deny"))["spec"];
        let labels = json!({"app.kubernetes.io/instance": system, "deployment_id": sample.values["deploymentId"]});
        let closed = json!({"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress", "Egress"]});
        assert_eq!(*policy, closed);
    }
}

#[test]
fn a_service_is_reached_by_those_who_need_it_and_by_the_ingress_where_it_is_public() {
    let helm = skip::unless!(helm());
    let objects = helm.objects(&sample("invoices", 2));
    let of = |service: &str, side: &str, direction: &str, port| {
        peers(&find(&objects, "NetworkPolicy", service)["spec"][direction], side, port)
    };
    let ingress = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}).to_string();
    assert_eq!(of("invoice-app", "from", "ingress", Some(8081)), set([&ingress]));
    assert_eq!(of("payment-provider", "from", "ingress", Some(8082)), set(["invoice-app"]));
    assert_eq!(of("ledger", "from", "ingress", Some(6379)), set(["invoice-app", "payment-provider"]));
    assert_eq!(of("invoice-app", "to", "egress", Some(8082)), set(["payment-provider"]));
    assert_eq!(of("invoice-app", "to", "egress", Some(6379)), set(["ledger"]));
    assert_eq!(of("payment-provider", "to", "egress", Some(6379)), set(["ledger"]));
    // Name servers are all that one without needs can reach.
    assert_eq!(of("ledger", "to", "egress", None), of("ledger", "to", "egress", Some(53)));
}

#[test]
fn one_that_nobody_needs_is_reached_by_nobody() {
    let helm = skip::unless!(helm());
    let objects = helm.objects(&sample("messages", 2));
    assert_eq!(find(&objects, "NetworkPolicy", "consumer")["spec"].get("ingress"), None);
}

#[test]
fn a_target_names_addresses_where_no_pod_stands_behind_them() {
    let helm = skip::unless!(helm());
    let mut values = sample("invoices", 2);
    let extra = json!([{"cidrs": ["169.254.170.23/32"], "ports": [{"port": 80, "protocol": "TCP"}]}]);
    values["egress"] = json!({"extra": extra});
    values["ingress"]["sources"] = json!({"namespaces": [], "cidrs": ["10.0.1.0/24", "10.0.2.0/24"]});
    values["services"]["ledger"]["egress"] =
        json!([{"cidrs": ["0.0.0.0/0"], "ports": [{"port": 443, "protocol": "TCP"}]}]);
    values["monitoring"] = json!({"namespaces": ["monitoring"]});
    let objects = helm.objects(&values);
    let rules = |service: &str, direction: &str| find(&objects, "NetworkPolicy", service)["spec"][direction].clone();
    let block = |cidr: &str| json!({"ipBlock": {"cidr": cidr}}).to_string();
    let prometheus =
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}).to_string();
    let callers = set([&block("10.0.1.0/24"), &block("10.0.2.0/24"), &prometheus]);
    assert_eq!(peers(&rules("invoice-app", "ingress"), "from", None), callers);
    assert_eq!(peers(&rules("payment-provider", "egress"), "to", Some(80)), set([&block("169.254.170.23/32")]));
    assert_eq!(peers(&rules("ledger", "egress"), "to", Some(443)), set([&block("0.0.0.0/0")]));
    assert_eq!(peers(&rules("payment-provider", "egress"), "to", Some(443)), set([]));
}

#[test]
fn what_is_named_is_reached_with_all_that_is_public_and_nothing_else() {
    let helm = skip::unless!(helm());
    let mut values = sample("invoices", 2);
    let closed = helm.manifests(&values).unwrap();
    values["services"]["ledger"]["egress"] = json!([{
        "cidrs": ["0.0.0.0/0"], "except": ["10.0.0.0/8", "169.254.0.0/16"],
        "ports": [{"port": 443, "protocol": "TCP"}],
    }]);
    let egress = find(&helm.objects(&values), "NetworkPolicy", "ledger")["spec"]["egress"].clone();
    let block = json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}});
    assert_eq!(peers(&egress, "to", Some(443)), set([&block.to_string()]));
    assert!(!closed.contains("except"), "{closed}");
}

#[test]
fn services_share_a_host_by_their_paths() {
    let helm = skip::unless!(helm());
    let mut values = sample("invoices", 2);
    values["services"]["payment-provider"]["public"] =
        json!({"host": "shop.example.com", "name": "shop", "paths": ["/pay", "/v1/pay"]});
    let objects = helm.objects(&values);
    let rule = |service: &str| find(&objects, "Ingress", service)["spec"]["rules"][0].clone();
    let path = |path: &str, service: &str| {
        let backend = json!({"service": {"name": service, "port": {"name": "http"}}});
        json!({"path": path, "pathType": "Prefix", "backend": backend})
    };
    assert_eq!(rule("payment-provider")["host"], "shop.example.com");
    assert_eq!(
        rule("payment-provider")["http"]["paths"],
        json!([path("/pay", "payment-provider"), path("/v1/pay", "payment-provider")])
    );
    assert_eq!(rule("invoice-app")["http"]["paths"], json!([path("/", "invoice-app")]));
}

#[test]
fn name_servers_are_reached_where_the_environment_says_that_they_are() {
    let helm = skip::unless!(helm());
    let mut values = sample("epoch", 2);
    let labels = json!({"dns.operator.openshift.io/daemonset-dns": "default"});
    values["dns"] = json!({"servers": [
        {"namespace": "openshift-dns", "labels": labels, "port": 5353}, {"cidr": "fd00::10/128", "port": 53}]});
    let egress = &find(&helm.objects(&values), "NetworkPolicy", "epoch")["spec"]["egress"].clone();
    let pods = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}},
        "podSelector": {"matchLabels": labels},
    });
    assert_eq!(peers(egress, "to", Some(5353)), set([&pods.to_string()]));
    let usual = peers(egress, "to", Some(53));
    assert!(usual.contains(&json!({"ipBlock": {"cidr": "fd00::10/128"}}).to_string()) && usual.len() == 3, "{usual:?}");
    assert_eq!(egress[1]["ports"][0]["protocol"], "UDP");
}
