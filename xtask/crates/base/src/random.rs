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

/// As many bytes as are asked for.
///
/// # Errors
/// Those of [`bytes`].
pub fn many(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
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
