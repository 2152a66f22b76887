//! Who holds a lease: as a document, and in words.

use base::os;
use serde_json::{Value, json};
use std::time::SystemTime;

/// Who takes the lease, and for what.
pub struct Claim<'a> {
    pub who: String,
    /// As the user typed it: "deploy".
    pub command: &'a str,
    pub run: &'a str,
}

/// Whether the owner was stopped (Ctrl-Z, SIGSTOP). It keeps the lock on the file, so that nobody else can begin before it
/// goes on or ends, and no signal but two reaches it.
pub(super) fn is_suspended(document: &Value) -> bool {
    let pid = document["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    pid.and_then(os::identity).is_some_and(|id| os::is_suspended(&id))
}

/// "alice@laptop (process 4711, `cargo xtask deploy`) since 2026-11-21T08:14:03Z", of what [`owner`] has made.
pub fn describe(document: &Value) -> String {
    let text = |key: &str| document[key].as_str().unwrap_or("?");
    format!(
        "{} (process {}, `cargo xtask {}`) since {}, last heard of at {}",
        text("who"),
        document["pid"],
        text("command"),
        text("since"),
        text("heartbeat"),
    )
}

/// The same without its times, where a document says it.
pub fn name(document: &Value) -> Option<String> {
    let who = document["who"].as_str().filter(|who| !who.is_empty())?;
    let command = document["command"].as_str().map_or_else(String::new, |command| format!(", `cargo xtask {command}`"));
    Some(format!("{who} (process {}{command})", document["pid"]))
}

/// Who takes a lease, as a document.
pub fn owner(claim: &Claim<'_>) -> Value {
    json!({
        "schema": 1, "who": claim.who, "pid": std::process::id(), "command": claim.command, "run": claim.run,
        "since": timestamp(SystemTime::now()),
    })
}

/// UTC with seconds, as RFC 3339 writes it.
pub fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
