//! The process that stands for a container: it lives as long as the container, ends as it ended, and says why.
//!
//! The engine's client runs attached, in this process's group: the signal that ends the service reaches it as well, and
//! it passes that on. What is left to do here is what a client does not: to begin with a clean name, to force what does
//! not heed the signal, to look how it came to its end, and to leave nothing behind.

use super::client::{Client, Detail};
use super::ending::{Remains, last_words};
use super::{ports, serve};
use anyhow::{Context, Result};
use base::ctx::Vars;
use base::proc;
use base::proc::{Children, Proc};
use base::signal::Interrupts;
use model::system::Probe;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use supervisor::container::{Explained, NAME, Reach, ShimSpec};
use supervisor::probe;
use supervisor::probe::Seen;
use tools::oci::{Container, Engine};

/// How long a command in the container may take to tell whether it is healthy. Starting it takes the engine a while.
const EXEC_WITHIN: Duration = Duration::from_secs(3);
/// The engine is not asked more often whether the container runs by now.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often what does not end is forced once more: it may have been about to start.
const FORCE_EVERY: Duration = Duration::from_secs(1);
/// As much of what a client said as is looked through for its last words.
const LONGEST_WORDS: u64 = 16 * 1024;

pub(super) struct Shim {
    pub(super) spec: ShimSpec,
    pub(super) client: Client,
    found: Mutex<Found>,
    told: AtomicBool,
    /// The container as it was seen to have ended before this process was told to.
    ended_by_itself: OnceLock<(Container, Detail)>,
}

/// What is known of a container that runs; it stays so for as long as it does.
#[derive(Default)]
struct Found {
    container: Option<Container>,
    since: Option<Instant>,
    looked: Option<Instant>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The program's, or as the engine's client has it when the program did not run.
    pub code: i32,
    /// Why, where the code does not say all.
    pub reason: Option<String>,
}

enum Event {
    /// It is to end.
    Told,
    /// The client has.
    Ended(std::io::Result<ExitStatus>),
}

/// Runs the container of an instance to its end, and answers on `listener` meanwhile.
///
/// # Errors
/// When the engine's client cannot be started.
pub fn run(spec: ShimSpec, instance: u64, listener: UnixListener, log: &Path, vars: &Vars) -> Result<End> {
    let (events, incoming) = mpsc::channel();
    let shim = Arc::new(Shim::new(spec, instance, vars));
    watch_signals(Arc::clone(&shim), events.clone())?;
    let answering = Arc::clone(&shim);
    std::thread::Builder::new().spawn(move || serve::serve(listener, &answering)).context("start a thread")?;
    shim.client.remove();
    let log_start = std::fs::metadata(log).map_or(0, |log| log.len());
    let mut child = proc::spawn_beside(&shim.client.engine.program, &shim.arguments(), supervisor::MARK, log)?;
    std::thread::Builder::new()
        .spawn(move || {
            // Nobody listens any more when this process is about to end.
            let _ = events.send(Event::Ended(child.wait()));
        })
        .context("start a thread")?;
    let (status, told) = shim.until_ended(&incoming)?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    let reason = if told && shim.ended_by_itself.get().is_none() { None } else { shim.reason(code, log, log_start) };
    shim.client.remove();
    Ok(End { code, reason })
}

fn watch_signals(shim: Arc<Shim>, events: Sender<Event>) -> Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP]).context("install the signal handlers")?;
    std::thread::Builder::new()
        .spawn(move || {
            for _ in signals.forever() {
                shim.told.store(true, Ordering::SeqCst);
                let _ = events.send(Event::Told);
            }
        })
        .context("start a thread")?;
    Ok(())
}

impl Shim {
    fn new(spec: ShimSpec, instance: u64, vars: &Vars) -> Self {
        let proc = Proc::new(Children::default(), Interrupts::default(), vars.path());
        let engine = Engine { kind: spec.place.engine, program: spec.program.clone() };
        let name = spec.place.name(instance);
        Self {
            client: Client::new(proc, engine, name),
            spec,
            found: Mutex::default(),
            told: AtomicBool::default(),
            ended_by_itself: OnceLock::new(),
        }
    }

    fn arguments(&self) -> Vec<String> {
        self.spec.args.iter().map(|arg| arg.replace(NAME, &self.client.name)).collect()
    }

    /// How the client ended, and whether it was told to.
    fn until_ended(&self, incoming: &Receiver<Event>) -> Result<(ExitStatus, bool)> {
        let mut force_at: Option<Instant> = None;
        loop {
            let timeout = force_at.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            match incoming.recv_timeout(timeout) {
                Ok(Event::Ended(status)) => {
                    return Ok((status.context("wait for the engine's client")?, force_at.is_some()));
                }
                Ok(Event::Told) if force_at.is_none() => {
                    // What was not seen to run may not have been there to get the signal, and has nothing to finish.
                    let grace = if self.container().is_some() { self.spec.stop_within } else { Duration::ZERO };
                    force_at = Some(Instant::now() + grace);
                }
                Ok(Event::Told) => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.client.remove();
                    force_at = Some(Instant::now() + FORCE_EVERY);
                }
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nobody waits for the engine's client"),
            }
        }
    }

    fn reason(&self, code: i32, log: &Path, log_start: u64) -> Option<String> {
        let container = self.ended_by_itself.get().cloned().or_else(|| self.client.inspect());
        let own_command = container.as_ref().filter(|(container, _)| container.state == "created");
        let own_command = own_command.and_then(|(container, _)| self.client.own_command(&container.image));
        let words = last_words(&read_from(log, log_start));
        let container: Option<&(Container, Detail)> = container.as_ref();
        Remains { code, container, own_command, words }.reason()
    }

    /// The container once it runs.
    fn container(&self) -> Option<Container> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.container.is_none() && found.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            let addressed = |container: &Container| match self.spec.place.reach {
                // Whoever has no port is asked nothing at its address.
                Reach::Address if self.spec.place.port == 0 => true,
                Reach::Address => self.own_address(container).is_some(),
                Reach::Exec(_) => true,
            };
            let seen = self.client.inspect().map(|(container, _)| container);
            found.container = seen.filter(|container| container.running && addressed(container));
            found.since = found.container.as_ref().map(|_| Instant::now());
            found.looked = Some(Instant::now());
        }
        found.container.clone()
    }

    /// How long the container has been seen to run.
    fn age(&self) -> Duration {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    fn own_address(&self, container: &Container) -> Option<IpAddr> {
        container.addresses.get(&self.spec.place.network).copied()
    }

    /// Where the container's port is reached from here, once it runs.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let container = self.container()?;
        match &self.spec.place.reach {
            Reach::Address => Some(SocketAddr::new(self.own_address(&container)?, self.spec.place.port)),
            Reach::Exec(_) => None,
        }
    }

    /// What the container answers to this path, by a program inside, as has to do where it has no address here.
    pub(super) fn fetch_inside(&self, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.spec.place.port);
        let command = ["wget", "-q", "-O", "-", &url].map(str::to_owned);
        self.client.exec(&command, EXEC_WITHIN).filter(|answer| answer.success).map(|answer| answer.stdout)
    }

    /// Asks the container itself.
    pub(super) fn ask(&self, probe: &Probe) -> Seen {
        if self.container().is_none() {
            return Seen { ok: false, text: "the container is being started".to_owned() };
        }
        match probe {
            Probe::Command(command) => return self.ask_inside(command),
            Probe::Runs(long) => return probe::runs(*long, self.age()),
            Probe::Http { .. } | Probe::Tcp { .. } => {}
        }
        match (&self.spec.place.reach, self.address()) {
            (_, Some(address)) => probe::ask(probe, address),
            (Reach::Exec(command), None) if !command.is_empty() => self.ask_inside(command),
            _ => Seen { ok: true, text: "the container runs".to_owned() },
        }
    }

    /// Asks the container whether it is alive.
    ///
    /// An engine frees the address of a container that has ended before its client ends, and takes its time on a busy
    /// machine. Whatever answers there then, the reason is how the container ended, not what was answered.
    pub(super) fn ask_live(&self) -> Seen {
        let seen = self.ask(&self.spec.live);
        if seen.ok {
            return seen;
        }
        let Some(ended) = self.client.inspect().filter(|(container, _)| container.has_ended()) else { return seen };
        if !self.told.load(Ordering::SeqCst) {
            self.ended_by_itself.get_or_init(|| ended);
        }
        Seen { ok: false, text: "the container has ended".to_owned() }
    }

    fn ask_inside(&self, command: &[String]) -> Seen {
        let question = command.join(" ");
        let Some(answer) = self.client.exec(command, EXEC_WITHIN) else {
            let seconds = EXEC_WITHIN.as_secs();
            return Seen { ok: false, text: format!("`{question}` inside: no answer within {seconds} s") };
        };
        let mut said = answer.stdout.lines().chain(answer.stderr.lines()).map(str::trim);
        let last = said.rfind(|line| !line.is_empty()).unwrap_or(&answer.status);
        Seen { ok: answer.success, text: format!("`{question}` inside: {last}") }
    }

    pub(super) fn explain(&self) -> Explained {
        let declared = self.spec.place.port;
        let container = self.client.inspect().map(|(container, _)| container).filter(|container| container.running);
        let address = container.as_ref().and_then(|container| self.own_address(container));
        let listening = container.and_then(|container| self.listening(&container)).unwrap_or_default();
        let elsewhere = ports::elsewhere(declared, listening);
        Explained { container: self.client.name.clone(), declared, elsewhere, address }
    }

    /// `None` when neither this machine nor anything in the image can tell.
    fn listening(&self, container: &Container) -> Option<BTreeSet<u16>> {
        let tables = ports::tables(container).or_else(|| {
            let paths = ports::TABLES.map(|table| format!("/proc/{table}"));
            let command: Vec<String> = std::iter::once("cat".to_owned()).chain(paths).collect();
            // A kernel without IPv6 lacks a table, which is no reason to do without the other.
            self.client.exec(&command, EXEC_WITHIN).map(|answer| answer.stdout)
        })?;
        Some(ports::listening(&tables))
    }
}

/// The end of what was written to the log from `start` on.
fn read_from(log: &Path, start: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(start.max(end.saturating_sub(LONGEST_WORDS))))?;
        let mut bytes = Vec::new();
        file.take(LONGEST_WORDS).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}
