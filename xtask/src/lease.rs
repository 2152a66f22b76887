//! One at a time: the lease on an environment of this machine.
//!
//! The kernel's file lock decides, since it ends with its owner however that dies. The document beside it says who
//! holds the lease since when, and names the programs that run for its owner, so that the next run can wait for those
//! that a killed one has left behind.

use crate::error::Fault;
use crate::home::{self, Home};
use crate::journal::Journal;
use crate::os::{self, ProcessId};
use crate::proc::{Child, Children};
use crate::signal::Interrupts;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// How often the owner says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// How long a dead owner's tool may go on before it is asked to stop; a build's compiler ends well within it.
const ORPHAN_BUDGET: Duration = Duration::from_secs(60);
/// How long it then has until it is killed.
const ORPHAN_GRACE: Duration = Duration::from_secs(10);

/// The right to change an environment, held until it is dropped.
pub struct Lease {
    // Closing the file gives the lock back.
    lock: File,
    document: Arc<Mutex<Document>>,
    children: Children,
    stop: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
}

struct Document {
    path: std::path::PathBuf,
    owner: Value,
    children: Vec<Child>,
}

/// Who takes the lease, and for what.
pub struct Claim<'a> {
    pub who: String,
    /// As the user typed it: "deploy".
    pub command: &'a str,
    pub run: &'a str,
}

impl Lease {
    /// Takes the lease, or says who holds it. A dead owner's lease is taken over after its tools have ended.
    ///
    /// # Errors
    /// When a live owner holds it, the wait for a dead owner's tools is interrupted, or the file system refuses.
    pub fn take(
        home: &Home,
        claim: &Claim<'_>,
        children: &Children,
        interrupts: &Interrupts,
        journal: &Journal,
    ) -> Result<Self> {
        let lock = lock(&home.lease_lock(), || held(home))?;
        let left = home::read_json(&home.lease())?;
        let document = Arc::new(Mutex::new(Document {
            path: home.lease(),
            owner: owner(claim),
            // Until they have ended, they are ours to answer for: were we killed too, the next run must know them.
            children: left.as_ref().map(orphans).unwrap_or_default(),
        }));
        write(&document)?;
        let mut lease = Self { lock, document, children: children.clone(), stop: None, heart: None };
        lease.start_heartbeat();
        if let Some(left) = left {
            journal.note(format!("taking over from {}, which ended without giving the lease back", describe(&left)));
            lease.outlast_orphans(interrupts, journal)?;
        }
        let document = Arc::clone(&lease.document);
        children.observe(move |list| {
            document.lock().unwrap_or_else(PoisonError::into_inner).children = list.to_vec();
            // The list is for a case that may never come; the tool it names must run regardless.
            let _ = write(&document);
        });
        Ok(lease)
    }

    fn start_heartbeat(&mut self) {
        let (stop, stopped) = channel();
        let document = Arc::clone(&self.document);
        self.heart = Some(std::thread::spawn(move || {
            while matches!(stopped.recv_timeout(HEARTBEAT), Err(RecvTimeoutError::Timeout)) {
                let _ = write(&document);
            }
        }));
        self.stop = Some(stop);
    }

    /// Waits for the tools of a killed run and ends those that take too long.
    fn outlast_orphans(&self, interrupts: &Interrupts, journal: &Journal) -> Result<()> {
        let orphans = self.document.lock().unwrap_or_else(PoisonError::into_inner).children.clone();
        let alive = |orphans: &[Child]| -> Vec<Child> {
            orphans.iter().filter(|child| os::is_alive(&child.id)).cloned().collect()
        };
        for (budget, signal) in
            [(ORPHAN_BUDGET, Some(Signal::SIGTERM)), (ORPHAN_GRACE, Some(Signal::SIGKILL)), (ORPHAN_GRACE, None)]
        {
            let deadline = Instant::now() + budget;
            let mut left = alive(&orphans);
            if left.is_empty() {
                break;
            }
            let names: Vec<_> = left.iter().map(|child| format!("`{}` ({})", child.program, child.id.pid)).collect();
            journal.note(format!("waiting up to {} s for its {}", budget.as_secs(), names.join(", ")));
            while !left.is_empty() && Instant::now() < deadline {
                if interrupts.pause(Duration::from_millis(100)) {
                    return Err(Fault::interrupted(interrupts.first().unwrap_or_default()).into());
                }
                left = alive(&left);
            }
            for child in &left {
                match signal {
                    Some(signal) => os::signal(&child.id, signal),
                    None => {
                        let cause = format!("`{}` ({}) of a killed run does not end", child.program, child.id.pid);
                        return Err(Fault::could_not_run("orphan-survives", cause).into());
                    }
                }
            }
        }
        self.document.lock().unwrap_or_else(PoisonError::into_inner).children.clear();
        write(&self.document)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.children.stop_observing();
        self.stop.take();
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
        // The document goes before the lock, so that nobody finds a lease whose owner gave it back.
        let _ = std::fs::remove_file(&self.document.lock().unwrap_or_else(PoisonError::into_inner).path);
        let _ = self.lock.unlock();
    }
}

/// Locks the file, making sure that it is still the one under that name: a teardown removes it while holding it.
fn lock(path: &Path, held: impl Fn() -> Fault) -> Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display()))?;
    }
    loop {
        let open = OpenOptions::new().append(true).create(true).open(path);
        let file = open.with_context(|| format!("open `{}`", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held().into()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock `{}`", path.display()));
            }
        }
        let ours = file.metadata()?;
        if std::fs::metadata(path).is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev()) {
            return Ok(file);
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
    }
}

fn held(home: &Home) -> Fault {
    let document = home::read_json(&home.lease()).ok().flatten();
    let (who, hint) = match &document {
        Some(document) => (describe(document), format!("wait for it, or stop it with `kill {}`", document["pid"])),
        None => ("another run that is just starting".to_owned(), "try again in a moment".to_owned()),
    };
    let name = home.dir().file_name().unwrap_or_default().to_string_lossy().into_owned();
    Fault::could_not_run("lease-held", format!("environment `{name}` is held by {who}")).hint(hint)
}

/// "alice@laptop (process 4711, `cargo xtask deploy`) since 2026-11-21T08:14:03Z"
fn describe(document: &Value) -> String {
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

fn owner(claim: &Claim<'_>) -> Value {
    json!({
        "schema": 1, "who": claim.who, "pid": std::process::id(), "command": claim.command, "run": claim.run,
        "since": timestamp(SystemTime::now()),
    })
}

fn write(document: &Mutex<Document>) -> Result<()> {
    let document = document.lock().unwrap_or_else(PoisonError::into_inner);
    let child = |child: &Child| json!({"program": child.program, "id": child.id.to_json()});
    let now = SystemTime::now();
    let mut value = document.owner.clone();
    value["heartbeat"] = json!(timestamp(now));
    value["expires"] = json!(timestamp(now + HEARTBEAT * 4));
    value["children"] = document.children.iter().map(child).collect();
    home::write_json(&document.path, &value)
}

fn orphans(document: &Value) -> Vec<Child> {
    let child = |child: &Value| {
        let id = ProcessId::from_json(&child["id"])?;
        Some(Child { id, program: child["program"].as_str()?.to_owned() })
    };
    document["children"].as_array().map(|list| list.iter().filter_map(child).collect()).unwrap_or_default()
}

/// UTC with seconds, as RFC 3339 writes it.
pub fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
