//! Processes that end: crashes, memory.

use super::super::evidence::{Container, Evidence, Expected, Log};
use super::super::finding::Finding;
use super::{probe, start, table};
use kube::object::{name, number, text};
use serde_json::Value;
use std::time::Duration;

/// How many of its last lines a cause repeats, and how much of each.
const LINES: usize = 3;
const LINE: usize = 240;
/// How often and how long a process may fail while what it needs is not there yet.
const WITHOUT_NEEDS: Duration = Duration::from_secs(60);

/// Why a container's process has ended, when that is what keeps it from being ready.
pub(super) fn ended(evidence: &Evidence, service: &Expected, container: Container<'_>) -> Option<Finding> {
    let ended = container.ended()?;
    let who = service.name.as_str();
    let is_init =
        container.status["ready"] == true || text(ended, "/reason") == "Completed" && is_preparation(container);
    if is_init {
        return None;
    }
    if text(ended, "/reason") == "OOMKilled" {
        let limit = text(container.spec, "/resources/limits/memory");
        let limit = if limit.is_empty() {
            "it has no limit, so its node had no more".to_owned()
        } else {
            format!("its limit is {limit}")
        };
        let cause = format!("`{who}` was killed because it ran out of memory: {limit}");
        return Some(
            Finding::new("oom-killed", cause)
                .hint(format!("raise `memory` in {}", table(evidence, service, ".container"))),
        );
    }
    let said = text(ended, "/message");
    if text(ended, "/reason") == "StartError" || text(ended, "/reason") == "ContainerCannotRun" {
        return Some(start::unmade(who, said));
    }
    let words = last_words(evidence, container);
    if words.contains("exec format error") || said.contains("exec format error") {
        return Some(start::foreign(who));
    }
    if let Some(found) = probe::ended_it(evidence, service, container) {
        return Some(found);
    }
    let debounce = if !evidence.has_what_it_needs(service) {
        WITHOUT_NEEDS
    } else if container.ends() >= 2 || container.waits_for() == "CrashLoopBackOff" {
        Duration::ZERO
    } else {
        service.ready_within
    };
    let words = if words.is_empty() { "it said nothing".to_owned() } else { format!("its last words: {words}") };
    let cause = format!("`{who}` crashed: {}, {words}", how(ended));
    Some(Finding::new("crash", cause).hint("the whole log is with the diagnostics").debounce(debounce))
}

/// A container that only prepares the others is meant to end.
fn is_preparation(container: Container<'_>) -> bool {
    let containers = container.pod.pointer("/spec/initContainers").and_then(Value::as_array);
    containers.is_some_and(|all| all.iter().any(|spec| text(spec, "/name") == container.name()))
}

fn how(ended: &Value) -> String {
    let code = number(ended, "/exitCode");
    match number(ended, "/signal").max(if (129..160).contains(&code) { code - 128 } else { 0 }) {
        0 => format!("exit code {code}"),
        signal => format!("exit code {code} (signal {signal})"),
    }
}

/// The last lines of the process that ended.
pub(super) fn last_words(evidence: &Evidence, container: Container<'_>) -> String {
    let key = (name(container.pod).to_owned(), container.name().to_owned());
    let Some(Log { current, previous }) = evidence.logs.get(&key) else { return String::new() };
    // A process that has ended and not been started again is still the current one.
    let is_last =
        container.status.pointer("/state/terminated").is_some() || container.status.pointer("/state/waiting").is_some();
    let log = if is_last && !current.trim().is_empty() || previous.trim().is_empty() { current } else { previous };
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let cut = |line: &&str| {
        let line = plain(line);
        match line.char_indices().nth(LINE) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    };
    lines[lines.len().saturating_sub(LINES)..].iter().map(cut).collect::<Vec<_>>().join(" | ")
}

/// A line of a log in JSON as a person would have written it: `ERROR cannot go on: no such file`.
fn plain(line: &str) -> String {
    let Ok(fields @ Value::Object(_)) = serde_json::from_str(line) else { return line.to_owned() };
    let field = |names: &[&str]| names.iter().map(|name| text(&fields, name)).find(|said| !said.is_empty());
    let Some(message) = field(&["/message", "/msg", "/fields/message"]) else { return line.to_owned() };
    let level = field(&["/level", "/severity"]).map(|level| format!("{level} ")).unwrap_or_default();
    let error = field(&["/error", "/err", "/fields/error"]).map(|error| format!(": {error}")).unwrap_or_default();
    format!("{level}{message}{error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_json_is_told_as_a_sentence() {
        let line = r#"{"timestamp":"2026","level":"ERROR","message":"cannot go on","error":"no file","pid":1}"#;
        assert_eq!(plain(line), "ERROR cannot go on: no file");
        for line in ["{\"a\":1}", "panicked at main.rs", "{broken", "12"] {
            assert_eq!(plain(line), line);
        }
    }
}
