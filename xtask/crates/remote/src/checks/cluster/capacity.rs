//! Whether what the systems ask for fits: on the nodes, and into the quotas of their namespaces.
//!
//! Limits: what pods have asked for while they start is not counted, nor that some may not share a node. A cluster that
//! adds nodes by itself has more room than it shows, so that only what is larger than every node is a failure.

use super::Subject;
use doctor::Finding;
use doctor::fix::Fix;
use kube::object;
use kube::{Api, path};
use kubernetes::needs::{Needs, Pod};
use serde_json::Value;
use std::collections::BTreeMap;

/// More pods than these are not counted.
const PODS: &str = "500";
const MIB: f64 = 1_048_576.0;

/// In cores and bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Amount {
    cpu: f64,
    memory: f64,
}

impl Amount {
    fn holds(self, other: Self) -> bool {
        self.cpu >= other.cpu && self.memory >= other.memory
    }

    fn less(self, other: Self) -> Self {
        Self { cpu: self.cpu - other.cpu, memory: self.memory - other.memory }
    }

    fn read(amounts: &Value) -> Self {
        let of = |key: &str| amounts[key].as_str().and_then(quantity).unwrap_or_default();
        Self { cpu: of("cpu"), memory: of("memory") }
    }

    fn words(self) -> String {
        format!("{:.2} cores and {:.0} MiB", self.cpu.max(0.0), (self.memory / MIB).max(0.0))
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts are far below what is exact")]
fn asked(pod: &Pod) -> Amount {
    Amount { cpu: pod.cpu as f64 / 1000.0, memory: pod.memory as f64 }
}

/// A number as Kubernetes writes it: `250m`, `2`, `7980344Ki`, `1e3`
/// (kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity).
fn quantity(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", MIB),
        ("Gi", 1024.0 * MIB),
        ("Ti", MIB * MIB),
        ("Pi", 1024.0 * MIB * MIB),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let with_unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = with_unit.unwrap_or((text, &1.0));
    number.parse::<f64>().ok().map(|number| number * factor)
}

pub(super) fn nodes(subject: &Subject, api: &Api) -> Finding {
    let Ok(nodes) = api.list(&path::NODE.everywhere(), "") else {
        return Finding::skip("you may not list nodes");
    };
    let running = path::with_query(
        &path::POD.everywhere(),
        &[("limit", PODS), ("fieldSelector", "status.phase!=Succeeded,status.phase!=Failed")],
    );
    let pods = match api.get(&running) {
        Ok(Some(pods)) if object::text(&pods, "/metadata/continue").is_empty() => pods,
        Ok(_) => return Finding::skip(format!("more than {PODS} pods run there: they are not counted")),
        Err(_) => return Finding::skip("you may not list pods"),
    };
    let others = object::list(&pods, "/items").iter();
    let others =
        others.filter(|pod| object::label(pod, "deployment_id") != subject.environment.deployment_id.to_string());
    judge(free(&nodes, others), &subject.needs)
}

/// What each node has in all, and what of it is free.
fn free<'p>(nodes: &[Value], pods: impl Iterator<Item = &'p Value>) -> Vec<(Amount, Amount)> {
    let open = |node: &&Value| {
        let taints = object::list(node, "/spec/taints");
        node["spec"]["unschedulable"] != true && taints.iter().all(|taint| taint["effect"] == "PreferNoSchedule")
    };
    let mut left: BTreeMap<&str, (Amount, Amount)> = BTreeMap::new();
    for node in nodes.iter().filter(open) {
        let all = Amount::read(&node["status"]["allocatable"]);
        left.insert(object::name(node), (all, all));
    }
    for pod in pods {
        let Some((_, free)) = left.get_mut(object::text(pod, "/spec/nodeName")) else { continue };
        for container in object::list(pod, "/spec/containers") {
            *free = free.less(Amount::read(&container["resources"]["requests"]));
        }
    }
    left.into_values().collect()
}

/// The largest are placed first, each where there is room for it.
fn judge(nodes: Vec<(Amount, Amount)>, needs: &[Needs]) -> Finding {
    let mut pods: Vec<&Pod> = needs.iter().flat_map(|needs| &needs.pods).collect();
    pods.sort_by_key(|pod| std::cmp::Reverse(pod.memory));
    let mut frees: Vec<Amount> = nodes.iter().map(|(_, free)| *free).collect();
    let total = |amounts: &[Amount]| Amount {
        cpu: amounts.iter().map(|amount| amount.cpu).sum(),
        memory: amounts.iter().map(|amount| amount.memory).sum(),
    };
    let replicas = || pods.iter().flat_map(|pod| (0..pod.replicas).map(|_| *pod));
    let (found, want) = (total(&frees).words(), total(&replicas().map(asked).collect::<Vec<_>>()).words());
    let too_large: Vec<&str> = pods
        .iter()
        .filter(|pod| !nodes.iter().any(|(all, _)| all.holds(asked(pod))))
        .map(|pod| pod.service.as_str())
        .collect();
    if !too_large.is_empty() {
        let detail = format!("no node that takes pods is large enough for {}", too_large.join(", "));
        let fix = "give it less by `memory` and `cpu` of its container, or add a larger node";
        return Finding::fail(detail).found(format!("{found} free")).want(want).fix([Fix::by_hand(fix)]);
    }
    let mut left_out: BTreeMap<&str, u32> = BTreeMap::new();
    for pod in replicas() {
        match frees.iter_mut().find(|free| free.holds(asked(pod))) {
            Some(free) => *free = free.less(asked(pod)),
            None => *left_out.entry(&pod.service).or_default() += 1,
        }
    }
    if left_out.is_empty() {
        return Finding::pass(format!("{found} free")).want(want);
    }
    let list: Vec<String> = left_out.iter().map(|(service, count)| format!("{count} of {service}")).collect();
    let detail = format!("without an autoscaler, these will stay pending: {}", list.join(", "));
    let fix = "add a node, or have fewer: `replicas`, or some of the systems";
    Finding::warn(detail).found(format!("{found} free")).want(want).fix([Fix::by_hand(fix)])
}

pub(super) fn quota(subject: &Subject, api: &Api) -> Finding {
    let mut seen = 0;
    let mut short = Vec::new();
    for needs in &subject.needs {
        let Ok(quotas) = api.list(&path::QUOTA.within(&needs.namespace), "") else {
            return Finding::skip("you may not list quotas");
        };
        seen += quotas.len();
        short.extend(quotas.iter().flat_map(|quota| exceeded(quota, needs)));
    }
    match (seen, short.is_empty()) {
        (0, _) => Finding::pass("none"),
        (_, true) => Finding::pass(format!("{seen}, wide enough")),
        (_, false) => Finding::fail(short.join("\n"))
            .found("too narrow")
            .fix([Fix::by_hand("ask the cluster's administrator for more, or have fewer: `replicas`")]),
    }
}

/// What a system takes that a quota does not have in all.
fn exceeded(quota: &Value, needs: &Needs) -> Vec<String> {
    let each = || needs.pods.iter();
    let sum = |of: &dyn Fn(&Pod) -> f64| -> f64 { each().map(|pod| of(pod) * asked_replicas(pod)).sum() };
    let cpu = sum(&|pod| asked(pod).cpu);
    let memory = sum(&|pod| asked(pod).memory);
    let wanted = [
        ("pods", sum(&|_| 1.0)),
        ("requests.cpu", cpu),
        ("cpu", cpu),
        ("requests.memory", memory),
        ("memory", memory),
        ("limits.memory", memory),
        ("persistentvolumeclaims", sum(&|pod| f64::from(u8::from(pod.stores)))),
    ];
    let hard = &quota["spec"]["hard"];
    let over = |(key, wanted): (&str, f64)| {
        let text = hard[key].as_str()?;
        let namespace = &needs.namespace;
        (quantity(text)? < wanted)
            .then(|| format!("quota `{}` of `{namespace}` has {key} {text}, {wanted} is taken", object::name(quota)))
    };
    wanted.into_iter().filter_map(over).collect()
}

#[expect(clippy::cast_precision_loss, reason = "nobody has that many")]
fn asked_replicas(pod: &Pod) -> f64 {
    pod.replicas as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use doctor::Outcome;
    use serde_json::json;

    fn pod(service: &str, replicas: u64, cpu: u64, mebibytes: u64) -> Pod {
        let memory = mebibytes << 20;
        Pod {
            service: service.to_owned(),
            replicas,
            cpu,
            memory,
            stores: false,
            public: false,
            scales: false,
            own: true,
        }
    }

    fn needs(pods: Vec<Pod>) -> Needs {
        Needs { namespace: "shop".to_owned(), pods, has_jobs: false }
    }

    fn node(cpu: &str, memory: &str) -> Value {
        json!({"metadata": {"name": "n"}, "spec": {}, "status": {"allocatable": {"cpu": cpu, "memory": memory}}})
    }

    #[test]
    fn numbers_are_read_as_the_cluster_writes_them() {
        for (text, number) in
            [("250m", 0.25), ("2", 2.0), ("1Ki", 1024.0), ("1e3", 1000.0), ("1.5G", 1.5e9), ("0", 0.0)]
        {
            assert_eq!(quantity(text), Some(number), "{text}");
        }
        assert_eq!(quantity("many"), None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let running = json!({"spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": "500m"}}}]}});
        let judged = |pods| judge(free(&[node("2", "1Gi")], std::iter::once(&running)), &[needs(pods)]);
        assert_eq!(judged(vec![pod("a", 2, 100, 256)]).outcome, Outcome::Pass);
        let waiting = judged(vec![pod("a", 3, 100, 256), pod("b", 1, 1450, 8)]);
        assert_eq!((waiting.outcome, waiting.found.as_deref()), (Outcome::Warn, Some("1.50 cores and 1024 MiB free")));
        assert!(waiting.detail.is_some_and(|detail| detail.ends_with("will stay pending: 1 of b")));
        assert_eq!(judged(vec![pod("a", 1, 100, 2048)]).outcome, Outcome::Fail);
    }

    #[test]
    fn a_node_that_takes_no_pods_has_no_room() {
        let mut tainted = node("8", "8Gi");
        tainted["spec"]["taints"] = json!([{"key": "control-plane", "effect": "NoSchedule"}]);
        assert!(free(&[tainted], std::iter::empty()).is_empty());
    }

    #[test]
    fn a_quota_that_is_too_narrow_says_in_what() {
        let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2", "requests.memory": "1Gi"}}});
        let over = exceeded(&quota, &needs(vec![pod("a", 3, 100, 64)]));
        assert_eq!(over, ["quota `q` of `shop` has pods 2, 3 is taken"]);
    }
}
