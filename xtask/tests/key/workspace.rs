//! Which part of a repository a key is about, and how it is read.

use super::sample::Sample;
use keys::{Input, Kind, Manifest, Workspace, diff};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[test]
fn the_closure_is_what_cargo_would_build() {
    let sample = Sample::new();
    let workspace = Workspace::read(&sample.root).unwrap();
    let folders = ["app/base", "app/kit", "app/kit/derive", "app/made", "app/shared", "app/web", "patches/log"];
    assert_eq!(workspace.closure("web").unwrap(), folders.map(PathBuf::from));
    let error = workspace.closure("wed").unwrap_err().to_string();
    assert_eq!(error, "this workspace has no crate `wed`");
}

/// Everything of a key but the manifests themselves, which an excerpt has in its own words.
fn beside_manifests(manifest: &Manifest) -> Vec<String> {
    let inputs = manifest.inputs().iter().filter(|input| !input.name().ends_with("Cargo.toml"));
    inputs.map(ToString::to_string).collect()
}

#[test]
fn an_excerpt_is_a_repository_that_builds_the_same() {
    let sample = Sample::new();
    let copy = Sample::empty();
    let whole = sample.manifest("web");
    let written = sample.excerpt("web");
    for input in whole.inputs().iter().filter(|input| input.kind().is_path()) {
        let path = input.path();
        let path = path.to_str().unwrap();
        match (input.kind(), written.get(&input.path())) {
            (_, Some(_)) => {}
            (Kind::Link, None) => copy.link(fs::read_link(sample.path(path)).unwrap().to_str().unwrap(), path),
            (Kind::File { .. }, None) => {
                copy.write(path, &sample.read(path));
                copy.chmod(path, fs::metadata(sample.path(path)).unwrap().permissions().mode());
            }
            (kind, None) => panic!("{kind}"),
        }
    }
    for (path, text) in &written {
        copy.write(path.to_str().unwrap(), text);
    }
    // Not in an excerpt: what cargo built, and a link in between two places that are in it.
    for checkout in [&sample, &copy] {
        checkout.remove("app/web/built");
        checkout.link("../../../shared-assets", "app/web/assets/common");
    }
    assert_eq!(beside_manifests(&copy.manifest("web")), beside_manifests(&sample.manifest("web")));
    assert_eq!(copy.excerpt("web"), written, "an excerpt of an excerpt is the same");
    let text: String = written.values().map(String::as_str).collect();
    for absent in ["testkit", "tempfile", "fuzz", "other", "rand", "README"] {
        assert!(!text.contains(absent), "`{absent}` is in\n{text}");
    }
}

#[test]
fn only_the_profile_that_is_built_with_counts() {
    let sample = Sample::new();
    let more = "debug = 1\n[profile.small]\ninherits = 'release'\nstrip = true\n[profile.release]\nopt-level = 2\n";
    sample.edit("Cargo.toml", "debug = 1\n", more);
    let key = |name: &str| {
        let workspace = Workspace::read(&sample.root).unwrap().with_profile(name);
        (workspace.manifests(&["web"]).unwrap()["web"].key(), workspace.excerpt("web").unwrap())
    };
    let (small, dev) = (key("small"), key("dev"));
    assert_ne!(small.0, dev.0);
    sample.edit("Cargo.toml", "debug = 1", "debug = 0");
    assert_eq!(key("small"), small);
    assert_ne!(key("dev"), dev);
    sample.edit("Cargo.toml", "opt-level = 2", "opt-level = 3");
    assert_ne!(key("small").0, small.0);
}

#[test]
fn a_repository_may_be_one_crate() {
    let sample = Sample::new();
    sample.package(".", "solo", "");
    sample.edit("Cargo.toml", "version.workspace = true", "version = \"0.1.0\"");
    let before = sample.manifest("solo");
    for unseen in [".git/HEAD", ".slipway/local/journal", "target/debug/solo"] {
        sample.write(unseen, "new");
        assert_eq!(diff(&before, &sample.manifest("solo")), [], "{unseen}");
    }
    sample.write("assets/deep/.slipway", "new");
    assert_eq!(diff(&before, &sample.manifest("solo"))[0].to_string(), "assets/deep/.slipway added");
}

#[test]
fn this_repository_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = Workspace::read(&root).unwrap();
    let folders = workspace.closure("epoch").unwrap();
    assert_eq!(folders, ["app/epoch", "app/kit"].map(PathBuf::from));
    let manifest = &workspace.manifests(&["epoch"]).unwrap()["epoch"];
    let names: Vec<&str> = manifest.inputs().iter().map(Input::name).collect();
    assert!(names.contains(&"app/epoch/src/main.rs") && names.iter().any(|name| name.starts_with("tokio 1.")));
    assert!(!names.iter().any(|name| name.starts_with("clap ") || name.contains("not locked")), "{names:?}");
}

#[test]
fn a_file_is_hashed_whole_and_as_sha256sum_does() {
    let sample = Sample::new();
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(sample.path("app/web/big"), &content).unwrap();
    let manifest = sample.manifest("web");
    let big = manifest.inputs().iter().find(|input| input.name() == "app/web/big").unwrap();
    assert_eq!(big.digest().0[..], Sha256::digest(&content)[..]);
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_not_utf_8_count() {
    use std::os::unix::ffi::OsStrExt;
    let sample = Sample::new();
    let write = |name: &[u8]| {
        fs::write(sample.path("app/web").join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
        sample.manifest("web")
    };
    let (one, two) = (write(b"\xff"), write(b"\xfe"));
    assert_eq!(diff(&one, &two)[0].to_string(), "app/web/%FE added");
    assert_eq!(Manifest::from_text(&two.to_text()).unwrap(), two);
}

#[test]
fn what_cannot_be_read_is_named() {
    let sample = Sample::new();
    let error = |name: &str| {
        let read = Workspace::read(&sample.root).and_then(|workspace| workspace.manifests(&[name]));
        format!("{:#}", read.unwrap_err())
    };
    sample.write("app/web/src/page.rs", "");
    sample.chmod("app/web/src/page.rs", 0o000);
    // Root reads everything.
    if fs::read(sample.path("app/web/src/page.rs")).is_err() {
        assert!(error("web").starts_with("cannot read `app/web/src/page.rs`"), "{}", error("web"));
    }
    sample.chmod("app/web/src/page.rs", 0o644);
    sample.edit("app/web/Cargo.toml", "[dependencies]", "[dependencies]\nfar = { path = '../../../far' }");
    assert_eq!(error("web"), "`app/web/Cargo.toml`: path `../../../far` leaves the repository");
    sample.edit("app/web/Cargo.toml", "../../../far", "../far");
    assert_eq!(error("web"), "no `app/far/Cargo.toml`, though a manifest names its folder");
    sample.write("app/web/Cargo.toml", "[package\n");
    assert!(error("web").starts_with("`app/web/Cargo.toml`: TOML parse error at line 1"), "{}", error("web"));
    sample.remove("app/web/Cargo.toml");
    fs::create_dir(sample.path("app/web/Cargo.toml")).unwrap();
    assert!(error("web").starts_with("cannot read `app/web/Cargo.toml`"), "{}", error("web"));
}

#[test]
fn a_crate_that_is_a_link_counts_where_it_lies_and_not_outside_of_the_repository() {
    let sample = Sample::new();
    sample.rename("app/kit", "kit");
    sample.link("../kit", "app/kit");
    let before = sample.manifest("web");
    sample.write("kit/src/lib.rs", "//");
    assert_eq!(diff(&before, &sample.manifest("web"))[0].to_string(), "kit/src/lib.rs changed");
    let outside = Sample::new();
    sample.rename("app/other", "other");
    sample.link(&outside.path("app/other").display().to_string(), "app/other");
    let error = Workspace::read(&sample.root).unwrap_err().to_string();
    assert_eq!(error, "`app/other` is a link out of the repository");
}
