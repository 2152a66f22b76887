//! A connection, of whichever kind.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Waits no longer than `within` for the first byte.
    pub(super) fn read(&mut self, bytes: &mut [u8], within: Duration) -> Result<usize> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(within)).and_then(|()| stream.read(bytes)),
            Self::Unix(stream) => stream.set_read_timeout(Some(within)).and_then(|()| stream.read(bytes)),
        }
    }

    /// Waits no longer than `within` each time that the other side takes nothing.
    pub(super) fn write_all(&mut self, bytes: &[u8], within: Duration) -> Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(within)).and_then(|()| stream.write_all(bytes)),
            Self::Unix(stream) => stream.set_write_timeout(Some(within)).and_then(|()| stream.write_all(bytes)),
        }
    }
}
