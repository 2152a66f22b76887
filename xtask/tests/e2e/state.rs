//! The state folder in trouble: a full disk, no permission, damaged files.

use super::failure::{count, supervisor};
use super::sandbox::{Sandbox, failure, get};
use super::stage::Stage;
use skip::{Found, Missing};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own, mounted over a folder; unmounted when dropped.
struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    /// Where this user and system allow it.
    fn new(folder: &Path, options: &str) -> Found<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        let outcome = mount.args(["-t", "tmpfs", "-o", options, "slipway-test"]).arg(folder).output();
        match outcome {
            Ok(output) if output.status.success() => Ok(Self { folder: folder.to_owned() }),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                Err(Missing::new(format!("no file system can be mounted here: {why}")))
            }
            Err(error) => Err(Missing::new(format!("no file system can be mounted here: {error}"))),
        }
    }

    fn fill(&self) {
        let _ = std::fs::write(self.folder.join("ballast"), vec![0; 1 << 20]);
        assert!(std::fs::write(self.folder.join("more"), [0; 4096]).is_err(), "there is still room");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        let _ = umount.arg("-l").arg(&self.folder).output();
    }
}

#[test]
fn a_full_disk_for_logs_stops_neither_services_nor_deploys() {
    let sandbox = Sandbox::new("full-logs");
    let mounted = skip::unless!(Mounted::new(&sandbox.home().join("logs"), "size=64k"));
    mounted.fill();
    sandbox.xtask(["deploy", "epoch"]).success();
    let via = sandbox.via("epoch");
    for _ in 0..100 {
        assert_eq!(get(&via, "/").unwrap().0, 200);
    }
    assert_eq!(sandbox.status("epoch")["state"], "running");
    assert_eq!(sandbox.status("epoch")["restarts"], 0);
    let update = sandbox.xtask(["deploy", "epoch", "--set", "env.LOG=debug", "--json"]).success().json();
    assert_eq!(update["result"], "deployed");
    sandbox.xtask(["smoke", "epoch"]).success();
    sandbox.xtask(["logs", "epoch"]).success();
}

#[test]
fn a_full_disk_for_the_state_is_an_error_that_says_so() {
    let sandbox = Sandbox::new("full-state");
    let _mounted = skip::unless!(Mounted::new(&sandbox.home(), "size=256k"));
    let failure = failure(&sandbox.xtask(["deploy", "epoch", "--json"]).exits(1));
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.contains("No space left on device") && cause.contains("full-state"), "{cause}");
    assert_eq!(sandbox.status("epoch")["state"], "absent");
}

#[test]
fn a_state_folder_that_cannot_be_written_is_an_error_that_says_so() {
    let sandbox = Sandbox::new("read-only");
    let home = sandbox.home();
    let refused = |words: &str| {
        let run = sandbox.xtask(["deploy", "epoch"]);
        assert!(run.code() == 1 || run.code() == 3, "{run:?}");
        assert!(run.stderr.contains("error: ") && run.stderr.contains(words), "{}", run.stderr);
        assert!(run.stderr.contains(".slipway/read-only") && !run.stderr.contains("panicked"), "{}", run.stderr);
    };
    std::fs::create_dir_all(home.parent().unwrap()).unwrap();
    std::fs::write(&home, "a file in its place").unwrap();
    refused("");
    std::fs::remove_file(&home).unwrap();
    if nix::unistd::geteuid().is_root() {
        let _mounted = skip::unless!(Mounted::new(&home, "ro"));
        refused("Read-only file system");
        assert_eq!(sandbox.status("epoch")["state"], "absent");
    } else {
        std::fs::create_dir_all(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o555)).unwrap();
        refused("Permission denied");
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_broken_state_file_is_named_or_made_again() {
    let stage = Stage::new("garbage", &["teller"]);
    let sandbox = &stage.sandbox;
    let secret = "secrets = { token = { from = \"generated\" } }\nenv = { TOKEN = \"${secret.token}\" }";
    stage.declare("teller", 1, secret);
    sandbox.xtask(["deploy"]).success();
    let files = [
        "lease.json",
        "ledger.json",
        "secrets.json",
        "services.json",
        "supervisor.json",
        "ports.json",
        "releases/teller.json",
    ];
    for file in files {
        let path = sandbox.home().join(file);
        let whole = std::fs::read(&path).unwrap_or_else(|_| b"{\"who\": \"me\", \"pid\": 1}".to_vec());
        for content in [&b""[..], b"{", b"\0\xff\xfe", b"[]", b"null", b"{\"entries\": 7}", &whole[..whole.len() / 2]] {
            std::fs::write(&path, content).unwrap();
            survives(sandbox, file, content);
        }
    }
}

/// With a broken file every command either works or names it and what to do; after that all is as it should be.
#[track_caller]
fn survives(sandbox: &Sandbox, file: &str, content: &[u8]) {
    let what = format!("{file} = {:?}", String::from_utf8_lossy(content));
    let commands: [&[&str]; 5] = [&["status"], &["smoke"], &["plan"], &["teardown", "--verify"], &["deploy", "--json"]];
    for command in commands {
        let run = sandbox.xtask(command);
        assert!(!run.stderr.contains("panicked"), "{what}, {command:?}: {}", run.stderr);
        let says = run.stderr.contains(file) && run.stderr.contains("remove");
        let fine = run.code() == 0 || command.contains(&"--verify");
        assert!(fine || says, "{what}, {command:?} ended with {}: {}", run.code(), run.stderr);
    }
    if sandbox.xtask(["deploy"]).code() != 0 {
        std::fs::remove_file(sandbox.home().join(file)).unwrap();
    }
    sandbox.xtask(["deploy"]).success();
    assert_eq!(get(&sandbox.via("teller"), "/").unwrap(), (200, "one".to_owned()), "{what}");
    supervisor(sandbox);
    assert_eq!(count(sandbox, "/teller/"), 1, "{what}: {:?}", sandbox.processes());
}
