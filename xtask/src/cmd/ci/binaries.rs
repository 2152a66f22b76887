//! The tool's test binaries: which are there, and which of them are checks of their own.

use std::path::Path;

/// A test binary that is a check of its own, as soon as there is one of its name.
pub(super) struct OwnCheck {
    pub(super) binary: &'static str,
    pub(super) title: &'static str,
    /// It builds services, as other checks do.
    pub(super) builds: bool,
    /// Its tests wait for others most of the time, so that more of them go at once than a small machine has processors.
    pub(super) waits: bool,
}

const fn check(binary: &'static str, title: &'static str) -> OwnCheck {
    OwnCheck { binary, title, builds: false, waits: false }
}

const fn building(binary: &'static str, title: &'static str) -> OwnCheck {
    OwnCheck { builds: true, ..check(binary, title) }
}

/// What needs an engine or a cluster, most of it for long, so that it can be told from the rest, chosen and left out.
pub(super) const OWN_CHECKS: [OwnCheck; 8] = [
    check("engine", "docker and podman are asked and understood"),
    check("shim", "a container is watched, ended and explained"),
    check("registry", "images are pushed, resumed and proven"),
    building("images", "images are built, small, and built only when something changed"),
    check("chart", "the chart is right with every Helm and for the cluster"),
    building("containers", "deploy, smoke and teardown of all systems in containers"),
    OwnCheck { waits: true, ..building("cluster", "deploy, smoke, update and teardown of all systems in a cluster") },
    building("eks", "an empty AWS account to all systems proven, and back to empty"),
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

/// Arguments of `cargo test` for everything that is no check of its own. What is in the documentation takes a call of
/// its own.
pub(super) fn common(binaries: &[String]) -> [Vec<String>; 2] {
    let has_own = |binary: &&String| OWN_CHECKS.iter().any(|check| check.binary == *binary);
    let rest = binaries.iter().filter(|binary| !has_own(binary));
    let named = rest.flat_map(|binary| ["--test".to_owned(), binary.clone()]);
    let tests = ["--lib", "--bins"].map(str::to_owned).into_iter().chain(named).chain(shown());
    [tests.collect(), vec!["--doc".to_owned()]]
}

/// As many tests that wait go at once, at least.
const WAITING: usize = 4;

/// Arguments of `cargo test` for the binary of a check, on a machine with so many processors.
pub(super) fn only(check: &OwnCheck, processors: usize) -> Vec<String> {
    let more = (check.waits && processors < WAITING).then(|| format!("--test-threads={WAITING}"));
    ["--test", check.binary].map(str::to_owned).into_iter().chain(shown()).chain(more).collect()
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
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let binaries = binaries(root);
        assert!(["budget", "e2e", "key"].iter().all(|name| binaries.iter().any(|there| there == name)), "{binaries:?}");
        let [tests, documentation] = common(&binaries);
        assert_eq!(documentation, ["--doc"]);
        for binary in &binaries {
            let own = OWN_CHECKS.iter().any(|check| check.binary == binary);
            assert_ne!(own, tests.contains(binary), "{binary}");
        }
    }

    #[test]
    fn arguments_name_what_is_run() {
        let names = ["budget", "images", "key"].map(str::to_owned);
        let [tests, _] = common(&names);
        assert_eq!(tests.join(" "), "--lib --bins --test budget --test key -- --show-output");
        assert_eq!(only(&check("images", ""), 2).join(" "), "--test images -- --show-output");
        let waiting = OwnCheck { waits: true, ..check("cluster", "") };
        assert_eq!(only(&waiting, 2).join(" "), "--test cluster -- --show-output --test-threads=4");
        assert_eq!(only(&waiting, 8).join(" "), "--test cluster -- --show-output");
        assert_eq!(binaries(Path::new("/nowhere")), Vec::<String>::new());
    }
}
