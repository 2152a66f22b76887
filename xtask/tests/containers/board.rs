//! Systems whose sources and images nobody here wrote for the tool, in containers.

use super::contract::Deployed;
use super::deployment::{Deployment, unique};
use super::sandbox::scratch;
use super::stranger::board;

#[test]
fn systems_of_strangers_do_what_each_line_of_their_files_is_for() {
    skip::unless!(board::images());
    let root = || board::of_board(scratch().join(unique("board")), &["board", "relay"]);
    let deployment = skip::unless!(Deployment::in_folder(root, "board"));
    let planned = deployment.sandbox.xtask(["plan"]).success().stdout;
    assert!(planned.contains("its workers run as another user"), "{planned}");
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    board::relay_is_asked_by_its_worker(&deployment);
    board::relay_is_built_once(&deployment);
    board::relay_speaks_to_whoever_connects(&deployment);
    board::board_has_one_name(&deployment);
    board::board_keeps_what_its_jobs_note(&deployment);
    board::board_is_confined(&deployment);
    board::board_is_reminded_by_the_clock(&deployment);
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
    deployment.ends_clean();
}
