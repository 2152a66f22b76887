//! Whether what a deployment takes still fits: what there is, beside how much there may be.

use super::{Subject, untold};
use aws::Refusal;
use aws::infra::names::Names;
use doctor::fix::Fix;
use doctor::{Finding, Scene};
use model::aws::Compute;
use serde_json::Value;

/// Those of a node group unless `terraform.nodes` and `terraform.instance_types` say otherwise, as in
/// `terraform/variables.tf`.
const NODES: u64 = 3;
const INSTANCE_TYPE: &str = "t3.large";

/// One quota (docs.aws.amazon.com/general/latest/gr/aws-service-information.html).
struct Quota {
    service: &'static str,
    code: &'static str,
    what: &'static str,
}

const VPCS: Quota = Quota { service: "vpc", code: "L-F678F1CE", what: "VPCs" };
const ADDRESSES: Quota = Quota { service: "ec2", code: "L-0263D0A3", what: "elastic addresses" };
const VCPUS: Quota = Quota { service: "ec2", code: "L-1216C47A", what: "vCPUs of standard instances" };

/// How much is there, and how much more a deploy takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    there: u64,
    more: u64,
}

pub(super) fn vpcs(subject: &Subject, _: &Scene) -> Finding {
    let question = ["ec2", "describe-vpcs"];
    told(subject, &VPCS, &[&question], |answers, names| {
        let all = list(answers.first(), "/Vpcs");
        Use { there: count(&all), more: u64::from(!all.iter().any(|vpc| is_ours(vpc, names))) }
    })
}

pub(super) fn addresses(subject: &Subject, _: &Scene) -> Finding {
    if subject.settings.variable("egress") == Some("endpoints") {
        return Finding::skip("no NAT gateway is made");
    }
    told(subject, &ADDRESSES, &[&["ec2", "describe-addresses"]], |answers, names| {
        let all = list(answers.first(), "/Addresses");
        Use { there: count(&all), more: u64::from(!all.iter().any(|address| is_ours(address, names))) }
    })
}

pub(super) fn vcpus(subject: &Subject, _: &Scene) -> Finding {
    if subject.settings.compute == Compute::Auto {
        return Finding::skip("EKS decides how many nodes there are");
    }
    let kind = instance_type(subject.settings.variable("instance_types"));
    let running = ["ec2", "describe-instances", "--filters", "Name=instance-state-name,Values=pending,running"];
    let size = ["ec2", "describe-instance-types", "--instance-types", &kind];
    told(subject, &VCPUS, &[&running, &size], |answers, names| {
        let nodes = nodes(subject.settings.variable("nodes"));
        vcpus_of(answers, names, nodes)
    })
}

fn told(subject: &Subject, quota: &Quota, questions: &[&[&str]], used: impl Fn(&[Value], &Names) -> Use) -> Finding {
    let Some(names) = subject.names() else { return Finding::skip("the account is not known") };
    let answers: Result<Vec<Value>, Refusal> = subject.answers.ask_at_once(questions).into_iter().collect();
    let used = match answers {
        Ok(answers) => used(&answers, &names),
        Err(refusal) => return untold(&format!("count the {}", quota.what), &refusal),
    };
    if used.more == 0 {
        return Finding::pass(format!("the deployment has its {}", quota.what));
    }
    let named = ["--service-code", quota.service, "--quota-code", quota.code];
    match subject.ask(&[&["service-quotas", "get-service-quota"], &named[..]].concat()) {
        Ok(answer) => judge(quota.what, answer["Quota"]["Value"].as_f64(), used, &|value| {
            let value = value.to_string();
            let more = ["--desired-value", &value];
            subject.line(&[&["service-quotas", "request-service-quota-increase"], &named[..], &more[..]].concat())
        }),
        Err(refusal) => untold(&format!("look up the quota of {}", quota.what), &refusal)
            .found(format!("{} {} there, {} more needed", used.there, quota.what, used.more)),
    }
}

fn judge(what: &str, limit: Option<f64>, used: Use, raise: &dyn Fn(u64) -> String) -> Finding {
    let Use { there, more } = used;
    let Some(limit) = limit else { return Finding::skip("AWS does not report the quota") };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "quotas are small whole numbers")]
    let limit = limit.max(0.0) as u64;
    let want = format!("{more} more");
    match limit.saturating_sub(there) {
        free if free >= more => Finding::pass(format!("{there} of {limit} {what} there")).want(want),
        _ => Finding::fail("a deploy stops at the quota; a higher quota is granted in minutes to days")
            .found(format!("{there} of {limit} {what} there"))
            .want(want)
            .fix([Fix::by_hand(raise(there + more))]),
    }
}

fn vcpus_of(answers: &[Value], names: &Names, nodes: u64) -> Use {
    let instances: Vec<&Value> = list(answers.first(), "/Reservations")
        .into_iter()
        .flat_map(|reservation| list(Some(reservation), "/Instances"))
        .collect();
    // The quota is about the families A, C, D, H, I, M, R, T and Z alone.
    let standard = |instance: &&&Value| {
        let kind = instance["InstanceType"].as_str().unwrap_or_default();
        kind.starts_with(['a', 'c', 'd', 'h', 'i', 'm', 'r', 't', 'z'])
            && !kind.starts_with("inf")
            && !kind.starts_with("trn")
            && !kind.starts_with("hpc")
            && !kind.starts_with("dl")
    };
    let cpus = |instance: &&Value| {
        let number = |key: &str| instance["CpuOptions"][key].as_u64().unwrap_or(1);
        number("CoreCount") * number("ThreadsPerCore")
    };
    let there = instances.iter().filter(standard).map(cpus).sum();
    let ours = instances.iter().any(|instance| has_tag(instance, "eks:cluster-name", &names.base()));
    let size =
        list(answers.get(1), "/InstanceTypes").first().and_then(|kind| kind["VCpuInfo"]["DefaultVCpus"].as_u64());
    Use { there, more: if ours { 0 } else { nodes * size.unwrap_or(2) } }
}

fn list<'v>(answer: Option<&'v Value>, pointer: &str) -> Vec<&'v Value> {
    let items = answer.and_then(|answer| answer.pointer(pointer)).and_then(Value::as_array);
    items.map(|items| items.iter().collect()).unwrap_or_default()
}

fn count(items: &[&Value]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

fn is_ours(item: &Value, names: &Names) -> bool {
    has_tag(item, "deployment_id", names.id.as_str())
}

fn has_tag(item: &Value, key: &str, value: &str) -> bool {
    list(Some(item), "/Tags").iter().any(|tag| tag["Key"] == key && tag["Value"] == value)
}

/// The number after `desired` of `{ min = 1, desired = 2, max = 3 }`, as Terraform or JSON has it.
fn nodes(setting: Option<&str>) -> u64 {
    let after = setting.and_then(|text| text.split_once("desired")).map(|(_, rest)| rest);
    let digits = after.map(|rest| rest.trim_start_matches(|c: char| !c.is_ascii_digit()));
    let number = digits.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    number.and_then(|number| number.parse().ok()).unwrap_or(NODES)
}

/// The first of `["t3.large", "t3a.large"]`.
fn instance_type(setting: Option<&str>) -> String {
    setting.and_then(|text| text.split('"').nth(1)).unwrap_or(INSTANCE_TYPE).to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use doctor::Outcome;
    use serde_json::json;

    #[test]
    fn what_does_not_fit_names_the_command_that_makes_room() {
        let judge =
            |limit, there, more| judge("VPCs", limit, Use { there, more }, &|value| format!("raise to {value}"));
        assert_eq!(judge(Some(5.0), 4, 1).outcome, Outcome::Pass);
        let full = judge(Some(5.0), 5, 1);
        assert_eq!((full.outcome, full.found.as_deref()), (Outcome::Fail, Some("5 of 5 VPCs there")));
        assert_eq!(full.fix[0].to_string(), "raise to 6");
        assert_eq!(judge(None, 5, 1).outcome, Outcome::Skip);
    }

    #[test]
    fn only_nodes_of_ours_and_cpus_of_standard_instances_count() {
        let instance = |kind: &str, cluster: &str| {
            json!({"InstanceType": kind, "CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 2},
                   "Tags": [{"Key": "eks:cluster-name", "Value": cluster}]})
        };
        let size = json!({"InstanceTypes": [{"VCpuInfo": {"DefaultVCpus": 4}}]});
        let others =
            json!({"Reservations": [{"Instances": [instance("m7g.large", "x"), instance("p4d.24xlarge", "x")]}]});
        assert_eq!(vcpus_of(&[others, size.clone()], &names(), 3), Use { there: 4, more: 12 });
        let ours = json!({"Reservations": [{"Instances": [instance("t3.large", "slipway-demo")]}]});
        assert_eq!(vcpus_of(&[ours, size], &names(), 3), Use { there: 4, more: 0 });
    }

    #[test]
    fn settings_of_the_nodes_are_read_as_terraform_writes_them() {
        assert_eq!((nodes(None), instance_type(None)), (3, "t3.large".to_owned()));
        assert_eq!(nodes(Some("{ min = 1, desired = 2, max = 3 }")), 2);
        assert_eq!(nodes(Some(r#"{"min": 1, "desired": 12, "max": 30}"#)), 12);
        assert_eq!(instance_type(Some(r#"["m7i.xlarge", "m6i.xlarge"]"#)), "m7i.xlarge");
    }
}
