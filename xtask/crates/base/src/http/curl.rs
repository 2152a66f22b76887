//! `curl`, for what goes over TLS or by way of a proxy. What a request carries is read from standard input, so that no
//! argument shows it.

use crate::ctx::Vars;
use crate::http::{Endpoint, Request, Scheme, Via};
use crate::proc::CommandLine;
use std::net::IpAddr;
use std::time::Duration;

/// Its exit code when `--max-time` has passed (everything.curl.dev/cmdline/exitcode).
pub const TOO_LATE: i32 = 28;
/// Those that it ends with before it has sent anything: there is no such host, nobody listens, no TLS comes about, the
/// certificate is not trusted.
pub const BEFORE_SENDING: [i32; 10] = [5, 6, 7, 35, 53, 58, 59, 60, 77, 83];

/// One request: the head of the answer and then its body are printed, whatever the status.
///
/// # Errors
/// When the body cannot be written down for it.
pub fn request(request: &Request) -> Result<CommandLine, String> {
    // `--disable` has to be the first: it keeps the user's own settings out.
    let line = CommandLine::new("curl")
        .args(["--disable", "--silent", "--show-error", "--include", "--http1.1"])
        .args(["--suppress-connect-headers", "--globoff", "--path-as-is"])
        .args(["--max-time", &format!("{:.3}", request.timeout.as_secs_f64().clamp(0.001, 86_400.0))]);
    Ok(by_way_of(line, &request.url.endpoint).args(["--config", "-"]).stdin(config(request)?))
}

/// Names that lead to addresses of this machine or its network, whoever resolves them.
const NEAR: [&str; 5] = ["localhost", ".local", ".internal", ".sslip.io", ".nip.io"];

/// Whether it is a public name that is connected to, which a proxy may have to be asked for.
fn goes_out(endpoint: &Endpoint) -> bool {
    let name = match &endpoint.via {
        None => &endpoint.host,
        Some(Via::Name(name, _)) => name,
        Some(Via::Address(_) | Via::Socket(_)) => return false,
    };
    let name = name.trim_end_matches('.');
    name.contains('.') && name.parse::<IpAddr>().is_err() && !NEAR.iter().any(|near| name.ends_with(near))
}

/// The proxy for what is asked without TLS, where one leads to it. For what is asked over TLS curl looks by itself. Most of
/// what is asked, such as what runs here many times a second, needs no look at the environment.
pub(super) fn proxy(endpoint: &Endpoint, vars: impl FnOnce() -> Vars) -> Option<String> {
    if endpoint.scheme != Scheme::Http || !goes_out(endpoint) {
        return None;
    }
    let vars = vars();
    let named = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].into_iter().find_map(|name| vars.get(name));
    named.map(str::to_owned)
}

fn by_way_of(line: CommandLine, endpoint: &Endpoint) -> CommandLine {
    // What goes out heeds `HTTPS_PROXY` and `NO_PROXY`.
    let line = if goes_out(endpoint) { line } else { line.args(["--noproxy", "*"]) };
    match &endpoint.via {
        None => line,
        Some(Via::Address(address)) => line.args(["--connect-to", &format!("::{address}")]),
        Some(Via::Name(name, port)) => line.args(["--connect-to", &format!("::{name}:{port}")]),
        Some(Via::Socket(path)) => line.arg("--unix-socket").arg(path),
    }
}

/// A look at the certificate that is shown; what is said goes to standard error. With `trusting` it may be any.
pub fn look(endpoint: &Endpoint, within: Duration, trusting: bool) -> CommandLine {
    let line = CommandLine::new("curl").args(["--disable", "--silent", "--show-error", "--http1.1"]);
    let line = line.args(["--max-time", &within.as_secs().to_string(), "--output", "/dev/null"]);
    let line = if trusting { line.args(["--insecure", "--verbose"]) } else { line };
    by_way_of(line, endpoint).arg(endpoint.url())
}

/// A certificate as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    pub subject: String,
    pub issuer: String,
    /// When it ends.
    pub until: String,
    /// Why it is not trusted.
    pub complaint: Option<String>,
}

/// What curl tells of a certificate with `--verbose`.
pub fn shown(stderr: &str) -> Shown {
    let after = |word: &str| {
        let line = stderr.lines().find_map(|line| line.trim_start_matches('*').trim_start().strip_prefix(word));
        line.map(|line| line.trim().to_owned()).unwrap_or_default()
    };
    Shown { subject: after("subject:"), issuer: after("issuer:"), until: after("expire date:"), complaint: None }
}

/// What curl says, without what belongs to it alone: "curl: (60) SSL certificate problem: …" and pages to read.
pub fn complaint(stderr: &str) -> String {
    let line =
        stderr.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("curl failed without an error message");
    let words = line.strip_prefix("curl: ").unwrap_or(line);
    match words.split_once(") ") {
        Some((code, words)) if code.starts_with('(') => words.to_owned(),
        _ => words.to_owned(),
    }
}

/// Source: curl.se/docs/manpage.html#-K
fn config(request: &Request) -> Result<String, String> {
    let mut lines = vec![format!("url = {}", quoted(&request.url.to_string()))];
    match request.method {
        "HEAD" => lines.push("head".to_owned()),
        method => lines.push(format!("request = {}", quoted(method))),
    }
    // Without a value a header that curl would add by itself is left out.
    let has = |name: &str| request.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let own = ["User-Agent", "Accept", "Content-Type", "Expect"].into_iter().filter(|name| !has(name));
    lines.extend(own.map(|name| format!("header = {}", quoted(&format!("{name}:")))));
    for (name, value) in &request.headers {
        // With nothing behind it the header would be taken for one to leave out.
        let header = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        lines.push(format!("header = {}", quoted(&header)));
    }
    let body = request.body.as_deref().or_else(|| matches!(request.method, "POST" | "PUT").then_some(&[]));
    if let Some(body) = body {
        let text = std::str::from_utf8(body).ok().filter(|text| !text.contains('\0'));
        let text = text.ok_or("a body that is not text cannot be sent over TLS")?;
        lines.push(format!("data-raw = {}", quoted(text)));
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Request {
        Request::get(url.parse().unwrap(), Duration::from_millis(1500))
    }

    #[test]
    fn a_request_is_written_down_where_nobody_sees_it() {
        let mut post = of("https://epoch.shop.example/pay?x=1");
        post.method = "POST";
        post.headers = vec![("Authorization".to_owned(), "Bearer \"s\"".to_owned())];
        post.body = Some(b"@{\"a\": 1}\n".to_vec());
        post.url.endpoint.via = Some(Via::Name("lb.example".to_owned(), 443));
        let line = request(&post).unwrap();
        assert_eq!(
            line.to_string(),
            "curl --disable --silent --show-error --include --http1.1 --suppress-connect-headers --globoff --path-as-is \
             --max-time 1.500 --connect-to ::lb.example:443 --config -"
        );
        assert_eq!(
            config(&post).unwrap(),
            "url = \"https://epoch.shop.example/pay?x=1\"\nrequest = \"POST\"\nheader = \"User-Agent:\"\n\
             header = \"Accept:\"\nheader = \"Content-Type:\"\nheader = \"Expect:\"\n\
             header = \"Authorization: Bearer \\\"s\\\"\"\ndata-raw = \"@{\\\"a\\\": 1}\\n\"\n"
        );
    }

    #[test]
    fn only_public_names_are_asked_by_way_of_a_proxy() {
        let out = |url: &str| goes_out(&url.parse::<crate::http::Url>().unwrap().endpoint);
        for url in ["https://epoch.shop.example/", "http://a.elb.amazonaws.com/"] {
            assert!(out(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:1/",
            "https://localhost/",
            "http://a.localhost/",
            "http://[::1]:1/",
            "http://redis:1/",
            "http://epoch.172.31.77.1.sslip.io/",
            "https://10.0.0.1/",
        ] {
            assert!(!out(url), "{url}");
            assert!(request(&of(url)).unwrap().to_string().contains("--noproxy '*'"), "{url}");
        }
        let mut near = of("http://epoch.shop.example/");
        let vars = || Vars::of([("HTTP_PROXY", "http://proxy:1")]);
        assert_eq!(proxy(&near.url.endpoint, vars).as_deref(), Some("http://proxy:1"));
        near.url.endpoint.via = Some(Via::Address("127.0.0.1:80".parse().unwrap()));
        assert_eq!(proxy(&near.url.endpoint, vars), None);
    }

    #[test]
    fn a_head_has_no_method_and_bytes_are_no_text() {
        let mut head = of("https://a/");
        head.method = "HEAD";
        assert!(config(&head).unwrap().contains("\nhead\n"));
        head.body = Some(vec![0xff]);
        assert!(request(&head).is_err());
    }

    #[test]
    fn a_certificate_is_told_by_what_curl_says() {
        let text = "* Server certificate:\n*  subject: CN=a.example\n*  start date: x\n*  expire date: Jan  1 00:00:00 2027 GMT\n\
                    *  issuer: CN=ca\n";
        let told = shown(text);
        assert_eq!((told.subject.as_str(), told.issuer.as_str()), ("CN=a.example", "CN=ca"));
        assert_eq!(told.until, "Jan  1 00:00:00 2027 GMT");
        let line =
            look(&"https://a.example/".parse::<crate::http::Url>().unwrap().endpoint, Duration::from_secs(9), true);
        assert!(line.to_string().ends_with("--max-time 9 --output /dev/null --insecure --verbose https://a.example/"));
    }

    #[test]
    fn a_complaint_is_curl_s_own_words() {
        let of = |text: &str| complaint(text);
        let certificate = "curl: (60) SSL certificate problem: self-signed certificate\nMore details here: https://…\n";
        assert_eq!(of(certificate), "SSL certificate problem: self-signed certificate");
        assert_eq!(of("curl: no URL specified"), "no URL specified");
        assert_eq!(of(""), "curl failed without an error message");
    }
}
