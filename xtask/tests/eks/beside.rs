//! Deployments in one account and one cluster, and somebody else's controller beside ours.

use super::deployment::Deployment;

#[test]
fn of_two_deployments_one_is_torn_down_and_the_other_serves_on() {
    let Some(one) = Deployment::new("one") else { return };
    let other = Deployment::new("other").unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| one.deploy(&["epoch"]));
        other.deploy(&["epoch"]);
        first.join().unwrap();
    });
    assert_ne!(one.url("epoch"), other.url("epoch"));
    let before = other.left();
    one.ends_clean();
    assert_eq!(other.left(), before, "the other one has all that it had");
    assert_eq!(other.get("epoch", "/").unwrap().0, 200);
    let again = other.deploy(&["epoch"]);
    assert_eq!(again["result"], "unchanged", "{again:#}");
    other.ends_clean();
}
