//! The tool as it was at an earlier commit, and its checkout: what it has deployed has to be carried on by today's.

use super::sandbox::{Run, Sandbox, checkout, scratch};
use remote_tools::scratch::{copy, copy_repository};
use skip::{Found, Missing};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The last commit before state was written in today's way.
const COMMIT: &str = "0079d752b4a124b3e65ef2bc2c27ea9e34ef705b";

/// Longer than a cold build of the tool takes on a busy machine.
const BUILT_WITHIN: Duration = Duration::from_secs(900);

/// What a person has once the checkout is brought up to date with today's tool; services and systems are their own.
const OF_THE_TOOL: [&str; 2] = ["helm", "terraform"];

/// The earlier tool, built.
pub(crate) struct Earlier {
    program: PathBuf,
    tree: PathBuf,
}

/// The earlier tool, where the commit is in this clone.
pub(crate) fn earlier() -> Found<&'static Earlier> {
    static BUILT: OnceLock<Option<Earlier>> = OnceLock::new();
    let built = BUILT.get_or_init(|| is_there().then(Earlier::build));
    let reason =
        || Missing::new(format!("the commit {COMMIT:.7}, whose state is to be carried on, is not in this clone"));
    built.as_ref().ok_or_else(reason)
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(checkout()).stdin(Stdio::null());
    git
}

/// A shallow clone has not everything, and what is no clone has nothing.
fn is_there() -> bool {
    let asked = git().args(["cat-file", "-e", &format!("{COMMIT}^{{commit}}")]).output();
    asked.is_ok_and(|output| output.status.success())
}

impl Earlier {
    /// Built once for all test binaries, in a build directory of its own: in the shared one its program would take the
    /// place of the one under test.
    fn build() -> Self {
        let folder = scratch().join("earlier");
        std::fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        wait_for(&lock);
        let tree = folder.join(COMMIT);
        if !tree.exists() {
            unpack(&folder, &tree);
        }
        let target = folder.join("target");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package", "xtask", "--bin", "xtask", "--profile", "xtask"]);
        cargo.current_dir(&tree).env("CARGO_TARGET_DIR", &target).stdin(Stdio::null());
        Run::of(&mut cargo).success();
        Self { program: target.join("xtask/xtask"), tree }
    }

    /// Its checkout. All copies hold the same and are called the same, so that their services are built once.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let copy = scratch().join(format!("earlier-{name}")).join("earlier");
        copy_repository(&self.tree, &copy).unwrap();
        copy
    }

    /// Runs it as today's is run.
    pub(crate) fn run(&self, sandbox: &Sandbox, args: &[&str]) -> Run {
        let today = sandbox.command(args);
        let mut command = Command::new(&self.program);
        command.args(today.get_args()).stdin(Stdio::null());
        command.current_dir(today.get_current_dir().unwrap());
        for (name, value) in today.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Run::of(&mut command)
    }
}

/// Gives a checkout what belongs to today's tool.
pub(crate) fn bring_up_to_date(root: &Path) {
    for folder in OF_THE_TOOL {
        copy(&checkout().join(folder), &root.join(folder)).unwrap();
    }
}

fn wait_for(lock: &File) {
    let deadline = Instant::now() + BUILT_WITHIN;
    loop {
        match lock.try_lock() {
            Ok(()) => return,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(error) => panic!("the earlier tool is not built: {error}"),
        }
    }
}

/// Under its final name the tree is whole.
fn unpack(folder: &Path, tree: &Path) {
    let (archive, beside) = (folder.join("tree.tar"), folder.join("unpacked"));
    let _ = std::fs::remove_dir_all(&beside);
    std::fs::create_dir(&beside).unwrap();
    Run::of(git().arg("archive").arg("--output").arg(&archive).arg(COMMIT)).success();
    Run::of(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&beside)).success();
    std::fs::remove_file(&archive).unwrap();
    std::fs::rename(&beside, tree).unwrap();
}
