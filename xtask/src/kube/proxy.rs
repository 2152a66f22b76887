//! `kubectl proxy`: one for each run, on a socket that only its owner can use, and started again when it has ended.

use crate::error::Fault;
use crate::http::Endpoint;
use crate::os;
use crate::proc::{CommandLine, Proc, Tethered};
use crate::signal::Interrupts;
use anyhow::{Context, Result, ensure};
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long it may take to serve.
const START: Duration = Duration::from_secs(20);

pub(super) struct Proxy {
    proc: Proc,
    own_program: PathBuf,
    line: CommandLine,
    socket: PathBuf,
    interrupts: Interrupts,
    running: Mutex<Tethered>,
}

impl Proxy {
    /// Starts it. `kubectl` is the command line up to and without the verb, `folder` where its socket goes: it is made,
    /// and removed with the last socket in it.
    ///
    /// # Errors
    /// When it does not come up, in its own words.
    pub(super) fn start(
        proc: &Proc,
        own_program: &Path,
        kubectl: CommandLine,
        folder: &Path,
        interrupts: &Interrupts,
    ) -> Result<Self> {
        make_private(folder)?;
        remove_left_behind(folder);
        let socket = folder.join(socket_name(std::process::id()));
        let line = serve(kubectl, &socket);
        let running = Mutex::new(begin(proc, own_program, &line, &socket, interrupts)?);
        let (proc, own_program, interrupts) = (proc.clone(), own_program.to_owned(), interrupts.clone());
        Ok(Self { proc, own_program, line, socket, interrupts, running })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::socket(&self.socket)
    }

    /// Starts it again if it has ended, which is nobody's fault but its own.
    ///
    /// # Errors
    /// When it does not come up again.
    pub(super) fn revive(&self) -> Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.is_alive() {
            *running = begin(&self.proc, &self.own_program, &self.line, &self.socket, &self.interrupts)?;
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        // Other runs may have theirs in it.
        self.socket.parent().map(std::fs::remove_dir);
    }
}

fn begin(
    proc: &Proc,
    own_program: &Path,
    line: &CommandLine,
    socket: &Path,
    interrupts: &Interrupts,
) -> Result<Tethered> {
    // One that a killed process has left would be refused.
    let _ = std::fs::remove_file(socket);
    let proxy = proc.tether(own_program, line)?;
    let ready = |line: &str| line.starts_with("Starting to serve").then_some(());
    // After a signal it is still needed, to finish and to give the lease back.
    let signals = interrupts.count();
    let stop = || interrupts.count() > signals;
    match proxy.expect_line(START, &stop, ready) {
        Err(_) if stop() => Err(Fault::interrupted(interrupts.first().unwrap_or_default()).into()),
        result => result.map(|()| proxy),
    }
}

/// Serves the whole API: what it would keep back unasked is what pods are asked by.
fn serve(kubectl: CommandLine, socket: &Path) -> CommandLine {
    kubectl.arg("proxy").arg(format!("--unix-socket={}", socket.display())).arg("--reject-paths=^$")
}

fn socket_name(pid: u32) -> String {
    format!("api-{pid}.sock")
}

/// Whoever reaches the socket is the user that kubeconfig names.
fn make_private(folder: &Path) -> Result<()> {
    let make = || -> Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let made = std::fs::symlink_metadata(folder)?;
        ensure!(made.is_dir() && made.uid() == nix::unistd::Uid::current().as_raw(), "it is somebody else's");
        Ok(std::fs::set_permissions(folder, Permissions::from_mode(0o700))?)
    };
    make().with_context(|| format!("make the folder `{}`", folder.display()))
}

/// Removes the sockets of processes that were killed.
fn remove_left_behind(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("api-").and_then(|rest| rest.strip_suffix(".sock")?.parse().ok());
        if pid.is_some_and(|pid| os::identity(pid).is_none()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_socket_s_folder_is_private_and_keeps_only_sockets_of_the_living() {
        let scratch = Scratch(std::env::temp_dir().join(format!("xtask-proxy-{}", std::process::id())));
        let folder = scratch.0.join("api");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        make_private(&folder).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let (ours, dead) = (socket_name(std::process::id()), socket_name(u32::MAX));
        for name in [&ours, &dead, &"other".to_owned()] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        remove_left_behind(&folder);
        assert!(folder.join(ours).exists() && folder.join("other").exists() && !folder.join(dead).exists());
    }

    #[test]
    fn a_folder_is_not_taken_through_a_link() {
        let scratch = Scratch(std::env::temp_dir().join(format!("xtask-proxy-link-{}", std::process::id())));
        std::fs::create_dir_all(scratch.0.join("real")).unwrap();
        std::os::unix::fs::symlink(scratch.0.join("real"), scratch.0.join("link")).unwrap();
        assert!(make_private(&scratch.0.join("link")).is_err());
    }

    #[test]
    fn the_whole_api_is_served() {
        let line = serve(CommandLine::new("kubectl").arg("--context").arg("a"), Path::new("/s"));
        assert_eq!(line.argv(), ["kubectl", "--context", "a", "proxy", "--unix-socket=/s", "--reject-paths=^$"]);
    }
}
