//! One question to a registry and its answer: through `curl`, or in plain HTTP to this machine.

use crate::refusal::{Kind, Refusal};
use base::http;
use base::http::{Request, Response, Url};
use base::proc::{CommandLine, Proc};
use base::signal::Interrupts;
use std::time::Duration;

/// How long one answer may take, unless that is said.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) accept: Option<&'static str>,
    /// A secret.
    pub(super) authorization: Option<String>,
    /// How long the answer may take.
    pub(super) within: Duration,
}

impl Question {
    pub(super) fn send(&self, proc: &Proc, interrupts: &Interrupts) -> Result<Response, Refusal> {
        if self.url.starts_with("http://") {
            return self.send_plainly(interrupts);
        }
        let finished = proc.ask(&self.curl(), self.within + Duration::from_secs(1));
        let finished = finished.map_err(|error| Refusal::new(Kind::Other, format!("{error:#}")))?;
        let Some(finished) = finished else { return Err(late(interrupts, self.within)) };
        if !finished.success {
            return Err(of_curl(&finished.status, &finished.stderr));
        }
        parse(&finished.stdout).ok_or_else(|| Refusal::new(Kind::Other, "`curl` printed no HTTP response"))
    }

    fn headers(&self) -> Vec<(String, String)> {
        let header = |name: &str, value: Option<&str>| value.map(|value| (name.to_owned(), value.to_owned()));
        let accept = header("Accept", self.accept);
        accept.into_iter().chain(header("Authorization", self.authorization.as_deref())).collect()
    }

    fn send_plainly(&self, interrupts: &Interrupts) -> Result<Response, Refusal> {
        let url: Url = self.url.parse().map_err(|error: String| Refusal::new(Kind::Other, error))?;
        let request =
            Request { method: self.method, headers: self.headers(), ..Request::get(url.clone(), self.within) };
        http::send(&request, &|| interrupts.stopping()).map_err(|error| match interrupts.stopping() {
            true => late(interrupts, self.within),
            false => Refusal::new(Kind::Passing, format!("{}: {error}", url.endpoint.host)),
        })
    }

    /// What is asked goes in by standard input: arguments can be seen by everybody. The user's own settings for `curl`
    /// could change the form of the answer and do not count; its variables do (proxies, certificates).
    fn curl(&self) -> CommandLine {
        let seconds = self.within.as_secs().to_string();
        let line = CommandLine::new("curl").args(["--disable", "--silent", "--show-error", "--location"]);
        let line = line.args(["--proto", "=https", "--suppress-connect-headers", "--max-time", &seconds]);
        let how = if self.method == "HEAD" { "--head" } else { "--include" };
        let mut config = format!("url = {}\n", quoted(&self.url));
        for (name, value) in self.headers() {
            config.push_str(&format!("header = {}\n", quoted(&format!("{name}: {value}"))));
        }
        line.args([how, "--config", "-"]).stdin(config)
    }
}

fn late(interrupts: &Interrupts, within: Duration) -> Refusal {
    match interrupts.stopping() {
        true => Refusal::new(Kind::Interrupted, "interrupted"),
        false => Refusal::new(Kind::Passing, format!("no answer within {}", humantime::format_duration(within))),
    }
}

/// As the configuration of `curl` has it.
fn quoted(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Source: the exit codes in curl(1).
fn of_curl(status: &str, stderr: &str) -> Refusal {
    let code: i32 = status.rsplit(' ').next().and_then(|code| code.parse().ok()).unwrap_or_default();
    let said = stderr.lines().next().unwrap_or(status).trim();
    // "curl: (6) Could not resolve host: x"
    let words = said.split_once(") ").map_or(said, |(_, words)| words);
    let broken = words.contains("reset") || words.contains("SSL_ERROR_SYSCALL");
    let kind = match code {
        7 | 16 | 18 | 28 | 52 | 55 | 56 | 92 => Kind::Passing,
        35 if broken => Kind::Passing,
        35 | 51 | 53 | 54 | 58 | 59 | 60 | 66 | 77 | 80 | 82 | 83 | 90 | 91 => Kind::Untrusted,
        _ => Kind::Other,
    };
    Refusal::new(kind, words)
}

/// The last answer of those that following redirects has brought.
fn parse(text: &str) -> Option<Response> {
    let mut rest = text;
    loop {
        let (head, body) = rest.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status: u16 = lines.next()?.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()?;
        let passed_on = (100..200).contains(&status) || (300..400).contains(&status);
        if passed_on && body.starts_with("HTTP/") {
            rest = body;
            continue;
        }
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        return Some(Response { status, headers: lines.filter_map(header).collect(), body: body.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_among_the_arguments() {
        let question = Question {
            method: "HEAD",
            url: "https://h/v2/a/manifests/1".to_owned(),
            accept: Some("a/b"),
            authorization: Some("Basic \"se\\cret\nx".to_owned()),
            within: TIMEOUT,
        };
        let line = question.curl();
        assert_eq!(
            line.to_string(),
            "curl --disable --silent --show-error --location --proto '=https' --suppress-connect-headers --max-time 20 \
             --head --config -"
        );
        let config = "url = \"https://h/v2/a/manifests/1\"\nheader = \"Accept: a/b\"\n\
                      header = \"Authorization: Basic \\\"se\\\\cretx\"\n";
        assert_eq!(line, question.curl().stdin(config));
    }

    #[test]
    fn the_answer_behind_redirects_counts() {
        let text =
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: x\r\n\r\nHTTP/2 200 \r\nDocker-Content-Digest: d\r\n\r\n{}";
        let answer = parse(text).unwrap();
        assert_eq!(
            (answer.status, answer.header("docker-content-digest"), &*answer.body),
            (200, Some("d"), &b"{}"[..])
        );
        assert_eq!(parse("HTTP/1.1 404 Not Found\r\n\r\nHTTP/ is a protocol").unwrap().status, 404);
        assert_eq!(parse("<html>"), None);
    }

    #[test]
    fn what_curl_says_is_told_apart() {
        let kind = |code: i32, words: &str| of_curl(&format!("exit status: {code}"), words);
        let refused = kind(7, "curl: (7) Failed to connect to h port 443 after 0 ms: Couldn't connect to server\n");
        assert_eq!(refused.kind, Kind::Passing);
        assert_eq!(refused.words, "Failed to connect to h port 443 after 0 ms: Couldn't connect to server");
        assert_eq!(kind(6, "curl: (6) Could not resolve host: h").kind, Kind::Other);
        let certificate = "curl: (60) SSL certificate problem: unable to get local issuer certificate\nMore details";
        assert_eq!(kind(60, certificate).kind, Kind::Untrusted);
        assert_eq!(kind(35, "curl: (35) OpenSSL SSL_connect: Connection reset by peer").kind, Kind::Passing);
        assert_eq!(kind(35, "curl: (35) error:0A00010B:SSL routines::wrong version number").kind, Kind::Untrusted);
    }
}
