//! Files count as git would add them.

use super::model::Chance;
use super::sample::Sample;
use keys::Workspace;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Lines of files of patterns, each with a way of its own to be misread.
const PATTERNS: [&str; 26] = [
    "*.log",
    "!keep.log",
    "/top",
    "deep/",
    "!deep/",
    "a/**/z",
    "**/b",
    "b/**",
    "x?z",
    "[ab].txt",
    "[!ab].txt",
    "# note",
    "\\#odd",
    "trailing ",
    "dir/*",
    "!dir/keep.log",
    "a/b",
    "/*/b",
    "*",
    "!*/",
    "!*.txt",
    "**",
    "x*",
    "",
    "c/\r",
    "\\!bang",
];
const NAMES: [&str; 14] =
    ["a", "b", "c", "deep", "dir", "top", "xyz", "a.txt", "c.txt", "keep.log", "some.log", "#odd", "trailing", "!bang"];

fn git(root: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "core.excludesFile=/dev/null", "-c", "user.name=t", "-c", "user.email=t@example.com"]);
    for variable in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
        git.env_remove(variable);
    }
    let output = git.args(args).current_dir(root).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What git would have in a commit of everything, and what the key has.
fn both(sample: &Sample) -> [BTreeSet<String>; 2] {
    let listed = git(&sample.root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let there = |name: &&str| sample.root.join(name).symlink_metadata().is_ok();
    let listed = listed.split('\0').filter(|name| !name.is_empty()).filter(there).map(str::to_owned).collect();
    let manifest = sample.manifest("solo");
    let paths = manifest.inputs().iter().filter(|input| input.kind().is_path());
    [listed, paths.map(|input| input.path().to_str().unwrap().to_owned()).collect()]
}

/// Writes a file where that is possible: what is a file cannot be a folder as well.
fn try_write(sample: &Sample, path: &str, text: &str) -> bool {
    let path = sample.path(path);
    path.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok()) && fs::write(path, text).is_ok()
}

fn repository() -> Sample {
    let sample = Sample::empty();
    sample.write("Cargo.toml", "[package]\nname = 'solo'\nversion = '0.1.0'\n");
    git(&sample.root, &["init", "--quiet"]);
    sample
}

#[test]
fn what_git_would_add_counts_and_nothing_else() {
    let mut chance = Chance::new(0x61746967);
    let mut ignored = 0;
    for round in 0..60 {
        let sample = repository();
        let pick = |chance: &mut Chance, from: &[&str]| from[chance.below(from.len())].to_owned();
        let folder =
            |chance: &mut Chance| (0..chance.below(4)).map(|_| pick(chance, &NAMES[..5]) + "/").collect::<String>();
        let mut written = Vec::new();
        for _ in 0..30 {
            let path = folder(&mut chance) + &pick(&mut chance, &NAMES);
            if try_write(&sample, &path, "") {
                written.push(path);
            }
        }
        for _ in 0..1 + chance.below(3) {
            let lines: Vec<_> = (0..1 + chance.below(5)).map(|_| pick(&mut chance, &PATTERNS)).collect();
            let place = folder(&mut chance) + ".gitignore";
            let place = if chance.below(4) == 0 { ".git/info/exclude" } else { &place };
            try_write(&sample, place, &lines.join("\n"));
        }
        if chance.below(2) == 0 {
            let added: Vec<&str> = written.iter().filter(|_| chance.below(3) == 0).map(String::as_str).collect();
            git(&sample.root, &["update-index", "--index-version", ["2", "4"][chance.below(2)]]);
            git(&sample.root, &[&["add", "--force", "Cargo.toml"], added.as_slice()].concat());
        }
        let [listed, counted] = both(&sample);
        assert_eq!(listed, counted, "round {round}: {}", git(&sample.root, &["status", "--short", "--ignored"]));
        ignored += written.len() - written.iter().filter(|path| counted.contains(*path)).count();
    }
    assert!(ignored > 200, "{ignored} files were ignored: the test has lost its point");
}

#[test]
fn a_linked_working_tree_ignores_what_all_do() {
    let (main, linked) = (repository(), Sample::empty());
    main.write(".git/info/exclude", "*.log\n");
    git(&main.root, &["add", "."]);
    git(&main.root, &["commit", "--quiet", "--message", "one"]);
    git(&main.root, &["worktree", "add", "--quiet", linked.root.to_str().unwrap()]);
    linked.write("some.log", "");
    linked.write("kept.log", "");
    // The longer a name, the more bytes say how much of it the next one drops.
    let long = format!("deep/{}", "x".repeat(200));
    linked.write(&long, "");
    git(&linked.root, &["update-index", "--index-version", "4"]);
    git(&linked.root, &["add", "--force", &long, "kept.log"]);
    let [listed, counted] = both(&linked);
    assert_eq!(listed, counted);
    assert!(counted.contains("kept.log") && !counted.contains("some.log"), "{counted:?}");
}

#[test]
fn without_git_everything_counts() {
    let root = std::env::temp_dir().join(format!("key-no-git-{}", std::process::id()));
    fs::create_dir_all(&root).unwrap();
    for (path, text) in [("Cargo.toml", "[package]\nname = 'solo'"), (".gitignore", "*.log"), ("some.log", "")] {
        fs::write(root.join(path), text).unwrap();
    }
    let manifest = Workspace::read(&root).unwrap().manifests(&["solo"]).unwrap().remove("solo").unwrap();
    fs::remove_dir_all(&root).unwrap();
    assert!(manifest.inputs().iter().any(|input| input.name() == "some.log"), "{manifest:?}");
}
