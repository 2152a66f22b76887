//! A scratch copy of this repository that all tests share, and for each test an environment of its own in it.

use base::http::Endpoint;
use remote_tools::scratch::copy_repository;
use serde_json::Value;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Long enough for a cold build of all services on a busy machine, beside others that build theirs.
pub(crate) const RUN_WITHIN: Duration = Duration::from_secs(1200);

/// What an environment's file says when a test wants nothing else: processes of this machine, on free ports.
const ON_HOST: &str = "target = \"host\"\nports = \"free\"\n";

/// The checkout that the tests belong to.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where nested builds go: the checkout's own, so that what is built once is built for all.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from)
}

/// Where copies and repositories of tests are.
pub(crate) fn scratch() -> PathBuf {
    target().join("scratch")
}

fn shared_copy() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = scratch().join("e2e");
        copy_repository(checkout(), &copy).unwrap();
        copy
    })
}

/// The program in a folder, with no arguments yet and nobody to ask.
pub(crate) fn program(folder: &Path) -> Command {
    as_typed(env!("CARGO_BIN_EXE_xtask"), folder)
}

/// cargo itself, as a person calls it in a folder of the checkout.
pub(crate) fn cargo(folder: &str) -> Command {
    as_typed(env!("CARGO"), &checkout().join(folder))
}

/// A program as a person starts it: what `cargo test` sets is not there.
fn as_typed(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text.starts_with("XTASK_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(folder).env("CARGO_TARGET_DIR", target()).stdin(Stdio::null());
    command
}

/// An environment of its own; torn down when dropped.
pub(crate) struct Sandbox {
    pub(crate) root: PathBuf,
    pub(crate) env: String,
    /// The copy is this test's alone and goes with it.
    own: bool,
    /// Where its nested builds go.
    builds: PathBuf,
    /// What its file begins with.
    settings: String,
}

impl Sandbox {
    /// An environment in the shared copy. Its sources must not be changed.
    pub(crate) fn new(env: &str) -> Self {
        Self::with_settings(shared_copy().to_owned(), env, false, ON_HOST.to_owned())
    }

    /// A copy of its own, whose sources may be changed.
    pub(crate) fn with_own_copy(env: &str) -> Self {
        let copy = scratch().join(env);
        copy_repository(checkout(), &copy).unwrap();
        // An earlier run may have built something here since the originals were written, from sources it had changed.
        touch(&copy.join("app"));
        Self::with_settings(copy, env, true, ON_HOST.to_owned())
    }

    /// An environment in a second shared copy, whose `epoch` has to be ready within seconds.
    pub(crate) fn impatient(env: &str) -> Self {
        static COPY: OnceLock<PathBuf> = OnceLock::new();
        let copy = COPY.get_or_init(|| {
            let copy = scratch().join("e2e-impatient");
            copy_repository(checkout(), &copy).unwrap();
            let system = copy.join("deploy/systems/epoch.toml");
            let text = std::fs::read_to_string(&system).unwrap();
            let text = text.replace("[services.epoch]\n", "[services.epoch]\nready_within = \"3s\"\n");
            std::fs::write(&system, text).unwrap();
            copy
        });
        Self::with_settings(copy.clone(), env, false, ON_HOST.to_owned())
    }

    /// An environment in a repository that the test has made, which goes with it, and with it what it has built.
    pub(crate) fn in_own_repository(root: PathBuf, env: &str) -> Self {
        let builds = root.join("target");
        Self { root, env: env.to_owned(), own: true, builds, settings: ON_HOST.to_owned() }.prepared()
    }

    /// An environment with these settings in a copy that its test, or all of them, have made.
    pub(crate) fn with_settings(root: PathBuf, env: &str, own: bool, settings: String) -> Self {
        Self { root, env: env.to_owned(), own, builds: target(), settings }.prepared()
    }

    /// The same environment in a second checkout, which goes with it.
    #[allow(dead_code, reason = "tests of containers alone have a second checkout")]
    pub(crate) fn beside(&self, root: PathBuf) -> Self {
        Self::with_settings(root, &self.env, true, self.settings.clone())
    }

    fn prepared(self) -> Self {
        // A test that was killed may have left something of its own.
        self.write_environment("");
        self.xtask(["teardown", "--yes"]);
        self
    }

    /// Writes the environment's file, with more settings than it needs.
    pub(crate) fn write_environment(&self, more: &str) {
        let text = format!("{}{more}", self.settings);
        std::fs::write(self.root.join(format!("deploy/environments/{}.toml", self.env)), text).unwrap();
    }

    /// The environment's folder of state.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.join(".slipway").join(&self.env)
    }

    /// The program with these arguments, in this environment, not started yet.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let takes_env = args.first().is_some_and(|verb| verb != "completions" && verb != "ci" && verb != "--help");
        let mut command = program(&self.root);
        command.args(&args).env("CARGO_TARGET_DIR", &self.builds);
        if takes_env {
            command.args(["--env", &self.env]);
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn xtask<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        Run::of(&mut self.command(args))
    }

    /// Starts the program and watches its journal.
    pub(crate) fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        self.start_command(self.command(args))
    }

    pub(crate) fn start_command(&self, mut command: Command) -> Running {
        let before = self.journals();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child: Some(child), runs: self.home().join("runs"), before }
    }

    fn journals(&self) -> Vec<PathBuf> {
        journals_in(&self.home().join("runs"))
    }

    /// A service's entry in `status --json`.
    pub(crate) fn status(&self, service: &str) -> Value {
        let document = self.xtask(["status", "--json"]).success().json();
        let systems = document["systems"].as_array().unwrap();
        let services = systems.iter().flat_map(|system| system["services"].as_array().unwrap());
        services.into_iter().find(|entry| entry["name"] == service).unwrap().clone()
    }

    /// `address:port` of a running service.
    pub(crate) fn via(&self, service: &str) -> String {
        self.status(service)["via"].as_str().unwrap().to_owned()
    }

    /// The processes that carry this environment's mark, other than the short-lived.
    pub(crate) fn processes(&self) -> Vec<base::os::Process> {
        base::os::processes_with_env("SLIPWAY_STATE", &self.home().to_string_lossy())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let run = self.xtask(["teardown", "--yes"]);
        let _ = std::fs::remove_file(self.root.join(format!("deploy/environments/{}.toml", self.env)));
        let left = self.processes();
        if self.own {
            let _ = std::fs::remove_dir_all(&self.root);
        }
        if !std::thread::panicking() {
            run.success();
            assert!(left.is_empty(), "still running: {left:?}");
        }
    }
}

/// Makes everything below a folder newer than what was built from it.
fn touch(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            touch(&entry.path());
        } else {
            let file = std::fs::File::options().write(true).open(entry.path()).unwrap();
            file.set_modified(std::time::SystemTime::now()).unwrap();
        }
    }
}

fn journals_in(runs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runs).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    entries.unwrap_or_default()
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.exits(0)
    }

    /// Standard output as the one document it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in stdout:\n{}", self.stdout))
    }
}

/// A program that runs, and the journal it writes.
pub(crate) struct Running {
    child: Option<Child>,
    runs: PathBuf,
    before: Vec<PathBuf>,
}

/// The first failure of a deploy, after a look at the rest of its document.
#[track_caller]
pub(crate) fn failure(run: &Run) -> Value {
    let document = run.json();
    assert_eq!(document["result"], "failed", "{document:#}");
    let failure = document["failure"].clone();
    let cause = failure["cause"].as_str().unwrap();
    assert!(run.stderr.contains(&format!("error: {cause}")), "{}", run.stderr);
    failure
}

impl Running {
    /// A program that was started without watching its journal.
    pub(crate) fn of(child: Child) -> Self {
        Self { child: Some(child), runs: PathBuf::new(), before: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What the journal of this run has so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        let new = journals_in(&self.runs).into_iter().find(|path| !self.before.contains(path));
        let text = new.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until the journal has such a record. `false` when the program ended without one.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> bool {
        let deadline = Instant::now() + RUN_WITHIN;
        loop {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap().is_some();
            if self.records().iter().any(&wanted) {
                return true;
            }
            if ended {
                return false;
            }
            assert!(Instant::now() < deadline, "no such record: {:#?}", self.records());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).unwrap());
        // It may have ended by itself meanwhile.
        let _ = nix::sys::signal::kill(pid, signal);
    }

    /// To the program and all it runs, as a terminal's keys do. It has to be started as the leader of its group.
    pub(crate) fn signal_group(&self, signal: nix::sys::signal::Signal) {
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).unwrap());
        let _ = nix::sys::signal::killpg(group, signal);
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Run {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        Run {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a document; status and answer.
pub(crate) fn post(place: &str, path: &str, document: &Value) -> Result<(u16, Value), String> {
    use base::http::{Request, Url, send};
    let url = Url { endpoint: endpoint(place)?, path: path.to_owned() };
    let request = Request {
        method: "POST",
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Some(document.to_string().into_bytes()),
        ..Request::get(url, Duration::from_secs(10))
    };
    let answer = send(&request, &|| false).map_err(|error| error.to_string())?;
    let body = serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {:?}", answer.body))?;
    Ok((answer.status, body))
}

/// Waits until an answer comes, and says what was seen last when none does.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(last) if Instant::now() >= deadline => panic!("{what}: {last}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Who is asked: `ADDRESS:PORT`, or `HOST@ADDRESS:PORT` where a name is wanted that does not resolve from here.
pub(crate) fn endpoint(place: &str) -> Result<Endpoint, String> {
    let (host, address) = place.split_once('@').unwrap_or(("", place));
    let address: SocketAddr = address.parse().map_err(|error| format!("{place}: {error}"))?;
    let endpoint = Endpoint::from(address);
    Ok(if host.is_empty() { endpoint } else { Endpoint { host: host.to_owned(), ..endpoint } })
}

/// `GET` of a path; status and body.
pub(crate) fn get(place: &str, path: &str) -> Result<(u16, String), String> {
    use base::http::{Request, Url, send};
    let url = Url { endpoint: endpoint(place)?, path: path.to_owned() };
    let answer = send(&Request::get(url, Duration::from_secs(5)), &|| false).map_err(|error| error.to_string())?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}
