//! The tool's test binaries: which are there, and which of them are checks of their own.

use super::checks::SERVICES;
use engine::plan::Holds;
use std::path::Path;

/// A test binary that is a check of its own, as soon as there is one of its name.
pub(super) struct OwnCheck {
    pub(super) binary: &'static str,
    pub(super) title: &'static str,
    /// What it must not share with others.
    pub(super) holds: Holds,
    pub(super) pace: Pace,
}

/// How many tests go at once.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// As many as the machine has processors.
    Usual,
    /// They wait for others most of the time, so that more go at once than a small machine has processors.
    Waiting,
}

const fn check(binary: &'static str, title: &'static str, holds: Holds) -> OwnCheck {
    OwnCheck { binary, title, holds, pace: Pace::Usual }
}

/// What is done to the engine alone. Those that build as well do not hold it: they name what they make so that nobody
/// else's is meant.
const ENGINE: Holds = Holds::Lock("engine");
/// What waits for a cluster nearly all the time goes beside the builds, for which cargo lets it wait by itself. Two of these at
/// once are more than a small cluster starts in time.
const CLUSTER: Holds = Holds::Locks(&["engine", "cluster"]);

/// What needs an engine or a cluster, most of it for long, so that it can be told from the rest, chosen and left out.
pub(super) const OWN_CHECKS: [OwnCheck; 8] = [
    check("engine", "docker and podman are asked and understood", ENGINE),
    check("shim", "a container is watched, ended and explained", ENGINE),
    check("registry", "images are pushed, resumed and proven", ENGINE),
    check("images", "images are built, small, and built only when something changed", SERVICES),
    check("chart", "the chart is right with every Helm and for the cluster", CLUSTER),
    check("containers", "deploy, smoke and teardown of all systems in containers", SERVICES),
    OwnCheck {
        pace: Pace::Waiting,
        ..check("cluster", "deploy, smoke, update and teardown of all systems in a cluster", CLUSTER)
    },
    check("eks", "an empty AWS account to all systems proven, and back to empty", CLUSTER),
];

/// The names of the test binaries, sorted. Without a folder there are none.
pub(super) fn binaries(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("xtask/tests")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| binary(&entry.path())).collect();
    names.sort();
    names
}

/// The name of the test binary that cargo makes of a file or a folder.
fn binary(path: &Path) -> Option<String> {
    let name = match path.extension() {
        Some(extension) if extension == "rs" => path.file_stem(),
        None if path.join("main.rs").is_file() => path.file_name(),
        _ => None,
    };
    Some(name?.to_string_lossy().into_owned())
}

/// The names of the tool's crates, which are those of their folders, sorted.
pub(super) fn crates(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("xtask/crates")).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Arguments of `cargo test` for everything that is no check of its own, in all of the tool's crates.
pub(super) fn common(crates: &[String], binaries: &[String]) -> Vec<String> {
    let has_own = |binary: &&String| OWN_CHECKS.iter().any(|check| check.binary == *binary);
    let rest = binaries.iter().filter(|binary| !has_own(binary));
    let named = rest.flat_map(|binary| ["--test".to_owned(), binary.clone()]);
    let packages = crates.iter().flat_map(|name| ["--package".to_owned(), name.clone()]);
    // What fails first is not all that a person wants to know.
    let all = ["--no-fail-fast", "--lib", "--bins"].map(str::to_owned);
    packages.chain(all).chain(named).chain(shown()).collect()
}

/// As many tests that wait go at once, at least.
const WAITING: usize = 6;

/// Arguments of `cargo test` for the binary of a check, on a machine with so many processors.
pub(super) fn only(check: &OwnCheck, processors: usize) -> Vec<String> {
    let threads = match check.pace {
        Pace::Waiting if processors < WAITING => Some(WAITING),
        Pace::Usual | Pace::Waiting => None,
    };
    let threads = threads.map(|threads| format!("--test-threads={threads}"));
    ["--test", check.binary].map(str::to_owned).into_iter().chain(shown()).chain(threads).collect()
}

/// What a test says that passes is where a skipped one gives its reason.
fn shown() -> [String; 2] {
    ["--", "--show-output"].map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_binary_is_part_of_one_check() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let binaries = binaries(root);
        assert!(["budget", "e2e", "key"].iter().all(|name| binaries.iter().any(|there| there == name)), "{binaries:?}");
        let tests = common(&crates(root), &binaries);
        assert!(["base", "engine", "model"].iter().all(|name| tests.iter().any(|there| there == name)), "{tests:?}");
        for binary in &binaries {
            let own = OWN_CHECKS.iter().any(|check| check.binary == binary);
            let common = tests.windows(2).any(|pair| pair[0] == "--test" && pair[1] == *binary);
            assert_ne!(own, common, "{binary}");
        }
    }

    #[test]
    fn arguments_name_what_is_run() {
        let names = ["budget", "images", "key"].map(str::to_owned);
        let tests = common(&["base".to_owned()], &names);
        assert_eq!(
            tests.join(" "),
            "--package base --no-fail-fast --lib --bins --test budget --test key -- --show-output"
        );
        assert_eq!(only(&check("images", "", SERVICES), 2).join(" "), "--test images -- --show-output");
        let paced = |binary, pace| OwnCheck { pace, ..check(binary, "", SERVICES) };
        let waiting = paced("cluster", Pace::Waiting);
        assert_eq!(only(&waiting, 2).join(" "), "--test cluster -- --show-output --test-threads=6");
        assert_eq!(only(&waiting, 8).join(" "), "--test cluster -- --show-output");
        assert_eq!(binaries(Path::new("/nowhere")), Vec::<String>::new());
    }
}
