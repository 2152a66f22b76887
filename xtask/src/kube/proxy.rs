//! `kubectl proxy`: one for each run, on a socket that only its owner can use, and started again when it has ended.

use crate::error::Fault;
use crate::http::Endpoint;
use crate::os;
use crate::proc::{CommandLine, Proc, Tethered};
use crate::signal::Interrupts;
use anyhow::{Context, Result, ensure};
use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long it may take to serve.
const START: Duration = Duration::from_secs(20);
/// How often its folder may be removed by runs that end just when it is made.
const ATTEMPTS: usize = 100;

pub(super) struct Proxy {
    proc: Proc,
    own_program: PathBuf,
    line: CommandLine,
    socket: PathBuf,
    place: PathBuf,
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
        let place = take_place(folder, std::process::id())?;
        remove_left_behind(folder);
        let socket = place.with_extension(SOCKET);
        let line = serve(kubectl, &socket);
        let running = Mutex::new(begin(proc, own_program, &line, &socket, interrupts)?);
        let (proc, own_program, interrupts) = (proc.clone(), own_program.to_owned(), interrupts.clone());
        Ok(Self { proc, own_program, line, socket, place, interrupts, running })
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
        give_up(&self.place);
    }
}

/// Removes the socket, our place, and the folder unless other runs have theirs in it.
fn give_up(place: &Path) {
    let _ = std::fs::remove_file(place.with_extension(SOCKET));
    let _ = std::fs::remove_file(place);
    place.parent().map(std::fs::remove_dir);
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

/// What the socket's name ends in, and that of the file beside it.
const SOCKET: &str = "sock";
const PLACE: &str = "pid";

fn file_name(pid: u32, end: &str) -> String {
    format!("api-{pid}.{end}")
}

/// A file of ours in the folder: another run that ends meanwhile must not take it for empty before the socket is there.
fn take_place(folder: &Path, pid: u32) -> Result<PathBuf> {
    let place = folder.join(file_name(pid, PLACE));
    let take = || -> Result<()> {
        make_private(folder)?;
        std::fs::write(&place, "").with_context(|| format!("write `{}`", place.display()))
    };
    let was_removed = |error: &anyhow::Error| {
        error
            .root_cause()
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists))
    };
    let mut taken = take();
    for _ in 0..ATTEMPTS {
        match &taken {
            // Between two of these calls.
            Err(error) if was_removed(error) => taken = take(),
            _ => break,
        }
    }
    taken.map(|()| place)
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

/// Removes what processes have left that were killed.
fn remove_left_behind(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("api-").and_then(|rest| rest.rsplit_once('.')?.0.parse().ok());
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
        let ours = take_place(&folder, std::process::id()).unwrap();
        let dead = [SOCKET, PLACE].map(|end| folder.join(file_name(u32::MAX, end)));
        for path in dead.iter().chain([&folder.join("other")]) {
            std::fs::write(path, "").unwrap();
        }
        remove_left_behind(&folder);
        assert!(ours.exists() && folder.join("other").exists() && !dead.iter().any(|path| path.exists()));
    }

    #[test]
    fn runs_that_begin_and_end_together_leave_each_other_the_folder() {
        let scratch = Scratch(std::env::temp_dir().join(format!("xtask-proxy-many-{}", std::process::id())));
        let folder = &scratch.0.join("api");
        std::thread::scope(|threads| {
            for pid in 1..5 {
                threads.spawn(move || {
                    for _ in 0..500 {
                        let place = take_place(folder, pid).unwrap();
                        std::fs::write(place.with_extension(SOCKET), "").unwrap();
                        give_up(&place);
                    }
                });
            }
        });
        assert!(!folder.exists());
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
