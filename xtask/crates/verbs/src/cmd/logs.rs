//! `logs`: what a service has said, and with `--follow` what it goes on saying.

mod since;

use super::unreadable;
use crate::cli::LogsArgs;
use crate::{Backends, ui};
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::redact;
use engine::backend::{LogRequest, Logs, Target};
use engine::deployment::Deployment;
use model::name::ServiceName;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How often a followed file is looked at.
const POLL: Duration = Duration::from_millis(200);

/// # Errors
/// When the service is unknown or has said nothing yet.
pub fn run(args: &LogsArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let deployment = Deployment::load_recorded(ctx, &args.environment, &[])?;
    unreadable::tell(&deployment);
    let target = (backends.open)(deployment, ctx)?;
    let service = known(target.as_ref(), &args.service)?;
    match target.logs(&service) {
        Logs::Files(paths) => match paths.first() {
            Some(path) => print_file(args, ctx, (target.deployment(), &service), path),
            None => Ok(Exit::Done),
        },
        Logs::Stream(stream) => {
            let request = LogRequest { lines: args.lines, since: args.since, follow: args.follow };
            stream.read(ctx, &request, &mut |line| print(format!("{line}\n").as_bytes()))?;
            Ok(ctx.interrupts.first().map_or(Exit::Done, Exit::Interrupted))
        }
    }
}

/// The service of that name: one that is declared, or that was recorded as made.
fn known(target: &dyn Target, name: &str) -> Result<ServiceName> {
    let declared = target.deployment().service(name).map(|(_, service)| service.name.clone());
    match declared {
        Err(unknown) if target.deployment().spec.named(name).is_empty() => {
            let recorded = target.recorded()?;
            let mut found = recorded
                .units()
                .map(|(unit, _)| unit)
                .filter(|unit| model::is_named(name, &unit.system, &unit.service));
            found.next().map(|unit| unit.service).ok_or(unknown)
        }
        declared => declared,
    }
}

fn print_file(
    args: &LogsArgs,
    ctx: &Ctx,
    (deployment, service): (&Deployment, &ServiceName),
    path: &Path,
) -> Result<Exit> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let environment = &deployment.environment;
            let cause = format!("`{service}` has logged nothing in environment `{}`", environment.name);
            let hint = format!("`{}` shows what runs", environment.command("status"));
            return Err(Fault::failed("no-logs", cause).hint(hint).into());
        }
        Err(error) => return Err(error).with_context(|| format!("read `{}`", path.display())),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text).with_context(|| format!("read `{}`", path.display()))?;
    let recent = match args.since {
        Some(since) => recent(service, &text, since)?,
        None => &text,
    };
    let recent = last_lines(recent, args.lines).to_vec();
    if args.follow {
        return follow(ctx, path, file, recent);
    }
    print(&recent)?;
    Ok(Exit::Done)
}

fn recent<'t>(service: &ServiceName, text: &'t [u8], since: Duration) -> Result<&'t [u8]> {
    let from = SystemTime::now().checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH);
    let recent = since::since(text, from).ok_or_else(|| {
        let cause = format!("the log of `{service}` has no timestamps, so `--since` cannot be used");
        Fault::usage(cause).hint("`--lines` shows the last ones")
    })?;
    Ok(recent)
}

/// Prints what is added until a signal comes; that is the way to end it, and so a success. A file that was cut or
/// replaced is read from its beginning.
fn follow(ctx: &Ctx, path: &Path, mut file: File, mut text: Vec<u8>) -> Result<Exit> {
    loop {
        let before = text.len();
        file.read_to_end(&mut text).with_context(|| format!("read `{}`", path.display()))?;
        // A secret is known by the whole of it: the beginning of a line waits for the rest, and not for ever.
        let end = match text.iter().rposition(|byte| *byte == b'\n') {
            Some(last) if text.len() > before => last + 1,
            None if text.len() > before => 0,
            _ => text.len(),
        };
        if !print(&text[..end])? {
            return Ok(Exit::Done);
        }
        text.drain(..end);
        if ctx.interrupts.pause(POLL) {
            return Ok(Exit::Interrupted(ctx.interrupts.first().unwrap_or_default()));
        }
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
                ui::say("the log is gone: its service was torn down");
                return Ok(Exit::Done);
            }
            Err(error) => return Err(error).with_context(|| format!("read `{}`", path.display())),
        }
    }
}

fn last_lines(text: &[u8], lines: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let start = match lines.checked_sub(1) {
        None => return &[],
        Some(nth) => body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').nth(nth).map(|(at, _)| at + 1),
    };
    &text[start.unwrap_or(0)..]
}

/// Prints without what is secret. Whether somebody still reads.
fn print(bytes: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(&redact::bytes(bytes)).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("print the log"),
    }
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", 2), b"b\nc");
        assert_eq!(last_lines(b"a\n", 5), b"a\n");
        assert_eq!(last_lines(b"a\nb\n", 0), b"");
        assert_eq!(last_lines(b"", 3), b"");
    }
}
