//! `build` for all services when all images are current: beside cargo's own start, with the files of a large
//! repository, and beside an engine that builds one image of the usual Dockerfile.

use crate::measure::{millis, once, ratio, turns};
use crate::place::Copy;
use crate::usual::Usual;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const RUNS: usize = 21;
const FILES: usize = 10_000;
const FILES_IN_A_FOLDER: usize = 100;
/// A crate that every service uses.
const SHARED: &str = "app/kit/src";

pub(crate) fn run(usual: &Usual) {
    let Some(engine) = usual.engine.with(&["base"]) else { return };
    let copy = Copy::new("images", engine);
    let services = all_are(&copy, "built");
    all_are(&copy, "cached");
    let (start, whole) = measure(&copy);
    println!("  `build` of {services} current images {}, of it cargo's own start {}", millis(whole), millis(start));
    println!("  `build` / cargo's own start: {}", ratio(whole, start));
    usual.beside(whole);

    add_files(&copy.root);
    // That all are built anew shows that every one of them has the new files among its sources.
    all_are(&copy, "built");
    all_are(&copy, "cached");
    let (start, whole) = measure(&copy);
    let beyond = whole.saturating_sub(start);
    println!("  with {FILES} more source files {}, of it cargo's own start {}", millis(whole), millis(start));
    println!("  with them / cargo's own start: {}", ratio(whole, start));
    println!("  with them, beyond cargo's own start: {} (aimed at: less than 150 ms)", millis(beyond));
}

/// Cargo's own start, and `build`.
fn measure(copy: &Copy) -> (Duration, Duration) {
    let start = || once(&mut copy.cargo_xtask(&["--version"]));
    let build = || once(&mut copy.cargo_xtask(&["build", "--env", "containers"]));
    turns(RUNS, start, build)
}

/// Builds, which must have had this result for every image; returns how many there are.
fn all_are(copy: &Copy, result: &str) -> usize {
    let document = copy.document(&["build"]);
    let images = document["images"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(!images.is_empty() && images.iter().all(|image| image["result"] == result), "not {result}: {document:#}");
    images.len()
}

/// As long as the repository's own, and each different.
fn add_files(root: &Path) {
    let mut own = Vec::new();
    sources(&root.join("app"), &mut own);
    for (number, text) in own.iter().cycle().take(FILES).enumerate() {
        let folder = root.join(SHARED).join(format!("more/part_{}", number / FILES_IN_A_FOLDER));
        fs::create_dir_all(&folder).expect("make a folder of sources");
        fs::write(folder.join(format!("file_{number}.rs")), format!("// {number}\n{text}")).expect("write a source");
    }
}

/// The texts of all sources in a folder.
fn sources(folder: &Path, found: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("read a folder of sources").flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(&path).expect("read a source"));
        }
    }
}
