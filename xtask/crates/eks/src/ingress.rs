//! What the load balancer controller is told by annotations (kubernetes-sigs.github.io/aws-load-balancer-controller).

use super::derive;
use aws::infra::Outputs;
use aws::infra::names::Names;
use kubernetes::release_spec::{Exposure, WorkloadSpec};
use model::aws::CertificateArn;
use model::environment::Environment;
use model::system::Probe;
use std::collections::BTreeMap;

/// What every annotation begins with.
const PREFIX: &str = "alb.ingress.kubernetes.io";
/// TLS 1.2 and 1.3 without old ciphers, and key exchange that stays secret when there are quantum computers: what AWS
/// recommends (docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html).
const TLS_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

/// How long the load balancer keeps an idle connection. Services keep theirs for longer (75 s), so that it is never they
/// who close one on which the next request is already on its way.
const IDLE_SECONDS: u64 = 60;
/// How long requests that were sent before may still be answered by a target that was taken out.
const DEREGISTRATION_SECONDS: u64 = 15;
/// How long a pod that is to end goes on answering: the controller has to hear of it and take it out of the target
/// group, the load balancer's nodes have to hear of that (seconds each), and then come those requests.
const DRAIN_SECONDS: u64 = 25;

/// How often targets are asked; 5 s is the least that AWS takes. Two good answers make one healthy, so that a new one is
/// sent requests within some seconds.
const HEALTH: [(&str, &str); 4] = [
    ("healthcheck-interval-seconds", "5"),
    ("healthcheck-timeout-seconds", "4"),
    ("healthy-threshold-count", "2"),
    ("unhealthy-threshold-count", "2"),
];

/// Says the class of an Ingress to controllers that serve this one alone. The class that a spec names means to the load
/// balancer controller only that it is one for load balancers: each in the cluster would serve it, whosoever it is.
pub(super) const CLASS: &str = "kubernetes.io/ingress.class";

/// How public services are exposed on what Terraform has made.
pub(super) fn exposure(
    environment: &Environment,
    names: &Names,
    outputs: &Outputs,
    certificate: Option<&CertificateArn>,
) -> Exposure {
    let cluster = &environment.cluster;
    Exposure {
        class: String::new(),
        // Targets are addresses of pods, and load balancers ask them from the public subnets.
        from_namespace: String::new(),
        from_cidrs: outputs.public_subnets.values().map(|subnet| subnet.cidr.clone()).collect(),
        host_suffix: cluster.domain.as_ref().map(|domain| format!(".{domain}")),
        annotations: common(environment, names, certificate),
        drain_seconds: Some(DRAIN_SECONDS),
    }
}

/// The certificate that an Ingress names.
pub(super) fn certificate_key() -> String {
    format!("{PREFIX}/certificate-arn")
}

fn common(environment: &Environment, names: &Names, certificate: Option<&CertificateArn>) -> BTreeMap<String, String> {
    let mut all = vec![
        ("scheme", "internet-facing".to_owned()),
        ("target-type", "ip".to_owned()),
        ("tags", derive::tag_list(environment)),
        (
            "load-balancer-attributes",
            format!(
                "idle_timeout.timeout_seconds={IDLE_SECONDS},deletion_protection.enabled=false,\
                 routing.http.drop_invalid_header_fields.enabled=true"
            ),
        ),
        ("target-group-attributes", format!("deregistration_delay.timeout_seconds={DEREGISTRATION_SECONDS}")),
    ];
    if environment.cluster.domain.is_some() {
        all.push(("group.name", names.base()));
    }
    match certificate {
        None => all.push(("listen-ports", r#"[{"HTTP":80}]"#.to_owned())),
        Some(arn) => all.extend([
            ("listen-ports", r#"[{"HTTP":80},{"HTTPS":443}]"#.to_owned()),
            ("ssl-redirect", "443".to_owned()),
            ("certificate-arn", arn.to_string()),
            ("ssl-policy", TLS_POLICY.to_owned()),
        ]),
    }
    let class = environment.cluster.ingress_class.clone().map(|class| (CLASS.to_owned(), class));
    all.into_iter().map(|(key, value)| (format!("{PREFIX}/{key}"), value)).chain(class).collect()
}

/// What the Ingress of one service says: how it is asked for its health, and which of those that share its host are looked
/// at first.
pub(super) fn own(part: &WorkloadSpec) -> BTreeMap<String, String> {
    let public = &part.service.public_name;
    // The load balancer takes the first rule that fits, so that the longest path has to come first.
    let longest = public.paths.iter().map(String::len).max().filter(|_| public.is_shared);
    let order = longest.map(|length| (format!("{PREFIX}/group.order"), (LAST - length.min(LAST)).to_string()));
    health(part).into_iter().chain(order).collect()
}

/// The place of what has no more than a path of no length, beyond all others.
const LAST: usize = 1000;

/// How the load balancer asks one service for its health: as the cluster does.
fn health(part: &WorkloadSpec) -> BTreeMap<String, String> {
    let (path, codes) = match &part.service.ready {
        // What a probe of the cluster takes for good.
        Probe::Http { path } => (path.as_str(), "200-399"),
        // There is no way to ask for a connection alone: whatever is answered will do.
        Probe::Tcp { .. } | Probe::Command(_) | Probe::Runs(_) => ("/", "200-499"),
    };
    let own = [("healthcheck-protocol", "HTTP"), ("healthcheck-path", path), ("success-codes", codes)];
    own.into_iter().chain(HEALTH).map(|(key, value)| (format!("{PREFIX}/{key}"), value.to_owned())).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws::infra::outputs::Subnet;
    use std::collections::BTreeSet;

    pub(crate) fn environment(set: &[&str]) -> Environment {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let mut all = vec!["account=123456789012".to_owned(), "deployment_id=shop".to_owned()];
        all.extend(set.iter().map(|text| (*text).to_owned()));
        model::environment(root, "aws", &all).unwrap()
    }

    fn names() -> Names {
        Names {
            account: "123456789012".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
            id: "shop".parse().unwrap(),
        }
    }

    pub(crate) fn outputs() -> Outputs {
        let subnet =
            |zone: &str, cidr: &str| (zone.to_owned(), Subnet { id: format!("subnet-{zone}"), cidr: cidr.to_owned() });
        Outputs {
            cluster_name: "slipway-shop".to_owned(),
            cluster_endpoint: String::new(),
            cluster_ca: String::new(),
            vpc_id: "vpc-1".to_owned(),
            public_subnets: BTreeMap::from([subnet("a", "10.42.0.0/24"), subnet("b", "10.42.1.0/24")]),
            controller_namespace: String::new(),
            topic_arn: None,
            queue_url: None,
            cache_url: None,
            certificate_arn: None,
            log_groups: Vec::new(),
            repositories: BTreeSet::new(),
        }
    }

    fn annotation<'e>(exposure: &'e Exposure, key: &str) -> Option<&'e str> {
        exposure.annotations.get(&format!("{PREFIX}/{key}")).map(String::as_str)
    }

    #[test]
    fn without_a_domain_each_service_has_a_load_balancer_of_its_own() {
        let mut classed = environment(&[]);
        classed.cluster.ingress_class = Some("shop-class".to_owned());
        let exposure = exposure(&classed, &names(), &outputs(), None);
        assert_eq!(exposure.host_suffix, None);
        assert_eq!(
            (exposure.from_namespace.as_str(), exposure.from_cidrs.as_slice()),
            ("", ["10.42.0.0/24", "10.42.1.0/24"].map(str::to_owned).as_slice())
        );
        let value = |key: &str| annotation(&exposure, key);
        assert_eq!((value("scheme"), value("target-type")), (Some("internet-facing"), Some("ip")));
        assert_eq!(exposure.annotations.get(CLASS).map(String::as_str), Some("shop-class"));
        assert!(exposure.class.is_empty(), "the cluster takes one of the two");
        assert_eq!((value("group.name"), value("certificate-arn"), value("ssl-redirect")), (None, None, None));
        assert_eq!(value("listen-ports"), Some(r#"[{"HTTP":80}]"#));
        assert_eq!(value("tags"), Some("deployment_id=shop,environment=aws,managed_by=slipway"));
    }

    #[test]
    fn with_a_domain_all_share_one_and_with_a_certificate_it_speaks_tls_alone() {
        let arn: CertificateArn = "arn:aws:acm:eu-central-1:123456789012:certificate/a".parse().unwrap();
        let exposure = exposure(&environment(&["domain=shop.example"]), &names(), &outputs(), Some(&arn));
        assert_eq!(exposure.host_suffix.as_deref(), Some(".shop.example"));
        let value = |key: &str| annotation(&exposure, key);
        assert_eq!(value("group.name"), Some("slipway-shop"));
        assert_eq!(value("certificate-arn"), Some(arn.as_str()));
        assert_eq!((value("ssl-redirect"), value("ssl-policy")), (Some("443"), Some(TLS_POLICY)));
        let ports: serde_json::Value = serde_json::from_str(value("listen-ports").unwrap()).unwrap();
        assert_eq!(ports, serde_json::json!([{"HTTP": 80}, {"HTTPS": 443}]));
    }

    #[test]
    fn whoever_sends_requests_is_the_first_to_close_and_a_pod_outlives_its_requests() {
        // What the services of this repository keep a connection for.
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let text = std::fs::read_to_string(root.join("app/kit/src/serve.rs")).unwrap();
        let (_, after) = text.split_once("const HEAD_TIMEOUT: Duration = Duration::from_secs(").unwrap();
        let kept: u64 = after.split(')').next().unwrap().parse().unwrap();
        assert!(IDLE_SECONDS < kept, "load balancers keep a connection for {IDLE_SECONDS} s, services for {kept} s");
        // The rest is for the controller and the load balancer to hear of it.
        const { assert!(DRAIN_SECONDS >= DEREGISTRATION_SECONDS + 10) };
    }
}
