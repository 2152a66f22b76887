//! One thing that a build can see: what it is, what it is called, and the digest of its content.

use anyhow::{Context, Result, bail};
use hmac_sha256::Hash as Sha256;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(content: impl AsRef<[u8]>) -> Self {
        Self(Sha256::hash(content.as_ref()))
    }

    /// The digest of several fields. Each goes in with its length before it, so that bytes moved from one field to
    /// its neighbour give another digest.
    pub(super) fn of_fields<F: AsRef<[u8]>>(fields: impl IntoIterator<Item = F>) -> Self {
        let mut buffer = Vec::new();
        for field in fields {
            buffer.extend_from_slice(&(field.as_ref().len() as u64).to_be_bytes());
            buffer.extend_from_slice(field.as_ref());
        }
        Self::of(buffer)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            hex.push(char::from(HEX[usize::from(byte >> 4)]));
            hex.push(char::from(HEX[usize::from(byte & 0xf)]));
        }
        // Honours a precision, which is how a short form is asked for.
        f.pad(&hex)
    }
}

impl FromStr for Digest {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let lowercase_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 64 || !text.bytes().all(lowercase_hex) {
            bail!("`{text}` is not a SHA-256 in lowercase hex");
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16)?;
        }
        Ok(Self(bytes))
    }
}

/// What an input is. Two inputs of one manifest may share a name only when their kinds differ; a path is one input,
/// whatever lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file, with the bits of its mode that count. Its digest is that of its content, as `sha256sum` has it.
    File { mode: u16 },
    /// A symlink; its digest is that of its target and of the path in this repository that it leads to.
    Link,
    /// A socket, a pipe or a device. Only what it is counts: reading it could wait for ever.
    Special,
    /// What a build has read beyond its key, a file or a folder. It counts, and is given to no other build.
    Read,
    /// A part of the root `Cargo.toml`, by its key: `profile.dev`.
    Config,
    /// An entry of `Cargo.lock`: `tokio 1.48.0`.
    Lock,
    /// The compiler, by the first line that it says of itself.
    Toolchain,
    /// What the system's spec says of the service.
    Spec,
    /// A build argument or an environment variable that the build reads.
    Argument,
    /// The recipe of an image.
    Dockerfile,
    /// A base image by its reference; its digest is that of the image's own digest.
    Base,
    /// An operating system and architecture by name: `linux/arm64`.
    Platform,
}

impl Kind {
    /// All but files, whose mode is theirs.
    const OTHERS: [Self; 11] = [
        Self::Link,
        Self::Special,
        Self::Read,
        Self::Config,
        Self::Lock,
        Self::Toolchain,
        Self::Spec,
        Self::Argument,
        Self::Dockerfile,
        Self::Base,
        Self::Platform,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Link => "link",
            Self::Special => "special",
            Self::Read => "read",
            Self::Config => "config",
            Self::Lock => "lock",
            Self::Toolchain => "toolchain",
            Self::Spec => "spec",
            Self::Argument => "argument",
            Self::Dockerfile => "dockerfile",
            Self::Base => "base",
            Self::Platform => "platform",
        }
    }

    /// Whether its name is that of a path in the repository.
    pub fn is_path(self) -> bool {
        matches!(self, Self::File { .. } | Self::Link | Self::Special)
    }

    /// Kinds that cannot both be had under one name.
    pub(super) fn slot(self) -> Self {
        match self {
            Self::File { .. } | Self::Link | Self::Special => Self::File { mode: 0 },
            other => other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { mode } => write!(f, "{}:{mode:04o}", self.word()),
            _ => f.write_str(self.word()),
        }
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(octal) = text.strip_prefix("file:") {
            let mode = u16::from_str_radix(octal, 8).with_context(|| format!("`{octal}` is not a file mode"))?;
            return Ok(Self::File { mode });
        }
        let known = Self::OTHERS.into_iter().find(|kind| kind.word() == text);
        known.with_context(|| format!("`{text}` is not a kind of input"))
    }
}

/// One thing that a build can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    kind: Kind,
    name: String,
    digest: Digest,
}

impl Input {
    pub fn new(kind: Kind, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self::with_digest(kind, name, Digest::of(content))
    }

    pub fn with_digest(kind: Kind, name: impl AsRef<[u8]>, digest: Digest) -> Self {
        Self { kind, name: printable(name.as_ref()), digest }
    }

    /// The compiler, from everything that `rustc -vV` prints.
    pub fn toolchain(version: &str) -> Self {
        Self::new(Kind::Toolchain, version.lines().next().unwrap_or_default(), version)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// On one line: control characters, `%` and bytes that are not UTF-8 stand as `%XX`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as the path that it is, byte by byte.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(original(&self.name)))
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Appends what the key is made of: the name with its length before it, everything else with a length of its own.
    pub(super) fn frame(&self, buffer: &mut Vec<u8>) {
        let mode = if let Kind::File { mode } = self.kind { mode } else { 0 };
        buffer.push(self.kind.word().len() as u8);
        buffer.extend_from_slice(self.kind.word().as_bytes());
        buffer.extend_from_slice(&mode.to_be_bytes());
        buffer.extend_from_slice(&self.digest.0);
        buffer.extend_from_slice(&(self.name.len() as u64).to_be_bytes());
        buffer.extend_from_slice(self.name.as_bytes());
    }

    /// The order of a manifest, and what must be unique in it.
    pub(super) fn slot(&self) -> (Kind, &str) {
        (self.kind.slot(), &self.name)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.digest, self.name)
    }
}

impl FromStr for Input {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut fields = line.splitn(3, ' ');
        let mut field = |what| fields.next().with_context(|| format!("no {what} in `{line}`"));
        Ok(Self { kind: field("kind")?.parse()?, digest: field("digest")?.parse()?, name: field("name")?.to_owned() })
    }
}

/// A name on one line that no other name shares.
pub(super) fn printable(name: &[u8]) -> String {
    // Most names are plain, and there are thousands.
    if let Ok(plain) = std::str::from_utf8(name)
        && name.iter().all(|byte| (b' '..=b'~').contains(byte) && *byte != b'%')
    {
        return plain.to_owned();
    }
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for part in chunk.valid().split_inclusive(|character: char| character == '%' || character.is_control()) {
            let plain = part.trim_end_matches(|character: char| character == '%' || character.is_control());
            text.push_str(plain);
            escape(&mut text, &part.as_bytes()[plain.len()..]);
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "%{byte:02X}");
    }
}

/// The name that was made printable.
fn original(printable: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(printable.len());
    let mut rest = printable.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *byte == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[2..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_print_differently_and_on_one_line() {
        let names: [&[u8]; 6] = [b"a\nb", b"a%0Ab", b"a b", b"a\xffb", b"a%FFb", "a\u{fffd}b".as_bytes()];
        let printed: std::collections::BTreeSet<_> = names.iter().map(|name| printable(name)).collect();
        assert_eq!(printed.len(), names.len());
        assert!(printed.iter().all(|name| !name.contains('\n')));
        assert_eq!(printable("src/naïve file.rs".as_bytes()), "src/naïve file.rs");
        for name in names {
            assert_eq!(original(&printable(name)), name);
        }
    }

    #[test]
    fn bytes_that_move_between_fields_change_the_digest() {
        assert_ne!(Digest::of_fields(["ab", "c"]), Digest::of_fields(["a", "bc"]));
        assert_ne!(Digest::of_fields(["ab"]), Digest::of_fields(["ab", ""]));
    }

    #[test]
    fn every_kind_reads_back_what_it_prints() {
        for kind in Kind::OTHERS {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        assert_eq!(Kind::File { mode: 0o4700 }.to_string(), "file:4700");
        assert_eq!("file:0600".parse::<Kind>().unwrap(), Kind::File { mode: 0o600 });
        assert!("files".parse::<Kind>().is_err());
    }
}
