//! Files of the repository in the container of an image that is not ours: at a path, with a mode, and folders.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::sandbox::get;
use super::stranger::pin;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const SYSTEM: &str = r#"description = "a stranger with files of ours"

[services.depot]
image = "busybox"
stop_within = "1s"
port = 8000
host_port = 6391
public = true
ready = { http = "/a/page.txt" }
args = ["${file.serve}", "${data}"]
secrets = { token = { from = "generated" } }

[services.depot.files]
serve = { from = "serve", at = "/usr/local/libexec/depot/serve", mode = "0500" }
site = { from = "site", at = "/srv/site" }
beside = { from = "site" }
inside = { text = "in the volume ", at = "/data/inside.txt" }
memory = { text = "in memory ", at = "/tmp/memory.txt" }
token = { text = "${secret.token}", at = "/run/secrets/token", mode = "0400" }
plain = "as ever"

[services.depot.container]
user = "999:999"
writable = ["/tmp"]
command = ["busybox", "env"]
health = ["busybox", "true"]

[[smoke]]
name = "it serves"
request = "GET /a/page.txt"
status = 200
"#;

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// What a command prints in the container.
#[track_caller]
fn told(deployment: &Deployment, command: &[&str]) -> String {
    let container = deployment.container("depot");
    let id = container["Id"].as_str().unwrap();
    deployment.engine.run([&["exec", id, "busybox"], command].concat()).success().stdout.trim().to_owned()
}

#[track_caller]
fn deploy(deployment: &Deployment, wanted: &str) {
    let document = deployment.sandbox.xtask(["deploy", "depot", "--json"]).success().json();
    assert_eq!(document["result"], wanted, "{document:#}");
}

#[test]
fn a_container_has_its_files_where_they_belong() {
    let deployment = skip::unless!(Deployment::with_own_copy("files"));
    let root = deployment.sandbox.root.clone();
    pin(&root, &[("busybox", "docker.io/library/busybox:1.37")]);
    write(&root, "deploy/systems/depot.toml", SYSTEM);
    write(&root, "serve", "#!/bin/busybox sh\nexec busybox httpd -f -p $PORT -h /srv/site\n");
    write(&root, "site/a/page.txt", "page");
    write(&root, "site/picture", [0xff, 0, 0xfe]);
    write(&root, "site/bin/hello", "#!/bin/busybox echo\n");
    for script in ["serve", "site/bin/hello"] {
        fs::set_permissions(root.join(script), Permissions::from_mode(0o700)).unwrap();
    }
    deploy(&deployment, "deployed");
    let page = || get(&deployment.sandbox.via("depot"), "/a/page.txt").unwrap().1;
    assert_eq!(page(), "page");
    for (path, mode) in [
        // The program is not who owns them, and may do with them what that one may.
        ("/usr/local/libexec/depot/serve", "555"),
        ("/run/secrets/token", "444"),
        ("/srv/site/a/page.txt", "444"),
        ("/srv/site/bin/hello", "555"),
        ("/etc/slipway/files/beside/bin/hello", "555"),
        ("/data/inside.txt", "444"),
        ("/etc/slipway/files/plain", "444"),
    ] {
        assert_eq!(told(&deployment, &["stat", "-c", "%a", path]), mode, "{path}");
    }
    let texts = told(&deployment, &["cat", "/data/inside.txt", "/tmp/memory.txt", "/etc/slipway/files/plain"]);
    assert_eq!(texts, "in the volume in memory as ever");
    assert_eq!(told(&deployment, &["stat", "-c", "%s", "/etc/slipway/files/beside/picture"]), "3");
    let container = deployment.container("depot")["Id"].as_str().unwrap().to_owned();
    let written = deployment.engine.run(["exec", &container, "busybox", "touch", "/srv/site/a/new"]);
    assert!(written.stderr.contains("Read-only file system"), "{}", written.stderr);
    deploy(&deployment, "unchanged");
    assert_eq!(deployment.container("depot")["Id"], container);
    write(&root, "site/a/page.txt", "other page");
    deploy(&deployment, "deployed");
    assert_eq!(page(), "other page");
    fs::set_permissions(root.join("site/picture"), Permissions::from_mode(0o755)).unwrap();
    deploy(&deployment, "deployed");
    let picture = || told(&deployment, &["stat", "-c", "%a", "/srv/site/picture"]);
    assert_eq!(picture(), "555");
    // What is gone back to is the content, whatever the repository has now.
    fs::remove_dir_all(root.join("site")).unwrap();
    write(&root, "site/other", "x");
    deployment.sandbox.xtask(["rollback", "depot"]).success();
    assert_eq!((page().as_str(), picture().as_str()), ("other page", "444"));
    deployment.sandbox.xtask(["teardown", "--yes"]).success();
    assert!(deployment.left().is_empty(), "{:?}", deployment.left());
}
