//! What the tool costs to build, with the same profile: a cold start in processor time, beside the seven packages that it
//! was asked to be made of, and how long an edit takes until all is built again, beside the tool when it was one crate.

use crate::measure::{command, cpu_of, median_of, ratio, root, scratch, seconds};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 3;
/// Each crate is edited as often; what else a machine does only adds to the time.
const EDITS: usize = 2;

/// The last commit whose tool was one crate.
const ONE_CRATE: &str = "0079d75";

/// As the owner of the project named them.
const SEVEN: [&str; 7] = ["anyhow", "clap", "duct", "indicatif", "serde_json", "which", "xshell"];

pub(crate) fn run() {
    let folder = scratch("bench-build");
    let (seven, copy, target) = (folder.join("seven"), folder.join("copy"), folder.join("target"));
    write_seven(&seven);
    remote_tools::scratch::copy_repository(root(), &copy).expect("copy the repository");
    let before = folder.join("before");
    let before = extract(&before).then_some(before);
    let place = Place { seven, copy, before, target };
    place.cold();
    place.edits();
    let _ = fs::remove_dir_all(&folder);
}

struct Place {
    seven: PathBuf,
    /// A copy of the repository.
    copy: PathBuf,
    /// The tool as one crate; nothing where the history is not at hand.
    before: Option<PathBuf>,
    /// What all of them are built in, one after the other.
    target: PathBuf,
}

impl Place {
    fn cargo(&self, folder: &Path, args: &[&str]) -> Command {
        let mut cargo = command("cargo");
        cargo.args(args).current_dir(folder).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// A command line is usually written with clap's derive macros, so that is what the seven cost; the tool is measured
    /// up to where it shows a newcomer what a deploy would do.
    fn cold(&self) {
        let empty = || drop(fs::remove_dir_all(&self.target));
        // What else a machine does only adds to a build's time, so the least of several is the nearest to the truth. They
        // take turns, so that a machine that gets slower does so for both.
        let (mut alone, mut tool) = (Duration::MAX, Duration::MAX);
        for _ in 0..RUNS {
            empty();
            alone = alone.min(cpu_of(&mut self.cargo(&self.seven, &["build", "--quiet", "--profile", "xtask"]), &[0]));
            empty();
            // What is missing on a machine is told by another exit code, and takes as long to find out.
            let doctor = cpu_of(&mut self.cargo(&self.copy, &["xtask", "doctor"]), &[0, 1, 3]);
            let deploy = cpu_of(&mut self.cargo(&self.copy, &["xtask", "deploy", "epoch", "--dry-run"]), &[0]);
            tool = tool.min(doctor + deploy);
        }
        println!("  the seven alone {}, a cold start of the tool {} of processor time", seconds(alone), seconds(tool));
        println!("  a cold start / the seven: {} (at most: 2.30)", ratio(tool, alone));
    }

    /// From an edit in one crate until all that depends on it is built again, both binaries among it, for each crate of
    /// ours.
    fn edits(&self) {
        let both = ["--package", "xtask", "--package", "remote"];
        self.build(&self.copy, &both);
        let crates = self.own_crates().into_iter();
        let mut times: Vec<(Duration, String)> =
            crates.map(|(name, folder)| (self.edited(&self.copy, &folder, &both), name)).collect();
        times.sort();
        let shown: Vec<String> = times.iter().map(|(time, name)| format!("{name} {}", seconds(*time))).collect();
        println!("  an edit until it is built again, {} crates: {}", shown.len(), shown.join(", "));
        let Some(before) = &self.before else {
            println!("  there is no commit {ONE_CRATE} to compare with, skipped");
            return;
        };
        self.build(before, &both[..2]);
        let before = self.edited(before, &before.join("xtask"), &both[..2]);
        let median = median_of(times.iter().map(|(time, _)| *time).collect());
        // The lowest crate is the one that takes longest: all others have to be built again.
        let (longest, lowest) = times.pop().expect("the tool is at least one crate");
        println!(
            "  the median {} / the same in one crate {}: {} (at most: 0.33)",
            seconds(median),
            seconds(before),
            ratio(median, before)
        );
        println!("  the lowest, `{lowest}`, {}: {} of that (at most: 0.67)", seconds(longest), ratio(longest, before));
    }

    fn edited(&self, checkout: &Path, krate: &Path, packages: &[&str]) -> Duration {
        let edited = (0..EDITS).map(|count| {
            edit(krate, count);
            self.build(checkout, packages)
        });
        edited.min().unwrap_or_default()
    }

    fn build(&self, checkout: &Path, packages: &[&str]) -> Duration {
        let started = Instant::now();
        let args = [&["build", "--quiet", "--profile", "xtask"], packages].concat();
        cpu_of(&mut self.cargo(checkout, &args), &[0]);
        started.elapsed()
    }

    /// The crates of this repository that the tool is built of, and their folders.
    fn own_crates(&self) -> BTreeSet<(String, PathBuf)> {
        let tree = [
            "tree",
            "--package",
            "xtask",
            "--package",
            "remote",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ];
        let output = self.cargo(&self.copy, &tree).stdout(Stdio::piped()).output().expect("run cargo tree");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // `NAME vVERSION (FOLDER)`
        let own = |line: &str| {
            let folders = line.split(" (").skip(1).map(|part| PathBuf::from(part.trim_end().trim_end_matches(')')));
            let name = line.split(' ').next()?.to_owned();
            Some((name, folders.into_iter().find(|folder| folder.is_absolute())?))
        };
        text.lines().filter_map(own).collect()
    }
}

/// Writes the tree of the last commit whose tool was one crate; `false` where there is none.
fn extract(folder: &Path) -> bool {
    fs::create_dir_all(folder).expect("make a folder");
    let mut git = command("git");
    let mut git = git.args(["archive", ONE_CRATE]).stdout(Stdio::piped()).spawn().expect("run git");
    let tree = git.stdout.take().expect("git has an output");
    let unpacked = command("tar").args(["-xf", "-"]).current_dir(folder).stdin(tree).status().expect("run tar");
    git.wait().expect("wait for git").success() && unpacked.success()
}

/// Adds a function to a crate: more than a comment, so that nothing can be left as it was.
fn edit(folder: &Path, count: usize) {
    let roots = ["src/lib.rs", "src/main.rs"].map(|root| folder.join(root));
    let root = roots.into_iter().find(|root| root.is_file()).expect("a crate has a root");
    let mut file = fs::File::options().append(true).open(&root).expect("open a crate's root");
    writeln!(file, "\n#[allow(dead_code)]\nfn edited_{count}() {{}}").expect("edit a crate's root");
}

/// A crate that needs the seven and does nothing, with the lock file and the profile of this repository.
fn write_seven(folder: &Path) {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("read Cargo.lock");
    let version = |name: &str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).expect("it is in the lock file");
        after.split('"').next().unwrap_or_default()
    };
    let line = |name: &&str| {
        let features = if *name == "clap" { ", features = [\"derive\"]" } else { "" };
        format!("{name} = {{ version = \"={}\"{features} }}\n", version(name))
    };
    let dependencies: String = SEVEN.iter().map(line).collect();
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("read Cargo.toml");
    let profile = workspace.split_once("[profile.xtask]").map_or("", |(_, rest)| rest);
    let profile = profile.split("\n[").next().unwrap_or_default();
    let text = format!(
        "[package]\nname = \"seven\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{dependencies}\n[profile.xtask]{profile}\n"
    );
    fs::create_dir_all(folder.join("src")).expect("make a crate");
    fs::write(folder.join("Cargo.toml"), text).expect("write a manifest");
    fs::write(folder.join("src/main.rs"), "fn main() {}\n").expect("write a program");
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copy the lock file");
}
