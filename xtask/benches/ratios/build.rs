//! The cold build of this tool beside one of the seven packages it was asked to be made of, in processor time, with
//! the same profile; and each dependency's share, which `xtask/Cargo.toml` repeats.

use crate::measure::{command, cpu, ratio, root, scratch};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const RUNS: usize = 3;

/// As the owner of the project named them.
const SEVEN: [&str; 7] = ["anyhow", "clap", "duct", "indicatif", "serde_json", "which", "xshell"];

pub(crate) fn run() {
    let folder = scratch("bench-build");
    let seven = folder.join("seven");
    write_seven(&seven);
    let target = folder.join("target");
    // A command line is usually written with clap's derive macros, so that is what the seven cost; this tool's is built
    // without them.
    let build = |manifest: &Path| -> Command {
        let _ = std::fs::remove_dir_all(&target);
        let mut cargo = command("cargo");
        cargo.args(["build", "--quiet", "--profile", "xtask", "--manifest-path"]).arg(manifest);
        cargo.env("CARGO_TARGET_DIR", &target);
        cargo
    };
    // What else a machine does only adds to a build's time, so the least of several is the nearest to the truth. They
    // take turns, so that a machine that gets slower does so for both.
    let (mut alone, mut tool) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        alone = alone.min(cpu(&mut build(&seven.join("Cargo.toml"))));
        tool = tool.min(cpu(&mut build(&root().join("xtask/Cargo.toml"))));
    }
    println!("  the seven alone {:.1} s, the tool {:.1} s of processor time", alone.as_secs_f64(), tool.as_secs_f64());
    println!("  the tool / the seven: {} (aimed at: 1.50)", ratio(tool, alone));
    print_shares(&target);
    let _ = std::fs::remove_dir_all(&folder);
}

/// A crate that needs the seven and does nothing, with the lock file and the profile of this repository.
fn write_seven(folder: &Path) {
    let manifest = std::fs::read_to_string(root().join("xtask/Cargo.toml")).expect("read xtask/Cargo.toml");
    let wanted = |line: &&str| SEVEN.iter().any(|name| line.starts_with(&format!("{name} = ")));
    let lines: Vec<&str> = manifest.lines().filter(wanted).collect();
    assert_eq!(lines.len(), SEVEN.len(), "xtask/Cargo.toml names each of the seven once: {lines:?}");
    let derive = |line: &str| match line.split_once('=') {
        Some(("clap ", version)) => {
            let version = version.split('#').next().unwrap_or(version).trim();
            format!("clap = {{ version = {version}, features = [\"derive\"] }}")
        }
        _ => line.to_owned(),
    };
    let lines: Vec<String> = lines.into_iter().map(derive).collect();
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("read Cargo.toml");
    let profile = workspace.split_once("[profile.xtask]").map_or("", |(_, rest)| rest);
    let profile = profile.split("\n[").next().unwrap_or_default();
    let text = format!(
        "[package]\nname = \"seven\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{}\n\n[profile.xtask]{profile}\n",
        lines.join("\n")
    );
    std::fs::create_dir_all(folder.join("src")).expect("make a crate");
    std::fs::write(folder.join("Cargo.toml"), text).expect("write a manifest");
    std::fs::write(folder.join("src/main.rs"), "fn main() {}\n").expect("write a program");
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copy the lock file");
}

/// What each direct dependency brings along, by the number of crates that nothing before it in the manifest needs.
fn print_shares(target: &Path) {
    let output = command("cargo")
        .args(["tree", "--package", "xtask", "--edges", "normal,build", "--prefix", "depth", "--no-dedupe"])
        .env("CARGO_TARGET_DIR", target)
        .stdout(Stdio::piped())
        .output()
        .expect("run cargo tree");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut seen = std::collections::BTreeSet::new();
    let mut brings: BTreeMap<String, usize> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let Some(at) = line.find(|c: char| !c.is_ascii_digit()) else { continue };
        let (depth, name) = line.split_at(at);
        let name = name.split(" (").next().unwrap_or(name).trim().to_owned();
        if depth == "1" {
            current = name.split(' ').next().unwrap_or(&name).to_owned();
        }
        if depth != "0" && seen.insert(name) {
            *brings.entry(current.clone()).or_default() += 1;
        }
    }
    println!("  {} crates (the limit is 70): {brings:?}", seen.len() + 1);
}
