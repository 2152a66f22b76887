//! How entries are shown: whose each is where there are several, and JSON as people read it where a person does.

use super::entry::Entry;
use super::line::for_people;
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::redact;
use base::terminal::Paint;
use engine::backend::Speaker;
use std::io::{ErrorKind, IsTerminal, Write};

pub(super) struct Screen {
    paint: Paint,
    /// A person reads it.
    people: bool,
    /// By the number of the speaker, of equal width; without any, nothing is put in front.
    names: Vec<String>,
}

impl Screen {
    pub(super) fn new(ctx: &Ctx, raw: bool, speakers: &[Speaker]) -> Self {
        let names: Vec<String> = if raw || speakers.len() < 2 {
            Vec::new()
        } else {
            let width = speakers.iter().map(|speaker| speaker.shown().chars().count()).max().unwrap_or_default();
            speakers.iter().map(|speaker| format!("{:width$} | ", speaker.shown())).collect()
        };
        Self { paint: Paint::of_result(ctx), people: !raw && std::io::stdout().is_terminal(), names }
    }

    /// The last lines of them. Whether somebody still reads.
    pub(super) fn print_last(&self, entries: &[&Entry], lines: usize) -> Result<bool> {
        let mut shown: Vec<Vec<u8>> = entries.iter().flat_map(|entry| self.lines(entry)).collect();
        let rest = shown.split_off(shown.len().saturating_sub(lines));
        write(&rest.concat())
    }

    pub(super) fn print(&self, entry: &Entry) -> Result<bool> {
        write(&self.lines(entry).concat())
    }

    fn lines(&self, entry: &Entry) -> Vec<Vec<u8>> {
        let name = self.names.get(entry.speaker).map(|name| self.paint.name(entry.speaker, name));
        let instance = entry.instance.as_ref().map(|instance| format!("[{instance}] "));
        let front = [name.unwrap_or_default(), instance.unwrap_or_default()].concat();
        let line = |line: &Vec<u8>| {
            let shown = self.people.then(|| for_people(line, self.paint)).flatten();
            [front.as_bytes(), shown.as_ref().map_or(line.as_slice(), |text| text.as_bytes()), b"\n"].concat()
        };
        entry.lines.iter().map(line).collect()
    }
}

/// Prints without what is secret. Whether somebody still reads.
fn write(bytes: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(&redact::bytes(bytes)).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("print the log"),
    }
}
