//! A Unix socket for its owner alone: in a folder that nobody else may enter, and near the root, since the path of a socket
//! may be about a hundred bytes long and checkouts are as deep as people make them.

use crate::random;
use std::fs::{DirBuilder, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Where the folders are made, which is there on Linux and macOS.
const PLACE: &str = "/tmp";
const PREFIX: &str = "slipway-";
/// The socket's name in its folder, and the one it has until it is its owner's alone and listens.
const NAME: &str = "socket";
const BESIDE: &str = "new";

/// Listens in a new folder, whose name nobody can guess and so nobody can have made before.
///
/// # Errors
/// When that cannot be made.
pub fn listen() -> Result<(UnixListener, PathBuf)> {
    let folder = Path::new(PLACE).join(format!("{PREFIX}{}", random::hex::<8>().map_err(Error::other)?));
    Ok((listen_in(&folder)?, folder))
}

/// Listens in a folder of that name, which must not be there: it may be anybody's.
///
/// # Errors
/// When that cannot be made.
pub fn listen_in(folder: &Path) -> Result<UnixListener> {
    DirBuilder::new().mode(0o700).create(folder)?;
    let listen = || {
        let beside = folder.join(BESIDE);
        let listener = UnixListener::bind(&beside)?;
        std::fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
        std::fs::rename(&beside, file(folder))?;
        Ok(listener)
    };
    listen().inspect_err(|_| remove(folder))
}

/// The socket in such a folder.
pub fn file(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Whether the way to who listens in a folder is still open, and still ours: what cleans up in such places may have removed
/// it, and anybody may make one of the same name then.
pub fn is_ours(folder: &Path) -> bool {
    let is_private = |found: std::fs::Metadata| {
        found.is_dir() && found.uid() == nix::unistd::Uid::effective().as_raw() && found.mode() & 0o077 == 0
    };
    std::fs::symlink_metadata(folder).is_ok_and(is_private) && file(folder).exists()
}

/// # Errors
/// When nobody of ours listens there.
pub fn connect(folder: &Path) -> Result<UnixStream> {
    if !is_ours(folder) {
        return Err(Error::new(ErrorKind::NotFound, "its socket is gone"));
    }
    UnixStream::connect(file(folder))
}

/// Removes such a folder with its socket, and nothing else.
pub fn remove(folder: &Path) {
    if is_one(folder) {
        let _ = std::fs::remove_file(folder.join(BESIDE));
        let _ = std::fs::remove_file(file(folder));
        let _ = std::fs::remove_dir(folder);
    }
}

/// Removes what processes of ours that were killed have left: sockets on which nobody listens any more.
pub fn sweep() {
    let found = std::fs::read_dir(PLACE).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in found.filter(|folder| is_one(folder) && is_ours(folder)) {
        if UnixStream::connect(file(&folder)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            remove(&folder);
        }
    }
}

fn is_one(folder: &Path) -> bool {
    folder.parent() == Some(Path::new(PLACE))
        && folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn it_is_its_owner_s_alone_and_goes_without_a_trace() {
        let (listener, folder) = listen().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&file(&folder))), (0o700, 0o600));
        let mut stream = connect(&folder).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.write_all(b"hi").unwrap();
        drop(accepted);
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hi");
        // One that others may enter is not trusted, whoever has made it.
        std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(connect(&folder).unwrap_err().kind(), ErrorKind::NotFound);
        remove(&folder);
        assert!(!folder.exists() && connect(&folder).is_err());
        // What is no such folder is left alone.
        remove(Path::new(PLACE));
        assert!(Path::new(PLACE).is_dir());
        // It can be had again under its name, which whoever uses it knows.
        let again = listen_in(&folder).unwrap();
        connect(&folder).unwrap();
        assert_eq!(listen_in(&folder).unwrap_err().kind(), ErrorKind::AlreadyExists);
        drop(again);
        remove(&folder);
    }

    #[test]
    fn what_was_left_by_the_dead_is_swept_away_and_nothing_else() {
        let (listener, living) = listen().unwrap();
        let (left, dead) = listen().unwrap();
        drop(left);
        sweep();
        assert!(connect(&living).is_ok() && !dead.exists());
        drop(listener);
        remove(&living);
    }
}
