//! The only module that spawns programs (clippy's `disallowed-methods` sees to it).
//!
//! Tools run in the foreground's process group, quietly: their output is captured, handed on line by line where
//! somebody follows it, and its end becomes part of the error when they fail.

mod command;
mod outlive;
#[cfg(target_os = "macos")]
mod question;
mod service;
mod tether;

pub use command::{CommandLine, Input};
#[cfg(target_os = "macos")]
pub use question::answer;
pub use service::*;
pub use tether::{TETHER, Tethered, hold};

use crate::error::Fault;
use crate::os::{self, ProcessId};
use crate::signal::Interrupts;
use anyhow::{Context, Result};
use duct::Handle;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, PipeReader};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many lines of a failed tool's last words an error carries.
const TAIL_LINES: usize = 20;

/// The programs that run for us at this moment. Clones share one list.
#[derive(Clone, Default)]
pub struct Children {
    list: Arc<Mutex<BTreeMap<u32, Child>>>,
    observer: Arc<Mutex<Option<Observer>>>,
}

type Observer = Box<dyn Fn(&[Child]) + Send>;

/// A running child, with the identity that tells it from a later process of the same number.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    pub id: ProcessId,
    pub program: String,
}

impl Children {
    /// Calls `observer` with the whole list at every change, so that a lease can name our children.
    pub fn observe(&self, observer: impl Fn(&[Child]) + Send + 'static) {
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(observer));
    }

    pub fn stop_observing(&self) {
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sends a signal to every child that still runs.
    pub fn signal_all(&self, signal: Signal) {
        for pid in self.list.lock().unwrap_or_else(PoisonError::into_inner).keys() {
            if let Ok(pid) = i32::try_from(*pid) {
                // It may have ended meanwhile, which is what was asked for.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
    }

    fn add(&self, handle: &Handle, program: &str) -> Listed<'_> {
        let pids = handle.pids();
        for pid in &pids {
            // A child that has already ended has no identity, and nobody needs to know of it.
            if let Some(id) = os::identity(*pid) {
                let child = Child { id, program: program.to_owned() };
                self.list.lock().unwrap_or_else(PoisonError::into_inner).insert(*pid, child);
            }
        }
        self.notify();
        Listed { children: self, pids }
    }

    fn notify(&self) {
        let children: Vec<Child> = self.list.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        if let Some(observer) = &*self.observer.lock().unwrap_or_else(PoisonError::into_inner) {
            observer(&children);
        }
    }
}

/// Keeps children on the list while it lives.
struct Listed<'a> {
    children: &'a Children,
    pids: Vec<u32>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        for pid in &self.pids {
            self.children.list.lock().unwrap_or_else(PoisonError::into_inner).remove(pid);
        }
        self.children.notify();
    }
}

/// Runs programs.
#[derive(Clone)]
pub struct Proc {
    children: Children,
    interrupts: Interrupts,
    path: OsString,
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

/// Which of its outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

impl Proc {
    pub fn new(children: Children, interrupts: Interrupts, path: OsString) -> Self {
        Self { children, interrupts, path }
    }

    pub fn children(&self) -> &Children {
        &self.children
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
        if finished.success {
            return Ok(finished.stdout);
        }
        Err(failure(command, &finished.status, &finished.stderr).into())
    }

    /// Runs to the end and returns how it ended, success or not.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn try_read(&self, command: &CommandLine) -> Result<Finished> {
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
        let finished = self.try_follow(command, on_line)?;
        if finished.success {
            return Ok(());
        }
        Err(failure(command, &finished.status, &finished.stderr).into())
    }

    /// Like [`Proc::follow`], but a failure of the program is the caller's to judge. The texts of the result hold
    /// only the end of each stream.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn try_follow(&self, command: &CommandLine, on_line: &(dyn Fn(Stream, &str) + Sync)) -> Result<Finished> {
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

#[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
fn start(expression: &duct::Expression, command: &CommandLine) -> Result<Handle> {
    expression.start().map_err(|error| {
        let fault = match error.kind() {
            std::io::ErrorKind::NotFound => {
                Fault::could_not_run("tool-missing", format!("`{}` is not installed, or not on PATH", command.name()))
                    .hint("`cargo xtask doctor` says how to install it")
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

fn failure(command: &CommandLine, status: &str, stderr: &str) -> Fault {
    let lines: Vec<&str> = stderr.trim_end().lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    let separator = if tail.is_empty() { "" } else { ":\n" };
    Fault::failed("tool-failed", format!("`{command}` ended with {status}{separator}{tail}"))
}
