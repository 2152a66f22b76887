//! The checks: what each runs, and what it must not share with others.

use super::binaries::{self, OWN_CHECKS};
use super::local::LocalWork;
use super::skips::Skips;
use super::terraform::TerraformWork;
use crate::cmd::{diagram, reference};
use base::ctx::Ctx;
use base::error::Fault;
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use engine::plan::{Holds, Outcome, Work};

use anyhow::{Context, Result};
use remote_tools::actionlint;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tools::cargo;

/// cargo's lock on `target/debug`, which the services are built in.
const BUILDS: &str = "target/debug";
pub(super) const SERVICES: Holds = Holds::Lock(BUILDS);
/// As many of a failed check's last lines as its failure repeats; all of them are in its log.
const TAIL_LINES: usize = 60;

pub(super) struct Check {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) holds: Holds,
    pub(super) needs: Needs,
    pub(super) work: Box<dyn Work>,
}

/// Whether a check can run here.
pub(super) enum Needs {
    Met,
    Missing(String),
}

/// Every check, the quickest to fail first.
pub(super) fn all(ctx: &Ctx, full: bool) -> Vec<Check> {
    let cargo = || cargo::command(&ctx.vars, &ctx.root);
    let deny = ["--", "--deny", "warnings"];
    let cli = |id, title, holds, lines: Vec<CommandLine>| {
        let log = ctx.root.join("target/ci").join(format!("{id}.log"));
        Check { id, title, holds, needs: Needs::Met, work: Box::new(Tools { lines, log }) }
    };
    let services = cargo().args(["test", "--locked", "--", "--show-output"]);
    let tool = |args: Vec<String>| {
        let line = cargo()
            .args(["test", "--locked", "--package", "xtask", "--profile", "xtask", "--target", "host-tuple"])
            .args(args);
        if full { line.env("XTASK_FULL", "1") } else { line }
    };
    let binaries = binaries::binaries(&ctx.root);
    let mut all = vec![
        cli("fmt", "rustfmt finds nothing to change", Holds::Nothing, vec![cargo().args(["fmt", "--all", "--check"])]),
        Check {
            id: "spec",
            title: "every system and environment can be read",
            holds: Holds::Nothing,
            needs: Needs::Met,
            work: Box::new(SpecWork { root: ctx.root.clone() }),
        },
        Check {
            id: "diagram",
            title: "the architecture page shows what the spec and Terraform have",
            holds: Holds::Nothing,
            needs: Needs::Met,
            work: Box::new(DiagramWork { root: ctx.root.clone() }),
        },
        Check {
            id: "reference",
            title: "the reference and the schemas have what the reader of the spec knows",
            holds: Holds::Nothing,
            needs: Needs::Met,
            work: Box::new(ReferenceWork { root: ctx.root.clone() }),
        },
        audit(ctx, &cargo),
        Check {
            id: "workflows",
            title: "actionlint finds nothing in the workflows",
            holds: Holds::Nothing,
            needs: installed(ctx, "actionlint"),
            work: Box::new(Tools {
                lines: vec![actionlint::check(&workflows(&ctx.root)).dir(&ctx.root)],
                log: ctx.root.join("target/ci/workflows.log"),
            }),
        },
        Check {
            id: "terraform",
            title: "terraform/ is formatted, valid, and what its tests expect",
            holds: Holds::Nothing,
            needs: installed(ctx, "terraform"),
            work: Box::new(TerraformWork::new(ctx)),
        },
        cli(
            "clippy",
            "clippy has no warnings",
            SERVICES,
            vec![cargo().args(["clippy", "--locked", "--workspace", "--all-targets"]).args(deny)],
        ),
        cli("services", "the services' own tests", SERVICES, vec![services]),
        Check {
            id: "local",
            title: "deploy, smoke, deploy again and teardown on this machine, in a scratch copy",
            holds: SERVICES,
            needs: Needs::Met,
            work: Box::new(LocalWork::new(ctx)),
        },
        // Its tests deploy the services, and build them for it.
        cli(
            "xtask",
            "the tool's own tests",
            SERVICES,
            vec![tool(binaries::common(&binaries::crates(&ctx.root), &binaries))],
        ),
    ];
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let there = OWN_CHECKS.into_iter().filter(|check| binaries.iter().any(|binary| binary == check.binary));
    all.extend(
        there.map(|check| cli(check.binary, check.title, check.holds, vec![tool(binaries::only(&check, processors))])),
    );
    all
}

fn audit(ctx: &Ctx, cargo: &dyn Fn() -> CommandLine) -> Check {
    Check {
        id: "audit",
        title: "no dependency has a known vulnerability",
        holds: Holds::Nothing,
        needs: installed(ctx, "cargo-audit"),
        work: Box::new(AuditWork { line: cargo().arg("audit") }),
    }
}

fn installed(ctx: &Ctx, program: &str) -> Needs {
    match ctx.proc.find(program) {
        Some(_) => Needs::Met,
        None => Needs::Missing(format!("`{program}` is not installed")),
    }
}

/// The workflows of the repository, sorted, as seen from its root.
fn workflows(root: &Path) -> Vec<PathBuf> {
    let folder = Path::new(".github/workflows");
    let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let named = entries.map(|entry| folder.join(entry.file_name()));
    let mut files: Vec<_> =
        named.filter(|path| path.extension().is_some_and(|end| end == "yml" || end == "yaml")).collect();
    files.sort();
    files
}

/// Skips a check whose tool is missing, or fails it when that was asked for.
pub(super) struct Guarded {
    pub(super) missing: Option<String>,
    pub(super) strict: bool,
    pub(super) work: Box<dyn Work>,
}

impl Work for Guarded {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let outcome = match &self.missing {
            None => self.work.run(cx)?,
            Some(reason) => Outcome::Skipped(reason.clone()),
        };
        match outcome {
            Outcome::Skipped(reason) if self.strict => Err(super::missing(&reason).into()),
            outcome => Ok(outcome),
        }
    }
}

/// A check that is passed when every line succeeds. All they say goes to a log.
struct Tools {
    lines: Vec<CommandLine>,
    log: PathBuf,
}

impl Work for Tools {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let transcript = Transcript::open(self.log.clone())?;
        let skips = Mutex::new(Skips::default());
        for line in &self.lines {
            let finished = cx.try_run(line, &|_, text| {
                transcript.take(text);
                skips.lock().unwrap_or_else(PoisonError::into_inner).take(text);
                cx.status(text.trim());
            })?;
            if !finished.success {
                return Err(transcript.fault(line, &finished.status).into());
            }
        }
        Ok(skips.into_inner().unwrap_or_else(PoisonError::into_inner).outcome())
    }
}

/// What a check says: all of it in a file, the end of it in memory.
pub(super) struct Transcript {
    path: PathBuf,
    inner: Mutex<(File, VecDeque<String>)>,
}

impl Transcript {
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let make = || {
            path.parent().map(std::fs::create_dir_all).transpose()?;
            File::create(&path)
        };
        let file = make().with_context(|| format!("write `{}`", path.display()))?;
        Ok(Self { path, inner: Mutex::new((file, VecDeque::new())) })
    }

    pub(super) fn take(&self, text: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // The log is for reading later; the check itself does not depend on it.
        let _ = writeln!(inner.0, "{text}");
        inner.1.push_back(text.to_owned());
        if inner.1.len() > TAIL_LINES {
            inner.1.pop_front();
        }
    }

    pub(super) fn fault(&self, line: &CommandLine, status: &str) -> Fault {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let tail = inner.1.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        self.fault_saying(line, status, &tail)
    }

    /// For a tool that says its errors apart from all else.
    pub(super) fn fault_saying(&self, line: &CommandLine, status: &str, said: &str) -> Fault {
        Fault::failed("check-failed", format!("`{line}` ended with {status}:\n{said}"))
            .hint(format!("all of it is in `{}`", self.path.display()))
    }
}

struct SpecWork {
    root: PathBuf,
}

impl Work for SpecWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let systems = model::load(&self.root)?.systems.len();
        model::prices(&self.root)?;
        let names = model::environment_names(&self.root)?;
        for name in &names {
            model::environment(&self.root, name.as_str(), &[])?;
        }
        Ok(Outcome::DoneWith(format!("{systems} systems, {} environments", names.len())))
    }
}

struct DiagramWork {
    root: PathBuf,
}

impl Work for DiagramWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        diagram::check(&self.root)?;
        Ok(Outcome::Done)
    }
}

struct ReferenceWork {
    root: PathBuf,
}

impl Work for ReferenceWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        reference::check(&self.root)?;
        Ok(Outcome::Done)
    }
}

/// The audit needs its database, which an offline machine cannot fetch; that says nothing about the dependencies.
struct AuditWork {
    line: CommandLine,
}

impl Work for AuditWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let finished = cx.try_run(&self.line, &|_, text| cx.status(text.trim()))?;
        if finished.success {
            return Ok(Outcome::Done);
        }
        if finished.stderr.contains("couldn't fetch advisory database") {
            return Ok(Outcome::Skipped("the advisory database cannot be fetched from here".to_owned()));
        }
        let said = format!("{}\n{}", finished.stdout, finished.stderr);
        Err(Fault::failed("audit-failed", format!("`{}` found something:\n{}", self.line, said.trim())).into())
    }
}
