//! Fetches a program that comes as a Python package. When it cannot be had, which an offline machine is enough for,
//! what needs it is skipped, not failed.

use crate::supervised::Supervised;
use anyhow::Result;
use base::files;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use std::path::PathBuf;
use std::sync::Arc;
use tools::python::{Runner, Script};

pub(super) struct InstallWork {
    pub(super) core: Arc<Supervised>,
    pub(super) runner: Runner,
    pub(super) script: Script,
    /// The command that would enable it, from the spec.
    pub(super) enable: String,
}

impl InstallWork {
    /// A file that says what is installed and how, written when that is complete.
    fn marker(&self) -> PathBuf {
        self.core.home().tools().join(format!("{}.installed", self.script.name))
    }

    fn complete(&self) -> String {
        let (program, args) = self.runner.invocation(&self.script);
        format!("{} {} {}", self.script.requirement, program.display(), args.join(" "))
    }
}

impl Work for InstallWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let installed = std::fs::read_to_string(self.marker()).unwrap_or_default();
        let there = installed == self.complete() && self.runner.is_usable(&self.script);
        Ok(there.then(|| format!("{} is installed", self.script.requirement)))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let tools = self.core.home().tools();
        self.core.enter_folder("tools", None, &tools)?;
        for line in self.runner.install(&self.script) {
            let finished = cx.try_run(&line, &|_, text| cx.status(text))?;
            if !finished.success {
                let said = [finished.stderr, finished.stdout];
                let last = said.iter().flat_map(|text| text.lines().rev()).find(|line| !line.trim().is_empty());
                return Ok(Outcome::Skipped(format!(
                    "`{}` could not be installed ({}); to enable it: {}",
                    self.script.requirement,
                    last.unwrap_or(&finished.status).trim(),
                    self.enable,
                )));
            }
        }
        files::write_private(&self.marker(), self.complete().as_bytes())?;
        Ok(Outcome::Done)
    }
}
