//! `kubectl proxy`: one for each run, on a socket that only its owner can use, and started again when it has ended.

use anyhow::{Context, Result, ensure};
use base::error::Fault;
use base::http::Endpoint;
use base::os;
use base::proc::{CommandLine, GuardedChild, Proc};
use base::signal::Interrupts;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
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
    place: Place,
    interrupts: Interrupts,
    running: Mutex<GuardedChild>,
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
        let socket = place.path.with_extension(SOCKET);
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
fn give_up(place: &Place) {
    let _ = std::fs::remove_file(place.path.with_extension(SOCKET));
    let _ = std::fs::remove_file(&place.path);
    place.path.parent().map(std::fs::remove_dir);
}

fn begin(
    proc: &Proc,
    own_program: &Path,
    line: &CommandLine,
    socket: &Path,
    interrupts: &Interrupts,
) -> Result<GuardedChild> {
    // One that a killed process has left would be refused.
    let _ = std::fs::remove_file(socket);
    let proxy = proc.spawn_guarded(own_program, line)?;
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
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Locked for as long as we live. A process ID would not tell: two containers with one checkout each have their own.
    _lock: File,
}

fn take_place(folder: &Path, pid: u32) -> Result<Place> {
    let mut number = pid;
    let mut attempts = 0;
    loop {
        let path = folder.join(file_name(number, PLACE));
        make_private(folder).or_else(|error| if was_removed(&error) { Ok(()) } else { Err(error) })?;
        match lock(&path) {
            Ok(Some(lock)) => return Ok(Place { path, _lock: lock }),
            // Somebody in another container, who has the same process ID there.
            Ok(None) => number = number.wrapping_add(1),
            Err(error) if was_removed(&error) && attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// The folder was removed between two of our calls, by a run that ended.
fn was_removed(error: &anyhow::Error) -> bool {
    let error = error.root_cause().downcast_ref::<std::io::Error>();
    error.is_some_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists))
}

/// The file, made if need be, and locked; `None` where another has the lock. One that was removed meanwhile by whoever
/// took its owner for dead is not found.
fn lock(path: &Path) -> Result<Option<File>> {
    let told = || format!("write `{}`", path.display());
    let file = OpenOptions::new().create(true).append(true).open(path).with_context(told)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).with_context(told),
    }
    let there = std::fs::symlink_metadata(path).with_context(told)?;
    let ours = file.metadata().with_context(told)?;
    let is_same = (there.dev(), there.ino()) == (ours.dev(), ours.ino());
    if is_same { Ok(Some(file)) } else { Err(std::io::Error::from(ErrorKind::NotFound)).with_context(told) }
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

/// Removes what processes have left that were killed: what nobody has locked. Of those before the lock was taken the
/// process ID tells.
fn remove_left_behind(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("api-").and_then(|rest| rest.strip_suffix(PLACE)?.strip_suffix('.')?.parse().ok());
        let Some(pid) = pid else { continue };
        if let (None, Ok(Some(_lock))) = (os::identity(pid), lock(&entry.path())) {
            let _ = std::fs::remove_file(entry.path().with_extension(SOCKET));
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
        assert!(ours.path.exists() && folder.join("other").exists() && !dead.iter().any(|path| path.exists()));
    }

    /// A process of another container is one that cannot be seen from here, and may have the process ID that we have.
    #[test]
    fn a_run_in_another_container_keeps_its_socket() {
        let scratch = Scratch(std::env::temp_dir().join(format!("xtask-proxy-far-{}", std::process::id())));
        let folder = scratch.0.join("api");
        let far = take_place(&folder, u32::MAX - 1).unwrap();
        let socket = far.path.with_extension(SOCKET);
        std::fs::write(&socket, "").unwrap();
        remove_left_behind(&folder);
        assert!(far.path.exists() && socket.exists());
        let ours = take_place(&folder, u32::MAX - 1).unwrap();
        assert_ne!(ours.path, far.path);
        give_up(&ours);
        drop(far);
        remove_left_behind(&folder);
        assert!(!socket.exists());
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
                        std::fs::write(place.path.with_extension(SOCKET), "").unwrap();
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
