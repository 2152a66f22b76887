//! What counts, and what does not.

use super::check;
use super::model::{Chance, Model};
use super::sample::{self, Sample};
use keys::{Input, Kind, Manifest, Workspace, diff};
use nix::sys::stat::Mode;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

#[test]
fn any_difference_in_a_folder_is_a_difference_in_the_key_and_nothing_else_is() {
    let mut chance = Chance::new(0x5eed);
    let checkouts = [Sample::new(), Sample::new(), Sample::new()];
    let mut same = 0;
    for round in 0..200 {
        let before = Model::random(&mut chance);
        let mut after = before.clone();
        let change = after.mutate(&mut chance);
        let mut write = |model: &Model, checkout: &Sample| {
            model.write(&checkout.path("app/web/model"), &mut chance);
            checkout.manifest("web")
        };
        let manifests = [write(&before, &checkouts[0]), write(&after, &checkouts[1]), write(&before, &checkouts[2])];
        let keys = manifests.each_ref().map(Manifest::key);
        assert_eq!(keys[0], keys[2], "round {round}: two checkouts of the same files\n{before:#?}");
        assert_eq!(keys[0] == keys[1], before == after, "round {round}: {change}\n{before:#?}\n{after:#?}");
        assert_eq!(diff(&manifests[0], &manifests[1]).is_empty(), before == after, "round {round}: {change}");
        let text = manifests[1].to_text();
        assert_eq!(Manifest::from_text(&text).unwrap(), manifests[1], "round {round}");
        same += usize::from(before == after);
    }
    assert!((3..60).contains(&same), "{same} of the changes were none: the test has lost its point");
}

#[test]
fn files_of_the_crate_count() {
    check(&[
        ("a byte", &|s| s.write("app/web/src/main.rs", "fn main() {} "), &["app/web/src/main.rs changed"]),
        ("an empty file", &|s| s.write("app/web/build.rs", ""), &["app/web/build.rs added"]),
        (
            "a folder that only says that it is a cache",
            &|s| s.write("app/web/src/CACHEDIR.TAG", "Signature:"),
            &["app/web/src/CACHEDIR.TAG added"],
        ),
        ("a file less", &|s| s.remove("app/web/src/page.rs"), &["app/web/src/page.rs removed"]),
        (
            "another name",
            &|s| s.rename("app/web/src/page.rs", "app/web/src/pages.rs"),
            &["app/web/src/page.rs removed", "app/web/src/pages.rs added"],
        ),
        (
            "another folder",
            &|s| s.rename("app/web/src/page.rs", "app/web/assets/page.rs"),
            &["app/web/assets/page.rs added", "app/web/src/page.rs removed"],
        ),
        (
            "contents swapped",
            &|s| {
                s.rename("app/web/src/main.rs", "app/web/swap");
                s.rename("app/web/src/page.rs", "app/web/src/main.rs");
                s.rename("app/web/swap", "app/web/src/page.rs");
            },
            &["app/web/src/main.rs changed", "app/web/src/page.rs changed"],
        ),
        ("executable", &|s| s.chmod("app/web/src/main.rs", 0o755), &["app/web/src/main.rs became executable"]),
        ("not executable", &|s| s.chmod("app/web/run.sh", 0o644), &["app/web/run.sh is no longer executable"]),
        ("read-only", &|s| s.chmod("app/web/run.sh", 0o555), &["app/web/run.sh changed its mode: 0700 → 0500"]),
        (
            "a link's target",
            &|s| s.link("page.html", "app/web/assets/start"),
            &["app/web/assets/start leads elsewhere"],
        ),
        (
            "a link for a file",
            &|s| s.link("../src/main.rs", "app/web/src/page.rs"),
            &["app/web/src/page.rs changed from a file to a symlink"],
        ),
        (
            "a file for a link",
            &|s| s.write("app/web/assets/start", "index.html"),
            &["app/web/assets/start changed from a symlink to a file"],
        ),
        ("a dangling link", &|s| s.link("/nowhere/at/all", "app/web/gone"), &["app/web/gone added"]),
        (
            "a pipe, which nobody writes to",
            &|s| nix::unistd::mkfifo(&s.path("app/web/pipe"), Mode::S_IRWXU).unwrap(),
            &["app/web/pipe added"],
        ),
        ("a socket", &|s| drop(UnixListener::bind(s.path("app/web/socket")).unwrap()), &["app/web/socket added"]),
        ("a target folder that is no cache", &|s| s.write("app/web/target/x", ""), &["app/web/target/x added"]),
    ]);
}

#[test]
fn what_links_lead_to_counts_wherever_it_is_in_the_repository() {
    check(&[
        ("a file at the root", &|s| s.write("LICENSE", "new terms"), &["LICENSE changed"]),
        ("a file in a folder at the root", &|s| s.write("assets/logo.svg", "<svg/>"), &["assets/logo.svg changed"]),
        ("a new file there", &|s| s.write("assets/new.svg", ""), &["assets/new.svg added"]),
        (
            "a file that the folder around it leaves out",
            &|s| {
                s.link("../fuzz/src/main.rs", "app/web/assets/fuzz.rs");
                s.write("app/web/fuzz/src/main.rs", "//");
            },
            &["app/web/assets/fuzz.rs added", "app/web/fuzz/src/main.rs added"],
        ),
        (
            "a link in between",
            &|s| s.link("assets", "common"),
            &["app/web/assets/common leads elsewhere", "shared-assets/logo.svg removed"],
        ),
    ]);
}

#[test]
fn what_sources_include_counts_wherever_it_is_in_the_repository() {
    let sample = Sample::new();
    let before = sample.manifest("web");
    sample.write("pages/index.html", "first");
    sample.write("app/web/src/page.rs", "include_str!(\"../../../pages/index.html\"); option_env!(\"LABEL\");");
    let included = sample.manifest("web");
    let sentences =
        |before: &Manifest, after: &Manifest| diff(before, after).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(sentences(&before, &included), ["app/web/src/page.rs changed", "pages/index.html added"]);
    assert_eq!(included.variables().iter().collect::<Vec<_>>(), ["LABEL"]);
    sample.write("pages/index.html", "second");
    sample.write("pages/other.html", "nobody includes it");
    assert_eq!(sentences(&included, &sample.manifest("web")), ["pages/index.html changed"]);
    let before = sample.manifest("web");
    sample.write("pages/.gitignore", "*");
    sample.write("pages/index.html", "third, which git ignores");
    assert_eq!(sentences(&before, &sample.manifest("web")), ["pages/index.html changed"]);
}

#[test]
fn crates_that_it_depends_on_count() {
    check(&[
        ("direct", &|s| s.write("app/kit/src/lib.rs", "//"), &["app/kit/src/lib.rs changed"]),
        ("of a dependency", &|s| s.write("app/base/src/lib.rs", "//"), &["app/base/src/lib.rs changed"]),
        ("for the build", &|s| s.write("app/made/src/lib.rs", "//"), &["app/made/src/lib.rs changed"]),
        ("renamed, for one platform", &|s| s.write("app/shared/src/lib.rs", "//"), &["app/shared/src/lib.rs changed"]),
        (
            "in a crate's own folder",
            &|s| s.write("app/kit/derive/src/lib.rs", "//"),
            &["app/kit/derive/src/lib.rs changed"],
        ),
        ("in place of a package", &|s| s.write("patches/log/src/lib.rs", "//"), &["patches/log/src/lib.rs changed"]),
    ]);
}

#[test]
fn entries_of_the_lock_count() {
    check(&[
        ("version", &|s| s.edit("Cargo.lock", "1.0.228", "1.0.229"), &["lock: serde 1.0.228 → 1.0.229"]),
        ("checksum", &|s| s.edit("Cargo.lock", "5e4de", "5e4df"), &["lock: serde 1.0.228 changed"]),
        (
            "commit",
            &|s| s.edit("Cargo.lock", "#aaaa", "#bbbb"),
            &["lock: cc 1.2.0 (git+https://example.com/cc#aaaa) → 1.2.0 (git+https://example.com/cc#bbbb)"],
        ),
        ("of a dependency", &|s| s.edit("Cargo.lock", "\"c04e\"", "\"c04f\""), &["lock: serde_core 1.0.228 changed"]),
        (
            "a dependency less",
            &|s| s.edit("Cargo.lock", "dependencies = [\"serde_core\"]\n", ""),
            &["lock: serde 1.0.228 changed", "lock: serde_core 1.0.228 removed"],
        ),
        (
            "not locked yet",
            &|s| s.edit("app/web/Cargo.toml", "[dependencies]", "[dependencies]\nnew = \"1\""),
            &["app/web/Cargo.toml changed", "lock: new not locked added"],
        ),
    ]);
}

#[test]
fn which_of_two_versions_a_crate_gets_counts() {
    let sample = Sample::new();
    sample.edit("app/kit/Cargo.toml", "[dependencies]", "[dependencies]\nrand = \">=0.8\"");
    sample.edit(
        "app/base/Cargo.toml",
        "[dependencies]",
        "[dependencies]\nrand = \"0.8\"\nother = { package = 'rand', version = '0.9' }",
    );
    sample.edit("Cargo.lock", "\"log\",", "\"log\",\n \"rand 0.8.5\",");
    sample.edit(
        "Cargo.lock",
        "name = \"base\"\nversion = \"0.1.0\"\n",
        "name = \"base\"\nversion = \"0.1.0\"\ndependencies = [\"rand 0.8.5\", \"rand 0.9.1\"]\n",
    );
    sample.write("Cargo.lock", &format!("{}{}", sample.read("Cargo.lock"), sample::RAND_0_9));
    let before = sample.manifest("web");
    sample.edit("Cargo.lock", "\"log\",\n \"rand 0.8.5\",", "\"log\",\n \"rand 0.9.1\",");
    let sentences: Vec<String> = diff(&before, &sample.manifest("web")).iter().map(ToString::to_string).collect();
    assert_eq!(sentences, ["lock: kit changed"]);
}

#[test]
fn settings_count() {
    check(&[
        (
            "an inherited dependency",
            &|s| s.edit("Cargo.toml", "serde = \"1\"", "serde = { version = \"1\", features = [\"derive\"] }"),
            &["Cargo.toml: workspace.dependencies.serde changed"],
        ),
        (
            "an inherited field",
            &|s| s.edit("Cargo.toml", "version = \"0.1.0\"", "version = \"0.2.0\""),
            &["Cargo.toml: workspace.package.version changed"],
        ),
        ("a profile", &|s| s.edit("Cargo.toml", "debug = 1", "debug = 0"), &["Cargo.toml: profile.dev changed"]),
        ("the resolver", &|s| s.edit("Cargo.toml", "\"3\"", "\"2\""), &["Cargo.toml: workspace.resolver changed"]),
        (
            "configuration",
            &|s| s.write(".cargo/config.toml", ""),
            &[".cargo/config.toml changed", ".cargo/more.toml removed"],
        ),
        ("what it includes", &|s| s.write(".cargo/more.toml", ""), &[".cargo/more.toml changed"]),
        ("a toolchain file", &|s| s.write("rust-toolchain.toml", "[toolchain]"), &["rust-toolchain.toml added"]),
    ]);
}

#[test]
fn what_the_build_cannot_see_does_not_count() {
    check(&[
        ("the time of a file", &|s| s.touch("app/web/src/main.rs"), &[]),
        ("what an umask decides", &|s| s.chmod("app/web/run.sh", 0o700), &[]),
        ("an empty folder", &|s| fs::create_dir(s.path("app/web/empty")).unwrap(), &[]),
        ("a page at the root", &|s| s.write("README.md", "more"), &[]),
        ("data at the root", &|s| s.write("deploy/systems/web.toml", "more"), &[]),
        ("another crate", &|s| s.write("app/other/src/main.rs", "//"), &[]),
        ("one more crate", &|s| s.package("app/new", "new", ""), &[]),
        ("a dev-dependency", &|s| s.write("app/testkit/src/lib.rs", "//"), &[]),
        ("a crate within the crate that it does not use", &|s| s.write("app/web/fuzz/src/main.rs", "//"), &[]),
        ("what a dev-dependency locks", &|s| s.edit("Cargo.lock", "3.23.0", "3.24.0"), &[]),
        ("what another crate locks", &|s| s.edit("Cargo.lock", "\"7a4d\"", "\"7a4e\""), &[]),
        (
            // Cargo then writes `serde` as `serde 1.0.228` everywhere.
            "another version for another crate",
            &|s| {
                s.edit("Cargo.lock", " \"serde\",", " \"serde 1.0.228\",");
                s.write("Cargo.lock", &format!("{}{}", s.read("Cargo.lock"), sample::SERDE_0_9));
            },
            &[],
        ),
        ("a dependency that it does not inherit", &|s| s.edit("Cargo.toml", "rand = \"0.8\"", "rand = \"0.9\""), &[]),
        ("a comment on all", &|s| s.edit("Cargo.toml", "[workspace]", "# Why.\n[workspace]"), &[]),
        (
            "what cargo built",
            &|s| {
                s.write("app/web/target/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# cargo");
                s.write("app/web/target/debug/web", "program");
            },
            &[],
        ),
        (
            "what it built into a folder of another name",
            &|s| {
                s.write("app/web/out/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# cargo");
                s.write("app/web/out/debug/web", "program");
            },
            &[],
        ),
        (
            "nested and ignored by git",
            &|s| {
                s.write("app/web/src/deep/.gitignore", "*\n");
                s.write("app/web/src/deep/secret.local", "1");
            },
            &[],
        ),
        ("what the Finder leaves", &|s| s.write("app/web/.DS_Store", "x"), &[]),
        ("what an editor leaves", &|s| s.write("app/web/src/.main.rs.swp", "x"), &[]),
        ("git's own files", &|s| s.write("app/web/.git", "gitdir: /home/me/elsewhere"), &[]),
        ("a link to what cargo built", &|s| s.write("target/debug/web", "program"), &[]),
    ]);
}

#[test]
fn a_checkout_may_be_moved_and_reached_by_any_path() {
    let mut sample = Sample::new();
    let key = sample.manifest("web").key();
    sample.relocate();
    assert_eq!(sample.manifest("web").key(), key);
    let link = sample.root.with_extension("link");
    symlink(&sample.root, &link).unwrap();
    let through_link = Workspace::read(&link).unwrap().manifests(&["web"]).unwrap();
    fs::remove_file(&link).unwrap();
    assert_eq!(through_link["web"].key(), key);
}

#[test]
fn services_asked_for_together_have_the_keys_they_have_alone() {
    let sample = Sample::new();
    let together = Workspace::read(&sample.root).unwrap().manifests(&["web", "other", "kit"]).unwrap();
    for (name, manifest) in &together {
        assert_eq!(*manifest, sample.manifest(name), "{name}");
    }
    assert_ne!(together["web"].key(), together["kit"].key());
}

#[test]
fn what_the_caller_adds_counts() {
    let sample = Sample::new();
    let plain = sample.manifest("web");
    let with = |inputs: &[Input]| {
        let mut manifest = plain.clone();
        inputs.iter().for_each(|input| manifest.add(input.clone()));
        manifest
    };
    let argument = |name: &str, value: &str| Input::new(Kind::Argument, name, value);
    let keys = [
        plain.clone(),
        with(&[Input::toolchain("rustc 1.94.0\nhost: a")]),
        with(&[Input::toolchain("rustc 1.95.0\nhost: a")]),
        with(&[Input::toolchain("rustc 1.95.0\nhost: b")]),
        with(&[argument("A", "1")]),
        with(&[argument("A", "2")]),
        with(&[argument("A1", "")]),
        with(&[argument("A", "1"), argument("B", "1")]),
        with(&[Input::new(Kind::Spec, "A", "1")]),
    ]
    .map(|manifest| manifest.key());
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[index + 1..].contains(key), "{index}");
    }
    let (old, new) = (with(&[Input::toolchain("rustc 1.94.0 (a)")]), with(&[Input::toolchain("rustc 1.95.0 (b)")]));
    assert_eq!(diff(&old, &new)[0].to_string(), "toolchain changed: rustc 1.94.0 → 1.95.0");
}
