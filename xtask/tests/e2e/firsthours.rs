//! What stops a newcomer on a machine that is not as expected: files of somebody else, a file system that runs no
//! programs, a Python that is gone, a second program that could be used.

use super::machine::PathWithout;
use super::sandbox::{Run, Sandbox, cargo, eventually, get};
use super::stage::Stage;
use serde_json::Value;
use skip::{Found, Missing};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who has no rights anywhere.
const NOBODY: u32 = 65534;

fn root() -> Found<()> {
    match base::os::is_root() {
        true => Ok(()),
        false => Err(Missing::new("only root can become somebody else and mount file systems")),
    }
}

fn check(run: &Run, id: &str) -> Value {
    let document = run.json();
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {document:#}")).clone()
}

fn chown(path: &Path) {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        std::fs::read_dir(path).unwrap().flatten().for_each(|entry| chown(&entry.path()));
    }
}

#[test]
fn what_was_deployed_as_root_is_told_to_root_before_and_to_its_owner_afterwards() {
    skip::unless!(root());
    let stage = Stage::new("as-root", &["teller"]);
    let sandbox = &stage.sandbox;
    chown(&sandbox.root);
    let told = sandbox.xtask(["deploy"]).success().stderr;
    assert!(told.contains("running as root in a checkout of `nobody`"), "{told}");
    let warned = check(&sandbox.xtask(["doctor", "--json"]), "repo.writable");
    assert_eq!(warned["outcome"], "warn", "{warned:#}");

    let as_owner = |verb: &[&str]| Run::of(sandbox.command(verb).uid(NOBODY).gid(NOBODY));
    let found = check(&as_owner(&["doctor", "--json"]), "repo.writable");
    assert_eq!(found["outcome"], "fail", "{found:#}");
    let detail = found["detail"].as_str().unwrap();
    assert!(detail.contains("/.slipway") && detail.contains("belongs to `root`"), "{detail}");
    let chown_line = |folder: &str| format!("sudo chown -R \"$(id -un)\" {}", sandbox.root.join(folder).display());
    let teardown = "sudo -E cargo xtask teardown --keep-data --env as-root".to_owned();
    assert_eq!(found["fix"], serde_json::json!([teardown, chown_line("target"), chown_line(".slipway")]));
    let refused = as_owner(&["teardown", "--yes"]);
    assert_ne!(refused.code(), 0);
    assert!(refused.stderr.contains("`cargo xtask doctor` says"), "{}", refused.stderr);

    // The fix, as it stands there.
    sandbox.xtask(["teardown", "--keep-data", "--yes"]).success();
    chown(&sandbox.root);
    assert_eq!(check(&as_owner(&["doctor", "--json"]), "repo.writable")["outcome"], "pass");
}

/// A folder that is mounted on itself, so that nothing in it can be run; as it was when dropped.
struct NoExec(PathBuf);

impl NoExec {
    fn new(folder: PathBuf) -> Found<Self> {
        let mount = |options: &str| {
            let made = Command::new("mount").args(["-o", options]).arg(&folder).arg(&folder).output();
            made.is_ok_and(|output| output.status.success())
        };
        let mounted = mount("bind").then(|| Self(folder.clone()));
        let mounted = mounted.ok_or_else(|| Missing::new("file systems cannot be mounted here"))?;
        if mount("remount,bind,noexec") { Ok(mounted) } else { Err(Missing::new("a mount cannot be changed here")) }
    }
}

impl Drop for NoExec {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).output();
    }
}

#[test]
fn a_file_system_that_runs_no_programs_is_named() {
    skip::unless!(root());
    let stage = Stage::new("no-exec", &["teller"]);
    let sandbox = &stage.sandbox;
    sandbox.xtask(["deploy"]).success();
    sandbox.xtask(["teardown", "--yes"]).success();
    let state = sandbox.root.join(".slipway");
    std::fs::create_dir_all(&state).unwrap();
    let mounted = skip::unless!(NoExec::new(state.clone()));
    let found = check(&sandbox.xtask(["doctor", "--json"]), "repo.writable");
    let why = format!("nothing in `{}` can be run: its file system is mounted `noexec`", state.display());
    assert_eq!((&found["outcome"], found["detail"].as_str()), (&"fail".into(), Some(why.as_str())), "{found:#}");
    let refused = sandbox.xtask(["deploy"]).exits(3);
    assert!(refused.stderr.contains("mounted `noexec`"), "{}", refused.stderr);
    drop(mounted);

    // Where nothing has to be built, it is the first program that tells.
    sandbox.xtask(["deploy"]).success();
    let supervisor = sandbox.processes().into_iter().find(|process| process.command.contains("__supervise")).unwrap();
    base::os::signal(&supervisor.id, nix::sys::signal::Signal::SIGKILL);
    let mounted = skip::unless!(NoExec::new(state));
    let failed = sandbox.xtask(["deploy"]).exits(1);
    assert!(failed.stderr.contains("bin/xtask`: its file system is mounted `noexec`"), "{}", failed.stderr);
    drop(mounted);
    sandbox.xtask(["deploy"]).success();
}

/// A Python that makes environments of one script, which answers every request; the real one runs that.
fn fake_python(path: &Path, real: &Path) {
    let text = format!(
        "#!/bin/sh\n\
         case \"$1 $2\" in\n\
         '-m venv') mkdir -p \"$4/bin\" && ln -sf \"$0\" \"$4/bin/python\" ;;\n\
         '-m pip')\n\
         bin=$(dirname \"$0\")\n\
         {{ echo \"#!$bin/python\"; cat <<'END'\n\
         import http.server, sys\n\
         class Handler(http.server.BaseHTTPRequestHandler):\n\
         \x20   def do_GET(self):\n\
         \x20       self.send_response(200); self.end_headers(); self.wfile.write(b'one')\n\
         http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()\n\
         END\n\
         }} > \"$bin/fake_server\" && chmod +x \"$bin/fake_server\" ;;\n\
         *) exec {} \"$@\" ;;\n\
         esac\n",
        real.display()
    );
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(path);
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A system whose only service is a Python package.
fn declare_package(sandbox: &Sandbox) {
    std::fs::write(sandbox.root.join("deploy/images.toml"), "fake = \"docker.io/library/fake:1\"\n").unwrap();
    let text = "description = \"x\"\n[services.fake]\nimage = \"fake\"\nport = 5000\n\
        args = [\"${address}\", \"${port}\"]\nready = { http = \"/\" }\n\
        [services.fake.host]\nprograms = [\"fake_server\"]\npython = \"fake==1\"\nenable = \"install it\"\n";
    std::fs::write(sandbox.root.join("deploy/systems/fake.toml"), text).unwrap();
}

#[test]
fn an_environment_whose_python_is_gone_is_made_anew() {
    let real = skip::unless!(skip::program(&["python3"], "XTASK_REQUIRE_PYTHON"));
    let stage = Stage::new("venv", &["teller"]);
    let sandbox = &stage.sandbox;
    declare_package(sandbox);
    let path = PathWithout::new("venv", &["python3", "uvx", "pipx"]);
    let (old, new) = (sandbox.root.join("old/python3"), sandbox.root.join("new/python3"));
    let deploy = |python: &Path| {
        let folders = [python.parent().unwrap(), path.folder()];
        let path = std::env::join_paths(folders).unwrap();
        Run::of(sandbox.command(["deploy", "fake", "--json"]).env("PATH", path))
    };
    fake_python(&old, &real);
    deploy(&old).success();
    assert_eq!(deploy(&old).success().json()["result"], "unchanged");
    sandbox.xtask(["teardown", "--keep-data", "--yes", "teller"]);

    std::fs::remove_file(&old).unwrap();
    let found = check(&sandbox.xtask(["doctor", "--json"]), "state.venv.fake");
    assert_eq!((&found["outcome"], &found["found"]), (&"warn".into(), &"broken".into()), "{found:#}");
    let process = sandbox.processes().into_iter().find(|process| process.command.contains("fake_server")).unwrap();
    base::os::signal(&process.id, nix::sys::signal::Signal::SIGKILL);
    eventually("its end is noticed", || {
        let status = sandbox.status("fake");
        if status["state"] == "running" { Err(status.to_string()) } else { Ok(()) }
    });
    fake_python(&new, &real);
    assert_eq!(deploy(&new).success().json()["result"], "deployed");
    assert_eq!(get(&sandbox.via("fake"), "/").unwrap(), (200, "one".to_owned()));
    assert_eq!(check(&sandbox.xtask(["doctor", "--json"]), "state.venv.fake")["outcome"], "pass");
}

#[test]
fn what_services_are_built_for_is_not_what_the_tool_is_built_for() {
    // Nobody has it by chance: with it even `core` would be missing.
    let target = "avr-none";
    // Each of the two binaries has one of these.
    for args in [["xtask", "--help"].as_slice(), &["xtask", "ci", "--list"]] {
        Run::of(cargo(".").args(args).env("CARGO_BUILD_TARGET", target)).success();
    }
}
