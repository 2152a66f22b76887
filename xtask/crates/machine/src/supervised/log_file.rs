//! The file that a service or a job of this machine writes what it says to: read from its end, and followed through
//! restarts, truncation and replacement. When a line was said, only the line itself may tell.

use super::Supervised;
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::Fault;
use engine::backend::{LogLine, LogRequest, LogSource, Said, Sink, Speaker};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a followed file is looked at.
const POLL: Duration = Duration::from_millis(200);

pub(super) struct LogFile<'t> {
    core: &'t Supervised,
    path: PathBuf,
    name: String,
}

impl<'t> LogFile<'t> {
    pub(super) fn of(core: &'t Supervised, speaker: &Speaker) -> Self {
        let path = match speaker {
            Speaker::Service(_, service) => core.home().log(service),
            Speaker::Job(system, job) => core.home().job_log(system, job),
        };
        Self { core, path, name: speaker.shown() }
    }

    fn open(&self) -> Result<File> {
        File::open(&self.path).map_err(|error| {
            if error.kind() != ErrorKind::NotFound {
                return anyhow::Error::new(error).context(format!("read `{}`", self.path.display()));
            }
            let environment = &self.core.deployment.environment;
            let cause = format!("`{}` has logged nothing in environment `{}`", self.name, environment.name);
            let hint = format!("`{}` shows what runs", environment.command("status"));
            Fault::failed("no-logs", cause).hint(hint).into()
        })
    }
}

impl LogSource for LogFile<'_> {
    fn read(
        &self,
        ctx: &Ctx,
        request: &LogRequest,
        stop: &(dyn Fn() -> bool + Sync),
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let mut file = self.open()?;
        let mut text = Vec::new();
        read_on(&mut file, &mut text, &self.path)?;
        // A line that is still written is handed on when it is whole, where that is waited for.
        let whole = if request.follow { end_of_lines(&text) } else { text.len() };
        if !hand_on(last_lines(&text[..whole], request.lines), sink)? || !sink(Said::UpToNow)? || !request.follow {
            return Ok(());
        }
        text.drain(..whole);
        follow(ctx, &self.path, file, text, stop, sink)
    }
}

/// Hands on what is added until somebody stops it or the file is gone. One that was cut or replaced is read from its
/// beginning.
fn follow(
    ctx: &Ctx,
    path: &Path,
    mut file: File,
    mut text: Vec<u8>,
    stop: &(dyn Fn() -> bool + Sync),
    sink: &mut Sink<'_>,
) -> Result<()> {
    while !ctx.interrupts.pause(POLL) && !stop() {
        let before = text.len();
        read_on(&mut file, &mut text, path)?;
        // The beginning of a line waits for the rest, and not for ever.
        let end = if text.len() > before { end_of_lines(&text) } else { text.len() };
        if !hand_on(&text[..end], sink)? {
            return Ok(());
        }
        text.drain(..end);
        let here = file.metadata()?;
        match std::fs::metadata(path) {
            Ok(there) if there.ino() != here.ino() || there.dev() != here.dev() => {
                file = File::open(path).with_context(|| format!("read `{}`", path.display()))?;
            }
            Ok(there) if there.len() < file.stream_position()? => {
                file.seek(SeekFrom::Start(0))?;
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                base::terminal::say("the log is gone: what wrote it was torn down");
                return Ok(());
            }
            Err(error) => return Err(error).with_context(|| format!("read `{}`", path.display())),
        }
    }
    Ok(())
}

fn read_on(file: &mut File, text: &mut Vec<u8>, path: &Path) -> Result<()> {
    file.read_to_end(text).map(drop).with_context(|| format!("read `{}`", path.display()))
}

/// Whether somebody still reads.
fn hand_on(text: &[u8], sink: &mut Sink<'_>) -> Result<bool> {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !sink(Said::Line(LogLine { text: line.to_vec(), time: None, instance: None }))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn end_of_lines(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)
}

fn last_lines(text: &[u8], lines: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let start = match lines.checked_sub(1) {
        None => return &[],
        Some(nth) => body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').nth(nth).map(|(at, _)| at + 1),
    };
    &text[start.unwrap_or(0)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", 2), b"b\nc");
        assert_eq!(last_lines(b"a\n", 5), b"a\n");
        assert_eq!(last_lines(b"a\nb\n", 0), b"");
        assert_eq!(last_lines(b"", 3), b"");
    }

    #[test]
    fn what_is_handed_on_is_whole_lines() {
        assert_eq!(end_of_lines(b"a\nb"), 2);
        assert_eq!(end_of_lines(b"ab"), 0);
        let mut lines = Vec::new();
        let mut sink = |said: Said| {
            lines.push(said);
            Ok(lines.len() < 2)
        };
        assert!(!hand_on(b"a\n\nb\n", &mut sink).unwrap());
        let line = |text: &str| Said::Line(LogLine { text: text.into(), time: None, instance: None });
        assert_eq!(lines, [line("a"), line("")]);
    }
}
