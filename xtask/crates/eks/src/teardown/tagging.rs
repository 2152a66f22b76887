//! What else carries the deployment's tag: kinds that are asked for by nobody else, and kinds that somebody has added.
//!
//! The service that knows all tags learns late of what is gone. What another question looks for is therefore left to that
//! question, and what is found here alone is asked for once more where that can be done.

use super::aws_resource::{AwsResource, DEPLOYMENT, list, text};
use super::inventory::LookupContext;
use aws::{Refusal, Trouble};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Services, or kinds of one, that are asked themselves.
const ASKED: [&str; 14] = [
    "acm",
    "budgets",
    "cloudwatch",
    "ec2",
    "ecr",
    "eks",
    "elasticache",
    "elasticloadbalancing",
    "iam",
    "kms:alias",
    "logs",
    "s3",
    "sns",
    "autoscaling",
];

const DAY: f64 = 86_400.0;

pub(super) fn others(context: &LookupContext<'_>) -> Result<Vec<AwsResource>, Refusal> {
    let filter = format!("Key={DEPLOYMENT},Values={}", context.names.id);
    let found = context.aws.ask(&["resourcegroupstaggingapi", "get-resources", "--tag-filters", &filter])?;
    let arns = list(&found, "ResourceTagMappingList").iter().map(|found| text(found, "ResourceARN"));
    let arns: Vec<&str> = arns.filter(|arn| !is_asked(arn)).collect();
    let lost = || Err(Refusal::new(Trouble::Unanswered, "", "asking AWS panicked"));
    let resources: Result<Vec<Option<AwsResource>>, Refusal> = std::thread::scope(|threads| {
        let asked: Vec<_> = arns.iter().map(|arn| threads.spawn(|| resource(context, arn))).collect();
        asked.into_iter().map(|one| one.join().unwrap_or_else(|_| lost())).collect()
    });
    Ok(resources?.into_iter().flatten().collect())
}

/// The service and what follows the account in an ARN: `arn:aws:SERVICE:REGION:ACCOUNT:REST`.
fn parts(arn: &str) -> (&str, &str) {
    let mut parts = arn.splitn(6, ':');
    (parts.nth(2).unwrap_or_default(), parts.nth(2).unwrap_or_default())
}

fn is_asked(arn: &str) -> bool {
    ASKED.contains(&parts(arn).0)
}

fn resource(context: &LookupContext<'_>, arn: &str) -> Result<Option<AwsResource>, Refusal> {
    match parts(arn) {
        ("kms", rest) if rest.starts_with("key/") => key(context, rest.trim_start_matches("key/")),
        ("sqs", name) => queue(context, name),
        _ => {
            // What it is and how it is removed is not known here; that it is there is.
            let line = ["resourcegroupstaggingapi", "get-resources", "--resource-arn-list", arn];
            Ok(Some(AwsResource::new("tagged", arn, &line)))
        }
    }
}

/// A key goes days after it was asked to, and costs nothing meanwhile.
fn key(context: &LookupContext<'_>, id: &str) -> Result<Option<AwsResource>, Refusal> {
    let found = match context.aws.ask(&["kms", "describe-key", "--key-id", id]) {
        Ok(found) => found,
        Err(refusal) if refusal.is_absent() => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Ok(Some(read_key(id, &found["KeyMetadata"], now)))
}

fn read_key(id: &str, found: &Value, now: f64) -> AwsResource {
    let state = text(found, "KeyState");
    let remove = ["kms", "schedule-key-deletion", "--pending-window-in-days", "7", "--key-id", id];
    let going =
        (state == "PendingDeletion").then(|| format!("which AWS deletes {}", moment(&found["DeletionDate"], now)));
    AwsResource { going, ..AwsResource::new("key", id, &remove).with(json!({"state": state})) }
}

/// When that is, from a time that the CLI shows as text or, in its first version, as seconds.
fn moment(value: &Value, now: f64) -> String {
    if let Some(text) = value.as_str() {
        return format!("on {}", text.split('T').next().unwrap_or(text));
    }
    match value.as_f64() {
        Some(then) => format!("in {:.0} days", ((then - now) / DAY).max(0.0).ceil()),
        None => "within 30 days".to_owned(),
    }
}

fn queue(context: &LookupContext<'_>, name: &str) -> Result<Option<AwsResource>, Refusal> {
    let url = match context.aws.ask(&["sqs", "get-queue-url", "--queue-name", name]) {
        Ok(found) => text(&found, "QueueUrl").to_owned(),
        Err(refusal) if refusal.is_absent() => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    Ok(Some(AwsResource::new("queue", name, &["sqs", "delete-queue", "--queue-url", &url])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_elsewhere_is_left_to_that() {
        assert!(is_asked("arn:aws:ec2:us-east-1:123456789012:natgateway/nat-1"));
        assert!(!is_asked("arn:aws:sqs:us-east-1:123456789012:slipway-a-messages"));
        assert!(!is_asked("arn:aws:kms:us-east-1:123456789012:key/0c389f03"));
        assert_eq!(parts("arn:aws:sqs:us-east-1:1:slipway-a-messages"), ("sqs", "slipway-a-messages"));
    }

    #[test]
    fn a_key_that_is_pending_is_no_survivor() {
        let pending = |date: Value| json!({"KeyState": "PendingDeletion", "DeletionDate": date});
        let going = |found: &Value| read_key("k", found, 1000.0).going;
        let said = going(&pending(json!("2026-12-01T10:00:00+00:00")));
        assert_eq!(said.as_deref(), Some("which AWS deletes on 2026-12-01"));
        assert_eq!(going(&pending(json!(1000.0 + 6.5 * DAY))).as_deref(), Some("which AWS deletes in 7 days"));
        assert_eq!(going(&json!({"KeyState": "Enabled"})), None);
    }
}
