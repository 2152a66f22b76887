//! What was built: a build is used again only where everything that it read is as it was.

use super::contract::document::edit;
use super::sandbox::{Run, Sandbox, get};
use serde_json::Value;

/// A variable that a source reads while it is compiled.
const LABEL: &str = "BUILD_LABEL";

/// Runs with the label, or without one.
fn xtask(sandbox: &Sandbox, label: Option<&str>, args: &[&str]) -> Value {
    let mut command = sandbox.command(args);
    command.env_remove(LABEL);
    command.envs(label.map(|label| (LABEL, label)));
    Run::of(&mut command).success().json()
}

/// What a plan says of why, then a deploy, after which the service says this.
#[track_caller]
fn is_built_again(sandbox: &Sandbox, label: Option<&str>, why: &str, says: &str) {
    let plan = xtask(sandbox, label, &["plan", "epoch", "--json"]);
    assert!(plan["systems"][0]["services"][0]["why"].to_string().contains(why), "no `{why}` in {plan:#}");
    let document = xtask(sandbox, label, &["deploy", "epoch", "--json"]);
    assert_eq!(document["result"], "deployed", "{document:#}");
    let answer = get(&sandbox.via("epoch"), "/").unwrap().1;
    assert!(answer.contains(says), "no `{says}` in {answer}");
    is_used_again(sandbox, label);
}

#[track_caller]
fn is_used_again(sandbox: &Sandbox, label: Option<&str>) {
    let document = xtask(sandbox, label, &["deploy", "epoch", "--json"]);
    assert_eq!(document["result"], "unchanged", "{document:#}");
}

#[test]
fn what_sources_read_from_elsewhere_is_noticed() {
    let sandbox = Sandbox::with_own_copy("sources");
    let write = |path: &str, text: &str| {
        let path = sandbox.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let answer = "text: format!(\"{epoch} {} {} {}\", option_env!(\"BUILD_LABEL\").unwrap_or(\"plain\"), \
                  include_str!(\"../../../notes/label.txt\"), note!(third))";
    let source = sandbox.root.join("app/epoch/src/main.rs");
    edit(&source, "text: epoch.to_string()", answer);
    // What it includes is known once it was compiled.
    let note = "macro_rules! note { ($name:ident) => { \
                include_str!(concat!(\"../../../notes/\", stringify!($name), \".txt\")) } }\n";
    edit(&source, "fn main()", &format!("{note}\nfn main()"));
    write("notes/label.txt", "first");
    write("notes/third.txt", "and more");
    xtask(&sandbox, None, &["deploy", "epoch", "--json"]);
    is_built_again(&sandbox, Some("blue"), "BUILD_LABEL", " blue first");
    is_built_again(&sandbox, Some("green"), "BUILD_LABEL", " green first");
    write("notes/label.txt", "second");
    is_built_again(&sandbox, Some("green"), "notes/label.txt", " green second");
    is_used_again(&sandbox, Some("green"));
    write("notes/third.txt", "and less");
    is_built_again(&sandbox, Some("green"), "notes/third.txt changed", " green second and less");
    write("notes/third.txt", "and more");
    is_built_again(&sandbox, Some("green"), "notes/third.txt changed", " green second and more");
    write("notes/other.txt", "nobody includes it");
    write("app/epoch/.DS_Store", "the Finder's");
    write("app/epoch/src/.main.rs.swp", "an editor's");
    is_used_again(&sandbox, Some("green"));
    a_crate_may_be_moved_and_its_binary_called_as_one_likes(&sandbox);
}

fn a_crate_may_be_moved_and_its_binary_called_as_one_likes(sandbox: &Sandbox) {
    std::fs::rename(sandbox.root.join("app/epoch"), sandbox.root.join("app/clock")).unwrap();
    edit(&sandbox.root.join("Cargo.toml"), "\"app/epoch\"", "\"app/clock\"");
    let binary = "[[bin]]\nname = \"epochd\"\npath = \"src/main.rs\"\n\n[dependencies]\n";
    edit(&sandbox.root.join("app/clock/Cargo.toml"), "[dependencies]\n", binary);
    is_built_again(sandbox, None, "app/clock/Cargo.toml", " plain second");
}
