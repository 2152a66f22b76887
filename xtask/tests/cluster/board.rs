//! Systems whose sources and images nobody here wrote for the tool, in a cluster.

use super::contract::Deployed;
use super::deployment::Deployment;
use super::repeated::mark;
use super::sandbox::scratch;
use super::stranger::board;

#[test]
fn systems_of_strangers_do_what_each_line_of_their_files_is_for() {
    skip::unless!(board::images());
    let root = || board::of_board(scratch().join(format!("e2e-cluster-{}-board", mark())), &["board", "relay"]);
    let deployment = skip::unless!(Deployment::in_folder(root, "board"));
    board::keep_the_line_inside(&deployment.sandbox.root);
    assert_eq!(deployment.deploy(&[])["result"], "deployed");
    board::relay_is_asked_by_its_worker(&deployment);
    board::relay_is_built_once(&deployment);
    board::board_has_one_name(&deployment);
    board::board_keeps_what_its_jobs_note(&deployment);
    board::board_is_confined(&deployment);
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
    deployment.ends_clean();
}
