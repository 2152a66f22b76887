//! Who answers for names in the cluster: what a release confines can ask nobody but those that its policy names.

use super::Subject;
use doctor::Finding;
use doctor::fix::Fix;
use kube::object::{list, number, text};
use kube::path::{POD, SERVICE};
use kube::{Api, Refusal};
use model::cluster::{NameServer, NameServerPlace};
use serde_json::Value;

/// Where clusters have their name servers.
const NAMESPACES: [&str; 2] = ["kube-system", "openshift-dns"];
const PORT: u64 = 53;

pub(super) fn judge(subject: &Subject, api: &Api) -> Finding {
    let found: Result<Vec<_>, _> = NAMESPACES.iter().map(|namespace| servers(api, namespace)).collect();
    match found {
        Ok(found) => compare(&found.concat(), &subject.environment.cluster.dns, subject.environment.name.as_ref()),
        Err(refusal) => Finding::skip(format!("you may not look: {}", refusal.message)),
    }
}

/// The pods behind each Service for names.
fn servers(api: &Api, namespace: &str) -> Result<Vec<NameServer>, Refusal> {
    let services = api.list(&SERVICE.within(namespace), "")?;
    let mut servers = Vec::new();
    for service in services {
        let is_for_names = |port: &&Value| number(port, "/port") == PORT && text(port, "/protocol") == "UDP";
        let labels = service["spec"]["selector"].as_object().into_iter().flatten();
        let labels: Vec<(&str, &str)> =
            labels.filter_map(|(label, value)| Some((label.as_str(), value.as_str()?))).collect();
        let Some(port) = list(&service, "/spec/ports").iter().find(is_for_names) else { continue };
        // One label is enough to name them; that which most clusters have tells the most.
        let Some((label, value)) = labels.iter().find(|(label, _)| *label == "k8s-app").or(labels.first()) else {
            continue;
        };
        let port = match port["targetPort"].as_u64() {
            Some(number) => Some(number),
            None => {
                let selector: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
                let pods = api.list(&POD.within(namespace), &selector.join(","))?;
                pods.iter().find_map(|pod| named_port(pod, text(port, "/targetPort")))
            }
        };
        let place = NameServerPlace::Pods {
            namespace: namespace.to_owned(),
            label: (*label).to_owned(),
            value: (*value).to_owned(),
        };
        let port = port.and_then(|port| port.try_into().ok());
        servers.extend(port.map(|port| NameServer { place, port }));
    }
    Ok(servers)
}

fn named_port(pod: &Value, name: &str) -> Option<u64> {
    let ports = list(pod, "/spec/containers").iter().flat_map(|container| list(container, "/ports"));
    ports.into_iter().find(|port| text(port, "/name") == name).map(|port| number(port, "/containerPort"))
}

fn compare(found: &[NameServer], named: &[NameServer], environment: &str) -> Finding {
    let usual = |server: &&NameServer| {
        let NameServerPlace::Pods { label, value, .. } = &server.place else { return false };
        (label.as_str(), value.as_str(), u64::from(server.port)) == ("k8s-app", "kube-dns", PORT)
    };
    let shown = |servers: &[&NameServer]| servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if found.is_empty() {
        return Finding::skip(format!("no Service for names in {}", NAMESPACES.join(" and ")));
    }
    let missing: Vec<&NameServer> = found.iter().filter(|server| !usual(server) && !named.contains(server)).collect();
    let all = shown(&found.iter().collect::<Vec<_>>());
    if missing.is_empty() || named.iter().any(|server| matches!(server.place, NameServerPlace::Network(_))) {
        return Finding::pass(all);
    }
    let names: Vec<String> =
        named.iter().chain(missing.iter().copied()).map(|server| format!("\"{server}\"")).collect();
    let file = format!("deploy/environments/{environment}.local.toml");
    Finding::fail("pods are let ask nobody else for names, so that no service would find another")
        .found(all)
        .want("k8s-app=kube-dns on port 53, or named by `dns`")
        .fix([Fix::by_hand(format!("put `dns = [{}]` into `{file}`", names.join(", ")))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use doctor::Outcome;

    fn servers(texts: &[&str]) -> Vec<NameServer> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    const OPENSHIFT: &str = "openshift-dns/dns.operator.openshift.io/daemonset-dns=default:5353";

    #[test]
    fn name_servers_that_no_policy_names_are_told() {
        let usual = servers(&["kube-system/k8s-app=kube-dns"]);
        assert_eq!(compare(&usual, &[], "e").outcome, Outcome::Pass);
        let other = servers(&[OPENSHIFT]);
        let finding = compare(&other, &[], "e");
        assert_eq!(finding.outcome, Outcome::Fail);
        assert!(format!("{finding:?}").contains("dns = ["), "{finding:?}");
        assert_eq!(compare(&other, &other, "e").outcome, Outcome::Pass);
        assert_eq!(compare(&servers(&["kube-system/k8s-app=kube-dns:5353"]), &[], "e").outcome, Outcome::Fail);
        assert_eq!(compare(&other, &servers(&["10.0.0.0/8:5353"]), "e").outcome, Outcome::Pass);
        assert_eq!(compare(&[], &[], "e").outcome, Outcome::Skip);
    }

    #[test]
    fn a_port_is_found_by_its_name() {
        let ports = serde_json::json!([{"name": "dns", "containerPort": 5353}, {"name": "x", "containerPort": 1}]);
        let pod = serde_json::json!({"spec": {"containers": [{}, {"ports": ports}]}});
        assert_eq!((named_port(&pod, "dns"), named_port(&pod, "y")), (Some(5353), None));
    }
}
