//! Randomness of the system.

use anyhow::{Result, anyhow};

/// So many bytes.
///
/// # Errors
/// When the system has no randomness to give.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}

/// So many bytes in hexadecimal digits, which need no quoting in a URL or a configuration file.
///
/// # Errors
/// Those of [`bytes`].
pub fn hex<const N: usize>() -> Result<String> {
    Ok(bytes::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A secret of 160 bits.
///
/// # Errors
/// Those of [`bytes`].
pub fn secret() -> Result<String> {
    hex::<20>()
}
