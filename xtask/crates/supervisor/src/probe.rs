//! Asks a running instance how it is. Every probe ends within [`TIMEOUT`] and says what it saw in one line.

use base::http;
use base::http::{Endpoint, HttpError, Request, Response, Url};
use base::proc;
use base::proc::CommandLine;
use base::socket;
use model::system::Probe;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Connection and answer together, as Kubernetes has it by default.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A shim asks for as long as that itself, or has the engine start a command, which takes longer.
const SHIM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a command may take to tell.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);
/// As much of an answer's text as is shown.
const LONGEST_TEXT: usize = 200;

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub ok: bool,
    /// "GET /readyz: 503 not ready: redis unreachable"
    pub text: String,
}

/// Asks once.
pub fn ask(probe: &Probe, address: SocketAddr) -> Seen {
    let (question, outcome) = match probe {
        Probe::Http { path } => (format!("GET {path}"), http_get(address, path)),
        Probe::Tcp { send, expect } => {
            (format!("connect to {address}"), tcp(address, send.as_deref(), expect.as_deref()))
        }
        Probe::Command(_) | Probe::Runs(_) => (address.to_string(), Err("nothing to be asked there".to_owned())),
    };
    let ok = outcome.is_ok();
    let answer = outcome.unwrap_or_else(|failure| failure);
    Seen { ok, text: format!("{question}: {answer}") }
}

/// Whether something has run for long enough.
pub fn runs(long: Duration, age: Duration) -> Seen {
    let seconds = |duration: Duration| duration.as_secs();
    Seen { ok: age >= long, text: format!("it has run for {} of {} s", seconds(age.min(long)), seconds(long)) }
}

/// Asks a command, by its exit code.
pub(super) fn run(command: &CommandLine) -> Seen {
    let words: Vec<_> =
        std::iter::once(&command.program).chain(&command.args).map(|word| word.to_string_lossy()).collect();
    let (ok, said) = match proc::brief(command, COMMAND_TIMEOUT, &|| false) {
        Ok(Some(output)) => {
            let said =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
            let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
            (output.status.success(), last.unwrap_or_else(|| output.status.to_string()))
        }
        Ok(None) => (false, format!("no answer within {} s", COMMAND_TIMEOUT.as_secs())),
        Err(error) => (false, format!("{error:#}")),
    };
    Seen { ok, text: format!("`{}`: {}", words.join(" "), printable(said.as_bytes())) }
}

/// Has the shim of a container ask it; what the shim saw is what it answers.
///
/// # Errors
/// When the shim cannot be asked, which says nothing about its container.
pub(super) fn ask_shim(path: &str, shim: &Path) -> Result<Seen, String> {
    if !shim.parent().is_some_and(socket::is_ours) {
        return Err("its shim: its socket is gone".to_owned());
    }
    let url = Url { endpoint: Endpoint::socket(shim), path: path.to_owned() };
    match http::send(&Request::get(url, SHIM_TIMEOUT), &|| false) {
        Ok(response) => Ok(Seen { ok: response.is_success(), text: printable(&response.body) }),
        Err(error) if error.is_unsent() => Err(format!("its shim: {error}")),
        Err(error) => Ok(Seen { ok: false, text: format!("its shim: {error}") }),
    }
}

fn get(address: SocketAddr, path: &str, timeout: Duration) -> Result<Response, HttpError> {
    let url = Url { endpoint: Endpoint::from(address), path: path.to_owned() };
    http::send(&Request::get(url, timeout), &|| false)
}

/// What was answered, or why that is not good.
fn http_get(address: SocketAddr, path: &str) -> Result<String, String> {
    let response = get(address, path, TIMEOUT).map_err(|error| error.to_string())?;
    match (response.passes_probe(), printable(&response.body)) {
        (true, _) => Ok(response.status.to_string()),
        (false, text) if text.is_empty() => Err(response.status.to_string()),
        (false, text) => Err(format!("{} {text}", response.status)),
    }
}

/// What was answered, or why that is not good.
fn tcp(address: SocketAddr, send: Option<&str>, expect: Option<&str>) -> Result<String, String> {
    let wanted = expect.unwrap_or_default();
    let answer = tcp_answer(address, send, wanted.len()).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("no answer within {} s", TIMEOUT.as_secs()),
        _ => error.to_string(),
    })?;
    if answer.starts_with(wanted.as_bytes()) {
        return Ok("connected".to_owned());
    }
    Err(format!("`{}` instead of `{}`", printable(&answer), wanted.escape_debug()))
}

/// Reads until as many bytes as wanted have come or the other side closes.
fn tcp_answer(address: SocketAddr, send: Option<&str>, wanted: usize) -> std::io::Result<Vec<u8>> {
    let deadline = Instant::now() + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(send.unwrap_or_default().as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while answer.len() < wanted {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(answer)
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// In one line, without what would disturb a terminal, and not too long.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;

    fn answered(reply: &'static str, probe: &Probe) -> Seen {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 512];
            let _ = stream.read(&mut buffer);
            stream.write_all(reply.as_bytes()).unwrap();
        });
        let seen = ask(probe, address);
        server.join().unwrap();
        Seen { text: seen.text.replace(&address.to_string(), "ADDRESS"), ..seen }
    }

    fn http() -> Probe {
        Probe::Http { path: "/readyz".to_owned() }
    }

    #[test]
    fn an_answer_is_judged_by_its_status() {
        let ok = answered("HTTP/1.1 204 No Content\r\n\r\n", &http());
        assert_eq!((ok.ok, ok.text.as_str()), (true, "GET /readyz: 204"));
        let led = answered("HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", &http());
        assert_eq!((led.ok, led.text.as_str()), (true, "GET /readyz: 302"));
        assert!(!answered("HTTP/1.1 401 Unauthorized\r\n\r\n", &http()).ok);
        let bad = answered("HTTP/1.0 503 Unavailable\r\nA: b\r\n\r\nnot ready:\n  redis unreachable\n", &http());
        assert_eq!((bad.ok, bad.text.as_str()), (false, "GET /readyz: 503 not ready: redis unreachable"));
        assert_eq!(answered("HTTP/1.0 500 Oops\r\n\r\n", &http()).text, "GET /readyz: 500");
        assert_eq!(answered("", &http()).text, "GET /readyz: the connection was closed without an answer");
    }

    #[test]
    fn a_silent_service_is_no_answer_and_takes_no_longer_than_allowed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let started = Instant::now();
        let seen = ask(&http(), listener.local_addr().unwrap());
        assert_eq!((seen.ok, seen.text.as_str()), (false, "GET /readyz: no answer within 1s"));
        assert!(started.elapsed() < TIMEOUT * 2);
    }

    #[test]
    fn nothing_there_is_said_with_the_address() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(ask(&http(), address).text, format!("GET /readyz: connect to {address}: connection refused"));
    }

    #[test]
    fn a_shim_whose_socket_others_may_have_made_is_not_asked() {
        let (listener, folder) = socket::listen().unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let shim = socket::file(&folder);
        assert_eq!(ask_shim("/ready", &shim).unwrap_err(), "its shim: its socket is gone");
        assert_eq!(crate::container::explain(&shim), None);
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        socket::remove(&folder);
    }

    #[test]
    fn a_tcp_answer_has_to_start_as_expected() {
        let ping = Probe::Tcp { send: Some("PING\r\n".to_owned()), expect: Some("+PONG".to_owned()) };
        assert!(answered("+PONG\r\n", &ping).ok);
        let seen = answered("-NOAUTH\r\n", &ping);
        assert_eq!((seen.ok, seen.text.as_str()), (false, "connect to ADDRESS: `-NOAUTH` instead of `+PONG`"));
        assert!(answered("", &Probe::Tcp { send: None, expect: None }).ok);
    }
}
