//! A state folder of its own for each test, with nothing left of it or its processes afterwards.

use crate::fixture;
pub(crate) use crate::program::program;
use base::os;
use model::name::ServiceName;
use model::system::Probe;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use supervisor::{Client, InstanceStatus, LaunchSpec, LaunchStrategy, ServiceStatus, State};

/// Long enough for a busy machine; no passing test waits for it.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for a condition and returns what it found.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) struct Scratch {
    pub(crate) dir: PathBuf,
    listen: SocketAddr,
}

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir, listen: free_address() }
    }

    /// What marks all processes of this test.
    pub(crate) fn marks(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("SLIPWAY_STATE".to_owned(), self.dir.to_string_lossy().into_owned())])
    }

    pub(crate) fn processes(&self) -> Vec<os::Process> {
        os::processes_with_env("SLIPWAY_STATE", &self.dir.to_string_lossy())
    }

    pub(crate) fn supervisor(&self) -> Client {
        self.ensure().client
    }

    pub(crate) fn ensure(&self) -> supervisor::Ensured {
        supervisor::ensure(&self.dir, program(), &self.marks()).unwrap()
    }

    /// A version of the service, with handover and quick probes.
    pub(crate) fn spec(&self, version: &str) -> LaunchSpec {
        let mut env = self.marks();
        env.insert("FIXTURE_VERSION".to_owned(), version.to_owned());
        env.insert("FIXTURE_DIR".to_owned(), self.dir.to_string_lossy().into_owned());
        env.insert("FIXTURE_LISTEN".to_owned(), self.listen.to_string());
        LaunchSpec {
            service: service(),
            release: version.to_owned(),
            program: std::env::current_exe().unwrap(),
            args: fixture::ARGS.map(str::to_owned).to_vec(),
            dir: self.dir.clone(),
            env,
            log: self.log(),
            listen: self.listen,
            style: LaunchStrategy::Handover,
            ready: Probe::Http { path: "/readyz".to_owned() },
            live: Probe::Http { path: "/livez".to_owned() },
            ready_within: Duration::from_secs(20),
            stop_within: Duration::from_secs(10),
            probe_every: Duration::from_millis(50),
            promote_within: LaunchSpec::PROMOTE_WITHIN,
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("logs").join("fixture.log")
    }

    pub(crate) fn log_lines(&self) -> Vec<String> {
        std::fs::read_to_string(self.log()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Tells a version of the fixture how to behave.
    pub(crate) fn tell(&self, version: &str, what: &str) {
        std::fs::write(self.dir.join(format!("{version}.{what}")), "").unwrap();
    }

    pub(crate) fn untell(&self, version: &str, what: &str) {
        std::fs::remove_file(self.dir.join(format!("{version}.{what}"))).unwrap();
    }

    /// Starts a version and makes it the current one.
    pub(crate) fn deploy(&self, client: &Client, spec: &LaunchSpec) -> u64 {
        let number = client.start(spec).unwrap();
        await_candidate(client, State::Ready);
        client.promote(&spec.service, number).unwrap();
        number
    }

    /// Kills the supervisor, not before its records name what serves: a slow disk may have them written later.
    pub(crate) fn kill(&self, client: &Client) {
        let serves = status(client).current.unwrap().pid.unwrap();
        eventually("the records name what serves", || {
            let records = std::fs::read_to_string(self.dir.join("services.json")).ok()?;
            let records: serde_json::Value = serde_json::from_str(&records).ok()?;
            records["services"].as_array()?.iter().find(|record| record["process"]["pid"] == serves).map(drop)
        });
        os::signal(client.process(), Signal::SIGKILL);
        assert!(os::wait_gone(client.process(), Instant::now() + Duration::from_secs(10)));
    }

    /// What the service answers.
    pub(crate) fn get(&self) -> std::io::Result<String> {
        self.get_path("/")
    }

    pub(crate) fn get_path(&self, path: &str) -> std::io::Result<String> {
        get(self.listen, path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        eventually("the test's processes end", || {
            // What stands for an engine's client is not known as the supervisor's.
            let given = os::processes_with_env("FAKE_DIR", &self.dir.to_string_lossy());
            let left: Vec<_> = self.processes().into_iter().chain(given).collect();
            left.iter().for_each(|process| os::signal(&process.id, Signal::SIGKILL));
            left.is_empty().then_some(())
        });
        // The socket of one that was killed goes, too.
        supervisor::end_orphans(&self.dir);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// An address that nothing else takes meanwhile: below the ports that systems give out by themselves, and another one
/// for every call.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let ours = u16::try_from(std::process::id() % 500).unwrap() * 20;
    eventually("a free port", || {
        let port = 20_000 + ours + NEXT.fetch_add(1, Ordering::SeqCst) % 2_000;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?.local_addr().ok()
    })
}

pub(crate) fn service() -> ServiceName {
    "fixture".parse().unwrap()
}

pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| std::io::Error::other(format!("`{answer}` is not an answer")))
}

/// The only service there is.
pub(crate) fn status(client: &Client) -> ServiceStatus {
    let all = client.status().unwrap();
    all.into_iter().next().unwrap_or(ServiceStatus { service: service(), current: None, candidate: None })
}

pub(crate) fn await_candidate(client: &Client, state: State) -> InstanceStatus {
    await_that(client, state.as_str(), |status| status.candidate.clone().filter(|candidate| candidate.state == state))
}

pub(crate) fn await_current(client: &Client, is_so: impl Fn(&InstanceStatus) -> bool) -> InstanceStatus {
    await_that(client, "the current instance", |status| status.current.clone().filter(&is_so))
}

/// Waits for something in the status; a wait in vain shows the last one.
pub(crate) fn await_that<T: Debug>(client: &Client, what: &str, look: impl Fn(&ServiceStatus) -> Option<T>) -> T {
    let mut last = None;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(what, || {
            let status = status(client);
            let found = look(&status);
            last = Some(status);
            found
        })
    }));
    found.unwrap_or_else(|_| panic!("waited in vain for {what}: {last:#?}"))
}
