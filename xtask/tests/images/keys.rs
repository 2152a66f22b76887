//! Which change makes another image. No engine is there to be asked.

use super::place::Place;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

/// A change, and whether each service's key changes with it.
type Case<'a> = (&'a str, &'a dyn Fn(&Place), bool, bool);

fn check(args: &[&str], cases: &[Case<'_>]) {
    let mut place = Place::new();
    let mut before = place.keys(args);
    for (title, change, one, two) in cases {
        change(&place);
        let after = place.keys(args);
        assert_eq!((before.0 != after.0, before.1 != after.1), (*one, *two), "{title}");
        before = after;
    }
    place.without_engine();
}

#[test]
fn a_line_changes_the_images_whose_closure_has_it() {
    check(
        &[],
        &[
            ("a line of one", &|p| p.edit("app/one/src/main.rs", "\"well\"", "\"fine\""), true, false),
            ("a line of two", &|p| p.edit("app/two/src/main.rs", "\"well\"", "\"fine\""), false, true),
            ("a line of what one uses", &|p| p.edit("app/shared/src/lib.rs", "hello", "hallo"), true, false),
            ("a line of what tests use", &|p| p.edit("app/tests-alone/src/lib.rs", "hello", "hi"), false, false),
            ("an empty file", &|p| p.write("app/one/empty", ""), true, false),
            ("the recipe", &|p| p.edit("app/Dockerfile", "USER", "# As nobody.\nUSER"), true, true),
            ("the port", &|p| p.edit("deploy/systems/both.toml", "1001", "1003"), false, false),
            ("a recipe that asks for the port", &|p| p.edit("app/Dockerfile", "USER", "ARG PORT=1\nUSER"), true, true),
            ("the port that it asks for", &|p| p.edit("deploy/systems/both.toml", "1003", "1004"), true, false),
            ("the base", &|p| p.edit("deploy/images.toml", ":nonroot", ":debug-nonroot"), true, true),
            (
                "the digest of the base",
                &|p| {
                    let digest = format!(":debug-nonroot@sha256:{}", "0a".repeat(32));
                    p.edit("deploy/images.toml", ":debug-nonroot", &digest);
                },
                true,
                true,
            ),
            ("the profile", &|p| p.edit("Cargo.toml", "opt-level = 0", "opt-level = 1"), true, true),
            (
                "another profile",
                &|p| p.edit("Cargo.toml", "[profile", "[profile.dev]\ndebug = 0\n[profile"),
                false,
                false,
            ),
            ("what nobody here builds with", &|p| p.edit("deploy/images.toml", "rust:1-", "rust:1.95-"), false, false),
            ("a page", &|p| p.write("README.md", "more"), false, false),
            ("what is checked", &|p| p.edit("deploy/systems/both.toml", "\"d\"", "\"e\""), false, false),
            ("a comment", &|p| p.edit("Cargo.toml", "[workspace]", "# Why.\n[workspace]"), false, false),
            (
                "the time of a file",
                &|p| {
                    let file = File::options().append(true).open(p.root.join("app/one/src/main.rs")).unwrap();
                    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
                },
                false,
                false,
            ),
        ],
    );
}

#[test]
fn inside_a_container_another_compiler_counts() {
    let inside = ["--set", "build=inside"];
    let builder = |p: &Place| p.edit("deploy/images.toml", "rust:1-", "rust:1.95-");
    check(&inside, &[("the builder", &builder, true, true)]);
    let place = Place::new();
    assert_ne!(place.keys(&inside), place.keys(&[]));
    assert_ne!(place.keys(&["--set", "platforms=linux/arm64"]), place.keys(&["--set", "platforms=linux/amd64"]));
    let images = place.images(&["--dry-run", "--set", "build=inside"]);
    assert_eq!(images["one"]["way"], "inside a container: `build` is set to `inside`");
}

#[test]
fn the_folder_of_the_checkout_does_not_count() {
    let (place, other) = (Place::new(), Place::new());
    assert_ne!(place.root, other.root);
    assert_eq!(place.keys(&[]), other.keys(&[]));
}

#[test]
fn nothing_is_made_by_asking() {
    let place = Place::new();
    let run = place.build(&["--dry-run", "--why"]).exits(0);
    run.says(&["no image of it was built here yet", "--target host", "--tag localhost/e2e-", "cargo build"]);
    let images = place.images(&["--dry-run"]);
    assert!(images["one"]["result"].is_null() && images["one"]["digest"].is_null());
    assert!(!place.root.join(".slipway").exists());
    assert!(place.build(&[]).exits(3).stderr.contains("not installed"));
}

#[test]
fn a_way_that_cannot_be_gone_is_refused() {
    let place = Place::new();
    let other = if cfg!(target_arch = "x86_64") { "linux/arm64" } else { "linux/amd64" };
    let run = place.build(&["--dry-run", "--set", "build=host", "--set", &format!("platforms={other}")]).exits(3);
    run.says(&["`build` is set to `host`, but", "image of `one`"]);
    fs::remove_file(place.root.join("app/Dockerfile")).unwrap();
    place.build(&["--dry-run"]).says(&["`app/Dockerfile`"]);
    place.write("deploy/images.toml", "");
    place.build(&["--dry-run"]).exits(3).says(&["`deploy/images.toml` has no image `base`"]);
}
