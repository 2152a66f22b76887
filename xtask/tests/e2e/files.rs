//! Files of the repository, which services are given at a path and with a mode: a change of one starts anew what reads it.

use super::sandbox::{Sandbox, get};
use super::stage::Stage;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What `one` says of its files: their texts, the mode of one, and what a script among them prints.
const TELLS: &str = r#"
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    let of = |name: &str| std::env::var(name).unwrap();
    let mode = std::fs::metadata("config/app.toml").map(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()));
    let script = Command::new(format!("{}/bin/hello", of("SITE"))).output().unwrap();
    format!("one conf={} app={} mode={:o} page={} says={}", read(&of("CONF")), read("config/app.toml"),
        mode.unwrap_or_default() & 0o777, read(&format!("{}/a/page.txt", of("SITE"))),
        String::from_utf8_lossy(&script.stdout))
"#;

const FILES: &str = r#"secrets = { token = { from = "generated" } }
env = { CONF = "${file.conf}", SITE = "${file.site}" }
[services.one.files]
conf = { from = "conf/one.conf", at = "/etc/one/one.conf" }
site = { from = "site" }
app = { text = "port ${port}", at = "config/app.toml", mode = "0640" }
key = { text = "${secret.token}", mode = "0400" }
"#;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn staged(name: &str) -> Stage {
    let stage = Stage::new(name, &["one", "two"]);
    let root = &stage.sandbox.root;
    write(root, "conf/one.conf", "first");
    write(root, "site/a/page.txt", "page");
    write(root, "site/bin/hello", "#!/bin/sh\necho hello\n");
    fs::set_permissions(root.join("site/bin/hello"), Permissions::from_mode(0o755)).unwrap();
    stage.answer_by("one", TELLS);
    stage.declare("one", 1, FILES);
    stage
}

/// Deploys all, and says how that went for each system.
#[track_caller]
fn deployed(sandbox: &Sandbox) -> [String; 2] {
    let document = sandbox.xtask(["deploy", "--json"]).success().json();
    let result = |name: &str| {
        let systems = document["systems"].as_array().unwrap();
        let system = systems.iter().find(|system| system["name"] == name);
        system.unwrap_or_else(|| panic!("{document:#}"))["result"].as_str().unwrap().to_owned()
    };
    ["one", "two"].map(result)
}

#[track_caller]
fn says(sandbox: &Sandbox, wanted: &str) {
    let answer = get(&sandbox.via("one"), "/").unwrap().1;
    assert!(answer.contains(wanted), "no `{wanted}` in {answer}");
}

#[test]
fn a_change_of_a_file_starts_anew_what_reads_it_and_nothing_else() {
    let stage = staged("files");
    let sandbox = &stage.sandbox;
    assert_eq!(deployed(sandbox), ["deployed", "deployed"]);
    let port = sandbox.via("one").rsplit_once(':').unwrap().1.to_owned();
    says(sandbox, &format!("conf=first app=port {port} mode=640 page=page says=hello"));
    let key = sandbox.home().join("files/one/key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o400);
    // What git would not add, and when something was written, does not count.
    write(&sandbox.root, "site/.page.txt.swp", "x");
    write(&sandbox.root, "conf/one.conf", "first");
    assert_eq!(deployed(sandbox), ["unchanged", "unchanged"]);
    write(&sandbox.root, "conf/one.conf", "second");
    let plan = sandbox.xtask(["plan"]).success().stdout;
    assert!(plan.contains("`conf/one.conf` changed"), "{plan}");
    assert_eq!(deployed(sandbox), ["deployed", "unchanged"]);
    says(sandbox, "conf=second");
    write(&sandbox.root, "site/bin/hello", "#!/bin/sh\necho bye\n");
    assert_eq!(deployed(sandbox), ["deployed", "unchanged"]);
    says(sandbox, "says=bye");
    // What is gone back to is the content, whatever the repository has now.
    fs::remove_dir_all(sandbox.root.join("site")).unwrap();
    write(&sandbox.root, "site/other", "x");
    sandbox.xtask(["rollback", "one"]).success();
    says(sandbox, "conf=second app=port");
    says(sandbox, "page=page says=hello");
    fs::remove_dir_all(sandbox.root.join("conf")).unwrap();
    let refused = sandbox.xtask(["deploy"]).exits(3).stderr;
    let wanted =
        "deploy/systems/one.toml:11: `services.one.files.conf.from`: there is no `conf/one.conf` in the repository";
    assert!(refused.contains(wanted), "{refused}");
    // The records have what the files do not say any more.
    sandbox.xtask(["rollback", "one"]).success();
    says(sandbox, "conf=second app=port");
    says(sandbox, "says=bye");
}

#[test]
fn what_serves_on_keeps_its_files_when_the_next_version_fails() {
    let stage = staged("files-kept");
    let sandbox = &stage.sandbox;
    deployed(sandbox);
    let app = sandbox.home().join("data/one/config/app.toml");
    let before = fs::read_to_string(&app).unwrap();
    let crashes = FILES.replace("env = { ", "env = { BEHAVIOUR = \"crashes\", ").replace("port ${port}", "other");
    stage.declare("one", 1, &crashes);
    sandbox.xtask(["deploy", "one"]).exits(1);
    assert_eq!(fs::read_to_string(&app).unwrap(), before);
    says(sandbox, "says=hello");
}

#[test]
fn a_file_that_is_no_longer_given_goes_and_is_no_data() {
    let stage = staged("files-gone");
    let sandbox = &stage.sandbox;
    deployed(sandbox);
    let link = sandbox.home().join("data/one/config/app.toml");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("../../../files/one/app"));
    let without = FILES.lines().filter(|line| !line.starts_with("app ")).collect::<Vec<_>>().join("\n");
    stage.declare("one", 1, &without);
    assert_eq!(deployed(sandbox), ["deployed", "unchanged"]);
    assert!(link.symlink_metadata().is_err() && !link.parent().unwrap().exists());
    stage.declare("one", 1, FILES);
    deployed(sandbox);
    let receipt = sandbox.xtask(["teardown", "one", "--keep-data", "--yes", "--json"]).success().json();
    assert_eq!(receipt["kept"], serde_json::json!([]), "{receipt:#}");
    assert!(!sandbox.home().join("data/one").exists() && !sandbox.home().join("copies/one").exists());
}

#[test]
fn what_a_process_cannot_have_at_its_place_is_skipped_with_the_reason() {
    let stage = Stage::new("files-skipped", &["one", "two"]);
    stage.declare("one", 1, "[services.one.files]\nconf = { text = \"x\", at = \"/etc/one.conf\" }\n");
    let document: Value = stage.sandbox.xtask(["deploy", "--json"]).success().json();
    let one = &document["systems"].as_array().unwrap().iter().find(|system| system["name"] == "one").unwrap();
    assert_eq!(one["result"], "skipped", "{document:#}");
    let reason = one["reason"].as_str().unwrap();
    assert!(reason.starts_with("`one` has its file `conf` at `/etc/one.conf` alone"), "{reason}");
}
