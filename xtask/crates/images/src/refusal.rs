//! Why a registry did not do what it was asked, and whether to ask again.

use base::error::Fault;
use base::signal::Interrupts;
use std::time::Duration;

/// What kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Gone in a moment, as likely as not: an overloaded server, a broken connection.
    Passing,
    /// Who asks is not known, or may not.
    Denied,
    /// The registry has no repository of this name, and makes none by itself.
    Nameless,
    /// Its certificate is not trusted, or it does not speak TLS.
    Untrusted,
    /// A signal came first.
    Interrupted,
    Other,
}

/// A no, in the words of whoever said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub kind: Kind,
    pub words: String,
}

/// Parts of what engines print, in lower case. The first that is found decides.
const SIGNS: [(Kind, &[&str]); 4] = [
    (Kind::Denied, &["unauthorized", "authentication required", "denied", "forbidden", "no basic auth credentials"]),
    (Kind::Nameless, &["name unknown", "repository does not exist", "repository name not known"]),
    (Kind::Untrusted, &["x509:", "tls: ", "server gave http response to https client", "certificate"]),
    (
        Kind::Passing,
        &[
            "eof",
            "connection reset",
            "connection refused",
            "broken pipe",
            "timeout",
            "timed out",
            "deadline exceeded",
            "closed network connection",
            "too many requests",
            "toomanyrequests",
            "stream error",
            "http status: 5",
            "http status: 429",
            "unexpected status: 5",
            "unexpected status: 429",
            "unexpected status code 5",
            "statuscode: 5",
            "status 5",
            "temporary failure",
            "server misbehaving",
        ],
    ),
];

impl Refusal {
    pub(super) fn new(kind: Kind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into() }
    }

    /// What an engine printed before it gave up.
    pub(super) fn of_engine(stderr: &str) -> Self {
        let lower = stderr.to_lowercase();
        let found = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| lower.contains(sign)));
        // A handshake that takes too long is no question of trust.
        let late = lower.contains("tls handshake timeout");
        let kind = if late { Kind::Passing } else { found.map_or(Kind::Other, |(kind, _)| *kind) };
        Self::new(kind, last_words(stderr))
    }

    /// The failure of what was being done, with what to type next.
    pub(super) fn into_fault(self, what: &str, host: &str, signed_in: bool, interrupts: &Interrupts) -> Fault {
        let cause = format!("{what}: {}", self.words);
        match (self.kind, interrupts.first()) {
            (_, Some(signal)) => Fault::interrupted(signal),
            (Kind::Denied, _) if signed_in => Fault::failed("registry-denied", cause)
                .hint(format!("`REGISTRY_USER` and `REGISTRY_PASSWORD` must be valid for {host}")),
            (Kind::Denied, _) => Fault::failed("registry-denied", cause)
                .hint(format!("set `REGISTRY_USER` and `REGISTRY_PASSWORD` to credentials of {host}")),
            (Kind::Nameless, _) => Fault::failed("no-repository", cause)
                .hint(format!("{host} does not create repositories: create one of this name there")),
            (Kind::Untrusted, _) => Fault::failed("registry-untrusted", cause)
                .hint(format!("have the engine trust the certificate of {host}, or name another `registry`")),
            (Kind::Passing, _) => Fault::failed("registry-unreachable", cause)
                .hint("run the same command again: what the registry already has is not sent again"),
            _ => Fault::failed("registry-failed", cause),
        }
    }
}

/// The last line that says something, without the engine's own beginning.
fn last_words(stderr: &str) -> String {
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    last.trim_start_matches("Error: ").trim_start_matches("error: ").to_owned()
}

/// Asks again as long as the refusal may pass and there is a pause left. A signal ends a pause at once.
///
/// # Errors
/// The last refusal.
pub(super) fn again<T>(
    interrupts: &Interrupts,
    pauses: &[Duration],
    say: &dyn Fn(String),
    mut ask: impl FnMut() -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut pauses = pauses.iter();
    loop {
        let refusal = match ask() {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        let pause = pauses.next().filter(|_| refusal.kind == Kind::Passing);
        let Some(pause) = pause else { return Err(refusal) };
        say(format!("{}; tries again in {}", refusal.words, humantime::format_duration(*pause)));
        if interrupts.pause(*pause) {
            return Err(Refusal::new(Kind::Interrupted, "interrupted"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_print_is_told_apart() {
        for (words, kind) in [
            ("checking whether a blob exists in h/x: unauthorized: authentication required", Kind::Denied),
            ("error parsing HTTP 403 response body: denied: requested access to the resource is denied", Kind::Denied),
            ("no basic auth credentials", Kind::Denied),
            ("name unknown: The repository with name 'x' does not exist in the registry", Kind::Nameless),
            ("Get \"https://h/v2/\": x509: certificate signed by unknown authority", Kind::Untrusted),
            ("Get \"https://h/v2/\": http: server gave HTTP response to HTTPS client", Kind::Untrusted),
            ("Get \"https://h/v2/\": net/http: TLS handshake timeout", Kind::Passing),
            ("writing blob: Patch \"http://h/v2/x\": EOF", Kind::Passing),
            ("read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer", Kind::Passing),
            ("received unexpected HTTP status: 503 Service Unavailable", Kind::Passing),
            ("toomanyrequests: You have reached your pull rate limit", Kind::Passing),
            ("manifest invalid: manifest invalid", Kind::Other),
        ] {
            assert_eq!(Refusal::of_engine(&format!("Copying blob\nError: {words}\n")), Refusal::new(kind, words));
        }
    }

    #[test]
    fn only_what_may_pass_is_asked_again_and_not_for_ever() {
        let ask = |kind| {
            let mut count = 0;
            let pauses = [Duration::from_millis(1); 2];
            let ended = again::<()>(&Interrupts::default(), &pauses, &|_| {}, || {
                count += 1;
                Err(Refusal::new(kind, "no"))
            });
            assert_eq!(ended, Err(Refusal::new(kind, "no")));
            count
        };
        assert_eq!((ask(Kind::Passing), ask(Kind::Denied)), (3, 1));
    }
}
