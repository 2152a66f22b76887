//! AWS, asked through its CLI, in one account and one region.
//!
//! Nothing here changes anything by itself; what does is in the modules that know why. Questions that AWS throttles, or
//! that get no answer, are asked again; whoever changes something decides that for himself.

mod refusal;

pub use refusal::{Refusal, Trouble};

use crate::ctx::{Ctx, Vars};
use crate::error::Fault;
use crate::proc::{CommandLine, Proc};
use crate::signal::Interrupts;
use crate::spec::aws::{Account, Region};
use crate::spec::environment::Environment;
use anyhow::Result;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Asks AWS with the credentials of one environment.
#[derive(Clone)]
pub struct Aws {
    pub region: Region,
    pub profile: Option<String>,
    proc: Proc,
    interrupts: Interrupts,
    vars: Vars,
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
        let Some(aws) = &environment.aws else {
            let cause = format!("environment `{}` is for target `{}`, not `eks`", environment.name, environment.target);
            return Err(Fault::usage(cause).hint("name one that is: `--env aws`"));
        };
        Ok(Self {
            region: aws.region.clone(),
            profile: aws.profile.clone(),
            proc: ctx.proc.clone(),
            interrupts: ctx.interrupts.clone(),
            vars: ctx.vars.clone(),
        })
    }

    /// `aws` with the profile and the region, up to the service: for lines that are shown as well as for those that run.
    pub fn command(&self) -> CommandLine {
        crate::tools::aws::command(self.profile.as_deref(), &self.region)
    }

    /// Asks something: `["sts", "get-caller-identity"]`. The answer is what AWS sends as JSON, `Null` where it sends
    /// nothing. Throttled and unanswered questions are asked again for a while.
    ///
    /// # Errors
    /// What AWS says.
    pub fn ask(&self, args: &[&str]) -> Result<Value, Refusal> {
        let _ = args;
        todo!("H3")
    }

    /// Asks like [`Aws::ask`] where the answer is several documents: with `/dev/stdout` for the body of an object, that comes
    /// before what AWS says of it.
    ///
    /// # Errors
    /// What AWS says.
    pub fn ask_all(&self, args: &[&str]) -> Result<Vec<Value>, Refusal> {
        let _ = args;
        todo!("H3: serde_json::Deserializer::from_str(stdout).into_iter()")
    }

    /// The same for as long as this process lives: an interrupt of the run does not end what is asked through it, and a
    /// terminal's Ctrl-C does not reach it. For what is given back after the run.
    pub fn undisturbed(&self) -> Self {
        todo!("H3: clone with Interrupts::default(), Proc with the same, a process group of its own")
    }

    /// Changes something that may be changed twice: asked again for a while as [`Aws::ask`] does, and while S3 has another
    /// change of the same bucket in hand (`OperationAborted`).
    ///
    /// # Errors
    /// What AWS says.
    pub fn persist(&self, args: &[&str]) -> Result<Value, Refusal> {
        let _ = args;
        todo!("H3")
    }

    /// Changes something, once: whether it may be sent again is the caller's to know.
    ///
    /// # Errors
    /// What AWS says.
    pub fn change(&self, args: &[&str]) -> Result<Value, Refusal> {
        let _ = args;
        todo!("H3")
    }

    /// Whose credentials these are, asked once in a run.
    ///
    /// # Errors
    /// When there are none, they have expired, or AWS does not answer.
    pub fn caller(&self) -> Result<Caller> {
        todo!("H3")
    }

    /// When the credentials end; `None` for those that do not, or do not say.
    pub fn expiry(&self) -> Option<SystemTime> {
        todo!("H3")
    }

    /// What programs that sign in by themselves are given (terraform, `aws eks get-token`): the profile and the region.
    pub fn variables(&self) -> Vec<(String, String)> {
        todo!("H3")
    }
}

/// How long questions that AWS throttles are asked again.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A fault that says what could not be done: the cause in AWS's own words, and what helps.
pub fn fault(what: &str, refusal: &Refusal) -> Fault {
    refusal.fault(what)
}
