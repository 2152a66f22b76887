//! Starts services and their supervisor, each apart from whoever starts it: a process group of its own, nothing to
//! read, an environment that is given as a whole, and no open file but those named here.
//!
//! Passing a socket under a certain number takes a step in the new process before the program runs. That step is
//! [`exec_service`], a hidden command of this same binary. A container has another as its shim.

use super::cannot_start;
use crate::socket;
use anyhow::{Context, Result, anyhow, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The hidden command that passes sockets on, see [`exec_service`].
pub const EXEC: &str = "__exec";
/// The hidden command that stands for a container, see [`shim`].
pub const CONTAINER: &str = "__container";
/// The hidden command that runs a supervisor.
pub const SUPERVISE: &str = "__supervise";

/// The first passed descriptor, by sd_listen_fds(3).
const LISTEN_FDS_START: i32 = 3;
/// What the passed sockets are for, in their order.
const LISTEN_FDNAMES: &str = "http:admin";

/// A service's program and all that its process is given.
#[derive(Debug, Clone, Copy)]
pub struct ServiceCommand<'a> {
    pub program: &'a Path,
    pub args: &'a [String],
    pub dir: &'a Path,
    /// The whole environment: nothing is inherited.
    pub env: &'a BTreeMap<String, String>,
    /// Where its output is appended. When it cannot be opened (a full disk), the output is lost and the service runs.
    pub log: &'a Path,
}

impl ServiceCommand<'_> {
    /// Starts the program, which binds its own port.
    ///
    /// # Errors
    /// When it cannot be started: the system's words.
    #[expect(clippy::disallowed_methods, reason = "this module is part of the one that spawns")]
    pub fn spawn(&self) -> Result<ServiceChild> {
        let mut command = Command::new(self.program);
        command.args(self.args);
        let (out, err) = outputs(self.log);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = self.apart(&mut command)?.spawn().map_err(|error| cannot_start(self.program, error))?;
        Ok(ServiceChild { child, refusal: None, socket: None })
    }

    /// Starts the program with two listening sockets passed in systemd's way: `http`, which others may hold as well,
    /// and `admin`, which is bound here on a free loopback port for this process alone.
    ///
    /// `exec` is this binary. That the program itself cannot be started shows later, in [`ServiceChild::refusal`].
    ///
    /// # Errors
    /// When the step in between cannot be started.
    #[expect(clippy::disallowed_methods, reason = "this module is part of the one that spawns")]
    pub fn spawn_with_sockets(&self, exec: &Path, http: &TcpListener) -> Result<(ServiceChild, SocketAddr)> {
        let admin = TcpListener::bind("127.0.0.1:0").context("bind a loopback port for the probes")?;
        let address = admin.local_addr()?;
        let (refusal, theirs) = UnixStream::pair().context("make a socket pair")?;
        let mut command = Command::new(exec);
        command.arg(EXEC).arg("--log").arg(self.log).arg("--").arg(self.program).args(self.args);
        command.stdin(OwnedFd::from(http.try_clone()?)).stdout(OwnedFd::from(admin)).stderr(OwnedFd::from(theirs));
        let child = self.apart(&mut command)?.spawn().map_err(|error| cannot_start(exec, error))?;
        Ok((ServiceChild { child, refusal: Some(refusal), socket: None }, address))
    }

    /// Starts a shim for a container, with a listening socket of its owner's alone as standard input; what it writes to
    /// standard error before it ends says why.
    ///
    /// `exec` is this binary and `spec` what the shim is told.
    ///
    /// # Errors
    /// When it cannot be started.
    #[expect(clippy::disallowed_methods, reason = "this module is part of the one that spawns")]
    pub fn spawn_shim(&self, exec: &Path, spec: &str) -> Result<(ServiceChild, PathBuf)> {
        let (refusal, theirs) = UnixStream::pair().context("make a socket pair")?;
        let (listener, folder) = socket::listen().context("make a socket for the probes")?;
        let mut command = Command::new(exec);
        command.arg(CONTAINER).arg("--log").arg(self.log).arg(spec);
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(OwnedFd::from(theirs));
        let spawned = self.apart(&mut command).and_then(|it| it.spawn().map_err(|error| cannot_start(exec, error)));
        let child = spawned.inspect_err(|_| socket::remove(&folder))?;
        let path = socket::file(&folder);
        Ok((ServiceChild { child, refusal: Some(refusal), socket: Some(folder) }, path))
    }

    fn apart<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command> {
        // Without this check the system's "no such file" would seem to be about the program.
        ensure!(self.dir.is_dir(), "the folder `{}` does not exist", self.dir.display());
        Ok(command.env_clear().envs(self.env).current_dir(self.dir).process_group(0))
    }
}

fn outputs(log: &Path) -> (Stdio, Stdio) {
    let both = || {
        let out = crate::files::append(log).ok()?;
        Some((Stdio::from(out.try_clone().ok()?), Stdio::from(out)))
    };
    both().unwrap_or_else(|| (Stdio::null(), Stdio::null()))
}

/// The process of a service, the leader of its group.
#[derive(Debug)]
pub struct ServiceChild {
    child: std::process::Child,
    /// What is written here before the program runs says why it does not, and running the program closes the other end.
    /// A shim keeps it, and writes why its container has ended.
    refusal: Option<UnixStream>,
    /// The folder of a shim's socket.
    socket: Option<PathBuf>,
}

impl ServiceChild {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has. What it leaves of its process group is then killed, and its socket removed: a service
    /// is over as a whole.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn try_wait(&mut self) -> std::io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.signal_group(Signal::SIGKILL);
            self.socket.take().iter().for_each(|folder| socket::remove(folder));
        }
        Ok(status)
    }

    /// Sends a signal to the process and all it has started. Its number is not given out again before
    /// [`ServiceChild::try_wait`] has told of its end.
    pub fn signal_group(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // A group that has ended needs none.
            let _ = killpg(Pid::from_raw(pid), signal);
        }
    }

    /// Why the program could not be started, or a container has ended; known once the process has ended.
    pub fn refusal(&mut self) -> Option<String> {
        const LONGEST: u64 = 4096;
        let socket = self.refusal.take()?;
        socket.set_nonblocking(true).ok()?;
        let mut text = Vec::new();
        // What cannot be read is what was not written.
        let _ = socket.take(LONGEST).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// The step between a new process and its program: the sockets that came as standard input and output become
/// descriptors 3 and 4, and the program replaces this process, so that it keeps the number that the supervisor knows.
///
/// Standard error is the way back to the supervisor. Returns only when the program cannot be started.
///
/// # Errors
/// Always: that is why it returns.
pub fn exec_service(log: &Path, command: &[OsString]) -> Result<Infallible> {
    let mut back = pass_sockets()?;
    let error = replace_process(log, command);
    // Whoever started this by hand sees the returned error.
    let _ = write!(back, "{error:#}");
    Err(error)
}

/// Runs a program in the place of this one.
///
/// # Errors
/// When it cannot be started.
#[expect(clippy::disallowed_methods, reason = "this module is part of the one that spawns")]
pub fn exec(program: &Path, arguments: impl IntoIterator<Item = OsString>) -> Result<Infallible> {
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("start `{}`", program.display()))
}

/// Returns the way back, which closes when the program runs.
fn pass_sockets() -> Result<File> {
    close_inherited();
    for (wanted, given) in (LISTEN_FDS_START..).zip([std::io::stdin().as_fd(), std::io::stdout().as_fd()]) {
        // The lowest free number from the wanted one on; the copy stays open in the program.
        let number = fcntl(given, FcntlArg::F_DUPFD(wanted)).context("pass a socket on")?;
        ensure!(number == wanted, "descriptor {wanted} is in use");
    }
    Ok(File::from(std::io::stderr().as_fd().try_clone_to_owned()?))
}

#[expect(clippy::disallowed_methods, reason = "this module is part of the one that spawns")]
fn replace_process(log: &Path, command: &[OsString]) -> anyhow::Error {
    let Some((program, args)) = command.split_first() else { return anyhow!("no program is named") };
    let (out, err) = outputs(log);
    let error = Command::new(program)
        .args(args)
        .env("LISTEN_FDS", LISTEN_FDNAMES.split(':').count().to_string())
        .env("LISTEN_FDNAMES", LISTEN_FDNAMES)
        .env("LISTEN_PID", std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .exec();
    cannot_start(Path::new(program), error)
}

/// The listening socket that [`ServiceCommand::spawn_shim`] has given this process.
///
/// To be called first in the process: it closes all descriptors that were inherited.
///
/// # Errors
/// When there is none.
pub fn shim_socket() -> Result<UnixListener> {
    close_inherited();
    Ok(UnixListener::from(std::io::stdin().as_fd().try_clone_to_owned().context("take the socket for the probes")?))
}

/// Starts the engine's client for a shim: in its process group, so that what ends the one is for the other, too, and with
/// its environment, whose variables the arguments name, but for the one by which its supervisor's processes are known: an
/// engine's client leaves processes behind that serve others as well, such as podman's name server.
///
/// # Errors
/// When it cannot be started.
#[expect(clippy::disallowed_methods, reason = "this module is part of the one that spawns")]
pub fn spawn_beside(program: &Path, args: &[String], mark: &str, log: &Path) -> Result<std::process::Child> {
    let (out, err) = outputs(log);
    let mut command = Command::new(program);
    command.args(args).env_remove(mark).stdin(Stdio::null()).stdout(out).stderr(err);
    command.spawn().map_err(|error| cannot_start(program, error))
}

/// Starts the supervisor of `state_dir`. It leaves the session of its own accord, so it is no group leader yet.
///
/// # Errors
/// When it cannot be started.
#[expect(clippy::disallowed_methods, reason = "this module is part of the one that spawns")]
pub fn spawn_supervisor(
    program: &Path,
    state_dir: &Path,
    env: &BTreeMap<String, String>,
    log: File,
) -> std::io::Result<std::process::Child> {
    let mut command = Command::new(program);
    command.arg(SUPERVISE).arg(state_dir).env_clear().envs(env).current_dir(state_dir);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // Until it has left the session, a terminal that is closed would end it.
    super::without_hangup(|| command.spawn())
}

/// Closes every descriptor beyond standard error.
///
/// What started us may have left some open, and a process that lives long must not keep them: a reader of the other
/// end of such a pipe would wait for its end as long. To be called before anything of our own is opened.
pub fn close_inherited() {
    let listed = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The listing's own descriptor is among them and closed already.
        let _ = nix::unistd::close(number);
    }
}
