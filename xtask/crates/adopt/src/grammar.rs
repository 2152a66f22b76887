//! Which keys of a system's file are there yet. A line here goes when the model reads its key; what it does not read stands
//! in the file as a comment, so that what is written loads.

/// A part of the grammar that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// `container.entrypoint`
    Entrypoint,
    /// `aliases`
    Aliases,
    /// `container.volumes`
    Volumes,
    /// `container.allow`
    Allow,
    /// `files.NAME = { from, at, mode }`
    Files,
    /// `[secrets]`, from a variable or a file
    Secrets,
    /// Names of variables such as `discovery.type`.
    Variables,
    /// A service without `port`.
    Workers,
}

/// Whether the model reads it.
pub(crate) fn is_read(key: Key) -> bool {
    const READ: [Key; 0] = [];
    READ.contains(&key)
}
