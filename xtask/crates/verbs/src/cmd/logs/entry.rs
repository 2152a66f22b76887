//! Lines that belong together: one, and those behind it that only go on with it, as a stack trace does.

use super::line::Known;
use crate::cli::Level;
use engine::backend::LogLine;
use std::time::{Duration, Instant, SystemTime};

/// How long the rest of an entry is waited for.
const REST: Duration = Duration::from_millis(100);
/// No entry is longer, in lines: of one that has no end something is shown.
const LONGEST: usize = 500;
/// What a trace begins with whose lines are not all indented.
const TRACES: [&str; 5] =
    ["Traceback (most recent call last)", "panic: ", "goroutine ", "thread '", "Exception in thread"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of who says it.
    pub(super) speaker: usize,
    pub(super) instance: Option<String>,
    pub(super) time: Option<SystemTime>,
    pub(super) level: Option<Level>,
    pub(super) lines: Vec<Vec<u8>>,
}

impl Entry {
    fn of(speaker: usize, line: LogLine) -> Self {
        let known = Known::of(&line.text);
        let time = line.time.or(known.time);
        Self { speaker, instance: line.instance, time, level: known.level, lines: vec![line.text] }
    }

    /// Whether a line of it has this text. Capitals matter where the text has any.
    pub(super) fn contains(&self, text: &str) -> bool {
        let exact = text.chars().any(char::is_uppercase);
        self.lines.iter().any(|line| {
            let line = String::from_utf8_lossy(line);
            if exact { line.contains(text) } else { line.to_lowercase().contains(text) }
        })
    }

    /// Whether a line only goes on with this.
    fn goes_on_with(&self, line: &LogLine) -> bool {
        let text = String::from_utf8_lossy(&line.text);
        if line.instance != self.instance || self.lines.len() >= LONGEST || text.starts_with('{') {
            return false;
        }
        let indented = text.is_empty() || text.starts_with([' ', '\t']) || text.starts_with("Caused by");
        let of_trace = || {
            let in_trace = self.lines.iter().any(|line| TRACES.iter().any(|begin| line.starts_with(begin.as_bytes())));
            in_trace && Known::of(&line.text) == Known::default()
        };
        indented || of_trace()
    }
}

/// Puts together what one speaker says.
#[derive(Debug)]
pub(super) struct Assembly {
    speaker: usize,
    whole: Vec<Entry>,
    /// The newest, with the time of its last line.
    open: Option<(Entry, Instant)>,
}

impl Assembly {
    pub(super) fn of(speaker: usize) -> Self {
        Self { speaker, whole: Vec::new(), open: None }
    }

    pub(super) fn add(&mut self, line: LogLine, now: Instant) {
        match &mut self.open {
            Some((entry, last)) if entry.goes_on_with(&line) => {
                entry.lines.push(line.text);
                *last = now;
            }
            open => {
                let before = open.replace((Entry::of(self.speaker, line), now));
                self.whole.extend(before.map(|(entry, _)| entry));
            }
        }
    }

    /// What is whole by now: nothing has come for a while, or nothing more will.
    pub(super) fn take_whole(&mut self, now: Instant, ended: bool) -> Vec<Entry> {
        let is_whole = |(_, last): &mut (Entry, Instant)| ended || now.duration_since(*last) >= REST;
        self.whole.extend(self.open.take_if(is_whole).map(|(entry, _)| entry));
        std::mem::take(&mut self.whole)
    }
}

/// Puts the entries of several speakers in the order of time. Those of one stay as they came: one without a time has that
/// of the one before it, or of the first that has any.
pub(super) fn sorted(entries: Vec<Entry>, speakers: usize) -> Vec<Entry> {
    let mut times: Vec<Option<SystemTime>> = vec![None; speakers];
    for entry in entries.iter().rev() {
        times[entry.speaker] = entry.time.or(times[entry.speaker]);
    }
    let timed = entries.into_iter().map(|entry| {
        let last = &mut times[entry.speaker];
        *last = (*last).max(entry.time);
        (*last, entry)
    });
    let mut timed: Vec<(Option<SystemTime>, Entry)> = timed.collect();
    timed.sort_by_key(|(time, _)| *time);
    timed.into_iter().map(|(_, entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(speaker: usize, text: &str) -> Vec<Entry> {
        let mut assembly = Assembly::of(speaker);
        let now = Instant::now();
        text.lines().for_each(|line| assembly.add(LogLine { text: line.into(), time: None, instance: None }, now));
        assembly.take_whole(now, true)
    }

    fn texts(entries: &[Entry]) -> Vec<String> {
        let text = |entry: &Entry| String::from_utf8(entry.lines.join(&b'\n')).unwrap();
        entries.iter().map(text).collect()
    }

    #[test]
    fn a_stack_trace_stays_with_what_it_is_of() {
        let java = "12:00 ERROR it broke\n\tat a.b(C.java:1)\nCaused by: d\n\tat e.f(G.java:2)";
        let python = "Traceback (most recent call last):\n  File \"a.py\", line 1\n    b()\nValueError: c";
        let go = "panic: no\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1d\nexit status 2";
        for trace in [java, python, go] {
            assert_eq!(texts(&entries(0, trace)), [trace]);
            let follows = format!("{trace}\n{{\"msg\":\"next\"}}\n2026-11-21T17:00:00Z and one\nand one");
            assert_eq!(entries(0, &follows).len(), 4, "{follows}");
        }
    }

    #[test]
    fn an_entry_is_whole_when_nothing_more_comes() {
        let mut assembly = Assembly::of(0);
        let now = Instant::now();
        assembly.add(LogLine { text: b"one".to_vec(), time: None, instance: None }, now);
        assert_eq!(assembly.take_whole(now, false), []);
        assembly.add(LogLine { text: b" more".to_vec(), time: None, instance: None }, now + REST);
        assert_eq!(assembly.take_whole(now + REST, false), []);
        assert_eq!(texts(&assembly.take_whole(now + REST + REST, false)), ["one\n more"]);
    }

    #[test]
    fn all_that_is_said_is_in_the_order_of_time() {
        let mut all = entries(0, "begins\n2026-11-21T16:00:02Z b\nsays no time\n2026-11-21T16:00:05Z e");
        all.extend(entries(1, "2026-11-21T16:00:01Z a\n2026-11-21T16:00:03Z d"));
        let short: Vec<String> =
            texts(&sorted(all, 2)).iter().map(|text| text.rsplit(' ').next().unwrap().to_owned()).collect();
        assert_eq!(short, ["a", "begins", "b", "time", "d", "e"]);
    }

    #[test]
    fn capitals_matter_where_there_are_any() {
        let entry = &entries(0, "GET /Path\n  and more")[0];
        assert!(entry.contains("get") && entry.contains("GET") && entry.contains("more") && !entry.contains("Get"));
    }
}
