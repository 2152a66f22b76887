//! The tool's test binaries: which are there, and which of them are checks of their own.

use std::path::Path;

/// A test binary that is a check of its own, as soon as there is one of its name.
pub(super) struct OwnCheck {
    pub(super) binary: &'static str,
    pub(super) title: &'static str,
    /// It builds services, as other checks do.
    pub(super) builds: bool,
}

/// What needs an engine or a cluster, most of it for long, so that it can be told from the rest, chosen and left out.
pub(super) const OWN_CHECKS: [OwnCheck; 8] = [
    OwnCheck { binary: "engine", title: "docker and podman are asked and understood", builds: false },
    OwnCheck { binary: "shim", title: "a container is watched, ended and explained", builds: false },
    OwnCheck { binary: "registry", title: "images are pushed, resumed and proven", builds: false },
    OwnCheck {
        binary: "images",
        title: "images are built, small, and built only when something changed",
        builds: true,
    },
    OwnCheck { binary: "chart", title: "the chart is right with every Helm and for the cluster", builds: false },
    OwnCheck { binary: "containers", title: "deploy, smoke and teardown of all systems in containers", builds: true },
    OwnCheck {
        binary: "cluster",
        title: "deploy, smoke, update and teardown of all systems in a cluster",
        builds: true,
    },
    OwnCheck { binary: "eks", title: "an empty AWS account to all systems proven, and back to empty", builds: true },
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

/// Arguments of `cargo test` for one binary.
pub(super) fn only(binary: &str) -> Vec<String> {
    ["--test", binary].map(str::to_owned).into_iter().chain(shown()).collect()
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
        assert_eq!(only("images").join(" "), "--test images -- --show-output");
        assert_eq!(binaries(Path::new("/nowhere")), Vec::<String>::new());
    }
}
