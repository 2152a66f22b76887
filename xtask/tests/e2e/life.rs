//! From nothing to proven and back, command by command, with `epoch`.

use super::sandbox::{Sandbox, get};

#[test]
fn epoch_from_nothing_to_proven_and_back() {
    let sandbox = Sandbox::new("life");
    let first = sandbox.xtask(["deploy", "epoch", "--json"]).success().json();
    assert_eq!(first["result"], "deployed");
    let (status, body) = get(&sandbox.via("epoch"), "/any").unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("The current epoch time"), "{body}");
    let again = sandbox.xtask(["deploy", "epoch", "--json"]).success().json();
    assert_eq!(again["result"], "unchanged");
    let receipt = sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean");
    assert!(!sandbox.home().exists());
}
