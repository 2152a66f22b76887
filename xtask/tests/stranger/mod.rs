//! A repository of strangers: no crate but the tool, and nothing that it does not ask for.

pub(crate) mod board;

use super::sandbox::checkout;
use std::fs;
use std::path::{Path, PathBuf};

/// A public service, and one that shares its name by path and needs what the system says: `NEEDS`.
const VOTES: &str = r#"description = "Votes"
[services.vote]
image = "busybox"
stop_within = "1s"
port = 8000
public = true
ready = { http = "/" }
[services.vote.container]
user = "65532"
command = ["busybox", "httpd", "-f", "-p", "8000", "-h", "/srv"]
[services.vote.files]
page = { text = "vote", at = "/srv/index.html" }

[services.result]
image = "busybox"
stop_within = "1s"
port = 8000
public = { name = "vote", paths = ["/result"] }
needs = ["NEEDS"]
ready = { http = "/result/" }
[services.result.container]
user = "65532"
command = ["busybox", "httpd", "-f", "-p", "8000", "-h", "/srv"]
[services.result.files]
page = { text = "result of ${public_url}", at = "/srv/result/index.html" }

[[smoke]]
name = "the name is shared by path"
service = "result"
request = "GET /result/"
status = 200
contains = "result"
"#;

/// Makes one with these files, and with the pins that the tool itself needs.
pub(crate) fn repository(root: PathBuf, files: &[(&str, &str)]) -> PathBuf {
    let _ = fs::remove_dir_all(&root);
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[workspace]\nmembers = [\"xtask\"]\n");
    write(".gitignore", ".slipway\n");
    for file in ["deploy/images.toml", "deploy/tools.toml"] {
        write(file, &fs::read_to_string(checkout().join(file)).unwrap());
    }
    fs::create_dir_all(root.join("deploy/environments")).unwrap();
    files.iter().for_each(|(path, text)| write(path, text));
    root
}

/// The same with a system of two services that share a public name, one of which needs `needs`, and with `rest` of its file.
pub(crate) fn of_votes(root: PathBuf, busybox: &str, needs: &str, rest: &str) -> PathBuf {
    let root = repository(root, &[("deploy/systems/votes.toml", &(VOTES.replace("NEEDS", needs) + rest))]);
    pin(&root, &[("busybox", busybox)]);
    root
}

/// The same with the charts, which a cluster is given.
pub(crate) fn with_charts(root: PathBuf) -> PathBuf {
    remote_tools::scratch::copy(&checkout().join("helm"), &root.join("helm")).unwrap();
    root
}

/// Adds images by their short names.
pub(crate) fn pin(root: &Path, images: &[(&str, &str)]) {
    let file = root.join("deploy/images.toml");
    let known = fs::read_to_string(&file).unwrap();
    let ours: String = images.iter().map(|(name, image)| format!("{name} = \"{image}\"\n")).collect();
    fs::write(file, known + &ours).unwrap();
}
