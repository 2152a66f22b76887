//! A repository and a PATH of our own: symlinks to real tools, and small scripts that stand for tools in a bad way.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a machine has that can build this repository.
const NEEDED: [&str; 4] = ["cargo", "rustc", "cc", "git"];

const LOCK: &str = "version = 4\n\n[[package]]\nname = \"epoch\"\nversion = \"0.1.0\"\n\n\
    [[package]]\nname = \"xtask\"\nversion = \"0.1.0\"\n";

/// Removed with all it holds when dropped.
pub(crate) struct Scratch {
    folder: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Scratch {
    /// A repository with one service, on a machine that has just what is needed.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("doctor-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let scratch = Self { folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name) };
        scratch.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"app/*\", \"xtask\"]\n\
            [workspace.package]\nrust-version = \"1.91\"\n",
        );
        scratch.write("Cargo.lock", LOCK);
        for (folder, name) in [("app/epoch", "epoch"), ("xtask", "xtask")] {
            let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
            scratch.write(&format!("{folder}/Cargo.toml"), &manifest);
            scratch.write(&format!("{folder}/src/main.rs"), "fn main() {}\n");
        }
        scratch.write("deploy/tools.toml", include_str!("../../../deploy/tools.toml"));
        scratch.write("deploy/environments/local.toml", "target = \"host\"\nports = \"free\"\n");
        scratch.service_port(1337);
        fs::create_dir(scratch.bin()).unwrap();
        for tool in NEEDED {
            scratch.link(tool);
        }
        scratch
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("repository")
    }

    fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The port of the one service.
    pub(crate) fn service_port(&self, port: u16) {
        let system =
            format!("description = \"Time\"\n[services.epoch]\ncrate = \"epoch\"\nport = {port}\npublic = true\n");
        self.write("deploy/systems/epoch.toml", &system);
    }

    /// Puts the real tool on PATH.
    pub(crate) fn link(&self, tool: &str) {
        symlink(which::which(tool).unwrap(), self.bin().join(tool)).unwrap();
    }

    /// Puts a script on PATH. `$here` in it is the folder of PATH, which is also where it may leave traces.
    pub(crate) fn script(&self, tool: &str, body: &str) {
        let path = self.bin().join(tool);
        let _ = fs::remove_file(&path);
        let here = self.bin().display().to_string();
        fs::write(&path, format!("#!/bin/sh\nhere='{here}'\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn remove(&self, tool: &str) {
        fs::remove_file(self.bin().join(tool)).unwrap();
    }

    /// What a script has left in the folder of PATH.
    pub(crate) fn trace(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.bin().join(name)).ok()
    }

    /// Runs `doctor` with these arguments, without a terminal.
    #[expect(clippy::disallowed_methods, reason = "a test drives the program as its users do")]
    pub(crate) fn doctor(&self, args: &[&str]) -> Doctor {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("doctor").args(args).current_dir(self.root().join("app/epoch")).stdin(Stdio::null());
        // The cargo that runs this test is not the one under test.
        command.env("PATH", self.bin()).env_remove("CARGO").env_remove("RUSTC").env_remove("CARGO_TARGET_DIR");
        Doctor(command.output().unwrap())
    }

    /// Every file below the repository, with its content.
    pub(crate) fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push((path.clone(), fs::read(path).unwrap())) }
            }
        }
        files.sort();
        files
    }
}

/// What a run said.
pub(crate) struct Doctor(Output);

impl Doctor {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// The one document that `--json` prints.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.stdout())
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout(), self.stderr()))
    }

    /// A check of the document.
    pub(crate) fn check(&self, id: &str) -> Value {
        let document = self.document();
        let checks = document["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no `{id}` in {document:#}")).clone()
    }
}
