//! What AWS said, each question that several checks have asked when its answer is first wanted, and once.

use super::Subject;
use aws::{Aws, Caller, Refusal};
use serde_json::Value;
use std::sync::OnceLock;
use std::time::SystemTime;

pub(super) struct Answers {
    aws: Aws,
    caller: OnceLock<Result<Caller, Refusal>>,
    bucket: OnceLock<Result<bool, Refusal>>,
}

impl Answers {
    pub(super) fn new(aws: Aws) -> Self {
        Self { aws, caller: OnceLock::new(), bucket: OnceLock::new() }
    }

    pub(super) fn ask(&self, question: &[&str]) -> Result<Value, Refusal> {
        self.aws.ask(question)
    }

    /// Several at the same time, answered in their order.
    pub(super) fn ask_at_once(&self, questions: &[&[&str]]) -> Vec<Result<Value, Refusal>> {
        self.aws.ask_at_once(questions)
    }

    /// When the credentials end, where they say so.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        self.aws.expiry()
    }

    /// Whose credentials these are.
    pub(super) fn caller(&self) -> Result<Caller, Refusal> {
        self.caller.get_or_init(|| self.aws.identity()).clone()
    }

    /// Whether the deployment has a state.
    pub(super) fn bucket(&self, subject: &Subject) -> Option<Result<bool, Refusal>> {
        let names = subject.names()?;
        let ask = || {
            let (bucket, account) = (names.bucket(), names.account.as_str());
            // Its refusals have words; those of `head-bucket` are numbers.
            let question = ["s3api", "get-bucket-location", "--bucket", &bucket, "--expected-bucket-owner", account];
            match self.ask(&question) {
                Ok(_) => Ok(true),
                Err(refusal) if refusal.is_absent() => Ok(false),
                Err(refusal) => Err(refusal),
            }
        };
        Some(self.bucket.get_or_init(ask).clone())
    }
}
