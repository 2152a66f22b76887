//! Programs that must come to their end even when this one is killed: Terraform, whose state is lost with it. What they
//! say goes into files and is read from there, since a pipe that nobody reads any more would end them at their next word.

use super::{CommandLine, Finished, Proc, Stream, TAIL_LINES, expression, finished, start};
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// How often it is looked whether they have said something.
const POLL: Duration = Duration::from_millis(100);

impl Proc {
    /// Like [`Proc::try_follow`], by way of files in `folder` that only their owner may read.
    ///
    /// # Errors
    /// When it cannot be started, the lease is lost, or the files cannot be written.
    pub fn try_follow_to_its_end(
        &self,
        command: &CommandLine,
        folder: &Path,
        on_line: &(dyn Fn(Stream, &str) + Sync),
    ) -> Result<Finished> {
        self.may_change()?;
        let open = |name: &str| Said::open(&folder.join(name));
        let ((out, mut said), (err, mut complained)) = (open("said.ndjson")?, open("complained.txt")?);
        let expression = expression(command).stdin_null().stdout_file(out).stderr_file(err);
        let handle = start(&expression, command)?;
        drop(expression);
        let _listed = self.children.add(&handle, &command.name());
        let output = loop {
            let ended = handle.wait_timeout(POLL).with_context(|| format!("wait for `{}`", command.name()))?;
            // What it said last is there by the time that it has ended.
            said.hand_on(&|line| on_line(Stream::Out, line))?;
            complained.hand_on(&|line| on_line(Stream::Err, line))?;
            if let Some(output) = ended {
                break output;
            }
        };
        said.finish(&|line| on_line(Stream::Out, line));
        complained.finish(&|line| on_line(Stream::Err, line));
        let Finished { success, status, .. } = finished(output);
        Ok(Finished { success, status, stdout: said.tail(), stderr: complained.tail() })
    }
}

/// A file that grows.
struct Said {
    file: File,
    /// A line that has not ended yet.
    part: Vec<u8>,
    last: VecDeque<String>,
}

impl Said {
    /// A new file to write to, and what reads it.
    fn open(path: &Path) -> Result<(File, Self)> {
        let attempt = || {
            let writer = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
            Ok::<_, std::io::Error>((writer, File::open(path)?))
        };
        let (writer, file) = attempt().with_context(|| format!("write `{}`", path.display()))?;
        Ok((writer, Self { file, part: Vec::new(), last: VecDeque::new() }))
    }

    fn hand_on(&mut self, on_line: &dyn Fn(&str)) -> Result<()> {
        let mut new = Vec::new();
        self.file.read_to_end(&mut new).context("read what a program has said")?;
        for byte in new {
            match byte {
                b'\n' => self.end_line(on_line),
                byte => self.part.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, on_line: &dyn Fn(&str)) {
        let line = String::from_utf8_lossy(&self.part).trim_end_matches('\r').to_owned();
        self.part.clear();
        on_line(&line);
        self.last.push_back(line);
        if self.last.len() > TAIL_LINES {
            self.last.pop_front();
        }
    }

    fn finish(&mut self, on_line: &dyn Fn(&str)) {
        if !self.part.is_empty() {
            self.end_line(on_line);
        }
    }

    fn tail(self) -> String {
        Vec::from(self.last).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::Children;
    use crate::signal::Interrupts;
    use std::sync::Mutex;

    #[test]
    fn what_it_says_is_handed_on_line_by_line() {
        let path = std::env::var_os("PATH").unwrap();
        let proc = Proc::new(Children::default(), Interrupts::default(), path);
        let folder = std::env::temp_dir().join(format!("xtask-detached-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lines = Mutex::new(Vec::new());
        let script = "print('one'); import sys; print('two', file=sys.stderr); sys.stdout.write('three'); sys.exit(2)";
        let line = CommandLine::new("python3").args(["-c", script]);
        let on_line = |stream: Stream, line: &str| lines.lock().unwrap().push((stream == Stream::Out, line.to_owned()));
        let finished = proc.try_follow_to_its_end(&line, &folder, &on_line).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let mut lines = lines.into_inner().unwrap();
        lines.sort();
        let expected = [(false, "two"), (true, "one"), (true, "three")].map(|(out, line)| (out, line.to_owned()));
        assert_eq!(lines, expected);
        assert_eq!((finished.status.as_str(), finished.stderr.as_str()), ("exit status: 2", "two"));
    }
}
