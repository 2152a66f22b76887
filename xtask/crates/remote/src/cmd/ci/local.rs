//! The end-to-end check: this program, on a scratch copy of this repository, on free ports, from nothing to proven,
//! again, and back to nothing. A `local` that runs meanwhile is not disturbed.

use super::checks::Transcript;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::proc::{CommandLine, Stream};
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use remote_tools::scratch;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

pub(super) struct LocalWork {
    root: PathBuf,
    program: Option<PathBuf>,
}

impl LocalWork {
    pub(super) fn new(ctx: &Ctx) -> Self {
        Self { root: ctx.root.clone(), program: Ctx::own_program().ok() }
    }

    fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    fn scratch(&self) -> PathBuf {
        self.target().join("scratch/local")
    }

    fn line(&self, program: &PathBuf, args: &[&str]) -> CommandLine {
        let line = CommandLine::new(program).args(args).args(["--json", "--set", "ports=free"]);
        // What the copy builds stays for the next time; the copy itself does not.
        line.dir(self.scratch()).env("CARGO_TARGET_DIR", self.target())
    }
}

impl Work for LocalWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let gone = || Fault::could_not_run("no-program", "the system does not say where this program is");
        let program = self.program.as_ref().ok_or_else(gone)?;
        let story =
            Story { work: self, program, cx, transcript: Transcript::open(self.target().join("ci/local.log"))? };
        // An interrupted check may have left its processes; the copy is only replaced when they are gone.
        if self.scratch().exists() {
            story.run(&["teardown", "--yes"])?;
        }
        scratch::copy_repository(&self.root, &self.scratch())?;
        let told = story.tell();
        let receipt = story.run(&["teardown", "--yes"]);
        let word = told?;
        expect(&receipt?, "/result", "clean", "the teardown")?;
        Ok(Outcome::DoneWith(word))
    }
}

struct Story<'a> {
    work: &'a LocalWork,
    program: &'a PathBuf,
    cx: &'a StepCx<'a>,
    transcript: Transcript,
}

impl Story<'_> {
    fn tell(&self) -> Result<String> {
        let first = self.run(&["deploy"])?;
        expect(&first, "/result", "deployed", "the first deploy")?;
        let smoke = self.run(&["smoke"])?;
        let again = self.run(&["deploy"])?;
        expect(&again, "/result", "unchanged", "the second deploy")?;
        let systems = |document: &Value| document["systems"].as_array().cloned().unwrap_or_default();
        let proven = systems(&smoke).len();
        let skipped: Vec<String> = systems(&first)
            .iter()
            .filter(|system| system["result"] == "skipped")
            .map(|system| format!("{} skipped: {}", system["name"], system["reason"]))
            .collect();
        Ok([vec![format!("{proven} systems proven")], skipped].concat().join("; "))
    }

    /// Runs one command of this program and returns its document.
    fn run(&self, args: &[&str]) -> Result<Value> {
        let line = self.work.line(self.program, args);
        let document = Mutex::new(String::new());
        let finished = self.cx.try_run(&line, &|stream, text| {
            self.transcript.take(text);
            match stream {
                Stream::Out => {
                    let mut document = document.lock().unwrap_or_else(PoisonError::into_inner);
                    document.push_str(text);
                    document.push('\n');
                }
                Stream::Err => self.cx.status(text.trim()),
            }
        })?;
        if !finished.success {
            return Err(self.transcript.fault(&line, &finished.status).into());
        }
        let document = document.into_inner().unwrap_or_else(PoisonError::into_inner);
        serde_json::from_str(&document).map_err(|error| {
            let cause = format!("`{line}` printed what is not one JSON document ({error}):\n{document}");
            Fault::failed("not-json", cause).into()
        })
    }
}

fn expect(document: &Value, pointer: &str, wanted: &str, what: &str) -> Result<()> {
    let found = document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if found == wanted {
        return Ok(());
    }
    Err(Fault::failed("unexpected", format!("{what} came to `{found}`, not `{wanted}`:\n{document:#}")).into())
}
