//! The only module that spawns programs (clippy's `disallowed-methods` sees to it).
//!
//! Tools run in the foreground's process group, quietly: their output is captured, handed on line by line where
//! somebody follows it, and its end becomes part of the error when they fail. A terminal that is closed does not reach
//! them: they would die of it at once and in the middle, where after a Ctrl-C they come to an end.

mod child_guard;
mod command;
mod detached;
mod service;

pub use child_guard::{GUARD, GuardedChild, guard};
pub use command::{CommandLine, Input};
pub use service::*;

pub use crate::children::{Child, Children};

use crate::error::Fault;
use crate::fence::Fence;
use crate::os;
use crate::redact;
use crate::signal::Interrupts;
use anyhow::{Context, Result, anyhow};
use duct::Handle;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, PipeReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many lines of a failed tool's last words an error carries.
const TAIL_LINES: usize = 20;

/// Runs programs.
#[derive(Clone)]
pub struct Proc {
    children: Children,
    interrupts: Interrupts,
    path: OsString,
    fence: Fence,
}

/// How a program ended, with all it said.
#[derive(Debug, Clone)]
pub struct Finished {
    pub success: bool,
    /// "exit status: 1", "signal: 15 (SIGTERM)"
    pub status: String,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// # Errors
    /// `tool-failed`, with the end of what it said, when it did not succeed.
    pub fn check(&self, command: &CommandLine) -> Result<(), Fault> {
        if self.success {
            return Ok(());
        }
        let lines: Vec<&str> = self.stderr.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        let tail = redact::foreign(&tail);
        let separator = if tail.is_empty() { "" } else { ":\n" };
        Err(Fault::failed("tool-failed", format!("`{command}` ended with {}{separator}{tail}", self.status)))
    }
}

/// Which of its outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

impl Proc {
    pub fn new(children: Children, interrupts: Interrupts, path: OsString) -> Self {
        Self { children, interrupts, path, fence: Fence::default() }
    }

    pub fn children(&self) -> &Children {
        &self.children
    }

    /// What the lease is kept by.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Whether something may be changed now; every program that runs to its end may do so, but for short questions.
    ///
    /// # Errors
    /// `lease-lost`.
    pub fn may_change(&self) -> Result<()> {
        Ok(self.fence.check(&|| self.interrupts.stopping())?)
    }

    /// Where a program is on PATH.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        which::which_in_global(program, Some(&self.path)).ok()?.next()
    }

    /// Runs to the end and returns the standard output.
    ///
    /// # Errors
    /// When it cannot be started or does not succeed; the error carries the end of what it said.
    pub fn read(&self, command: &CommandLine) -> Result<String> {
        let finished = self.try_read(command)?;
        finished.check(command)?;
        Ok(finished.stdout)
    }

    /// Runs to the end and returns how it ended, success or not.
    ///
    /// # Errors
    /// When it cannot be started, or the lease is lost.
    pub fn try_read(&self, command: &CommandLine) -> Result<Finished> {
        self.may_change()?;
        let handle = start(&expression(command).stdout_capture().stderr_capture(), command)?;
        let _listed = self.children.add(&handle, &command.name());
        let output = handle.wait().with_context(|| format!("wait for `{}`", command.name()))?;
        Ok(finished(output))
    }

    /// Like [`Proc::try_read`] for a short question in a process group of its own: `None` when it was not answered
    /// within `deadline` or the run was interrupted; the program and all it started are then killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ask(&self, command: &CommandLine, deadline: Duration) -> Result<Option<Finished>> {
        Ok(brief(command, deadline, &|| self.interrupts.stopping())?.as_ref().map(finished))
    }

    /// Runs to the end and hands on every line as it comes. Succeeds only if the program does.
    ///
    /// # Errors
    /// When it cannot be started or does not succeed; the error carries the end of its standard error.
    pub fn follow(&self, command: &CommandLine, on_line: &(dyn Fn(Stream, &str) + Sync)) -> Result<()> {
        Ok(self.try_follow(command, on_line)?.check(command)?)
    }

    /// Like [`Proc::follow`], but a failure of the program is the caller's to judge. The texts of the result hold
    /// only the end of each stream.
    ///
    /// # Errors
    /// When it cannot be started, or the lease is lost.
    pub fn try_follow(&self, command: &CommandLine, on_line: &(dyn Fn(Stream, &str) + Sync)) -> Result<Finished> {
        self.may_change()?;
        let (out, out_writer) = std::io::pipe().context("make a pipe")?;
        let (err, err_writer) = std::io::pipe().context("make a pipe")?;
        let expression = expression(command).stdin_null().stdout_file(out_writer).stderr_file(err_writer);
        let handle = start(&expression, command)?;
        // The writers live in the expression; the readers end when the last of them is closed.
        drop(expression);
        let _listed = self.children.add(&handle, &command.name());
        let (stdout, stderr) = std::thread::scope(|scope| {
            let out = scope.spawn(|| relay(out, &|line| on_line(Stream::Out, line)));
            let err = relay(err, &|line| on_line(Stream::Err, line));
            (out.join().unwrap_or_default(), err)
        });
        let output = handle.wait().with_context(|| format!("wait for `{}`", command.name()))?;
        let Finished { success, status, .. } = finished(output);
        Ok(Finished { success, status, stdout, stderr })
    }
}

/// A short question in a process group of its own, with all that was answered: `None` when that did not come within
/// `deadline` or `stop` said so; the program and all it started are then killed.
///
/// # Errors
/// When it cannot be started.
pub fn brief(
    command: &CommandLine,
    deadline: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<Option<std::process::Output>> {
    let expression = expression(command).stdin_null().stdout_capture().stderr_capture().before_spawn(|command| {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
        Ok(())
    });
    let handle = start(&expression, command)?;
    let slice = Duration::from_millis(50);
    let mut left = deadline;
    loop {
        if let Some(output) = handle.wait_timeout(slice.min(left))? {
            return Ok(Some(output.clone()));
        }
        left = left.saturating_sub(slice);
        if left.is_zero() || stop() {
            for pid in handle.pids() {
                if let Ok(pid) = i32::try_from(pid) {
                    let _ = nix::sys::signal::killpg(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
            handle.kill()?;
            return Ok(None);
        }
    }
}

/// Hands on lines and keeps the last of them.
fn relay(reader: PipeReader, on_line: &dyn Fn(&str)) -> String {
    let mut tail = VecDeque::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        on_line(&text);
        tail.push_back(text);
        if tail.len() > TAIL_LINES {
            tail.pop_front();
        }
        line.clear();
    }
    Vec::from(tail).join("\n")
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
fn expression(command: &CommandLine) -> duct::Expression {
    let mut expression = duct::cmd(&command.program, &command.args).unchecked();
    if let Some(Input(bytes)) = &command.stdin {
        // What is said later of standard input does not change this: the innermost counts.
        expression = expression.stdin_bytes(bytes.clone());
    }
    if let Some(dir) = &command.dir {
        expression = expression.dir(dir);
    }
    for (name, value) in &command.env {
        expression = match value {
            Some(value) => expression.env(name, value),
            None => expression.env_remove(name),
        };
    }
    expression
}

/// Starts something that gets no SIGHUP: what a thread holds back, what it starts does too.
fn without_hangup<T>(start: impl FnOnce() -> T) -> T {
    let before = SigSet::from(Signal::SIGHUP).thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let started = start();
    // The mask was a good one before.
    let _ = before.and_then(|before| before.thread_set_mask());
    started
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
fn start(expression: &duct::Expression, command: &CommandLine) -> Result<Handle> {
    without_hangup(|| expression.start()).map_err(|error| {
        let fault = match error.kind() {
            std::io::ErrorKind::NotFound => {
                Fault::could_not_run("tool-missing", format!("`{}` is not installed, or not on PATH", command.name()))
                    .hint("`doctor` says how to install it")
            }
            _ => {
                Fault::could_not_run("tool-not-started", format!("`{}` could not be started: {error}", command.name()))
            }
        };
        fault.into()
    })
}

fn finished(output: &std::process::Output) -> Finished {
    Finished {
        success: output.status.success(),
        status: output.status.to_string(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Why a program could not be started: the system's words, and what they leave out.
pub fn cannot_start(program: &Path, error: std::io::Error) -> anyhow::Error {
    let denied = error.kind() == ErrorKind::PermissionDenied;
    let why = match program.parent().filter(|folder| denied && !os::runs_programs(folder)) {
        Some(_) => ": its file system is mounted `noexec`, so nothing there can be run",
        None => "",
    };
    anyhow!(error).context(format!("cannot start `{}`{why}", program.display()))
}
