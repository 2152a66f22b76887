//! The check of `terraform/`, in a scratch copy: Terraform writes where it runs, and the tree stays as it is.

use super::checks::Transcript;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::proc::{CommandLine, Finished};
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use remote_tools::scratch;
use remote_tools::terraform;
use std::path::PathBuf;

pub(super) struct TerraformWork {
    root: PathBuf,
}

impl TerraformWork {
    pub(super) fn new(ctx: &Ctx) -> Self {
        Self { root: ctx.root.clone() }
    }

    fn copy(&self) -> PathBuf {
        self.root.join("target/ci/terraform")
    }
}

impl Work for TerraformWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        scratch::copy(&self.root.join("terraform"), &self.copy())?;
        let transcript = Transcript::open(self.root.join("target/ci/terraform.log"))?;
        let run = |line: &CommandLine| {
            cx.try_run(line, &|_, text| {
                transcript.take(text);
                cx.status(text.trim());
            })
        };
        let succeed = |line: CommandLine| -> Result<Finished> {
            let finished = run(&line)?;
            if finished.success { Ok(finished) } else { Err(fault(&transcript, &line, &finished).into()) }
        };
        let terraform = || terraform::command(&self.copy());
        succeed(terraform::fmt_check(terraform()))?;
        let init = terraform::init_without_backend(terraform());
        let had = run(&init)?;
        if !had.success && terraform::is_unreachable(&had.stderr) {
            return Ok(Outcome::Skipped("the AWS provider of Terraform cannot be downloaded from here".to_owned()));
        }
        if !had.success {
            return Err(fault(&transcript, &init, &had).into());
        }
        succeed(terraform::validate(terraform()))?;
        let tested = succeed(terraform::test(terraform()))?;
        Ok(terraform::passed(&tested.stdout).map_or(Outcome::Done, |count| Outcome::DoneWith(format!("{count} tests"))))
    }
}

/// Errors are apart from a test run's pages of other words. What is not formatted is no error to Terraform.
fn fault(transcript: &Transcript, line: &CommandLine, finished: &Finished) -> Fault {
    match finished.stderr.trim() {
        "" => transcript.fault(line, &finished.status),
        errors => transcript.fault_saying(line, &finished.status, errors),
    }
}
