//! Why two keys differ, in words for a person.

use super::input::{Input, Kind};
use super::manifest::Manifest;
use std::collections::BTreeMap;
use std::fmt;

/// One difference between two manifests. `Display` is the sentence that a person reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Added(Input),
    Removed(Input),
    /// The two have different names where one replaced the other: two versions of a locked package, two toolchains.
    Changed {
        old: Input,
        new: Input,
    },
}

/// What changed from `old` to `new`, in the order of a manifest: files first. Empty when their keys are the same.
pub fn diff(old: &Manifest, new: &Manifest) -> Vec<Change> {
    let mut removed: BTreeMap<_, &Input> = old.inputs().iter().map(|input| (input.slot(), input)).collect();
    let mut changes = Vec::new();
    let mut added = Vec::new();
    for input in new.inputs() {
        match removed.remove(&input.slot()) {
            None => added.push(input),
            Some(before) if before == input => {}
            Some(before) => changes.push(Change::Changed { old: before.clone(), new: input.clone() }),
        }
    }
    for new in added {
        let replaced = removed.iter().find(|(_, old)| replaces(old, new)).map(|(slot, _)| *slot);
        changes.push(match replaced.and_then(|slot| removed.remove(&slot)) {
            Some(old) => Change::Changed { old: old.clone(), new: new.clone() },
            None => Change::Added(new.clone()),
        });
    }
    changes.extend(removed.into_values().map(|input| Change::Removed(input.clone())));
    changes.sort_by(|a, b| a.about().slot().cmp(&b.about().slot()));
    changes
}

/// Whether `new` stands where `old` stood under another name: another version of the same locked package, or the one
/// toolchain, platform or base that a build has.
fn replaces(old: &Input, new: &Input) -> bool {
    old.kind() == new.kind()
        && match new.kind() {
            Kind::Lock => first_word(old.name()) == first_word(new.name()),
            Kind::Toolchain | Kind::Platform | Kind::Base => true,
            _ => false,
        }
}

impl Change {
    fn about(&self) -> &Input {
        match self {
            Self::Added(input) | Self::Removed(input) | Self::Changed { new: input, .. } => input,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It is one only while it is not what it was.
            Self::Added(input) | Self::Removed(input) if input.kind() == Kind::Read => {
                write!(f, "{} changed", subject(input))
            }
            Self::Added(input) => write!(f, "{} added", subject(input)),
            Self::Removed(input) => write!(f, "{} removed", subject(input)),
            Self::Changed { old, new } => match new.kind() {
                Kind::File { .. } | Kind::Link | Kind::Special => path_changed(f, old, new),
                Kind::Toolchain => one_of_a_kind_changed(f, "toolchain", release(old, new), release(new, old)),
                _ if old.name() == new.name() => write!(f, "{} changed", subject(new)),
                Kind::Lock => write!(f, "{} → {}", subject(old), after_first_word(new.name())),
                kind => one_of_a_kind_changed(f, word(kind), old.name(), new.name()),
            },
        }
    }
}

fn path_changed(f: &mut fmt::Formatter<'_>, old: &Input, new: &Input) -> fmt::Result {
    let name = new.name();
    match (old.kind(), new.kind()) {
        (Kind::File { mode: before }, Kind::File { mode: after }) if old.digest() == new.digest() => {
            match (before ^ after, after & 0o100) {
                (0o100, 0) => write!(f, "{name} is no longer executable"),
                (0o100, _) => write!(f, "{name} became executable"),
                _ => write!(f, "{name} changed its mode: {before:04o} → {after:04o}"),
            }
        }
        (Kind::File { .. }, Kind::File { .. }) => write!(f, "{name} changed"),
        (Kind::Link, Kind::Link) => write!(f, "{name} leads elsewhere"),
        (before, after) => write!(f, "{name} changed from {} to {}", word(before), word(after)),
    }
}

fn one_of_a_kind_changed(f: &mut fmt::Formatter<'_>, what: &str, old: &str, new: &str) -> fmt::Result {
    match (old.split_once(' '), new.split_once(' ')) {
        _ if old == new => write!(f, "{what} changed"),
        // `rustc 1.94.0 → 1.95.0`: the program is named once.
        (Some((program, _)), Some((same, version))) if program == same => {
            write!(f, "{what} changed: {old} → {version}")
        }
        _ => write!(f, "{what} changed: {old} → {new}"),
    }
}

/// As much of a toolchain's name as tells it from the other: `rustc 1.95.0`, and the commit as well where the
/// versions are the same.
fn release<'a>(toolchain: &'a Input, other: &Input) -> &'a str {
    let short = |name: &'a str| name.match_indices(' ').nth(1).map_or(name, |(end, _)| &name[..end]);
    let name = toolchain.name();
    if other.name().starts_with(short(name)) { name } else { short(name) }
}

fn subject(input: &Input) -> String {
    let name = input.name();
    match input.kind() {
        Kind::File { .. } | Kind::Link | Kind::Special | Kind::Read => name.to_owned(),
        Kind::Config => format!("Cargo.toml: {name}"),
        Kind::Lock => format!("lock: {name}"),
        kind => format!("{} {name}", word(kind)),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File { .. } | Kind::Read => "a file",
        Kind::Link => "a symlink",
        Kind::Special => "a socket, pipe or device",
        Kind::Config => "Cargo.toml",
        Kind::Lock => "lock",
        Kind::Toolchain => "toolchain",
        Kind::Spec => "spec of",
        Kind::Argument => "argument",
        Kind::Dockerfile => "Dockerfile",
        Kind::Base => "base image",
        Kind::Platform => "platform",
    }
}

fn first_word(name: &str) -> &str {
    name.split_once(' ').map_or(name, |(first, _)| first)
}

fn after_first_word(name: &str) -> &str {
    name.split_once(' ').map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(old: &[Input], new: &[Input]) -> Vec<String> {
        let (old, new) = (Manifest::new(old.to_vec()), Manifest::new(new.to_vec()));
        diff(&old, &new).iter().map(ToString::to_string).collect()
    }

    fn sentence(old: Input, new: Input) -> String {
        let sentences = sentences(&[old], &[new]);
        assert_eq!(sentences.len(), 1, "{sentences:?}");
        sentences[0].clone()
    }

    const PLAIN: Kind = Kind::File { mode: 0o600 };

    #[test]
    fn files() {
        let file = |mode, content: &str| Input::new(Kind::File { mode }, "app/a/run.sh", content);
        let link = Input::new(Kind::Link, "app/a/run.sh", "x");
        let pipe = Input::new(Kind::Special, "app/a/run.sh", "pipe");
        assert_eq!(sentence(file(0o600, "1"), file(0o600, "2")), "app/a/run.sh changed");
        assert_eq!(sentence(file(0o600, "1"), file(0o700, "2")), "app/a/run.sh changed");
        assert_eq!(sentence(file(0o600, "1"), file(0o700, "1")), "app/a/run.sh became executable");
        assert_eq!(sentence(file(0o700, "1"), file(0o600, "1")), "app/a/run.sh is no longer executable");
        assert_eq!(sentence(file(0o600, "1"), file(0o400, "1")), "app/a/run.sh changed its mode: 0600 → 0400");
        assert_eq!(sentence(file(0o600, "1"), link.clone()), "app/a/run.sh changed from a file to a symlink");
        assert_eq!(sentence(link.clone(), pipe), "app/a/run.sh changed from a symlink to a socket, pipe or device");
        let retargeted = Input::new(Kind::Link, "app/a/run.sh", "y");
        assert_eq!(sentence(link, retargeted), "app/a/run.sh leads elsewhere");
        let (old, new) = (Input::new(PLAIN, "a.rs", ""), Input::new(PLAIN, "b.rs", ""));
        assert_eq!(sentences(&[old], &[new]), ["a.rs removed", "b.rs added"]);
    }

    #[test]
    fn locked_packages_are_paired_by_name() {
        let lock = |name: &str| Input::new(Kind::Lock, name, name);
        assert_eq!(sentence(lock("tokio 1.48.0"), lock("tokio 1.49.0")), "lock: tokio 1.48.0 → 1.49.0");
        let replaced = Input::new(Kind::Lock, "tokio 1.48.0", "another checksum");
        assert_eq!(sentence(lock("tokio 1.48.0"), replaced), "lock: tokio 1.48.0 changed");
        assert_eq!(
            sentences(
                &[lock("rand 0.8.5"), lock("rand 0.9.1"), lock("mio 1.0.0")],
                &[lock("rand 0.9.1"), lock("rand 0.9.2"), lock("rand_core 0.9.0")]
            ),
            ["lock: mio 1.0.0 removed", "lock: rand 0.8.5 → 0.9.2", "lock: rand_core 0.9.0 added"]
        );
    }

    #[test]
    fn toolchains_say_as_much_as_tells_them_apart() {
        let rustc = |first: &str, host: &str| Input::toolchain(&format!("{first}\nhost: {host}\n"));
        let stable = rustc("rustc 1.95.0 (59807616e 2026-04-14)", "x86_64-unknown-linux-gnu");
        let before = rustc("rustc 1.94.0 (4a4ef493e 2026-03-02)", "x86_64-unknown-linux-gnu");
        assert_eq!(sentence(before, stable.clone()), "toolchain changed: rustc 1.94.0 → 1.95.0");
        let rebuilt = rustc("rustc 1.95.0 (000000000 2026-04-15)", "x86_64-unknown-linux-gnu");
        assert_eq!(
            sentence(stable.clone(), rebuilt),
            "toolchain changed: rustc 1.95.0 (59807616e 2026-04-14) → 1.95.0 (000000000 2026-04-15)"
        );
        let elsewhere = rustc("rustc 1.95.0 (59807616e 2026-04-14)", "aarch64-apple-darwin");
        assert_eq!(sentence(stable, elsewhere), "toolchain changed");
    }

    #[test]
    fn what_the_caller_adds() {
        let input = |kind, name: &str, content: &str| Input::new(kind, name, content);
        let platform = |name: &str| input(Kind::Platform, name, "");
        assert_eq!(
            sentence(platform("linux/amd64"), platform("linux/arm64")),
            "platform changed: linux/amd64 → linux/arm64"
        );
        let base = |name: &str, digest: &str| input(Kind::Base, name, digest);
        assert_eq!(sentence(base("debian:13", "1"), base("debian:13", "2")), "base image debian:13 changed");
        assert_eq!(
            sentence(base("debian:12", "1"), base("debian:13", "2")),
            "base image changed: debian:12 → debian:13"
        );
        let argument = |value: &str| input(Kind::Argument, "RUSTFLAGS", value);
        assert_eq!(sentence(argument("-C a"), argument("-C b")), "argument RUSTFLAGS changed");
        assert_eq!(sentences(&[], &[argument("")]), ["argument RUSTFLAGS added"]);
        assert_eq!(sentences(&[input(Kind::Spec, "epoch", "")], &[]), ["spec of epoch removed"]);
        assert_eq!(
            sentence(input(Kind::Config, "profile.dev", "1"), input(Kind::Config, "profile.dev", "2")),
            "Cargo.toml: profile.dev changed"
        );
    }

    #[test]
    fn the_same_inputs_have_no_difference() {
        let inputs = [Input::new(PLAIN, "a", "1"), Input::new(Kind::Lock, "b 1.0.0", "")];
        assert_eq!(sentences(&inputs, &inputs), Vec::<String>::new());
    }
}
