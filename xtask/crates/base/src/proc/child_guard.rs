//! Programs that serve this one for a while (`kubectl proxy`, `kubectl port-forward`) and must end with it, however it
//! ends.
//!
//! Between the two stands [`guard`], a hidden command of this same binary. It reads from a pipe whose other end we have:
//! when that closes, because we let go or were killed, it ends the program. Both are in a process group of their own,
//! so that a Ctrl-C, after which we still have things to finish, does not reach them.

use super::{CommandLine, Proc, cannot_start, expression, start};
use crate::error::Fault;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The hidden command that stands between, see [`guard`].
pub const GUARD: &str = "__guard";

/// How often a wait looks whether it should stop.
const SLICE: Duration = Duration::from_millis(50);

/// A program that runs until this is dropped.
pub struct GuardedChild {
    handle: duct::Handle,
    /// The program lives as long as this is open.
    _line: PipeWriter,
    lines: Mutex<Receiver<String>>,
    shown: String,
}

impl Proc {
    /// Starts a program that is ended when the result is dropped or this process ends. `own_program` is this binary.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_guarded(&self, own_program: &Path, command: &CommandLine) -> Result<GuardedChild> {
        let (held, line) = std::io::pipe().context("make a pipe")?;
        let (output, writer) = std::io::pipe().context("make a pipe")?;
        let mut wrapped = CommandLine::new(own_program).args([GUARD, "--"]).arg(&command.program).args(&command.args);
        wrapped.dir.clone_from(&command.dir);
        wrapped.env.clone_from(&command.env);
        let both = writer.try_clone().context("share a pipe")?;
        let apart =
            expression(&wrapped).stdin_file(held).stdout_file(writer).stderr_file(both).before_spawn(|command| {
                use std::os::unix::process::CommandExt;
                command.process_group(0);
                Ok(())
            });
        let handle = start(&apart, &wrapped)?;
        drop(apart);
        let (sender, lines) = channel();
        std::thread::spawn(move || relay(output, &sender));
        Ok(GuardedChild { handle, _line: line, lines: Mutex::new(lines), shown: command.to_string() })
    }
}

fn relay(output: PipeReader, sender: &std::sync::mpsc::Sender<String>) {
    for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
        // Nobody may be listening any more; the program must not block on a full pipe.
        let _ = sender.send(line);
    }
}

impl GuardedChild {
    /// Waits for a line that it prints and takes what is wanted from it.
    ///
    /// # Errors
    /// When it ends or `within` passes before, with what it has said; or when `stop` says so.
    pub fn expect_line<T>(
        &self,
        within: Duration,
        stop: &dyn Fn() -> bool,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        let mut said = Vec::new();
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match lines.recv_timeout(SLICE) {
                Ok(line) => match wanted(&line) {
                    Some(found) => return Ok(found),
                    None => said.push(line),
                },
                Err(RecvTimeoutError::Disconnected) => {
                    let cause = format!("`{}` ended at once: {}", self.shown, said.join("\n"));
                    return Err(Fault::failed("tool-failed", cause).into());
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline || stop() => {
                    let words = if said.is_empty() { "nothing".to_owned() } else { said.join("\n") };
                    let cause = format!("`{}` is not ready after {} s; it said: {words}", self.shown, within.as_secs());
                    return Err(Fault::failed("tool-slow", cause).into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        matches!(self.handle.try_wait(), Ok(None))
    }
}

/// Runs a program until standard input ends or the program does. Returns its exit code.
///
/// # Errors
/// When it cannot be started.
#[expect(clippy::disallowed_methods, reason = "this module is part of the one that spawns")]
pub fn guard(command: &[OsString]) -> Result<u8> {
    let (program, args) = command.split_first().context("no program was named")?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| cannot_start(Path::new(program), error))?;
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        let _ = sender.send(());
    });
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
        if !matches!(ended.recv_timeout(SLICE), Err(RecvTimeoutError::Timeout)) {
            child.kill()?;
            child.wait()?;
            return Ok(0);
        }
    }
}
