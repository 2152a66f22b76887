//! What differs between Linux and macOS, decided here alone: who a process is, what it listens on, what it was
//! started with.
//!
//! Everything is asked of the system at the moment of the call and nothing is remembered. On Linux the answers come
//! from `/proc`, on macOS from `ps`, `sysctl` and `lsof`, which every installation has.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
// The parsers of what macOS prints are tested everywhere.
#[cfg(any(test, target_os = "macos"))]
mod macos;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(target_os = "macos")]
mod question;

use nix::sys::signal::{Signal, kill, killpg};
use nix::time::ClockId;
use nix::unistd::{Pid, Uid, User, geteuid};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a wait for the end of a process looks again.
const POLL: Duration = Duration::from_millis(20);

/// A process that is never mistaken for another: not after its number was given out again, not after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    pub pid: u32,
    /// The boot it was started in and when it was started, in the system's own words; only ever compared.
    started: String,
}

impl ProcessId {
    pub fn to_json(&self) -> Value {
        json!({"pid": self.pid, "started": self.started})
    }

    /// `None` when the value was not made by [`ProcessId::to_json`].
    pub fn from_json(value: &Value) -> Option<Self> {
        let pid = u32::try_from(value["pid"].as_u64()?).ok()?;
        Some(Self { pid, started: value["started"].as_str()?.to_owned() })
    }
}

/// A line of the system's process table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: ProcessId,
    parent: u32,
    group: u32,
    /// Ended, and only kept until its parent has asked how.
    zombie: bool,
    suspended: bool,
}

/// Who the process with this number is; `None` when there is none.
pub fn identity(pid: u32) -> Option<ProcessId> {
    platform::process(pid).map(|row| row.id)
}

/// Whether exactly this process still runs. One that has ended and waits for its parent does not.
pub fn is_alive(id: &ProcessId) -> bool {
    platform::process(id.pid).is_some_and(|row| !row.zombie && row.id == *id)
}

/// Sends a signal to exactly this process. One that has ended meanwhile needs none.
pub fn signal(id: &ProcessId, signal: Signal) {
    if let Some(pid) = raw(id).filter(|_| is_alive(id)) {
        let _ = kill(pid, signal);
    }
}

/// Sends a signal to the process group that exactly this process leads, if it still lives.
pub fn signal_group(id: &ProcessId, signal: Signal) {
    let leads = |row: &Row| row.id == *id && row.group == id.pid;
    if let Some(pid) = raw(id).filter(|_| platform::process(id.pid).is_some_and(|row| leads(&row))) {
        let _ = killpg(pid, signal);
    }
}

/// Waits until exactly this process has ended; `false` when it still runs at `deadline`.
pub fn wait_gone(id: &ProcessId, deadline: Instant) -> bool {
    while is_alive(id) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(POLL.min(left));
    }
    true
}

/// The clock that goes on while the machine sleeps, and is never set. On macOS that is what `CLOCK_MONOTONIC` does.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// How long this has been going on, by a clock that only ever goes forward and also counts what was slept through. Its
/// beginning means nothing.
pub fn uptime() -> Duration {
    // Every system that this runs on has the clock.
    nix::time::clock_gettime(CLOCK).map(Duration::from).unwrap_or_default()
}

/// Whether exactly this process was stopped (SIGSTOP, Ctrl-Z) and waits to be told to go on.
pub fn is_suspended(id: &ProcessId) -> bool {
    platform::process(id.pid).is_some_and(|row| row.suspended && row.id == *id)
}

/// Whether a signal is ignored here since this process was started so, as `nohup` does. Where the system does not say, no.
pub fn is_ignored(signal: Signal) -> bool {
    platform::ignored().is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

/// The live processes of these process groups.
pub fn members_of(groups: &BTreeSet<u32>) -> Vec<ProcessId> {
    let member = |row: &Row| groups.contains(&row.group) && !row.zombie;
    platform::processes().into_iter().filter(member).map(|row| row.id).collect()
}

/// The numbers of these processes and of all their descendants.
pub fn families_of(pids: &BTreeSet<u32>) -> BTreeSet<u32> {
    with_descendants(pids.clone(), &platform::processes())
}

fn raw(id: &ProcessId) -> Option<Pid> {
    i32::try_from(id.pid).ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

/// Who listens on a port. What another user's processes are is not always ours to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: Option<u32>,
    /// The command line, or the program's name where the system tells no more.
    pub command: Option<String>,
    pub user: Option<String>,
}

impl Holder {
    /// The container that the port is published for, where the process is the one by which podman watches over it.
    pub fn container(&self) -> Option<&str> {
        let mut words = self.command.as_deref()?.split_whitespace();
        let program = words.next()?;
        let is_monitor = program.rsplit('/').next() == Some("conmon");
        is_monitor.then(|| words.skip_while(|word| *word != "-n").nth(1)).flatten()
    }
}

/// "`redis-server *:6379` (process 4711 of alice)"
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_deref().map(|user| format!(" of {user}")).unwrap_or_default();
        if let Some(container) = self.container() {
            return write!(f, "the container `{container}`{user}");
        }
        match (self.pid, &self.command) {
            (Some(pid), Some(command)) => {
                // It is somebody else's, and may have a password among its arguments.
                write!(f, "`{}` (process {pid}{user})", shortened(&crate::redact::foreign(command)))
            }
            (Some(pid), None) => write!(f, "process {pid}{user}"),
            (None, _) => write!(f, "a process{user}"),
        }
    }
}

/// As much of a command line as tells which program it is.
fn shortened(command: &str) -> String {
    const LONGEST: usize = 80;
    match command.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", command[..at].trim_end()),
        None => command.to_owned(),
    }
}

/// Who listens on this TCP port, as far as this user may know: at this address, or else at any other of this machine.
pub fn port_holder(address: SocketAddr) -> Option<Holder> {
    platform::port_holder(address)
}

/// The TCP ports that a process or any of its descendants listens on.
pub fn listening_ports(pid: u32) -> BTreeSet<u16> {
    platform::ports_of(&families_of(&BTreeSet::from([pid])))
}

fn with_descendants(mut family: BTreeSet<u32>, table: &[Row]) -> BTreeSet<u32> {
    loop {
        let children = table.iter().filter(|row| family.contains(&row.parent)).map(|row| row.id.pid);
        let grown: BTreeSet<u32> = family.iter().copied().chain(children).collect();
        if grown.len() == family.len() {
            return family;
        }
        family = grown;
    }
}

/// Whether programs in a folder can be run: a file system may be mounted so that none can.
pub fn runs_programs(folder: &Path) -> bool {
    platform::runs_programs(folder)
}

/// Whether this process may change whatever it likes.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The name of the user that a file or folder belongs to, where that is somebody else.
pub fn foreign_owner(path: &Path) -> Option<String> {
    let uid = std::fs::symlink_metadata(path).ok()?.uid();
    (uid != geteuid().as_raw()).then(|| {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        user.map_or_else(|| format!("user {uid}"), |user| user.name)
    })
}

/// A process and its command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: ProcessId,
    pub command: String,
}

/// The live processes of this user, other than this one, that were started with this environment variable.
pub fn processes_with_env(name: &str, value: &str) -> Vec<Process> {
    platform::processes_with_env(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn row(pid: u32, parent: u32) -> Row {
        Row { id: ProcessId { pid, started: "boot:1".to_owned() }, parent, group: pid, zombie: false, suspended: false }
    }

    #[test]
    fn an_identity_survives_a_file() {
        let id = identity(std::process::id()).unwrap();
        assert_eq!(ProcessId::from_json(&id.to_json()), Some(id.clone()));
        assert!(is_alive(&id));
    }

    #[test]
    fn another_start_or_boot_is_another_process() {
        let mut id = identity(std::process::id()).unwrap();
        id.started.push('0');
        assert!(!is_alive(&id));
        assert!(wait_gone(&id, Instant::now()));
    }

    #[test]
    fn what_is_not_an_identity_is_none() {
        for value in
            [json!(null), json!({"pid": 1}), json!({"pid": -1, "started": "x"}), json!({"pid": 1, "started": 2})]
        {
            assert_eq!(ProcessId::from_json(&value), None, "{value}");
        }
    }

    #[test]
    fn a_family_is_found_in_any_order() {
        let table = [row(30, 20), row(20, 10), row(10, 1), row(40, 1), row(31, 30)];
        assert_eq!(with_descendants(BTreeSet::from([10]), &table), BTreeSet::from([10, 20, 30, 31]));
    }

    #[test]
    fn the_clock_goes_forward() {
        let before = uptime();
        assert!(before > Duration::ZERO && uptime() >= before);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test starts the program that it is about")]
    fn a_stopped_process_is_told_from_one_that_runs() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = identity(child.id()).unwrap();
        assert!(!is_suspended(&id));
        signal(&id, Signal::SIGSTOP);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_suspended(&id) {
            assert!(Instant::now() < deadline);
            std::thread::sleep(POLL);
        }
        assert!(is_alive(&id));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_suspended(&id));
    }

    #[test]
    fn our_own_socket_is_found_with_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = listener.local_addr().unwrap();
        let holder = port_holder(address).unwrap();
        assert_eq!(holder.pid, Some(std::process::id()));
        let own = std::env::args().next().unwrap();
        assert!(holder.command.is_some_and(|command| command.contains(&own)));
        assert!(holder.user.is_some());
        assert!(listening_ports(std::process::id()).contains(&port));
        drop(listener);
        assert_eq!(port_holder(address), None);
    }

    #[test]
    fn a_holder_reads_as_a_sentence_part() {
        let holder = |pid, command: Option<&str>| Holder {
            pid,
            command: command.map(str::to_owned),
            user: Some("alice".to_owned()),
        };
        assert_eq!(holder(Some(7), Some("nc -l 80")).to_string(), "`nc -l 80` (process 7 of alice)");
        assert_eq!(holder(None, None).to_string(), "a process of alice");
        let long = holder(Some(7), Some(&format!("java {}", "-Dx ".repeat(100)))).to_string();
        assert!(long.len() < 120 && long.ends_with("…` (process 7 of alice)"), "{long}");
        let monitor = "/usr/bin/conmon --api-version 1 -c 3f9 -u 3f9 -r /usr/bin/crun -n shop-db --exit-dir /run/exits";
        assert_eq!(holder(Some(7), Some(monitor)).to_string(), "the container `shop-db` of alice");
        assert_eq!(holder(Some(7), Some("conmon -c 3f9")).to_string(), "`conmon -c 3f9` (process 7 of alice)");
    }
}
