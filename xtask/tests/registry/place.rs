//! A scratch folder, registries of its own, images that nobody else has, and steps that are run for real.

use base::ctx::{Ctx, Vars};
use base::error::Fault;
use base::proc::{Children, Proc};
use base::signal::Interrupts;
use engine::journal::{Event, Journal, Watcher};
use engine::plan::runner;
use engine::plan::runner::StepCx;
use engine::plan::{Holds, Outcome, Plan, Step, StepId, Work};
use images::Publisher;
use images::auth::{Credentials, SignIn};
use model::container::{EngineKind, Platform};
use model::image::ImagePin;
use skip::Missing;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tools::oci::{Engine, Found, detect};

/// Long enough for a busy machine; no passing test waits for it.
const DEADLINE: Duration = Duration::from_secs(30);

/// `me` with the password `secret`, as bcrypt has it at its lowest cost.
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
pub(crate) const PASSWORD: &str = "secret";

pub(crate) fn proc() -> Proc {
    Proc::new(Children::default(), Interrupts::default(), std::env::var_os("PATH").unwrap())
}

/// podman, if it answers.
pub(crate) fn podman() -> skip::Found<Engine> {
    match detect(&proc(), Some(EngineKind::Podman)) {
        Ok(Found { engine, .. }) if engine.kind == EngineKind::Podman => Ok(engine),
        _ => Err(Missing::unless_required("podman does not answer", "XTASK_REQUIRE_ENGINE")),
    }
}

/// docker's client, which needs no engine for lists of images.
pub(crate) fn docker() -> skip::Found<Engine> {
    let program = proc().find("docker").ok_or_else(|| Missing::new("docker's client is not on PATH"))?;
    Ok(Engine { kind: EngineKind::Docker, program })
}

pub(crate) fn me(host: &str, password: &str) -> Option<Credentials> {
    Some(Credentials::new(host, "me", password))
}

/// A folder of one test.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(test: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("registry-{test}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// What a run carries images with.
    pub(crate) fn publisher(&self, host: &str, credentials: Option<Credentials>) -> Publisher {
        Publisher::new(host, credentials.map_or(SignIn::Engine, SignIn::Known), &Vars::default(), &self.push())
    }

    /// The folder that is there while something is carried.
    pub(crate) fn push(&self) -> PathBuf {
        self.0.join("push")
    }

    /// What a command is given whose repository is this folder.
    pub(crate) fn ctx(&self) -> Ctx {
        let (root, vars, interrupts) = (self.0.clone(), Vars::default(), Interrupts::default());
        Ctx { root, vars, terminal: false, can_ask: false, interrupts, proc: proc() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a registry of a test lets others in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// For `me`.
    Locked,
}

/// A registry that is gone in the end.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    _scratch: Scratch,
}

impl Server {
    /// Starts one on this machine.
    pub(crate) fn start(door: Door) -> skip::Found<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST, door, "")
    }

    pub(crate) fn start_at(ip: Ipv4Addr, door: Door, tls: &str) -> skip::Found<Self> {
        let missing = || Missing::new("`docker-registry` is not on PATH (Debian's package has this name)");
        let program = proc().find("docker-registry").ok_or_else(missing)?;
        let scratch = Scratch::new("server");
        let deadline = Instant::now() + DEADLINE;
        // Somebody else may take a free port before the registry does.
        loop {
            let address = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
            let data = scratch.0.join("data");
            let mut config = format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {data:?}}}, \
                 delete: {{enabled: true}}}}\nhttp: {{addr: '{address}'{tls}}}\n"
            );
            if door == Door::Locked {
                let passwords = scratch.write("htpasswd", HTPASSWD);
                config.push_str(&format!("auth: {{htpasswd: {{realm: try, path: {passwords:?}}}}}\n"));
            }
            let config = scratch.write("config.yml", config);
            let log = fs::File::create(scratch.0.join("log")).unwrap();
            let mut command = Command::new(&program);
            command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            let mut child = command.spawn().unwrap();
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(address).is_ok() {
                    return Ok(Self { child, address, _scratch: scratch });
                }
                assert!(Instant::now() < deadline, "the registry does not answer");
                std::thread::sleep(Duration::from_millis(20));
            }
            let said = fs::read_to_string(scratch.0.join("log")).unwrap();
            assert!(said.contains("address already in use") && Instant::now() < deadline, "{said}");
        }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image with a layer that no registry has, under one name. Gone in the end.
pub(crate) struct Own {
    engine: Engine,
    pub(crate) name: ImagePin,
    pub(crate) id: String,
}

impl Own {
    pub(crate) fn build(engine: &Engine, scratch: &Scratch, name: &str, platform: Platform) -> Self {
        let folder = format!("build-{}", platform.architecture());
        let file = scratch.write(&format!("{folder}/Dockerfile"), "FROM scratch\nCOPY layer /layer\n");
        let mut layer = vec![0; 200_000];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut layer).unwrap();
        scratch.write(&format!("{folder}/layer"), layer);
        let line = engine.command().args(["build", "--quiet", "--format", "docker", "--platform", platform.as_str()]);
        // Nothing of it was built before, and what podman looks through for that may go away beside it.
        let line = line.args(["--layers=false", "--tag", name]).arg(file.parent().unwrap());
        let id = proc().read(&line).unwrap_or_else(|error| panic!("{error:#}"));
        Self { engine: engine.clone(), name: name.parse().unwrap(), id: format!("sha256:{}", id.trim()) }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // By its ID, with all the names that it was given meanwhile.
        let line = self.engine.command().args(["image", "rm", "--force", &self.id]);
        let _ = proc().read(&line);
    }
}

/// Hands on what a step says of itself.
type Listener = Box<dyn Fn(&str) + Send>;

struct Ear(Listener);

impl Watcher for Ear {
    fn event(&mut self, event: &Event) {
        if let Event::Status { text, .. } = event {
            (self.0)(text);
        }
    }
}

/// What came of a step: its value or its failure, and all that was recorded, as the journal has it.
pub(crate) struct Ran<T> {
    pub(crate) value: Result<T, Fault>,
    pub(crate) journal: String,
}

/// Runs this as a step.
pub(crate) fn step<T: Send + 'static>(
    work: impl Fn(&StepCx<'_>) -> anyhow::Result<T> + Send + Sync + 'static,
) -> Ran<T> {
    step_with(&Interrupts::default(), Box::new(|_| {}), work)
}

pub(crate) fn step_with<T: Send + 'static>(
    interrupts: &Interrupts,
    listener: Listener,
    work: impl Fn(&StepCx<'_>) -> anyhow::Result<T> + Send + Sync + 'static,
) -> Ran<T> {
    struct Once<F, T>(F, Arc<Mutex<Option<T>>>);
    impl<T: Send, F: Fn(&StepCx<'_>) -> anyhow::Result<T> + Send + Sync> Work for Once<F, T> {
        fn is_done(&self, _: &StepCx<'_>) -> anyhow::Result<Option<String>> {
            Ok(None)
        }

        fn run(&self, cx: &StepCx<'_>) -> anyhow::Result<Outcome> {
            *self.1.lock().unwrap() = Some((self.0)(cx)?);
            Ok(Outcome::Done)
        }
    }
    let slot = Arc::new(Mutex::new(None));
    let plan = Plan::new(vec![Step {
        id: StepId::new(engine::plan::Action::new("try")),
        title: "try".to_owned(),
        system: None,
        needs: Vec::new(),
        holds: Holds::Nothing,
        preview: Vec::new(),
        work: Box::new(Once(work, Arc::clone(&slot))),
    }]);
    let journal = Journal::open(None, "test", "try", Box::new(Ear(listener))).unwrap();
    let proc = Proc::new(Children::default(), interrupts.clone(), std::env::var_os("PATH").unwrap());
    let ends = runner::run(&plan.unwrap(), &proc, interrupts, &journal);
    let recorded = journal.events().iter().map(|event| event.to_json().to_string()).collect::<Vec<_>>().join("\n");
    let value = slot.lock().unwrap().take();
    // A step that a signal has ended has no failure of its own.
    let failure = || ends.into_iter().find_map(|(_, end)| end.failure);
    let failure =
        || failure().unwrap_or_else(|| Fault::interrupted(interrupts.first().expect("a failure or a signal")));
    Ran { value: value.ok_or_else(failure), journal: recorded }
}
