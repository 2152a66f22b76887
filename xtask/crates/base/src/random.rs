//! Randomness of the system.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;

/// So many bytes.
///
/// # Errors
/// When the system has no randomness to give.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Linux and macOS have it in the same place.
fn fill(bytes: &mut [u8]) -> Result<()> {
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(bytes)).context("read `/dev/urandom`")
}

/// So many bytes in hexadecimal digits, which need no quoting in a URL or a configuration file.
///
/// # Errors
/// Those of [`bytes`].
pub fn hex<const N: usize>() -> Result<String> {
    Ok(bytes::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// As many bytes as are asked for.
///
/// # Errors
/// Those of [`bytes`].
pub fn many(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// So many letters and digits, each as likely as any other.
///
/// # Errors
/// Those of [`bytes`].
pub fn alphanumeric(count: usize) -> Result<String> {
    const ALL: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::new();
    while text.len() < count {
        // 248 is the last multiple of 62 in a byte; those above it would favour the first letters.
        let fair = many(count)?.into_iter().filter(|byte| *byte < 248);
        text.extend(fair.take(count - text.len()).map(|byte| char::from(ALL[usize::from(byte % 62)])));
    }
    Ok(text)
}
