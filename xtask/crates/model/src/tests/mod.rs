//! The spec as a whole: this repository's own files, wrong ones, and ones that no person would write.

mod apart;
mod files;
mod fuzz;
mod images;
mod jobs;
mod loading;
mod ports;
mod public_names;
mod secrets;
mod services;
mod wrong;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The root of this repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// A root of its own, removed in the end.
struct Root(PathBuf);

impl Root {
    /// Empty but for the crates that this repository's systems name, and a library.
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("slipway-spec-{}-{number}", std::process::id());
        let root = Self(std::env::temp_dir().join(name));
        for name in ["epoch", "shortener", "invoice-app", "payment-provider", "producer", "consumer"] {
            root.write(&format!("app/{name}/Cargo.toml"), format!("package.name = '{name}'"));
            root.write(&format!("app/{name}/src/main.rs"), "");
        }
        root.write("app/kit/Cargo.toml", "");
        root.write("app/kit/src/lib.rs", "");
        fs::create_dir_all(root.path().join("deploy/systems")).unwrap();
        fs::create_dir_all(root.path().join("deploy/environments")).unwrap();
        root
    }

    /// With this repository's own `deploy/`.
    fn of_repository() -> Self {
        let root = Self::new();
        for (path, text) in deploy_files() {
            root.write(&path, &text);
        }
        root
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // A leftover must not hide why a test failed.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The files of this repository's spec by their paths below the root, in order.
fn deploy_files() -> Vec<(String, String)> {
    let root = repository();
    let mut files = vec!["deploy/images.toml".to_owned()];
    for folder in ["deploy/environments", "deploy/systems"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".toml") && !name.ends_with(".local.toml") {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    files.sort();
    let read = |path: String| {
        let text = fs::read_to_string(root.join(&path)).unwrap();
        (path, text)
    };
    files.into_iter().map(read).collect()
}
