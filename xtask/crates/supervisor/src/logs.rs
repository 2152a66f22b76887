//! Keeps the log files of services within bounds.
//!
//! A service holds its log open for appending, so the file cannot be moved away from it: its content is copied to
//! `NAME.1`, and it is then cut to nothing. What is written between the two is lost. Readers that follow the file see
//! it shrink. What a service cannot write because the file system is full is the service's to lose: services must not
//! end over it, and the supervisor does not.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// The size from which a log is moved on.
pub(super) const LARGEST: u64 = 10 * 1024 * 1024;

/// Moves the content of a log that has grown to `largest` bytes to the file beside it, in place of what is there.
///
/// When there is no room for the copy, the log may grow to twice the size before its content is given up.
///
/// # Errors
/// When the log cannot be cut.
pub(super) fn bound(log: &Path, largest: u64) -> io::Result<()> {
    let Ok(metadata) = std::fs::metadata(log) else { return Ok(()) };
    if metadata.len() < largest {
        return Ok(());
    }
    let older = beside(log, "1");
    let copy = beside(log, "tmp");
    let copied = std::fs::copy(log, &copy).and_then(|_| std::fs::rename(&copy, &older));
    if copied.is_err() {
        // A part of a copy would only take the room that is missing.
        let _ = std::fs::remove_file(&copy);
        if metadata.len() < largest.saturating_mul(2) {
            return Ok(());
        }
    }
    OpenOptions::new().write(true).open(log)?.set_len(0)
}

fn beside(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_large_log_moves_on_while_its_writer_keeps_writing() {
        let dir = std::env::temp_dir().join(format!("xtask-logs-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let log = dir.join("epoch.log");
        let mut writer = OpenOptions::new().append(true).create(true).open(&log).unwrap();
        writer.write_all(b"first\n").unwrap();
        bound(&log, 7).unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "first\n");
        writer.write_all(b"second\n").unwrap();
        bound(&log, 7).unwrap();
        writer.write_all(b"third\n").unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "third\n");
        assert_eq!(std::fs::read_to_string(dir.join("epoch.log.1")).unwrap(), "first\nsecond\n");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn without_room_for_a_copy_the_log_is_cut_at_twice_the_size() {
        let dir = std::env::temp_dir().join(format!("xtask-logs-full-{}", std::process::id()));
        // A folder in the place of the copy stands in for a full disk.
        std::fs::create_dir_all(dir.join("epoch.log.tmp")).unwrap();
        let log = dir.join("epoch.log");
        std::fs::write(&log, "123456789").unwrap();
        bound(&log, 5).unwrap();
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 9);
        bound(&log, 4).unwrap();
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_log_that_is_not_there_needs_nothing() {
        bound(Path::new("/nonexistent/epoch.log"), 1).unwrap();
    }
}
