//! A deployment's place on a real engine, with names of its own and nothing left of it afterwards.

use base::proc::{Children, CommandLine, Proc};
use base::signal::Interrupts;
use model::container::{Cpu, EngineKind, Memory};
use shim::{Run, RunSpec};
use skip::Missing;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tools::oci::{Found, Labels, detect, lines, remove};

/// A public image with a shell.
pub(crate) const BUSYBOX: &str = "docker.io/library/busybox:1.37";
const KEY: &str = "slipway-test";
/// Long enough for a busy machine; no passing test waits for it.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn proc() -> Proc {
    Proc::new(Children::default(), Interrupts::default(), std::env::var_os("PATH").unwrap())
}

/// Waits for a condition and returns what it found.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that was free just now.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The engines here that have or can fetch the image of these tests, at least one.
pub(crate) fn engines() -> skip::Found<&'static [Found]> {
    static ENGINES: OnceLock<Vec<Found>> = OnceLock::new();
    let engines = ENGINES.get_or_init(|| {
        let answers = |kind| detect(&proc(), Some(kind)).ok().filter(|found| found.engine.kind == kind);
        let usable = |found: &Found| {
            found.facts.platform.is_some_and(|platform| {
                let here = found.engine.image(&proc(), BUSYBOX).is_ok_and(|image| image.is_some());
                here || proc().read(&found.engine.pull(BUSYBOX, platform)).is_ok()
            })
        };
        [EngineKind::Docker, EngineKind::Podman].into_iter().filter_map(answers).filter(usable).collect()
    });
    if engines.is_empty() {
        let reason = format!("no engine answers and has `{BUSYBOX}`");
        return Err(Missing::unless_required(reason, "XTASK_REQUIRE_ENGINE"));
    }
    Ok(engines)
}

/// Those of them that are such; a test of something that only some can do is skipped where none can.
pub(crate) fn engines_that(can: &str, such: impl Fn(&Found) -> bool) -> skip::Found<Vec<&'static Found>> {
    let engines: Vec<_> = engines()?.iter().filter(|found| such(found)).collect();
    if engines.is_empty() {
        return Err(Missing::new(format!("no engine here {can}")));
    }
    Ok(engines)
}

/// All that is made in here carries one label, by which it is removed.
pub(crate) struct Place {
    pub(crate) found: Found,
    pub(crate) proc: Proc,
    pub(crate) id: String,
}

impl Place {
    pub(crate) fn new(found: &Found, test: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("slipway-{test}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let place = Self { found: found.clone(), proc: proc(), id };
        place.network("net");
        place
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    pub(crate) fn labels(&self) -> Labels {
        Labels::from([(KEY.to_owned(), self.id.clone())])
    }

    pub(crate) fn label(&self) -> (&str, &str) {
        (KEY, &self.id)
    }

    pub(crate) fn network(&self, name: &str) -> String {
        self.create_network(name, false)
    }

    pub(crate) fn internal_network(&self, name: &str) -> String {
        self.create_network(name, true)
    }

    fn create_network(&self, name: &str, internal: bool) -> String {
        let name = self.name(name);
        self.run(&self.found.engine.network_create(&name, &self.labels(), internal));
        name
    }

    pub(crate) fn run(&self, command: &CommandLine) -> String {
        self.proc.read(command).unwrap_or_else(|error| panic!("{error:#}"))
    }

    pub(crate) fn list(&self, command: &CommandLine) -> Vec<String> {
        lines(&self.run(command))
    }

    /// A container that runs this script.
    pub(crate) fn spec(&self, script: &str) -> RunSpec {
        let image = self.found.engine.image(&self.proc, BUSYBOX).unwrap().unwrap();
        RunSpec {
            image: image.id,
            labels: self.labels(),
            networks: vec![self.name("net")],
            fixed: BTreeMap::new(),
            aliases: Vec::new(),
            hosts: BTreeMap::new(),
            publish: Vec::new(),
            env: Vec::new(),
            proxied: true,
            mounts: Vec::new(),
            user: "4711:4712".parse().ok(),
            writable: Vec::new(),
            memory: Memory(64 << 20),
            cpu: Cpu(500),
            low_ports: true,
            writable_root: false,
            capabilities: Vec::new(),
            entrypoint: Vec::new(),
            args: ["sh", "-c", script].map(str::to_owned).into(),
        }
    }

    /// The client that runs it.
    fn client(&self, name: &str, spec: &RunSpec) -> Command {
        let engine = &self.found.engine;
        let mut command = Command::new(&engine.program);
        // podman's monitor leaves a file where it was started when a container ran out of memory.
        command.args(engine.run(&self.name(name), spec)).stdin(Stdio::null()).current_dir(env!("CARGO_TARGET_TMPDIR"));
        command
    }

    /// Runs it to its end.
    pub(crate) fn output(&self, name: &str, spec: &RunSpec, env: &BTreeMap<&str, &str>) -> Output {
        self.client(name, spec).envs(env).output().unwrap()
    }

    /// Starts it, and returns once its program runs.
    pub(crate) fn start(&self, name: &str, spec: &RunSpec) -> Child {
        let child = self.client(name, spec).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let look = || self.found.engine.container(&self.proc, &self.name(name)).unwrap();
        eventually("the container runs", || look().filter(|container| container.running));
        child
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let engine = &self.found.engine;
        // A test that has failed already says more than what cannot be removed after it.
        let list = |command| self.proc.read(&command).map(|text| lines(&text)).unwrap_or_default();
        for container in list(engine.containers_with_label(self.label())) {
            let _ = remove(&self.proc, &engine.container_remove(&container));
        }
        for network in list(engine.networks_with_label(self.label())) {
            let _ = remove(&self.proc, &engine.network_remove(&network));
        }
        for volume in list(engine.volumes_with_label(self.label())) {
            let _ = remove(&self.proc, &engine.volume_remove(&volume));
        }
    }
}
