//! A small service for these tests: this test binary, told to run one test that serves until SIGTERM.
//!
//! `/livez` answers 503 while a file `VERSION.unhealthy` is there, `/readyz` while `VERSION.unready` is; every other
//! path answers with the version, `/slow` once a file `VERSION.go` is there. With `VERSION.crash` it ends at once, with
//! `VERSION.slow` it takes its time to, and with `VERSION.abrupt` it finishes no answer before it does.

use listenfd::ListenFd;
use signal_hook::consts::SIGTERM;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The arguments that make this binary the service.
pub(crate) const ARGS: [&str; 4] = ["--ignored", "--exact", "--nocapture", "fixture::serve"];

struct Fixture {
    version: String,
    dir: PathBuf,
    open: AtomicUsize,
    stopping: Arc<AtomicBool>,
}

#[test]
#[ignore = "not a test: the service that the tests run"]
fn serve() {
    let Ok(version) = std::env::var("FIXTURE_VERSION") else {
        return;
    };
    let dir = PathBuf::from(std::env::var("FIXTURE_DIR").unwrap());
    let stopping = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&stopping)).unwrap();
    let fixture = Arc::new(Fixture { version, dir, open: AtomicUsize::new(0), stopping });
    fixture.log("starting");
    assert!(!fixture.is("crash"), "told to crash");

    let mut passed = ListenFd::from_env();
    let (http, admin) = match passed.take_tcp_listener(0).unwrap() {
        Some(http) => (http, passed.take_tcp_listener(1).unwrap()),
        None => (TcpListener::bind(std::env::var("FIXTURE_LISTEN").unwrap()).unwrap(), None),
    };
    let probes = admin.map(|admin| {
        let fixture = Arc::clone(&fixture);
        std::thread::spawn(move || fixture.accept_on(&admin))
    });
    // Beside another version on the same socket, one that is not ready must not answer.
    while probes.is_some() && fixture.is("unready") && !fixture.stopping() {
        std::thread::sleep(Duration::from_millis(1));
    }
    fixture.accept_on(&http);
    drop(http);
    if fixture.is("abrupt") {
        return;
    }
    if fixture.is("slow") {
        std::thread::sleep(Duration::from_millis(300));
    }
    while fixture.open.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    fixture.log("stopped");
}

impl Fixture {
    fn is(&self, what: &str) -> bool {
        self.dir.join(format!("{}.{what}", self.version)).exists()
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// A service must survive that its log cannot be written.
    fn log(&self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{} {} {line}", self.version, std::process::id());
    }

    fn accept_on(self: &Arc<Self>, listener: &TcpListener) {
        listener.set_nonblocking(true).unwrap();
        while !self.stopping() {
            match listener.accept() {
                Ok((stream, _)) => {
                    self.open.fetch_add(1, Ordering::SeqCst);
                    let fixture = Arc::clone(self);
                    std::thread::spawn(move || {
                        let _ = fixture.answer(stream);
                        fixture.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut head = Vec::new();
        let mut buffer = [0; 512];
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => head.extend_from_slice(&buffer[..count]),
            }
        }
        let head = String::from_utf8_lossy(&head);
        let path = head.split_whitespace().nth(1).unwrap_or_default();
        self.log(&format!("asked for {path}"));
        while path == "/slow" && !self.is("go") {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (status, body) = match path {
            "/livez" if self.is("unhealthy") => ("503 Unavailable", "told to be unhealthy"),
            "/readyz" if self.is("unready") => ("503 Unavailable", "told not to be ready"),
            _ => ("200 OK", self.version.as_str()),
        };
        self.log(&format!("{path} {status}"));
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }
}
