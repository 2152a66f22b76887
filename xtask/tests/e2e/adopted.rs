//! A repository that is not Rust takes the tool in, by the script that `docs/existing-repository.md` tells of.

use super::sandbox::{Run, Sandbox, checkout, scratch};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DOCKERFILE: &str =
    "FROM python:3.11-slim\nCOPY app.py .\nUSER 65532\nEXPOSE 8000\nCMD [\"python3\", \"app.py\"]\n";

/// What is somebody's own there.
const OWN: [(&str, &str); 3] = [("app.py", "print('hello')\n"), ("Dockerfile", DOCKERFILE), (".gitignore", "*.pyc")];

fn repository(name: &str) -> PathBuf {
    let root = scratch().join(format!("adopted-{name}"));
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    OWN.iter().for_each(|(path, text)| fs::write(root.join(path), text).unwrap());
    assert!(Command::new("git").args(["init", "--quiet"]).current_dir(&root).status().unwrap().success());
    root
}

fn adopt(args: &[&str], root: &Path) -> Run {
    Run::of(Command::new("sh").arg(checkout().join("xtask/adopt.sh")).args(args).arg(root))
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

/// What cargo builds there for containers, clusters and AWS.
fn packages(root: &Path) -> String {
    let line = ["tree", "--offline", "--package", "remote", "--edges", "normal,build", "--prefix", "none"];
    Run::of(Command::new(env!("CARGO")).args(line).current_dir(root)).success().stdout
}

#[test]
fn a_repository_takes_the_tool_in_and_a_dockerfile_is_a_system() {
    let root = repository("taken");
    adopt(&[], &root).success();
    let again = adopt(&[], &root).success();
    assert!(again.stdout.contains("next, there: cargo xtask add"), "{}", again.stdout);
    for (path, text) in OWN {
        assert!(read(root.join(path)).starts_with(text), "{path}");
    }
    let ignored = read(root.join(".gitignore"));
    assert_eq!(read(root.join(".dockerignore")), ".slipway\ntarget/xtask\ntarget/*/xtask\nxtask\ndeploy\nhelm\n");
    assert!(ignored.starts_with("*.pyc\n") && ignored.matches("/.slipway/\n").count() == 1, "{ignored}");
    let packages = packages(&root);
    assert!(packages.contains("\nmodel v") && packages.contains("\nclap v"), "{packages}");

    let sandbox = Sandbox::in_own_repository(root, "taken");
    sandbox.xtask(["add", ".", "--name", "hello", "--yes"]).success();
    let system = read(sandbox.root.join("deploy/systems/hello.toml"));
    assert!(system.starts_with("#:schema ../../docs/system.schema.json\n"), "{system}");
    assert!(sandbox.root.join("docs/system.schema.json").is_file());
    let planned = sandbox.xtask(["plan"]).success();
    assert!(planned.stdout.contains("hello"), "{}", planned.stdout);
}

#[test]
fn what_is_there_is_never_written_over() {
    let root = repository("kept");
    fs::create_dir_all(root.join("helm")).unwrap();
    fs::create_dir_all(root.join("deploy")).unwrap();
    fs::write(root.join("deploy/images.toml"), "mine = \"docker.io/me/mine:1\"\n").unwrap();
    let refused = adopt(&[], &root).exits(3);
    assert!(refused.stderr.contains("deploy/images.toml; nothing was written"), "{}", refused.stderr);
    assert!(!root.join("xtask").exists() && read(root.join(".gitignore")) == "*.pyc");

    fs::remove_file(root.join("deploy/images.toml")).unwrap();
    let own = "[package]\nname = \"theirs\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    fs::write(root.join("Cargo.toml"), own).unwrap();
    fs::create_dir_all(root.join(".cargo")).unwrap();
    fs::write(root.join(".cargo/config.toml"), "[build]\njobs = 1\n").unwrap();
    let told = adopt(&[], &root).success().stdout;
    assert!(told.contains("xtask/workspace.toml") && told.contains("xtask = \"run --quiet"), "{told}");
    assert_eq!(
        (read(root.join("Cargo.toml")), read(root.join(".cargo/config.toml"))),
        (own.into(), "[build]\njobs = 1\n".into())
    );
    // What it says to add makes one workspace of both.
    fs::create_dir_all(root.join("src")).unwrap();
    fs::write(root.join("src/main.rs"), "fn main() {}\n").unwrap();
    fs::write(root.join("Cargo.toml"), format!("{own}{}", read(root.join("xtask/workspace.toml")))).unwrap();
    assert!(packages(&root).starts_with("remote v"));
    fs::remove_dir_all(root).unwrap();
}
