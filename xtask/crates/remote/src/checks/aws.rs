//! The AWS account that an environment is deployed to: whose it is, what still fits into it, what an earlier deployment
//! has left in it, and whether what the settings name is there.
//!
//! Nothing is made. What AWS does not tell is a warning in its own words, or nothing at all where one may not ask.

mod account;
mod answers;
mod left;
mod named;
mod platform;
mod quota;
mod secrets;

use self::answers::Answers;
use aws::infra::names::Names;
use aws::{Aws, Refusal, Trouble, fault};
use base::proc::CommandLine;
use doctor::fix::Fix;
use doctor::{Check, Finding, Group, Scene};
use model::aws::Aws as Settings;
use model::environment::Environment;
use model::system::TargetKind;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const CREDENTIALS: &str = "aws.credentials";
const ACCOUNT: &str = "aws.account";

/// How long one question may take: a program that starts in half a second, and then talks to another continent.
const ANSWER: Duration = Duration::from_secs(20);
/// How long these checks may take together. Nobody waits for that where AWS does not answer: the others are asked once the
/// first is.
const WITHIN: Duration = Duration::from_secs(60);

/// What is judged, and what AWS has said so far.
struct Subject {
    environment: Environment,
    settings: Settings,
    answers: Answers,
}

impl Subject {
    fn of(scene: &Scene) -> Option<Arc<Self>> {
        let environment = scene.subject.environment.clone()?;
        let settings = environment.aws.clone().filter(|_| environment.target == TargetKind::Eks)?;
        let aws = Aws::by(&scene.proc, &scene.interrupts, &scene.vars, &environment).ok()?;
        Some(Arc::new(Self { answers: Answers::new(aws.within(ANSWER)), environment, settings }))
    }

    fn ask(&self, question: &[&str]) -> Result<Value, Refusal> {
        self.answers.ask(question)
    }

    /// The deployment's names, once it is known whose account it is.
    fn names(&self) -> Option<Names> {
        let caller = self.answers.caller().ok()?;
        let account = self.settings.account.clone().unwrap_or(caller.account);
        Some(Names { account, region: self.settings.region.clone(), id: self.environment.deployment_id.clone() })
    }

    /// A line that one would type for this account and region.
    fn line(&self, args: &[&str]) -> String {
        let profile = self.settings.profile.iter().flat_map(|profile| ["--profile", profile]);
        let region = ["--region", self.settings.region.as_str()];
        CommandLine::new("aws").args(profile).args(region).args(args).to_string()
    }

    /// The file that is its owner's alone.
    fn file(&self) -> String {
        format!("deploy/environments/{}.local.toml", self.environment.name)
    }
}

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let Some(subject) = Subject::of(scene) else { return Vec::new() };
    let credentials = Arc::clone(&subject);
    let mut checks = vec![
        Check::new(Group::Aws, CREDENTIALS, "credentials", move |_| account::credentials(&credentials))
            .after("tool.aws")
            .within(WITHIN)
            .slow(true),
        check(&subject, ACCOUNT, "account", CREDENTIALS, account::account),
        check(&subject, "aws.region", "region", CREDENTIALS, account::region),
        check(&subject, "aws.state", "state bucket", ACCOUNT, platform::state),
        check(&subject, "aws.cluster", "cluster", ACCOUNT, platform::cluster),
        check(&subject, "aws.leftovers", "leftovers", ACCOUNT, left::leftovers),
        check(&subject, "aws.quota.vpcs", "room for a VPC", ACCOUNT, quota::vpcs),
        check(&subject, "aws.quota.addresses", "room for an address", ACCOUNT, quota::addresses),
        check(&subject, "aws.quota.vcpus", "room for the nodes", ACCOUNT, quota::vcpus),
        check(&subject, "aws.zone", "hosted zone", ACCOUNT, named::zone),
        check(&subject, "aws.certificate", "certificate", ACCOUNT, named::certificate),
        chart(&subject),
    ];
    if !secrets::named(scene).is_empty() {
        checks.push(check(&subject, "aws.secrets", "secrets", ACCOUNT, secrets::secrets));
    }
    checks
}

/// One that asks AWS, once it is known that it answers us.
fn check(
    subject: &Arc<Subject>,
    id: &str,
    title: &str,
    parent: &'static str,
    judge: impl Fn(&Subject, &Scene) -> Finding + Send + Sync + 'static,
) -> Check {
    let subject = Arc::clone(subject);
    let judged = move |scene: &Scene| match subject.answers.caller() {
        Ok(_) => judge(&subject, scene),
        Err(_) => Finding::skip("AWS cannot be asked"),
    };
    Check::new(Group::Aws, id, title, judged).after(parent).within(WITHIN)
}

fn chart(subject: &Arc<Subject>) -> Check {
    let subject = Arc::clone(subject);
    Check::new(Group::Aws, "aws.chart", "chart of the load balancer controller", move |scene| {
        platform::chart(&subject, scene)
    })
    .after("tool.helm")
    .within(WITHIN)
}

/// What AWS did not tell.
fn untold(what: &str, refusal: &Refusal) -> Finding {
    let fault = fault(what, refusal);
    match refusal.trouble {
        Trouble::Denied => Finding::skip(format!("you may not look: {}", fault.cause)),
        _ => Finding::warn(fault.cause).fix(fault.hint.map(Fix::by_hand)),
    }
}

/// Those of a deployment, for tests.
#[cfg(test)]
fn names() -> Names {
    Names {
        account: "123456789012".parse().unwrap(),
        region: "eu-central-1".parse().unwrap(),
        id: "demo".parse().unwrap(),
    }
}
