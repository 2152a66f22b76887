//! A small workspace on disk with every way in which one crate can depend on another.

use keys::{Manifest, Workspace};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

const ROOT: &str = r#"
[workspace]
resolver = "3"
members = ["app/*", "app/kit/derive", "app/web/fuzz"]
[workspace.package]
version = "0.1.0"
edition = "2024"
[workspace.dependencies]
kit = { path = "app/kit" }
rand = "0.8"
serde = "1"
[patch.crates-io]
log = { path = "patches/log" }
[profile.dev]
debug = 1
"#;

const WEB: &str = r#"
[dependencies]
kit.workspace = true
serde.workspace = true
[build-dependencies]
cc = { git = "https://example.com/cc" }
made = { path = "../made", optional = true }
[dev-dependencies]
tempfile = "3"
testkit = { path = "../testkit" }
[target.'cfg(windows)'.dependencies]
common = { package = "shared", path = "../shared" }
"#;

const LOCK: &str = r#"version = 4

[[package]]
name = "base"
version = "0.1.0"

[[package]]
name = "cc"
version = "1.2.0"
source = "git+https://example.com/cc#aaaa"

[[package]]
name = "derive"
version = "0.1.0"

[[package]]
name = "kit"
version = "0.1.0"
dependencies = [
 "base",
 "derive",
 "log",
]

[[package]]
name = "log"
version = "0.4.0"

[[package]]
name = "made"
version = "0.1.0"

[[package]]
name = "other"
version = "0.1.0"
dependencies = [
 "rand",
]

[[package]]
name = "rand"
version = "0.8.5"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "7a4d"

[[package]]
name = "serde"
version = "1.0.228"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "5e4de"
dependencies = ["serde_core"]

[[package]]
name = "serde_core"
version = "1.0.228"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "c04e"

[[package]]
name = "shared"
version = "0.1.0"

[[package]]
name = "tempfile"
version = "3.23.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "7e3f"

[[package]]
name = "testkit"
version = "0.1.0"

[[package]]
name = "web"
version = "0.1.0"
dependencies = [
 "cc",
 "kit",
 "made",
 "serde",
 "shared",
 "tempfile",
 "testkit",
]
"#;

pub(crate) const SERDE_0_9: &str = r#"
[[package]]
name = "serde"
version = "0.9.15"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "5e4d09"
"#;

pub(crate) const RAND_0_9: &str = r#"
[[package]]
name = "rand"
version = "0.9.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "7a4d09"
"#;

/// Removed when dropped.
pub(crate) struct Sample {
    scratch: PathBuf,
    pub(crate) root: PathBuf,
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl Sample {
    /// A folder with nothing in it.
    pub(crate) fn empty() -> Self {
        let scratch = fresh_folder();
        Self { root: scratch.join("checkout"), scratch }
    }

    pub(crate) fn new() -> Self {
        let sample = Self::empty();
        sample.write("Cargo.toml", ROOT);
        sample.write("Cargo.lock", LOCK);
        sample.write(".cargo/config.toml", "include = [\"more.toml\"]\n");
        sample.write(".cargo/more.toml", "[env]\nA = \"1\"\n");
        sample.write("README.md", "A sample.");
        // Enough for what git ignores to be known.
        sample.write(".git/HEAD", "ref: refs/heads/main");
        sample.write("LICENSE", "Terms.");
        sample.write("deploy/systems/web.toml", "");
        sample.package("app/web", "web", WEB);
        sample.package("app/web/fuzz", "fuzz", "");
        sample.package(
            "app/kit",
            "kit",
            "[dependencies]\nbase = { path = '../base' }\nlog = '0.4'\nderive = { path = 'derive' }\n",
        );
        sample.package("app/kit/derive", "derive", "");
        sample.package("app/other", "other", "[dependencies]\nrand.workspace = true\n");
        sample.package("patches/log", "log", "");
        for name in ["base", "made", "shared", "testkit"] {
            sample.package(&format!("app/{name}"), name, "[dependencies]\n");
        }
        sample.write("app/web/src/page.rs", "pub struct Page;");
        sample.write("app/web/run.sh", "#!/bin/sh\n");
        fs::set_permissions(sample.path("app/web/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        sample.write("app/web/assets/index.html", "<html>");
        sample.write("app/web/assets/page.html", "<html>");
        sample.write("assets/logo.svg", "<svg>");
        sample.write("shared-assets/logo.svg", "<svg>");
        sample.write("target/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
        sample.link("../../target", "app/web/built");
        sample.link("index.html", "app/web/assets/start");
        sample.link("../../LICENSE", "app/web/LICENSE");
        sample.link("../../../assets", "app/web/assets/all");
        sample.link("../../../common", "app/web/assets/common");
        sample.link("shared-assets", "common");
        sample
    }

    pub(crate) fn package(&self, folder: &str, name: &str, dependencies: &str) {
        let head = format!("[package]\nname = \"{name}\"\nversion.workspace = true\nedition = \"2024\"\n");
        self.write(&format!("{folder}/Cargo.toml"), &format!("{head}{dependencies}"));
        self.write(&format!("{folder}/src/lib.rs"), "");
        self.write(&format!("{folder}/src/main.rs"), "fn main() {}");
    }

    pub(crate) fn manifest(&self, name: &str) -> Manifest {
        Workspace::read(&self.root).unwrap().manifests(&[name]).unwrap().remove(name).unwrap()
    }

    /// What an excerpt for a crate has of manifests and lock.
    pub(crate) fn excerpt(&self, name: &str) -> BTreeMap<PathBuf, String> {
        Workspace::read(&self.root).unwrap().excerpt(name).unwrap()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Writes a file, in the place of a link if there is one.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.is_symlink() {
            fs::remove_file(&path).unwrap();
        }
        fs::write(path, text).unwrap();
    }

    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "`{path}` has no `{from}`");
        self.write(path, &text.replacen(from, to, 1));
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Makes a symlink at `path`, in the place of what is there.
    pub(crate) fn link(&self, target: &str, path: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.is_symlink() || path.exists() {
            fs::remove_file(&path).unwrap();
        }
        symlink(target, path).unwrap();
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Makes a file look old.
    pub(crate) fn touch(&self, path: &str) {
        let file = fs::File::options().append(true).open(self.path(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    }

    /// Moves the checkout to another folder.
    pub(crate) fn relocate(&mut self) {
        let moved = self.scratch.join("another name");
        fs::rename(&self.root, &moved).unwrap();
        self.root = moved;
    }
}

pub(crate) fn fresh_folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("key-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
