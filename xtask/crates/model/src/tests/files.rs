//! What services are given of the repository's files.

use super::Root;
use crate::asset::{Asset, Mode};
use crate::system::{Service, TargetKind};
use crate::{Spec, load};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A system `proxy` with one service of an image, given these files.
fn root(files: &str) -> Root {
    let root = Root::new();
    root.write("deploy/images.toml", "nginx = 'docker.io/library/nginx:1.27'\n");
    let head = "description = 'x'\n[services.proxy]\nimage = 'nginx'\nport = 80\nready = { http = '/' }\n\
                env = { CONF = '${file.conf}' }\n[services.proxy.files]\n";
    root.write("deploy/systems/proxy.toml", format!("{head}{files}"));
    root
}

fn service(spec: &Spec) -> &Service {
    &spec.systems[0].services[0]
}

fn paths(asset: &Asset) -> Vec<(&str, bool)> {
    asset.copy().unwrap().files.iter().map(|(path, file)| (path.as_str(), file.executable)).collect()
}

fn said(root: &Root) -> String {
    load(root.path()).unwrap_err().to_string().replace("deploy/systems/", "")
}

#[test]
fn a_file_or_folder_is_what_git_would_add_of_it() {
    let root = root(
        "plain = 'port ${port}'\nconf = { from = 'proxy/nginx.conf', at = '/etc/nginx/nginx.conf' }\n\
                     site = { from = 'proxy', mode = '0400' }\n",
    );
    root.write("proxy/nginx.conf", "events {}");
    root.write("proxy/bin/start.sh", "#!/bin/sh");
    root.write("proxy/made/out", "x");
    root.write("proxy/.conf.swp", "x");
    root.write(".gitignore", "made/\n");
    fs::create_dir(root.path().join(".git")).unwrap();
    let script = root.path().join("proxy/bin/start.sh");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    symlink("bin/start.sh", root.path().join("proxy/again")).unwrap();
    let spec = load(root.path()).unwrap();
    let files = &service(&spec).files;
    assert!(files["plain"].is_plain() && !files["conf"].is_plain());
    assert_eq!(paths(&files["conf"]), [("", false)]);
    assert_eq!(paths(&files["site"]), [("again", true), ("bin/start.sh", true), ("nginx.conf", false)]);
    assert_eq!((files["site"].mode_of(true), files["site"].mode_of(false)), (Mode(0o500), Mode(0o400)));
    assert_eq!((files["conf"].mode_of(true), files["conf"].mode_of(false)), (Mode(0o555), Mode(0o444)));
    assert_eq!(files["site"].in_container("site"), "/etc/slipway/files/site");
    assert_eq!(files["conf"].in_container("conf"), "/etc/nginx/nginx.conf");
    // Content and mode count, and when it was written does not.
    let again = |what: &dyn Fn()| {
        what();
        *service(&load(root.path()).unwrap()) == *service(&spec)
    };
    assert!(again(&|| root.write("proxy/nginx.conf", "events {}")));
    assert!(again(&|| root.write("proxy/made/more", "x")));
    assert!(!again(&|| root.write("proxy/nginx.conf", "events { }")));
    assert!(again(&|| root.write("proxy/nginx.conf", "events {}")));
    assert!(!again(&|| fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap()));
}

#[test]
fn nothing_leads_out_of_the_repository() {
    let root = root("conf = { from = 'proxy' }\nown = { from = '.slipway/local/secrets.json' }\n");
    root.write("proxy/nginx.conf", "x");
    root.write(".slipway/local/secrets.json", "{}");
    symlink("/etc/passwd", root.path().join("proxy/link")).unwrap();
    let out = "proxy.toml:8: `services.proxy.files.conf.from`: `proxy/link` leads out of the repository\n\
               proxy.toml:9: `services.proxy.files.own.from`: `.slipway/local/secrets.json` is in `.slipway`, which is not \
               the repository's content";
    assert_eq!(said(&root), out);
    fs::remove_dir_all(root.path().join("proxy")).unwrap();
    symlink("/etc", root.path().join("proxy")).unwrap();
    assert!(said(&root).contains("`proxy` leads out of the repository"));
}

#[test]
fn a_cluster_takes_a_mebibyte_of_a_service() {
    let root = root("conf = { from = 'big' }\nsmall = { text = 'x', at = '/x' }\n");
    root.write("big", vec![b'x'; (1 << 20) - 1]);
    load(root.path()).unwrap().check_files(TargetKind::Kubernetes, &[]).unwrap();
    root.write("big", vec![b'x'; 1 << 20]);
    let spec = load(root.path()).unwrap();
    spec.check_files(TargetKind::Containers, &[]).unwrap();
    spec.check_files(TargetKind::Kubernetes, &["other".parse().unwrap()]).unwrap();
    let said = spec.check_files(TargetKind::Eks, &[]).unwrap_err().to_string();
    let wanted = "deploy/systems/proxy.toml:8: `services.proxy.files.conf`: `big` has 1.0 MB, and the files of `proxy` have \
                  1.0 MB; a cluster takes 1 MiB of a service, so have the image hold it, or leave the cluster out of \
                  `targets`";
    assert_eq!(said, wanted);
}

#[test]
fn a_target_without_such_a_place_is_told() {
    let lacks = |files: &str, target| service(&load(root(files).path()).unwrap()).without_file(target);
    let referred = "conf = { text = 'x', at = '/etc/conf' }\n";
    for target in TargetKind::ALL {
        assert_eq!(lacks(referred, target), None, "{target}");
    }
    let alone = "conf = 'x'\nother = { text = 'x', at = '/etc/other' }\n";
    assert!(lacks(alone, TargetKind::Host).unwrap().contains("its file `other` at `/etc/other` alone"));
    assert_eq!(lacks(alone, TargetKind::Eks), None);
    let below = "conf = { text = 'x', at = 'etc/conf' }\n";
    assert_eq!(lacks(below, TargetKind::Host), None);
    assert!(lacks(below, TargetKind::Containers).unwrap().contains("which only `host` knows"));
}
