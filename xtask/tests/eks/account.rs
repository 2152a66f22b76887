//! Questions to AWS and to the cluster, asked apart from the program under test.

use super::sandbox::Run;
use serde_json::Value;
use skip::{Found, Missing};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The AWS that tests may use.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) region: String,
    /// The endpoint as pods reach it.
    pub(crate) in_pods: String,
    pub(crate) charts: String,
    /// The context of the same cluster as every one on EKS, to look at it from outside.
    context: String,
}

/// The account, if tests may use one.
///
/// # Panics
/// If `XTASK_E2E_AWS` is `1` and something of it is missing.
pub(crate) fn account() -> Found<&'static Account> {
    static FOUND: OnceLock<Option<Account>> = OnceLock::new();
    let find = || {
        if std::env::var("XTASK_E2E_AWS").as_deref() != Ok("1") {
            return None;
        }
        Some(Account::find().unwrap_or_else(|missing| panic!("{missing}, and `XTASK_E2E_AWS` is `1`")))
    };
    FOUND.get_or_init(find).as_ref().ok_or_else(|| Missing::new("`XTASK_E2E_AWS` is not `1`"))
}

impl Account {
    fn find() -> Result<Self, String> {
        let var = |name: &str| std::env::var(name).map_err(|_| format!("`{name}` is not set"));
        // The real AWS is not for tests: what they make costs money.
        var("AWS_ENDPOINT_URL")?;
        let mut account = Self {
            id: String::new(),
            region: var("AWS_REGION")?,
            in_pods: var("XTASK_E2E_AWS_IN_PODS")?,
            charts: var("XTASK_E2E_CHARTS")?,
            context: var("XTASK_E2E_CONTEXT")?,
        };
        let caller = account.try_ask(&["sts", "get-caller-identity"])?;
        account.id = caller["Account"].as_str().unwrap_or_default().to_owned();
        Ok(account)
    }

    pub(crate) fn try_ask(&self, args: &[&str]) -> Result<Value, String> {
        let mut command = Command::new("aws");
        // Older versions of the CLI do not take it from the variable for every service.
        let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap_or_default();
        command.args(["--endpoint-url", &endpoint, "--region", &self.region, "--output", "json"]);
        command.args(args).stdin(Stdio::null());
        let run = Run::of(&mut command);
        match run.code() {
            0 if run.stdout.trim().is_empty() => Ok(Value::Null),
            0 => Ok(run.json()),
            _ => Err(format!("aws {args:?}: {}", run.stderr)),
        }
    }

    #[track_caller]
    pub(crate) fn ask<const N: usize>(&self, args: [&str; N]) -> Value {
        self.try_ask(&args).unwrap()
    }

    /// Those in a list of an answer.
    #[track_caller]
    pub(crate) fn list<const N: usize>(&self, args: [&str; N], field: &str) -> Vec<Value> {
        self.ask(args)[field].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn kubectl<const N: usize>(&self, args: [&str; N]) -> Run {
        let mut command = Command::new("kubectl");
        Run::of(command.args(["--context", &self.context]).args(args).stdin(Stdio::null()))
    }

    pub(crate) fn helm<const N: usize>(&self, args: [&str; N]) -> Run {
        let mut command = Command::new("helm");
        Run::of(command.args(["--kube-context", &self.context]).args(args).stdin(Stdio::null()))
    }

    /// The names of everything on AWS that has this in its name, asked service by service: not what tags say.
    #[track_caller]
    pub(crate) fn named(&self, part: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut take = |what: &str, names: Vec<Value>, key: &str| {
            let names = names.iter().map(|entry| if key.is_empty() { entry } else { &entry[key] });
            let names = names.filter_map(Value::as_str).filter(|name| name.contains(part));
            found.extend(names.map(|name| format!("{what} {name}")));
        };
        take("bucket", self.list(["s3api", "list-buckets"], "Buckets"), "Name");
        take("cluster", self.list(["eks", "list-clusters"], "clusters"), "");
        take("role", self.list(["iam", "list-roles"], "Roles"), "RoleName");
        take("repository", self.list(["ecr", "describe-repositories"], "repositories"), "repositoryName");
        take("topic", self.list(["sns", "list-topics"], "Topics"), "TopicArn");
        take("queue", self.list(["sqs", "list-queues"], "QueueUrls"), "");
        take("log group", self.list(["logs", "describe-log-groups"], "logGroups"), "logGroupName");
        take("alias", self.list(["kms", "list-aliases"], "Aliases"), "AliasName");
        take("alarm", self.list(["cloudwatch", "describe-alarms"], "MetricAlarms"), "AlarmName");
        take("dashboard", self.list(["cloudwatch", "list-dashboards"], "DashboardEntries"), "DashboardName");
        let vpcs = self.list(["ec2", "describe-vpcs"], "Vpcs");
        take(
            "vpc",
            vpcs.into_iter().flat_map(|vpc| vpc["Tags"].as_array().cloned().unwrap_or_default()).collect(),
            "Value",
        );
        found.extend(self.balancers(part).into_iter().map(|arn| format!("load balancer {arn}")));
        found.sort();
        found.dedup();
        found
    }

    /// The name of the bucket that has this in its name.
    #[track_caller]
    pub(crate) fn bucket(&self, part: &str) -> String {
        let buckets = self.list(["s3api", "list-buckets"], "Buckets");
        let mut names = buckets.iter().filter_map(|bucket| bucket["Name"].as_str());
        names.find(|name| name.contains(part)).unwrap_or_else(|| panic!("no bucket of {part}: {buckets:?}")).to_owned()
    }

    /// The ARNs of load balancers that a controller has made for a cluster of this name.
    #[track_caller]
    pub(crate) fn balancers(&self, cluster: &str) -> Vec<String> {
        let all = self.list(["elbv2", "describe-load-balancers"], "LoadBalancers");
        let arns: Vec<&str> = all.iter().filter_map(|balancer| balancer["LoadBalancerArn"].as_str()).collect();
        // As many as AWS takes at once.
        arns.chunks(20).flat_map(|some| self.balancers_of(cluster, some)).collect()
    }

    fn balancers_of(&self, cluster: &str, arns: &[&str]) -> Vec<String> {
        let line = [&["elbv2", "describe-tags", "--resource-arns"], arns].concat();
        let Ok(answer) = self.try_ask(&line) else {
            // One that goes away meanwhile is nobody's.
            return match arns {
                [_] => Vec::new(),
                _ => arns.iter().flat_map(|arn| self.balancers_of(cluster, &[arn])).collect(),
            };
        };
        let tagged = answer["TagDescriptions"].as_array().cloned().unwrap_or_default();
        let is_its = |one: &&Value| {
            let tags = one["Tags"].as_array().map(Vec::as_slice).unwrap_or_default();
            tags.iter().any(|tag| tag["Value"].as_str().is_some_and(|value| value.contains(cluster)))
        };
        tagged.iter().filter(is_its).filter_map(|one| Some(one["ResourceArn"].as_str()?.to_owned())).collect()
    }
}
