//! AWS, asked through its CLI, in one account and one region.
//!
//! Nothing here changes anything by itself; what does is in the modules that know why. Questions that AWS throttles, or
//! that get no answer, are asked again; a change is sent again only when it was throttled, and whoever makes it decides
//! the rest for himself.

pub mod cost;
pub mod infra;

mod concurrency;
mod refusal;
mod retry;

pub use refusal::{Refusal, Trouble};

use self::concurrency::ConcurrencyLimit;
use self::refusal::Call;
use self::retry::{Repetition, retry};
use base::ctx::{Ctx, Vars};
use base::error::Fault;
use base::proc::{CommandLine, Finished, Proc};
use base::signal::Interrupts;
use model::aws::{Account, Region};
use model::environment::Environment;

use anyhow::Result;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long one question may take, with the start of the CLI on a busy machine. It is longer than the CLI's own limits
/// (`remote_tools::aws::LIMITS`), so that its words come first.
const ANSWER: Duration = Duration::from_secs(90);
/// How the variables begin by which the credentials' end is handed on (aws-vault, `export-credentials --format env`).
const EXPIRATION: &str = "AWS_CREDENTIAL_EXPIRATION";

/// Asks AWS with the credentials of one environment. Clones share what they have found out.
#[derive(Clone)]
pub struct Aws {
    pub region: Region,
    pub profile: Option<String>,
    proc: Proc,
    interrupts: Interrupts,
    vars: Vars,
    caller: Arc<Mutex<Option<Caller>>>,
    limit: Arc<ConcurrencyLimit>,
    /// How long a question may take.
    within: Duration,
    /// What does not answer or throttles is asked again.
    persists: bool,
}

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub account: Account,
    pub arn: String,
}

impl Aws {
    /// # Errors
    /// When the environment is not one on AWS.
    pub fn new(ctx: &Ctx, environment: &Environment) -> Result<Self, Fault> {
        Self::by(&ctx.proc, &ctx.interrupts, &ctx.vars, environment)
    }

    /// The same for whoever has no context.
    ///
    /// # Errors
    /// Those of [`Aws::new`].
    pub fn by(proc: &Proc, interrupts: &Interrupts, vars: &Vars, environment: &Environment) -> Result<Self, Fault> {
        let Some(aws) = &environment.aws else {
            let cause = format!("environment `{}` is for target `{}`, not `eks`", environment.name, environment.target);
            return Err(Fault::usage(cause).hint("name one that is: `--env aws`"));
        };
        Ok(Self {
            region: aws.region.clone(),
            profile: aws.profile.clone(),
            proc: proc.clone(),
            interrupts: interrupts.clone(),
            vars: vars.clone(),
            caller: Arc::default(),
            limit: Arc::default(),
            within: ANSWER,
            persists: true,
        })
    }

    /// For a look: every question is asked once, and answered soon or not at all.
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        Self { within, persists: false, ..self }
    }

    /// `aws` with the profile and the region, up to the service: for lines that are shown as well as for those that run.
    pub fn command(&self) -> CommandLine {
        remote_tools::aws::command(self.profile.as_deref(), &self.region)
    }

    /// Asks something: `["sts", "get-caller-identity"]`. The answer is what AWS sends as JSON, `Null` where it sends
    /// nothing. Throttled and unanswered questions are asked again for a while, and a signal ends them at once.
    ///
    /// # Errors
    /// What AWS says.
    pub fn ask(&self, args: &[&str]) -> Result<Value, Refusal> {
        json(&self.text(args)?)
    }

    /// The same for an answer that is no JSON: `["ecr", "get-login-password"]`.
    ///
    /// # Errors
    /// What AWS says.
    pub fn text(&self, args: &[&str]) -> Result<String, Refusal> {
        let line = self.bounded(args);
        self.retry(Repetition::Repeatable, || {
            let _permit = self.limit.acquire();
            let answered = self.proc.ask(&line, self.within).map_err(|error| Refusal::unstarted(&error));
            self.told(answered.and_then(|answer| answer.ok_or_else(|| self.unanswered())), args)
        })
    }

    /// The same for an answer of several documents, one after another: an object that is printed and what is said of it.
    ///
    /// # Errors
    /// What AWS says.
    pub fn ask_all(&self, args: &[&str]) -> Result<Vec<Value>, Refusal> {
        let text = self.text(args)?;
        serde_json::Deserializer::from_str(&text).into_iter().map(|one| one.map_err(|error| no_json(&error))).collect()
    }

    /// Several questions at the same time, answered in their order: each is a program that takes half a second. Of a
    /// hundred no more are on their way at once than this machine can bear.
    pub fn ask_at_once(&self, questions: &[&[&str]]) -> Vec<Result<Value, Refusal>> {
        let lost = || Err(Refusal::new(Trouble::Unanswered, "", "asking AWS panicked"));
        std::thread::scope(|scope| {
            let asked: Vec<_> = questions.iter().map(|question| scope.spawn(|| self.ask(question))).collect();
            asked.into_iter().map(|one| one.join().unwrap_or_else(|_| lost())).collect()
        })
    }

    /// Changes something, once: whether it may be sent again is the caller's to know, but for what was throttled, which
    /// was not begun. After a signal it is still sent, so that what was taken can be given back.
    ///
    /// # Errors
    /// What AWS says. [`Trouble::Unanswered`] and [`Trouble::Interrupted`] may have been done.
    pub fn change(&self, args: &[&str]) -> Result<Value, Refusal> {
        self.foreground(Repetition::Change, args)
    }

    /// Changes something that is the same when it is done twice, so that it is sent again until there is an answer.
    ///
    /// # Errors
    /// What AWS says. [`Trouble::Unanswered`] and [`Trouble::Interrupted`] may have been done.
    pub fn persist(&self, args: &[&str]) -> Result<Value, Refusal> {
        self.foreground(Repetition::Repeatable, args)
    }

    /// Whose credentials these are, asked once in a run.
    ///
    /// # Errors
    /// When there are none, they have expired, or AWS does not answer.
    pub fn caller(&self) -> Result<Caller> {
        self.identity().map_err(|refusal| fault("ask AWS whose credentials these are", &refusal).into())
    }

    /// See [`Aws::caller`].
    ///
    /// # Errors
    /// What AWS says.
    pub fn identity(&self) -> Result<Caller, Refusal> {
        let mut known = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = &*known {
            return Ok(caller.clone());
        }
        // In the foreground: a profile may ask for a code of its owner's device, and keeps what it gets for later calls.
        let question = ["sts", "get-caller-identity"];
        let answer =
            if self.persists { self.foreground(Repetition::Repeatable, &question) } else { self.ask(&question) };
        let caller = caller(&answer?)?;
        *known = Some(caller.clone());
        Ok(caller)
    }

    /// When the credentials end; `None` for those that do not, or do not say.
    pub fn expiry(&self) -> Option<SystemTime> {
        let of_variables = || self.vars.get(EXPIRATION).and_then(|text| humantime::parse_rfc3339_weak(text).ok());
        let in_variables = self.profile.is_none() && self.vars.get("AWS_ACCESS_KEY_ID").is_some();
        if in_variables && (self.vars.get("AWS_SESSION_TOKEN").is_none() || of_variables().is_some()) {
            return of_variables();
        }
        // The first version of the CLI cannot say.
        let text = self.text(&["configure", "export-credentials", "--format", "process"]).ok()?;
        expiration(&serde_json::from_str(&text).ok()?)
    }

    /// What programs that sign in by themselves are given (terraform, `aws eks get-token`): the profile and the region.
    /// Keys in the process's environment would win over a profile, and empty they count as unset.
    pub fn variables(&self) -> Vec<(String, String)> {
        let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(|name| (name, self.region.as_str()));
        let profile = self.profile.as_deref().map(|profile| ("AWS_PROFILE", profile));
        let keys = remote_tools::aws::KEYS.iter().filter(|_| profile.is_some()).map(|name| (*name, ""));
        let all = region.into_iter().chain(profile).chain(keys);
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn foreground(&self, kind: Repetition, args: &[&str]) -> Result<Value, Refusal> {
        let line = self.bounded(args);
        let text = self
            .retry(kind, || self.told(self.proc.try_read(&line).map_err(|error| Refusal::unstarted(&error)), args))?;
        json(&text)
    }

    fn retry<T>(&self, kind: Repetition, mut ask: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
        if self.persists { retry(kind, &|pause| self.pause(pause), ask) } else { ask() }
    }

    fn bounded(&self, args: &[&str]) -> CommandLine {
        let line = self.command().args(remote_tools::aws::LIMITS);
        // The CLI's first version takes it from the variable for most services, and not for all.
        let line = match self.vars.get("AWS_ENDPOINT_URL") {
            Some(endpoint) => line.args(["--endpoint-url", endpoint]),
            None => line,
        };
        let line = line.args(args);
        // Without one, the start says so.
        let program = self.proc.find("aws").map_or_else(|| line.program.clone(), Into::into);
        CommandLine { program, ..line }
    }

    /// Waits, up to a quarter longer, so that not all come again at the same moment. Returns early with `true` when a
    /// signal arrives.
    pub fn pause(&self, pause: Duration) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.interrupts.pause(pause + pause.mul_f64(f64::from(now.subsec_millis()) / 4000.0))
    }

    fn unanswered(&self) -> Refusal {
        match self.interrupts.stopping() {
            true => Refusal::new(Trouble::Interrupted, "", "interrupted"),
            false => Refusal::new(Trouble::Unanswered, "", format!("no answer within {} s", self.within.as_secs())),
        }
    }

    /// What the CLI printed, or why not.
    fn told(&self, ended: Result<Finished, Refusal>, args: &[&str]) -> Result<String, Refusal> {
        let refusal = match ended {
            Ok(finished) if finished.success => return Ok(finished.stdout),
            Ok(finished) => {
                let refusal = Refusal::read(&finished.stderr);
                // A terminal's Ctrl-C reaches the CLI as well, which then ends without a word of AWS's.
                let cut = self.interrupts.stopping() && refusal.code.is_empty();
                if cut { Refusal::new(Trouble::Interrupted, "", "interrupted") } else { refusal }
            }
            Err(refusal) => refusal,
        };
        let profile = self.profile.as_deref().or_else(|| self.vars.get("AWS_PROFILE"));
        Err(refusal.of(Call {
            service: args.first().copied().unwrap_or_default().to_owned(),
            profile: profile.map(str::to_owned),
            region: self.region.to_string(),
            signal: self.interrupts.first(),
            ..Call::default()
        }))
    }
}

/// A fault that says what could not be done: the cause in AWS's own words, and what helps.
pub fn fault(what: &str, refusal: &Refusal) -> Fault {
    refusal.fault(what)
}

fn json(text: &str) -> Result<Value, Refusal> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|error| no_json(&error))
}

/// What was printed is not repeated: it may hold a secret.
fn no_json(error: &serde_json::Error) -> Refusal {
    Refusal::new(Trouble::Malformed, "", format!("`aws` did not print JSON: {error}"))
}

fn caller(answer: &Value) -> Result<Caller, Refusal> {
    let account = answer["Account"].as_str().and_then(|text| text.parse().ok());
    let arn = answer["Arn"].as_str().map(str::to_owned);
    match (account, arn) {
        (Some(account), Some(arn)) => Ok(Caller { account, arn }),
        _ => Err(Refusal::new(Trouble::Other, "", "the answer names no account")),
    }
}

fn expiration(credentials: &Value) -> Option<SystemTime> {
    let text = credentials["Expiration"].as_str()?;
    // `2026-01-02T03:04:05+00:00`; the CLI writes UTC.
    let utc = text.strip_suffix("+00:00").map_or_else(|| text.to_owned(), |time| format!("{time}Z"));
    humantime::parse_rfc3339(&utc).ok()
}

#[cfg(test)]
mod tests;
