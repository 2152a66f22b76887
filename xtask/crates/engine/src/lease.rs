//! One at a time: the lease on an environment of this machine.
//!
//! The kernel's file lock decides, since it ends with its owner however that dies. The document beside it says who
//! holds the lease since when, and names the programs that run for its owner, so that the next run can wait for those
//! that a killed one has left behind.

mod holder;

pub use self::holder::{Claim, describe, name, owner, timestamp};

use self::holder::is_suspended;
use crate::home::Home;
use crate::journal::Journal;
use anyhow::{Context, Result};
use base::error::Fault;
use base::files;
use base::os;
use base::os::ProcessId;
use base::proc::{Child, Children};
use base::signal::Interrupts;
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

/// How long a dead owner's tools are waited for.
#[derive(Debug, Clone, Copy)]
struct OrphanGrace {
    /// Until one is asked to stop; a build's compiler ends well within it.
    finish: Duration,
    /// From then until it is killed, and from then until it is given up.
    stop: Duration,
}

const ORPHAN_GRACE: OrphanGrace = OrphanGrace { finish: Duration::from_secs(60), stop: Duration::from_secs(10) };

/// How often they are looked for.
const ORPHAN_POLL: Duration = Duration::from_millis(50);

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
        Self::take_with(ORPHAN_GRACE, home, claim, children, interrupts, journal)
    }

    fn take_with(
        grace: OrphanGrace,
        home: &Home,
        claim: &Claim<'_>,
        children: &Children,
        interrupts: &Interrupts,
        journal: &Journal,
    ) -> Result<Self> {
        let lock = lock(&home.lease_lock(), || held(home))?;
        // The lock is ours, so that what stands there does not decide anything but whom to wait for.
        let left = files::read_json(&home.lease()).unwrap_or_else(|error| {
            journal.note(format!("cannot tell what an earlier run left running: {error:#}"));
            None
        });
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
            journal.note(format!("taking over from {}, which ended without releasing the lease", describe(&left)));
            lease.outlast_orphans(grace, interrupts, journal)?;
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
    fn outlast_orphans(&self, grace: OrphanGrace, interrupts: &Interrupts, journal: &Journal) -> Result<()> {
        let mut left = self.document.lock().unwrap_or_else(PoisonError::into_inner).children.clone();
        for (signal, what, budget) in [
            (None, "may finish", grace.finish),
            (Some(Signal::SIGTERM), "took too long and was asked to end", grace.stop),
            (Some(Signal::SIGKILL), "was killed", grace.stop),
        ] {
            left.retain(|child| os::is_alive(&child.id));
            if left.is_empty() {
                break;
            }
            if let Some(signal) = signal {
                left.iter().for_each(|child| os::signal(&child.id, signal));
            }
            journal.note(format!("its {} {what}; waiting up to {} s", names(&left), budget.as_secs_f64()));
            let deadline = Instant::now() + budget;
            while left.iter().any(|child| os::is_alive(&child.id)) && Instant::now() < deadline {
                if interrupts.pause(ORPHAN_POLL) {
                    return Err(Fault::interrupted(interrupts.first().unwrap_or_default()).into());
                }
            }
        }
        left.retain(|child| os::is_alive(&child.id));
        if !left.is_empty() {
            let cause = format!("{} of a killed run does not end", names(&left));
            return Err(Fault::could_not_run("orphan-survives", cause).into());
        }
        self.document.lock().unwrap_or_else(PoisonError::into_inner).children.clear();
        write(&self.document)
    }
}

/// "`cargo` (4711), `terraform` (4712)"
fn names(children: &[Child]) -> String {
    let names: Vec<_> = children.iter().map(|child| format!("`{}` ({})", child.program, child.id.pid)).collect();
    names.join(", ")
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.children.stop_observing();
        self.stop.take();
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
        let document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        // Tools that a killed run has left, and that outlasted the grace, must be known to the next run, too.
        if document.children.is_empty() {
            // The document goes before the lock, so that nobody finds a lease whose owner gave it back.
            let _ = std::fs::remove_file(&document.path);
        }
        let _ = self.lock.unlock();
    }
}

/// Locks the file, making sure that it is still the one under that name: a teardown removes it while holding it.
fn lock(path: &Path, held: impl Fn() -> Fault) -> Result<File> {
    if let Some(folder) = path.parent() {
        base::files::make_folder(folder).with_context(|| format!("make `{}`", folder.display()))?;
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
            base::files::make_folder(folder)?;
        }
    }
}

fn held(home: &Home) -> Fault {
    let document = files::read_json(&home.lease()).ok().flatten();
    let (who, hint) = match &document {
        Some(document) if is_suspended(document) => (
            format!("{}, which is suspended", describe(document)),
            format!("`kill -CONT {0}` lets it go on, `kill -KILL {0}` ends it", document["pid"]),
        ),
        Some(document) => (describe(document), format!("wait for it, or stop it with `kill {}`", document["pid"])),
        None => ("another run that is just starting".to_owned(), "try again in a moment".to_owned()),
    };
    let name = home.dir().file_name().unwrap_or_default().to_string_lossy().into_owned();
    Fault::could_not_run("lease-held", format!("environment `{name}` is held by {who}")).hint(hint)
}

fn write(document: &Mutex<Document>) -> Result<()> {
    let document = document.lock().unwrap_or_else(PoisonError::into_inner);
    let child = |child: &Child| json!({"program": child.program, "id": child.id.to_json()});
    let now = SystemTime::now();
    let mut value = document.owner.clone();
    value["heartbeat"] = json!(timestamp(now));
    value["expires"] = json!(timestamp(now + HEARTBEAT * 4));
    value["children"] = document.children.iter().map(child).collect();
    files::write_json(&document.path, &value)
}

fn orphans(document: &Value) -> Vec<Child> {
    let child = |child: &Value| {
        let id = ProcessId::from_json(&child["id"])?;
        Some(Child { id, program: child["program"].as_str()?.to_owned() })
    };
    document["children"].as_array().map(|list| list.iter().filter_map(child).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// A scratch home, gone with the test.
    struct Scratch(Home, std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("xtask-lease-{name}-{}", std::process::id()));
            Self(Home::new(&root, &name.parse().unwrap()), root)
        }

        fn take(&self, grace: OrphanGrace) -> (Result<Lease>, Vec<String>) {
            let journal = Journal::open(None, "deploy", "test", crate::journal::nobody()).unwrap();
            let claim = Claim { who: "me@here".to_owned(), command: "deploy", run: "r" };
            let (children, interrupts) = (Children::default(), Interrupts::default());
            let lease = Lease::take_with(grace, &self.0, &claim, &children, &interrupts, &journal);
            let notes = journal.events().into_iter().filter_map(|event| match event {
                crate::journal::Event::Note { text } => Some(text),
                _ => None,
            });
            (lease, notes.collect())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.1);
        }
    }

    const SHORT_GRACE: OrphanGrace =
        OrphanGrace { finish: Duration::from_millis(100), stop: Duration::from_millis(300) };

    /// A tool that ignores SIGTERM or does not, left behind by a run that is gone. It ends with its standard input.
    #[expect(clippy::disallowed_methods, reason = "a test starts the program that it is about")]
    fn orphan(scratch: &Scratch, on_term: &str) -> std::process::Child {
        let script = format!("trap {on_term} TERM; echo ready; while read line; do :; done");
        let mut command = Command::new("sh");
        let mut tool = command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(tool.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let id = os::identity(tool.id()).unwrap();
        let children = json!([{"program": "terraform", "id": id.to_json()}]);
        let owner = json!({"who": "you@there", "pid": 7, "command": "deploy", "children": children});
        files::write_json(&scratch.0.lease(), &owner).unwrap();
        tool
    }

    fn ended_by(tool: &mut std::process::Child) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        tool.try_wait().unwrap().and_then(|status| status.signal())
    }

    #[test]
    fn a_tool_that_takes_too_long_is_asked_to_end() {
        let scratch = Scratch::new("asked");
        let mut tool = orphan(&scratch, "-");
        let (lease, notes) = scratch.take(SHORT_GRACE);
        assert_eq!(ended_by(&mut tool), Some(15), "{notes:?}");
        assert!(notes[0].starts_with("taking over from you@there (process 7, `cargo xtask deploy`)"), "{notes:?}");
        assert!(notes[1].contains("`terraform`") && notes[1].contains("waiting up to 0.1 s"), "{notes:?}");
        drop(lease.unwrap());
        assert!(!scratch.0.lease().exists());
    }

    #[test]
    fn a_tool_that_does_not_listen_is_killed() {
        let scratch = Scratch::new("deaf");
        let mut tool = orphan(&scratch, "''");
        let (lease, notes) = scratch.take(SHORT_GRACE);
        assert!(lease.is_ok());
        assert_eq!(ended_by(&mut tool), Some(9), "{notes:?}");
        assert!(notes.last().unwrap().contains("was killed"), "{notes:?}");
    }

    #[test]
    fn a_lease_that_cannot_be_read_is_replaced() {
        let scratch = Scratch::new("garbage");
        for garbage in ["", "{", "no lease", "[]", "null", "{\"children\": 3}"] {
            files::write_private(&scratch.0.lease(), garbage.as_bytes()).unwrap();
            let (lease, notes) = scratch.take(SHORT_GRACE);
            drop(lease.unwrap());
            assert_eq!(notes.len(), 1, "{garbage}: {notes:?}");
        }
        assert!(scratch.take(SHORT_GRACE).1.is_empty());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test starts the program that it is about")]
    fn an_owner_that_was_stopped_is_named_with_what_lets_it_go_on() {
        let scratch = Scratch::new("stopped");
        let mut owner = Command::new("sleep").arg("60").spawn().unwrap();
        let id = os::identity(owner.id()).unwrap();
        os::signal(&id, Signal::SIGSTOP);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !os::is_suspended(&id) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        files::write_json(&scratch.0.lease(), &json!({"who": "me@here", "pid": owner.id(), "command": "deploy"}))
            .unwrap();
        let fault = held(&scratch.0);
        owner.kill().unwrap();
        owner.wait().unwrap();
        assert!(fault.cause.ends_with(", which is suspended"), "{}", fault.cause);
        assert!(fault.hint.unwrap().starts_with(&format!("`kill -CONT {}` lets it go on", id.pid)));
    }

    #[test]
    fn a_live_owner_is_named() {
        let scratch = Scratch::new("held");
        let (lease, _) = scratch.take(SHORT_GRACE);
        let (refused, _) = scratch.take(SHORT_GRACE);
        let fault = Fault::of(&refused.err().unwrap());
        assert_eq!(fault.code, "lease-held");
        assert!(fault.cause.starts_with("environment `held` is held by me@here (process "), "{}", fault.cause);
        drop(lease);
        assert!(scratch.take(SHORT_GRACE).0.is_ok());
    }
}
