//! Systems whose sources and images nobody here wrote for the tool, as far as processes of this machine can be them.

use super::contract::Deployed;
use super::contract::document::system;
use super::sandbox::{Sandbox, scratch};
use super::stranger::board;
use std::fs;

#[test]
fn what_can_run_of_strangers_systems_runs_and_the_rest_is_skipped_with_the_reason() {
    skip::unless!(skip::program(&["go"], "XTASK_REQUIRE_GO"));
    let root = board::of_board(scratch().join("board"), &["board", "relay"]);
    fs::create_dir_all(root.join(".git")).unwrap();
    let sandbox = Sandbox::in_own_repository(root, "board");
    let document = sandbox.deploy(&[]);
    assert_eq!(system(&document, "relay")["result"], "deployed", "{document:#}");
    let reason = system(&document, "board")["reason"].as_str().unwrap();
    assert!(reason.contains("share the public name `board` by path"), "{reason}");
    board::relay_is_asked_by_its_worker(&sandbox);
    board::relay_speaks_to_whoever_connects(&sandbox);
    assert_eq!(sandbox.deploy(&[])["result"], "unchanged");
    sandbox.ends_clean();
}
