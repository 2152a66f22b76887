//! A service's real binary, running.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{DEADLINE, eventually, get};

/// A running service; dropping it kills it.
pub struct Running {
    child: Child,
    log: Arc<Log>,
}

/// The lines a service has logged so far.
#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    grown: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: Vec<Value>,
    ended: bool,
}

impl Running {
    /// Starts a service on a free port of the loopback address, with nothing else in its environment than `env`, and
    /// waits until it listens.
    #[must_use]
    pub fn start(program: &str, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("PORT", "0").env("LISTEN_ADDRESS", "127.0.0.1").envs(env.iter().copied());
        let running = Self::spawn(command);
        running.address("http");
        running
    }

    /// As [`Running::start`], and waits until it is ready.
    pub async fn start_ready(program: &str, env: &[(&str, &str)]) -> Self {
        let running = Self::start(program, env);
        running.until_ready().await;
        running
    }

    /// Runs a command that becomes a service and logs to stdout.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let log = Arc::<Log>::default();
        let (stdout, filled) = (child.stdout.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Tests that run a service through another program get that one's words as well.
                if let Ok(line) = serde_json::from_str(&line) {
                    filled.lock().lines.push(line);
                    filled.grown.notify_all();
                }
            }
            filled.lock().ended = true;
            filled.grown.notify_all();
        });
        Self { child, log }
    }

    /// Waits for a line of the log that `wanted` accepts.
    ///
    /// # Panics
    /// If the log ends without it or it takes too long.
    pub fn logged(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        let mut state = self.log.lock();
        loop {
            if let Some(line) = state.lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = DEADLINE.saturating_sub(started.elapsed());
            assert!(!state.ended && !left.is_zero(), "{what} is not in the log: {:#?}", state.lines);
            state = self.log.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether something is in the log by now.
    #[must_use]
    pub fn has_logged(&self, wanted: impl Fn(&Value) -> bool) -> bool {
        self.log.lock().lines.iter().any(wanted)
    }

    /// The address of a socket it listens on: `http` or `admin`.
    pub fn address(&self, socket: &str) -> SocketAddr {
        let wanted = |line: &Value| line["message"] == "listening" && line["socket"] == socket;
        let line = self.logged(&format!("the address of `{socket}`"), wanted);
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// The URL of a path on the public socket.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("http"))
    }

    pub async fn until_ready(&self) {
        let url = self.url("/readyz");
        eventually("ready", || async { (get(&url).await.status == 200).then_some(()) }).await;
    }

    /// The value of a metric without labels.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = get(&self.url("/metrics")).await.text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no `{name}` in:\n{text}"))
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; `None` is an end by a signal.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let child = Mutex::new(&mut self.child);
        eventually("the end of the process", || async { child.lock().unwrap().try_wait().unwrap() }).await.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a service that is not supposed to start, to its end.
#[must_use]
pub fn refused(program: &str, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(program).args(arguments).env_clear().envs(env.iter().copied()).output().unwrap()
}

/// The binary of another service, beside that of the service under test. Testing the whole workspace builds it.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn sibling(program: &str, name: &str) -> String {
    let sibling = Path::new(program).with_file_name(name);
    assert!(sibling.is_file(), "`{}` is missing: run `cargo build -p {name}`", sibling.display());
    sibling.to_str().unwrap().to_owned()
}
