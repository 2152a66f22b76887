//! What an earlier deployment of the same name has left: it would be in the way of the next one, and costs meanwhile.

use super::{Subject, untold};
use aws::Refusal;
use aws::infra::names::Names;
use doctor::fix::Fix;
use doctor::{Finding, Scene};
use serde_json::Value;

/// Something that is there without a state that knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leftover {
    kind: String,
    name: String,
    /// What removes it alone, up to the region; nothing where one command will not do.
    remove: Vec<String>,
}

pub(super) fn leftovers(subject: &Subject, _: &Scene) -> Finding {
    let want = "none";
    let Some(names) = subject.names() else { return Finding::skip("the account is not known") };
    match subject.answers.bucket(subject) {
        Some(Ok(true)) => return Finding::pass("what is there is in the state").want(want),
        Some(Ok(false)) => {}
        Some(Err(refusal)) => return untold("look for the state", &refusal),
        None => return Finding::skip("the account is not known"),
    }
    let (found, refusals) = look(subject, &names);
    let fix = |leftover: &Leftover| {
        let args: Vec<&str> = leftover.remove.iter().map(String::as_str).collect();
        (!args.is_empty()).then(|| Fix::by_hand(subject.line(&args)))
    };
    match (found.is_empty(), refusals.first()) {
        (true, None) => Finding::pass(format!("nothing is called `{}`", names.base())).want(want),
        (true, Some(refusal)) => untold("look for what an earlier deployment has left", refusal),
        (false, _) => {
            let each: Vec<String> = found.iter().map(|left| format!("{} `{}`", left.kind, left.name)).collect();
            Finding::warn(format!("no Terraform state knows them, so the next deploy would fail:\n{}", each.join("\n")))
                .found(format!("{} of an earlier deployment", found.len()))
                .want(want)
                .fix([Fix::by_hand(subject.environment.command("teardown"))])
                .fix(found.iter().filter_map(fix))
        }
    }
}

/// What was found, and what could not be asked.
fn look(subject: &Subject, names: &Names) -> (Vec<Leftover>, Vec<Refusal>) {
    let base = names.base();
    let tag = format!("Key=deployment_id,Values={}", names.id);
    let alias = format!("alias/{base}");
    let role = format!("{base}-cluster");
    let questions: [&[&str]; 6] = [
        &["logs", "describe-log-groups", "--log-group-name-pattern", &base],
        &["kms", "describe-key", "--key-id", &alias],
        &["iam", "get-role", "--role-name", &role],
        &["ecr", "describe-repositories"],
        &["resourcegroupstaggingapi", "get-resources", "--tag-filters", &tag],
        &["iam", "list-open-id-connect-providers"],
    ];
    let mut found = Vec::new();
    let mut refusals = Vec::new();
    let judges: [fn(&Value, &Names) -> Vec<Leftover>; 5] = [log_groups, key, role_of, repositories, tagged];
    let mut answers = subject.answers.ask_at_once(&questions).into_iter();
    for judge in judges {
        match answers.next() {
            Some(Ok(answer)) => found.extend(judge(&answer, names)),
            Some(Err(refusal)) if !refusal.is_absent() => refusals.push(refusal),
            _ => {}
        }
    }
    match answers.next() {
        Some(Ok(answer)) => found.extend(providers(subject, &answer, names)),
        Some(Err(refusal)) => refusals.push(refusal),
        None => {}
    }
    (found, refusals)
}

fn leftover(kind: &str, name: &str, remove: &[&str]) -> Leftover {
    let remove = remove.iter().map(|part| (*part).to_owned()).collect();
    Leftover { kind: kind.to_owned(), name: name.to_owned(), remove }
}

fn texts<'v>(answer: &'v Value, list: &str, key: &str) -> Vec<&'v str> {
    let items = answer[list].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item[key].as_str()).collect()
}

fn log_groups(answer: &Value, names: &Names) -> Vec<Leftover> {
    let ours = |group: &&str| group.split('/').any(|part| part == names.base());
    let groups = texts(answer, "logGroups", "logGroupName").into_iter().filter(ours);
    groups.map(|name| leftover("log group", name, &["logs", "delete-log-group", "--log-group-name", name])).collect()
}

fn key(_: &Value, names: &Names) -> Vec<Leftover> {
    let alias = format!("alias/{}", names.base());
    vec![leftover("KMS alias", &alias, &["kms", "delete-alias", "--alias-name", &alias])]
}

fn role_of(answer: &Value, _: &Names) -> Vec<Leftover> {
    // Its policies have to be taken from it first.
    answer["Role"]["RoleName"].as_str().map(|name| leftover("IAM role", name, &[])).into_iter().collect()
}

fn repositories(answer: &Value, names: &Names) -> Vec<Leftover> {
    let start = format!("{}/", names.base());
    let ours = texts(answer, "repositories", "repositoryName").into_iter().filter(|name| name.starts_with(&start));
    let remove = |name| ["ecr", "delete-repository", "--force", "--repository-name", name];
    ours.map(|name| leftover("ECR repository", name, &remove(name))).collect()
}

/// What carries the tag, but for what is told by its name.
fn tagged(answer: &Value, _: &Names) -> Vec<Leftover> {
    let arns = texts(answer, "ResourceTagMappingList", "ResourceARN").into_iter();
    let told = |arn: &&str| [":logs:", ":ecr:", ":kms:", ":iam:"].iter().all(|service| !arn.contains(service));
    arns.filter(told).map(|arn| leftover(kind(arn), arn, &removal(arn))).collect()
}

fn kind(arn: &str) -> &str {
    match arn.splitn(6, ':').collect::<Vec<_>>()[..] {
        [_, _, "elasticloadbalancing", _, _, rest] if rest.starts_with("loadbalancer/") => "load balancer",
        [_, _, "elasticloadbalancing", _, _, rest] if rest.starts_with("targetgroup/") => "target group",
        [_, _, service, ..] => service,
        _ => "something",
    }
}

fn removal(arn: &str) -> Vec<&str> {
    match kind(arn) {
        "load balancer" => vec!["elbv2", "delete-load-balancer", "--load-balancer-arn", arn],
        "target group" => vec!["elbv2", "delete-target-group", "--target-group-arn", arn],
        _ => Vec::new(),
    }
}

/// Providers have no names, so that each of EKS's own has to be asked for its tags.
fn providers(subject: &Subject, answer: &Value, names: &Names) -> Vec<Leftover> {
    let of_eks = |arn: &&str| arn.contains("/oidc.eks.") && arn.contains(names.region.as_str());
    let arns = texts(answer, "OpenIDConnectProviderList", "Arn").into_iter().filter(of_eks);
    let ours = |arn: &&str| {
        let question = ["iam", "list-open-id-connect-provider-tags", "--open-id-connect-provider-arn", arn];
        subject.ask(&question).is_ok_and(|answer| is_tagged(&answer, names))
    };
    let remove = |arn| ["iam", "delete-open-id-connect-provider", "--open-id-connect-provider-arn", arn];
    arns.filter(ours).map(|arn| leftover("OIDC provider", arn, &remove(arn))).collect()
}

fn is_tagged(answer: &Value, names: &Names) -> bool {
    let tags = answer["Tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    tags.iter().any(|tag| tag["Key"] == "deployment_id" && tag["Value"] == names.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use serde_json::json;

    fn told(leftovers: &[Leftover]) -> Vec<String> {
        leftovers.iter().map(|left| format!("{} {}: {}", left.kind, left.name, left.remove.join(" "))).collect()
    }

    #[test]
    fn names_that_only_begin_alike_are_somebody_elses() {
        let groups = json!({"logGroups": [
            {"logGroupName": "/aws/eks/slipway-demo/cluster"}, {"logGroupName": "/aws/eks/slipway-demo2/cluster"},
        ]});
        assert_eq!(
            told(&log_groups(&groups, &names())),
            [
                "log group /aws/eks/slipway-demo/cluster: logs delete-log-group --log-group-name /aws/eks/slipway-demo/cluster"
            ]
        );
        let all = json!({"repositories": [{"repositoryName": "slipway-demo/epoch"}, {"repositoryName": "slipway-demo2/epoch"}]});
        assert_eq!(repositories(&all, &names()).len(), 1);
    }

    #[test]
    fn load_balancers_are_found_by_their_tags_and_nothing_is_told_twice() {
        let lb = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/k8s-x/1";
        let answer = json!({"ResourceTagMappingList": [
            {"ResourceARN": lb}, {"ResourceARN": "arn:aws:ecr:eu-central-1:1:repository/slipway-demo/epoch"},
            {"ResourceARN": "arn:aws:ec2:eu-central-1:1:vpc/vpc-1"},
        ]});
        assert_eq!(
            told(&tagged(&answer, &names())),
            [
                format!("load balancer {lb}: elbv2 delete-load-balancer --load-balancer-arn {lb}"),
                "ec2 arn:aws:ec2:eu-central-1:1:vpc/vpc-1: ".to_owned()
            ]
        );
    }

    #[test]
    fn a_provider_is_ours_by_its_tag() {
        let tags = |id: &str| json!({"Tags": [{"Key": "deployment_id", "Value": id}]});
        assert!(is_tagged(&tags("demo"), &names()) && !is_tagged(&tags("demo2"), &names()));
    }
}
