//! What AWS says when it does not do something, as a type: read from the words of its CLI.

mod patterns;

use base::error::Fault;
use std::fmt;

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub trouble: Trouble,
    /// AWS's code: `DependencyViolation`; empty when AWS was not reached.
    pub code: String,
    /// Its words.
    pub message: String,
    call: Box<Call>,
}

/// What was asked, by whom, as far as it helps to say what to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// As the CLI calls it: `s3api`.
    pub(super) service: String,
    /// As AWS calls it: `HeadBucket`.
    pub(super) operation: String,
    pub(super) profile: Option<String>,
    pub(super) region: String,
    /// The signal that came first.
    pub(super) signal: Option<i32>,
    /// Why the CLI did not even start.
    pub(super) fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such thing.
    Absent,
    /// It is there already, or has changed meanwhile.
    Conflict,
    /// Something else still uses it.
    InUse,
    /// Asked too often.
    Throttled,
    /// The credentials have run out.
    Expired,
    /// There are no credentials, or AWS does not know them.
    Unknown,
    /// These credentials may not.
    Denied,
    /// No answer came, so that it may have been done.
    Unanswered,
    /// A signal came first; a change may have been done.
    Interrupted,
    /// What was answered is not JSON, or not as much of it as it should be.
    Malformed,
    Other,
}

impl Refusal {
    pub fn new(trouble: Trouble, code: &str, message: impl Into<String>) -> Self {
        Self { trouble, code: code.to_owned(), message: message.into(), call: Box::default() }
    }

    /// Reads what the CLI wrote to its standard error:
    /// `An error occurred (CODE) when calling the OPERATION operation: WORDS`.
    pub fn read(stderr: &str) -> Self {
        let Some(said) = patterns::said(stderr) else {
            let words = patterns::last_words(stderr);
            return Self::new(patterns::of_words(stderr), "", words);
        };
        let mut refusal = Self::new(patterns::of_code(&said), said.code, said.words);
        refusal.call.operation = said.operation.to_owned();
        refusal
    }

    /// Why the CLI could not be started.
    pub(super) fn unstarted(error: &anyhow::Error) -> Self {
        let fault = Fault::of(error);
        let mut refusal = Self::new(Trouble::Other, "", fault.cause.clone());
        refusal.call.fault = Some(fault);
        refusal
    }

    /// The same, with what is known of the call.
    pub(super) fn of(mut self, call: Call) -> Self {
        let Call { operation, fault, .. } = std::mem::take(&mut *self.call);
        *self.call = Call { operation, fault, ..call };
        self
    }

    pub fn is_absent(&self) -> bool {
        self.trouble == Trouble::Absent
    }

    /// AWS's words and its code.
    fn words(&self) -> String {
        let message = self.message.trim_end_matches('.');
        match self.code.as_str() {
            "" => message.to_owned(),
            code if message.is_empty() => code.to_owned(),
            code if message.contains(code) => message.to_owned(),
            code => format!("{message} ({code})"),
        }
    }

    /// See [`super::fault`].
    pub(super) fn fault(&self, what: &str) -> Fault {
        let cause = format!("{what}: {}", self.words());
        if let Some(fault) = &self.call.fault {
            return Fault { cause, ..fault.clone() };
        }
        if let (Trouble::Interrupted, Some(signal)) = (self.trouble, self.call.signal) {
            return Fault::interrupted(signal);
        }
        match self.trouble {
            Trouble::Unknown => {
                let cause = format!("there are no valid AWS credentials: {cause}");
                Fault::could_not_run("aws-credentials", cause).hint(self.sign_in())
            }
            Trouble::Expired => {
                let cause = format!("the credentials have expired: {cause}");
                Fault::could_not_run("aws-credentials-expired", cause).hint(self.renew())
            }
            Trouble::Denied => self.denied(what),
            Trouble::Throttled => Fault::could_not_run("aws-throttled", cause)
                .hint("run the same command again in a minute: finished steps are not repeated"),
            Trouble::Unanswered if self.code.is_empty() => {
                Fault::could_not_run("aws-unreachable", cause).hint(patterns::way_in(&self.message))
            }
            Trouble::Unanswered => {
                Fault::failed("aws-refused", cause).hint("that is a failure on AWS's side: run the same command again")
            }
            _ => Fault::failed("aws-refused", cause),
        }
    }

    fn denied(&self, what: &str) -> Fault {
        let action = patterns::action(&self.message)
            .map(str::to_owned)
            .or_else(|| patterns::action_of(&self.call.service, &self.call.operation));
        let cause = match &action {
            Some(action) if !self.message.contains(action.as_str()) => {
                format!("{what}: `{action}` is refused: {}", self.words())
            }
            _ => format!("{what}: {}", self.words()),
        };
        let missing = action.map_or_else(
            || "allow this to the credentials' user or role".to_owned(),
            |action| format!("allow `{action}` to the credentials' user or role"),
        );
        Fault::failed("aws-denied", cause).hint(missing)
    }

    fn sign_in(&self) -> String {
        if patterns::is_clock(&self.message) {
            return "this machine's clock is wrong: set it".to_owned();
        }
        let region = &self.call.region;
        match (&self.call.profile, self.code.is_empty()) {
            (Some(profile), true) => format!(
                "is `{profile}` in `~/.aws/config`? `aws sso login --profile {profile}` or \
                 `aws configure --profile {profile}` signs in; the setting `profile` names another"
            ),
            (Some(profile), false) => format!(
                "`aws sso login --profile {profile}` signs in again; in a region that the account has not enabled no \
                 credentials are known either: is `{region}`?"
            ),
            (None, true) => "name a profile: `--set profile=NAME` (`aws sso login --profile NAME` signs in), or put \
                             credentials into the environment: `aws-vault exec NAME -- cargo xtask …`"
                .to_owned(),
            (None, false) => format!(
                "those in `AWS_ACCESS_KEY_ID` or `~/.aws` are unknown to AWS: `--set profile=NAME` names others; in a \
                 region that the account has not enabled none are known: is `{region}`?"
            ),
        }
    }

    fn renew(&self) -> String {
        match &self.call.profile {
            Some(profile) => format!(
                "`aws sso login --profile {profile}` renews them; then run the same command again, it continues from \
                 there"
            ),
            None => "renew those in the environment (`aws-vault exec NAME -- …`), or name a profile with \
                     `--set profile=NAME`; then run the same command again, it continues from there"
                .to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

impl std::error::Error for Refusal {}
