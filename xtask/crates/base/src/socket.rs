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
/// The socket's name in its folder.
const NAME: &str = "socket";

/// Listens in a new folder, whose name nobody can guess and so nobody can have made before.
///
/// # Errors
/// When that cannot be made.
pub fn listen() -> Result<(UnixListener, PathBuf)> {
    let folder = Path::new(PLACE).join(format!("{PREFIX}{}", random::hex::<8>().map_err(Error::other)?));
    DirBuilder::new().mode(0o700).create(&folder)?;
    let listener = UnixListener::bind(folder.join(NAME));
    let private = |listener| {
        std::fs::set_permissions(folder.join(NAME), Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    match listener.and_then(private) {
        Ok(listener) => Ok((listener, folder)),
        Err(error) => {
            remove(&folder);
            Err(error)
        }
    }
}

/// Whether the way to who listens in a folder is still open, and still ours: what cleans up in such places may have removed
/// it, and anybody may make one of the same name then.
pub fn is_ours(folder: &Path) -> bool {
    let is_private = |found: std::fs::Metadata| {
        found.is_dir() && found.uid() == nix::unistd::Uid::effective().as_raw() && found.mode() & 0o077 == 0
    };
    std::fs::symlink_metadata(folder).is_ok_and(is_private) && folder.join(NAME).exists()
}

/// # Errors
/// When nobody of ours listens there.
pub fn connect(folder: &Path) -> Result<UnixStream> {
    if !is_ours(folder) {
        return Err(Error::new(ErrorKind::NotFound, "its socket is gone"));
    }
    UnixStream::connect(folder.join(NAME))
}

/// Removes such a folder with its socket, and nothing else.
pub fn remove(folder: &Path) {
    let is_one = folder.parent() == Some(Path::new(PLACE))
        && folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    if is_one {
        let _ = std::fs::remove_file(folder.join(NAME));
        let _ = std::fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn it_is_its_owner_s_alone_and_goes_without_a_trace() {
        let (listener, folder) = listen().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join(NAME))), (0o700, 0o600));
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
    }
}
