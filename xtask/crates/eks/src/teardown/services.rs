//! What the other services of AWS have of a deployment: found by its names, which carry its ID, and by its tags.
//!
//! One deployment's name may begin another's (`a` and `a-b`): names are compared whole, and where only their beginning is
//! known a tag decides.

use super::aws_resource::{AwsResource, DEPLOYMENT, list, tag, text};
use super::inventory::{Lookup, LookupContext, Reach};
use super::tagging;
use aws::Refusal;
use serde_json::{Value, json};

type Answer = Result<Vec<AwsResource>, Refusal>;

const fn question(about: &'static str, line: &'static [&'static str], ask: fn(&LookupContext<'_>) -> Answer) -> Lookup {
    Lookup { about, line, reach: Reach::Everything, ask }
}

const fn unmanaged(
    about: &'static str,
    line: &'static [&'static str],
    ask: fn(&LookupContext<'_>) -> Answer,
) -> Lookup {
    Lookup { about, line, reach: Reach::Unmanaged, ask }
}

pub(super) const QUESTIONS: &[Lookup] = &[
    unmanaged("the cluster", &["eks", "list-clusters"], cluster),
    unmanaged("log groups", &["logs", "describe-log-groups"], log_groups),
    question("image repositories", &["ecr", "describe-repositories"], repositories),
    question("roles", &["iam", "list-roles"], roles),
    question("instance profiles", &["iam", "list-instance-profiles"], profiles),
    unmanaged("OIDC providers", &["iam", "list-open-id-connect-providers"], providers),
    unmanaged("key aliases", &["kms", "list-aliases"], aliases),
    question("topics", &["sns", "list-topics"], topics),
    question("alarms", &["cloudwatch", "describe-alarms"], alarms),
    question("dashboards", &["cloudwatch", "list-dashboards"], dashboards),
    question("the cache", &["elasticache", "describe-replication-groups"], cache),
    question("the cache's subnets", &["elasticache", "describe-cache-subnet-groups"], cache_subnets),
    unmanaged("certificates", &["acm", "list-certificates"], certificates),
    question("the budget", &["budgets", "describe-budgets"], budget),
    Lookup {
        about: "records of the domain",
        line: &["route53", "list-hosted-zones"],
        reach: Reach::OfSystems,
        ask: super::records::records,
    },
    question(
        "other resources with the deployment's tag",
        &["resourcegroupstaggingapi", "get-resources"],
        tagging::others,
    ),
];

/// What is not there has nothing.
fn there(answer: Result<Value, Refusal>) -> Result<Option<Value>, Refusal> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(refusal) if refusal.is_absent() => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

fn cluster(context: &LookupContext<'_>) -> Answer {
    let name = context.names.base();
    let Some(found) = there(context.aws.ask(&["eks", "describe-cluster", "--name", &name]))? else {
        return Ok(Vec::new());
    };
    let mut resources = Vec::new();
    let groups = there(context.aws.ask(&["eks", "list-nodegroups", "--cluster-name", &name]))?.unwrap_or_default();
    for group in list(&groups, "nodegroups").iter().filter_map(Value::as_str) {
        let line = ["--cluster-name", &name, "--nodegroup-name", group];
        let found = there(context.aws.ask(&[&["eks", "describe-nodegroup"], &line[..]].concat()))?.unwrap_or_default();
        let found = &found["nodegroup"];
        let kind = list(found, "instanceTypes").first().cloned().unwrap_or_default();
        let facts = json!({"type": kind, "count": found.pointer("/scalingConfig/desiredSize")});
        let remove = [&["eks", "delete-nodegroup"], &line[..]].concat();
        resources.push(AwsResource::new("node-group", format!("{name}/{group}"), &remove).with(facts));
    }
    let found = &found["cluster"];
    let facts = json!({
        "status": text(found, "status"), "issuer": found.pointer("/identity/oidc/issuer"),
        "group": found.pointer("/resourcesVpcConfig/clusterSecurityGroupId"),
        "vpc": found.pointer("/resourcesVpcConfig/vpcId"),
    });
    resources.push(AwsResource::new("cluster", &name, &["eks", "delete-cluster", "--name", &name]).with(facts));
    Ok(resources)
}

/// Those of the cluster and the network, which are made again as long as there is something to write, and those that the
/// ledger knows.
fn log_groups(context: &LookupContext<'_>) -> Answer {
    let prefixes = ["eks", "vpc"].map(|service| format!("/aws/{service}/{}/", context.names.base()));
    let mut resources = Vec::new();
    for prefix in &prefixes {
        let found = context.aws.ask(&["logs", "describe-log-groups", "--log-group-name-prefix", prefix])?;
        resources.extend(list(&found, "logGroups").iter().map(log_group));
    }
    let is_asked = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
    for entry in context.noted("log-group").filter(|entry| !is_asked(&entry.id)) {
        let found = context.aws.ask(&["logs", "describe-log-groups", "--log-group-name-prefix", &entry.id])?;
        let same = |found: &&Value| text(found, "logGroupName") == entry.id;
        resources.extend(list(&found, "logGroups").iter().filter(same).map(log_group));
    }
    Ok(resources)
}

fn log_group(found: &Value) -> AwsResource {
    let name = text(found, "logGroupName");
    let remove = ["logs", "delete-log-group", "--log-group-name", name];
    AwsResource::new("log-group", name, &remove).with(json!({"bytes": found["storedBytes"]}))
}

fn repositories(context: &LookupContext<'_>) -> Answer {
    let prefix = format!("{}/", context.names.base());
    let found = context.aws.ask(&["ecr", "describe-repositories"])?;
    let names = list(&found, "repositories").iter().map(|found| text(found, "repositoryName"));
    let ours = names.filter(|name| name.starts_with(&prefix));
    let remove = |name| ["ecr", "delete-repository", "--force", "--repository-name", name];
    Ok(ours.map(|name| AwsResource::new("repository", name, &remove(name))).collect())
}

/// Those whose name begins as ours do and whose tag does not name another deployment.
fn roles(context: &LookupContext<'_>) -> Answer {
    let prefix = format!("{}-", context.names.base());
    let found = context.aws.ask(&["iam", "list-roles"])?;
    let mut resources = Vec::new();
    for name in
        list(&found, "Roles").iter().map(|found| text(found, "RoleName")).filter(|name| name.starts_with(&prefix))
    {
        let Some(tags) = there(context.aws.ask(&["iam", "list-role-tags", "--role-name", name]))? else { continue };
        if ["", context.names.id.as_str()].contains(&tag(&tags["Tags"], DEPLOYMENT)) {
            resources.push(AwsResource::new("role", name, &["iam", "delete-role", "--role-name", name]));
        }
    }
    Ok(resources)
}

/// EKS makes them for the roles of nodes.
fn profiles(context: &LookupContext<'_>) -> Answer {
    let role = format!("{}-node", context.names.base());
    let found = context.aws.ask(&["iam", "list-instance-profiles"])?;
    let has = |found: &&Value| list(found, "Roles").iter().any(|found| text(found, "RoleName") == role);
    let profile = |found: &Value| {
        let name = text(found, "InstanceProfileName");
        AwsResource::new("instance-profile", name, &["iam", "delete-instance-profile", "--instance-profile-name", name])
    };
    Ok(list(&found, "InstanceProfiles").iter().filter(has).map(profile).collect())
}

/// What the ledger calls the issuer of the cluster's own tokens, by which a provider for it is known.
pub(super) const ISSUER: &str = "issuer";

/// Nothing here makes one; whoever has made one for this cluster has no use for it once the cluster is gone.
fn providers(context: &LookupContext<'_>) -> Answer {
    let issuers: Vec<&str> = context.noted(ISSUER).map(|entry| entry.id.trim_start_matches("https://")).collect();
    if issuers.is_empty() {
        return Ok(Vec::new());
    }
    let found = context.aws.ask(&["iam", "list-open-id-connect-providers"])?;
    let arns = list(&found, "OpenIDConnectProviderList").iter().map(|found| text(found, "Arn"));
    let ours = arns.filter(|arn| issuers.iter().any(|issuer| arn.ends_with(&format!(":oidc-provider/{issuer}"))));
    let remove = |arn| ["iam", "delete-open-id-connect-provider", "--open-id-connect-provider-arn", arn];
    Ok(ours.map(|arn| AwsResource::new("oidc-provider", arn, &remove(arn))).collect())
}

fn aliases(context: &LookupContext<'_>) -> Answer {
    let name = format!("alias/{}", context.names.base());
    let found = context.aws.ask(&["kms", "list-aliases"])?;
    let ours = list(&found, "Aliases").iter().find(|found| text(found, "AliasName") == name);
    let alias = |_| AwsResource::new("alias", &name, &["kms", "delete-alias", "--alias-name", &name]);
    Ok(ours.map(alias).into_iter().collect())
}

fn topics(context: &LookupContext<'_>) -> Answer {
    let base = context.names.base();
    let names = ["messages", "alerts"].map(|name| format!(":{base}-{name}"));
    let found = context.aws.ask(&["sns", "list-topics"])?;
    let arns = list(&found, "Topics").iter().map(|found| text(found, "TopicArn"));
    let ours = arns.filter(|arn| names.iter().any(|name| arn.ends_with(name)));
    Ok(ours.map(|arn| AwsResource::new("topic", arn, &["sns", "delete-topic", "--topic-arn", arn])).collect())
}

/// Those that tell the deployment's own topic.
fn alarms(context: &LookupContext<'_>) -> Answer {
    let prefix = format!("{}-", context.names.base());
    let tells = format!(":{}-alerts", context.names.base());
    let found = context.aws.ask(&["cloudwatch", "describe-alarms", "--alarm-name-prefix", &prefix])?;
    let is_ours = |found: &&Value| {
        let mut told = list(found, "AlarmActions").iter().filter_map(Value::as_str);
        told.any(|topic| topic.ends_with(&tells))
    };
    let ours = list(&found, "MetricAlarms").iter().filter(is_ours).map(|found| text(found, "AlarmName"));
    Ok(ours
        .map(|name| AwsResource::new("alarm", name, &["cloudwatch", "delete-alarms", "--alarm-names", name]))
        .collect())
}

fn dashboards(context: &LookupContext<'_>) -> Answer {
    let name = context.names.base();
    let found = context.aws.ask(&["cloudwatch", "list-dashboards", "--dashboard-name-prefix", &name])?;
    let ours = list(&found, "DashboardEntries").iter().any(|found| text(found, "DashboardName") == name);
    let remove = ["cloudwatch", "delete-dashboards", "--dashboard-names", &name];
    Ok(ours.then(|| AwsResource::new("dashboard", &name, &remove)).into_iter().collect())
}

fn cache(context: &LookupContext<'_>) -> Answer {
    let name = context.names.base();
    let line = ["elasticache", "describe-replication-groups", "--replication-group-id", &name];
    let Some(found) = there(context.aws.ask(&line))? else { return Ok(Vec::new()) };
    let cache = |found: &Value| {
        let facts = json!({"type": text(found, "CacheNodeType"), "count": list(found, "MemberClusters").len()});
        let remove = ["elasticache", "delete-replication-group", "--replication-group-id", &name];
        AwsResource::new("cache", &name, &remove).with(facts)
    };
    Ok(list(&found, "ReplicationGroups").iter().map(cache).collect())
}

fn cache_subnets(context: &LookupContext<'_>) -> Answer {
    let name = context.names.base();
    let line = ["elasticache", "describe-cache-subnet-groups", "--cache-subnet-group-name", &name];
    let found = there(context.aws.ask(&line))?.unwrap_or_default();
    let remove = ["elasticache", "delete-cache-subnet-group", "--cache-subnet-group-name", &name];
    let groups = list(&found, "CacheSubnetGroups").iter();
    Ok(groups.map(|_| AwsResource::new("subnet-group", &name, &remove)).collect())
}

/// Those of the domain that carry the deployment's tag: Terraform's, and what `cert request` has asked for.
fn certificates(context: &LookupContext<'_>) -> Answer {
    let found = context.aws.ask(&["acm", "list-certificates"])?;
    let of_domain = |found: &&Value| {
        let arn = text(found, "CertificateArn");
        context.is_noted(CERTIFICATE, arn)
            || context.domain.as_ref().is_some_and(|domain| text(found, "DomainName").ends_with(domain.as_str()))
    };
    let mut resources = Vec::new();
    for found in list(&found, "CertificateSummaryList").iter().filter(of_domain) {
        let arn = text(found, "CertificateArn");
        let Some(tags) = there(context.aws.ask(&["acm", "list-tags-for-certificate", "--certificate-arn", arn]))?
        else {
            continue;
        };
        if tag(&tags["Tags"], DEPLOYMENT) == context.names.id.as_str() || context.is_noted(CERTIFICATE, arn) {
            let remove = ["acm", "delete-certificate", "--certificate-arn", arn];
            resources.push(AwsResource::new(CERTIFICATE, arn, &remove).named(text(found, "DomainName")));
        }
    }
    Ok(resources)
}

pub(super) const CERTIFICATE: &str = "certificate";

fn budget(context: &LookupContext<'_>) -> Answer {
    let (name, account) = (context.names.base(), context.names.account.as_str());
    let line = ["--account-id", account, "--budget-name", &name];
    let found = there(context.aws.ask(&[&["budgets", "describe-budget"], &line[..]].concat()))?;
    let remove = [&["budgets", "delete-budget"], &line[..]].concat();
    Ok(found.map(|_| AwsResource::new("budget", &name, &remove)).into_iter().collect())
}
