//! What the files do not declare any more, on a load balancer that several systems share: names and targets go with it, and
//! the others answer all the while. Its deploys are killed at random instants, and the next one makes everything right.

use super::deployment::Deployment;
use super::domain::Domain;
use super::instants::{Instants, killed};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often it is asked meanwhile: a program each time, which a test's own load may not be.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// Goes on where [`Domain`] has `epoch` and `web`, and leaves it `epoch` alone. `took`: how long a change takes there.
pub(crate) fn goes_once_something_else_has_its_place(domain: &Domain, took: Duration) {
    let mut instants = Instants::new();
    a_system_of_another_name_takes_the_host_over(domain, instants.within(took * 2));
    a_system_that_no_file_declares_is_torn_down_by_name(domain);
    a_removed_system_leaves_the_load_balancer_to_the_others(domain, instants.within(took * 2));
}

/// A deploy that is killed, and another one.
#[track_caller]
pub(crate) fn killed_and_again(domain: &Domain, after: Duration) -> Value {
    let args = ["deploy", "--yes", "--json"];
    eprintln!("killed after {after:?}");
    killed(&domain.deployment.sandbox, domain.command(&args), after).finish();
    let again = domain.deploy(&[]);
    assert_ne!(again["result"], "failed", "killed after {after:?}: {again:#}");
    let unchanged = domain.deploy(&[]);
    assert_eq!(unchanged["result"], "unchanged", "killed after {after:?}: {unchanged:#}");
    again
}

/// What of the answers to requests one after the other was not as it should be, while something else happens.
fn failures_during(domain: &Domain, service: &str, work: impl FnOnce()) -> Vec<String> {
    let (balancer, url) = (domain.balancer(service), format!("https://{}/", domain.host(service)));
    let (stop, failures, answers) = (AtomicBool::new(false), Mutex::new(Vec::new()), Mutex::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut due = Instant::now();
            while !stop.load(Ordering::SeqCst) {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                due += ASKED_EVERY;
                let answer = domain.get(&balancer, &url);
                if answer.ends_with(" 200") {
                    *answers.lock().unwrap() += 1;
                } else {
                    failures.lock().unwrap().push(answer);
                }
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::SeqCst);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert!(answers.into_inner().unwrap() > 10, "it was asked all the while");
    failures.into_inner().unwrap()
}

#[track_caller]
fn is_gone(deployment: &Deployment, system: &str) {
    deployment.account.kubectl(["get", "namespace", &deployment.namespace(system)]).exits(1);
}

fn a_system_of_another_name_takes_the_host_over(domain: &Domain, after: Duration) {
    let deployment = &domain.deployment;
    let failures = failures_during(domain, "web", || {
        std::fs::rename(deployment.file("web"), deployment.file("site")).unwrap();
        killed_and_again(domain, after);
    });
    assert!(failures.is_empty(), "{} failures, such as {:?}", failures.len(), failures.first());
    is_gone(deployment, "web");
    domain.answer(&["epoch", "web"]);
    domain.leads_to(&[("epoch", "epoch"), ("web", "site")]);
}

fn a_system_that_no_file_declares_is_torn_down_by_name(domain: &Domain) {
    let deployment = &domain.deployment;
    let text = std::fs::read(deployment.file("epoch")).unwrap();
    std::fs::remove_file(deployment.file("epoch")).unwrap();
    let receipt = domain.xtask(&["teardown", "epoch", "--yes", "--json"]).success().json();
    assert_eq!((&receipt["result"], &receipt["survivors"]), (&json!("clean"), &json!([])), "{receipt:#}");
    for kind in ["record", "target-group"] {
        let is_its = |removed: &Value| removed["kind"] == kind && removed["owner"] == "epoch";
        assert!(receipt["removed"].as_array().unwrap().iter().any(is_its), "no {kind}: {receipt:#}");
    }
    is_gone(deployment, "epoch");
    domain.answer(&["web"]);
    domain.leads_to(&[("web", "site")]);
    std::fs::write(deployment.file("epoch"), text).unwrap();
}

fn a_removed_system_leaves_the_load_balancer_to_the_others(domain: &Domain, after: Duration) {
    std::fs::remove_file(domain.deployment.file("site")).unwrap();
    killed_and_again(domain, after);
    is_gone(&domain.deployment, "site");
    domain.answer(&["epoch"]);
    domain.leads_to(&[("epoch", "epoch")]);
}
