//! The life of a supervisor, from its lock to its last service.

use super::control;
use super::logs;
use super::note;
use super::protocol::PROTOCOL;
use super::question::Question;
use super::records::{self, Contact, Listens};
use super::service_manager::{ServiceManager, Shared};
use anyhow::{Context, Result, anyhow, bail};
use base::os;
use base::proc;
use base::socket;
use model::name::ServiceName;
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the processes are looked after: usually, and while somebody is likely to wait.
const TICK: Duration = Duration::from_millis(100);
const QUICK_TICK: Duration = Duration::from_millis(20);
/// After one look at all processes, so many times as long as it took is left to everything else: with hundreds of
/// services, each of which somebody waits for, it would otherwise be all that is done.
const LOOKING_SHARE: u32 = 4;
/// How often the files are looked after.
const FILES_EVERY: Duration = Duration::from_secs(2);

/// Somebody who looks whether a supervisor runs has the lock for a moment, see [`records::is_held`].
const LOCK_WITHIN: Duration = Duration::from_millis(200);

/// Runs the supervisor of `state_dir` until it is told to end or its folder is gone. `program` is this binary.
///
/// To be called first in the process: it closes all descriptors that were inherited.
///
/// # Errors
/// When another supervisor runs for this folder, or the folder cannot be used.
pub fn run(state_dir: &Path, program: &Path) -> Result<()> {
    proc::close_inherited();
    // A terminal's hang-up and Ctrl-C are for the command that started us. It fails only when it is so already.
    let _ = nix::unistd::setsid();
    let signals = Signals::install()?;
    let lock = lock(state_dir)?;
    records::end_recorded(state_dir);

    let (listener, folder) = socket::listen().context("listen on a socket")?;
    let process = os::identity(std::process::id()).ok_or_else(|| anyhow!("the system does not list this process"))?;
    // What nobody guesses.
    let token: Arc<str> = base::random::hex::<32>()?.into();
    let contact = Contact { protocol: PROTOCOL, process, listens: Listens::Socket(folder), token: token.to_string() };
    let shared = Arc::new(Shared::new(ServiceManager::new(state_dir.to_owned(), program.to_owned())));
    shared.with(ServiceManager::tend);
    listen(listener, &token, &shared)?;
    contact.write(state_dir)?;
    note(&format!("supervisor {} of `{}` listens", contact.process.pid, state_dir.display()));

    let mut files = Files { state_dir, lock: &lock, contact };
    watch(&shared, &signals, &mut files);
    note("supervisor ends");
    files.remove_socket();
    // It names a process that is about to be gone, so it is harmless should it stay.
    let _ = std::fs::remove_file(records::contact_file(state_dir));
    Ok(())
}

fn listen(listener: UnixListener, token: &Arc<str>, shared: &Arc<Shared>) -> std::io::Result<()> {
    let (token, shared) = (Arc::clone(token), Arc::clone(shared));
    std::thread::Builder::new().spawn(move || control::serve(&listener, &token, &shared)).map(drop)
}

fn watch(shared: &Arc<Shared>, signals: &Signals, files: &mut Files<'_>) {
    let mut files_due = Instant::now() + FILES_EVERY;
    loop {
        let started = Instant::now();
        let (questions, moving) = shared.look(|manager, now| {
            manager.tend(now);
            (manager.questions(now), manager.is_moving())
        });
        for (service, question) in questions {
            ask(shared, service, question);
        }
        let (over, closing) = {
            let manager = shared.lock();
            (manager.over, manager.is_closing())
        };
        if over {
            return;
        }
        let took = started.elapsed();
        let mut told_to_end = signals.told_to_end();
        if Instant::now() >= files_due {
            files_due = Instant::now() + FILES_EVERY;
            let log_files = shared.lock().logs();
            files.bound(&log_files);
            told_to_end |= files.are_gone();
            files.keep_contact(shared);
            shared.lock().check_records();
        }
        if told_to_end && !closing {
            end(shared);
        }
        // Whatever changes meanwhile ends the wait that follows at once.
        std::thread::sleep((took * LOOKING_SHARE).min(TICK));
        shared.wait(if moving { QUICK_TICK } else { TICK });
    }
}

/// Probes may take a second each, and are asked beside the loop.
fn ask(shared: &Arc<Shared>, service: ServiceName, question: Question) {
    let (number, name, other) = (question.number, service.clone(), Arc::clone(shared));
    let thread = std::thread::Builder::new().spawn(move || {
        let answer = question.ask();
        // Nobody is woken for it: what follows from most answers is nothing, and the loop comes round soon.
        match answer {
            Some(answer) => other.lock().learn(&service, answer, Instant::now()),
            None => other.lock().unasked(&service, number),
        }
        other.renew(&service);
    });
    if thread.is_err() {
        shared.with(|manager, _| manager.unasked(&name, number));
    }
}

fn end(shared: &Arc<Shared>) {
    // Here and not in the thread, so that it is not started twice.
    shared.with(|manager, _| manager.close(Vec::new()));
    let other = Arc::clone(shared);
    let thread = std::thread::Builder::new().spawn(move || {
        other.shut_down(Vec::new());
        other.with(|manager, _| manager.over = true);
    });
    if let Err(error) = thread {
        note(&format!("cannot end the services in order: {error}"));
        shared.with(|manager, _| manager.over = true);
    }
}

/// The signals that mean the end. A hang-up means nothing to a process without a terminal.
struct Signals {
    end: Arc<AtomicBool>,
}

impl Signals {
    fn install() -> Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&end)).context("install the signal handlers")?;
        }
        // Ignoring it would be inherited by the services, and so would holding it back as whoever started us did.
        signal_hook::flag::register(SIGHUP, Arc::default()).context("install the signal handlers")?;
        SigSet::from(Signal::SIGHUP).thread_unblock().context("take signals")?;
        Ok(Self { end })
    }

    fn told_to_end(&self) -> bool {
        self.end.load(Ordering::SeqCst)
    }
}

/// The files that a supervisor looks after, and its claim on their folder.
struct Files<'a> {
    state_dir: &'a Path,
    lock: &'a File,
    contact: Contact,
}

impl Files<'_> {
    fn bound(&self, service_logs: &[std::path::PathBuf]) {
        let own = records::log_file(self.state_dir);
        for log in service_logs.iter().chain([&own]) {
            if let Err(error) = logs::bound(log, logs::LARGEST) {
                note(&format!("cannot cut `{}`: {error}", log.display()));
            }
        }
    }

    /// Without its contact nobody could reach this supervisor, and nobody could take its place either.
    fn keep_contact(&mut self, shared: &Arc<Shared>) {
        if let Listens::Socket(folder) = &self.contact.listens
            && !socket::is_ours(folder)
        {
            self.listen_again(shared).unwrap_or_else(|error| note(&format!("cannot listen again: {error}")));
        }
        if Contact::read(self.state_dir).as_ref() != Some(&self.contact) {
            // Tried again the next time; a folder that is gone is not made again.
            let _ = self.contact.write(self.state_dir);
        }
    }

    fn listen_again(&mut self, shared: &Arc<Shared>) -> std::io::Result<()> {
        self.remove_socket();
        let (listener, folder) = socket::listen()?;
        listen(listener, &Arc::from(self.contact.token.as_str()), shared)?;
        self.contact.listens = Listens::Socket(folder);
        Ok(())
    }

    fn remove_socket(&self) {
        if let Listens::Socket(folder) = &self.contact.listens {
            socket::remove(folder);
        }
    }

    /// Whether the folder was removed, or replaced by another: nobody could reach this supervisor or its services.
    fn are_gone(&self) -> bool {
        let Ok(ours) = self.lock.metadata() else { return false };
        match std::fs::metadata(records::lock_file(self.state_dir)) {
            Ok(there) => (there.dev(), there.ino()) != (ours.dev(), ours.ino()),
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

fn lock(state_dir: &Path) -> Result<File> {
    let path = records::lock_file(state_dir);
    let open = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let file = open.with_context(|| format!("open `{}`", path.display()))?;
    let deadline = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(QUICK_TICK),
            Err(TryLockError::WouldBlock) => bail!("a supervisor of `{}` runs already", state_dir.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("lock `{}`", path.display())),
        }
    }
}
