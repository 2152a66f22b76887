//! From nothing to proven and back.

use super::Deployed;
use super::document::{code, commands, step, system};
use crate::sandbox::{eventually, failure};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The systems in a document, by name.
fn names(document: &Value) -> Vec<String> {
    let systems = document["systems"].as_array().unwrap().iter();
    systems.map(|system| system["name"].as_str().unwrap().to_owned()).collect()
}

/// Deploys systems, all of them where none is named, looks at what runs, and deploys again. The document of the first
/// deploy.
#[track_caller]
pub(crate) fn comes_up<D: Deployed>(deployment: &D, systems: &[&str]) -> Value {
    let first = deployment.deploy(systems);
    assert_eq!(first["result"], "deployed", "{first:#}");
    for system in first["systems"].as_array().unwrap() {
        assert_eq!(system["result"], "deployed", "{first:#}");
    }
    let systems = names(&first);
    let services = all_run(deployment, &systems);
    all_is_proven(deployment, &systems);
    again_is_nothing_to_do(deployment, &systems, &services);
    services_do_what_they_are_for(deployment, &systems);
    let log = deployment.sandbox().xtask(["logs", "epoch"]).success().stdout;
    assert!(log.contains("\"starting\""), "{log}");
    first
}

/// The services that run, after a look at `status`.
#[track_caller]
fn all_run<D: Deployed>(deployment: &D, systems: &[String]) -> Vec<String> {
    let status = deployment.sandbox().xtask(["status", "--json"]).success().json();
    assert_eq!(status["target"], D::TARGET);
    let services = systems.iter().flat_map(|name| system(&status, name)["services"].as_array().unwrap());
    let mut running = Vec::new();
    for service in services {
        let name = service["name"].as_str().unwrap();
        let is_absent = D::ABSENT.contains(&name);
        assert_eq!(service["state"], if is_absent { "absent" } else { "running" }, "{service:#}");
        if let Some(least) = deployment.replicas(name).filter(|_| !is_absent) {
            // It may have grown since.
            let ready = service["replicas"]["ready"].as_u64();
            assert!(ready >= Some(u64::from(least)), "{least} of it were to be ready: {service:#}");
        }
        running.extend((!is_absent).then(|| name.to_owned()));
    }
    running
}

#[track_caller]
fn all_is_proven<D: Deployed>(deployment: &D, systems: &[String]) {
    let args = ["smoke", "--json"].into_iter().chain(systems.iter().map(String::as_str));
    let smoke = deployment.sandbox().xtask(args).success().json();
    assert_eq!(names(&smoke), systems);
    for system in smoke["systems"].as_array().unwrap() {
        assert_eq!(system["ok"], true, "{system:#}");
        // What is not there cannot be asked.
        let is_there = |check: &&Value| !D::ABSENT.iter().any(|absent| check["service"] == *absent);
        for check in system["checks"].as_array().unwrap().iter().filter(is_there) {
            let is_untried = !D::CONFINES && check["outcome"] == "skipped";
            assert!(is_untried || check["outcome"] == "passed", "{check:#}");
        }
    }
}

/// A deploy of what is deployed runs no program and starts nothing again, and `plan` says so before.
#[track_caller]
pub(crate) fn again_is_nothing_to_do<D: Deployed>(deployment: &D, systems: &[String], services: &[String]) {
    let running = || services.iter().map(|service| deployment.running(service)).collect::<Vec<_>>();
    let before = running();
    let args = systems.iter().map(String::as_str).collect::<Vec<_>>();
    let again = deployment.deploy(&args);
    assert_eq!(again["result"], "unchanged", "{again:#}");
    let steps = again["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["result"] == "unchanged"), "{again:#}");
    let run: Vec<_> = commands(deployment.sandbox(), &again).into_iter().filter(|run| !D::may_run(run)).collect();
    assert_eq!(run, Vec::<Value>::new());
    let plan = deployment.sandbox().xtask([vec!["plan", "--json"], args].concat()).success().json();
    assert_eq!(names(&plan), systems);
    for system in plan["systems"].as_array().unwrap() {
        assert_eq!(system["services"], json!([]), "{plan:#}");
    }
    assert_eq!(running(), before);
}

/// What a person gets of the public services, whichever replica is asked.
#[track_caller]
fn services_do_what_they_are_for<D: Deployed>(deployment: &D, systems: &[String]) {
    let is_there = |name: &str| systems.iter().any(|system| system == name);
    let (status, body) = deployment.get("epoch", "/any").unwrap();
    assert!(status == 200 && body.contains("The current epoch time"), "{status} {body}");
    if is_there("web") {
        assert_eq!(deployment.get("web", "/").unwrap(), (200, "OK".to_owned()));
        assert_eq!(deployment.get("web", "/hello").unwrap(), (200, "world".to_owned()));
    }
    if is_there("shortener") {
        shorten(deployment);
    }
    if is_there("invoices") {
        assert_eq!(deployment.post("invoice-app", "/invoices/pay", &json!({})).unwrap(), (200, json!({})));
        eventually("all are paid", || match deployment.get("invoice-app", "/invoices") {
            Ok((200, invoices)) if invoices.contains("true") && !invoices.contains("false") => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

/// The path at which a new short link is looked up.
#[track_caller]
fn shorten<D: Deployed>(deployment: &D) -> String {
    let body = json!({"url": "https://example.com/kept"});
    let (status, made) = deployment.post("shortener", "/api/urls", &body).unwrap();
    assert_eq!(status, 201, "{made}");
    format!("/api/urls/{}", code(&made))
}

/// Where nothing is, a teardown is clean and leaves nothing behind either.
#[track_caller]
pub(crate) fn a_teardown_of_nothing_is_clean<D: Deployed>(deployment: &D) {
    for args in [vec![], vec!["epoch"], vec!["--keep-data"]] {
        let receipt = deployment.sandbox().xtask([vec!["teardown", "--json"], args].concat()).success().json();
        assert_eq!((&receipt["result"], &receipt["removed"]), (&json!("clean"), &json!([])), "{receipt:#}");
        assert!(!deployment.sandbox().home().exists());
    }
}

/// Changes `epoch`, spoils it, and goes back and to: no request is lost on the way, and every version is proven.
#[track_caller]
pub(crate) fn a_change_is_made_and_taken_back<D: Deployed>(deployment: &D) {
    deployment.deploy(&["epoch"]);
    let run = deployment.sandbox().xtask(["rollback", "epoch", "--yes"]).exits(1);
    assert!(run.stderr.contains("`epoch` has no earlier revision that was proven healthy"), "{}", run.stderr);
    let hammer = deployment.hammer("epoch");
    a_change_replaces_what_runs(deployment);
    a_failure_leaves_what_ran(deployment);
    for debug in [false, true, false] {
        let back = deployment.sandbox().xtask(["rollback", "epoch", "--yes", "--json"]).success().json();
        assert_eq!(step(&back, &format!("{}:epoch", D::PROOF))["result"], "done", "it is proven: {back:#}");
        assert_eq!(deployment.has_variable("epoch", "LOG", "debug"), debug);
        assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
    }
    for seen in hammer.into_iter().flat_map(|hammer| hammer.until_answered("epoch")) {
        assert_eq!(seen.failures, Vec::<String>::new());
    }
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
}

#[track_caller]
fn a_change_replaces_what_runs<D: Deployed>(deployment: &D) {
    let change = ["epoch", "--set", "env.LOG=debug"];
    let plan = deployment.sandbox().xtask([&["plan", "--json"], &change[..]].concat()).success().json();
    let planned = &system(&plan, "epoch")["services"][0];
    assert_eq!(planned["name"], "epoch", "{plan:#}");
    assert!(!planned["why"].as_array().unwrap().is_empty(), "{plan:#}");
    let old = deployment.running("epoch");
    assert!(!old.is_empty() && !deployment.has_variable("epoch", "LOG", "debug"));
    let changed = deployment.deploy(&change);
    assert_eq!(changed["result"], "deployed", "{changed:#}");
    assert_eq!(step(&changed, &format!("{}:epoch", D::PROOF))["result"], "done", "{changed:#}");
    assert!(deployment.has_variable("epoch", "LOG", "debug"));
    deployment.is_replaced("epoch", &old);
}

#[track_caller]
fn a_failure_leaves_what_ran<D: Deployed>(deployment: &D) {
    let old = deployment.running("epoch");
    let bad = ["deploy", "epoch", "--yes", "--json", "--set", "env.FAULT=crash-at-start"];
    let run = deployment.sandbox().xtask(bad).exits(1);
    let failure = failure(&run);
    assert_eq!(failure["code"], D::CRASHED, "{failure:#}");
    assert!(failure["cause"].as_str().unwrap().starts_with("`epoch` "), "{failure:#}");
    assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
    assert!(deployment.has_variable("epoch", "LOG", "debug"));
    deployment.runs_only("epoch", &old);
}

/// Two systems, each with a service of it: one is removed, then the other.
#[track_caller]
pub(crate) fn a_teardown_of_one_system_keeps_the_other<D: Deployed>(deployment: &D, systems: [(&str, &str); 2]) {
    one_system_goes(deployment, systems);
    with_the_last_goes_what_they_shared(deployment, systems[1].0);
}

/// One of two systems, each with a service of it, is removed. A look alone removes neither.
#[track_caller]
pub(crate) fn one_system_goes<D: Deployed>(deployment: &D, [(gone, its), (stays, other)]: [(&str, &str); 2]) {
    deployment.deploy(&[gone, stays]);
    let (running, kept) = (deployment.running(its), deployment.running(other));
    let found = deployment.sandbox().xtask(["teardown", "--verify", "--json"]).exits(1).json();
    assert_eq!(found["result"], "survivors", "{found:#}");
    assert!(!found["survivors"].as_array().unwrap().is_empty(), "{found:#}");
    assert_eq!((deployment.running(its), deployment.running(other)), (running, kept.clone()));

    let receipt = deployment.sandbox().xtask(["teardown", gone, "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.sandbox().status(its)["state"], "absent");
    deployment.runs_only(its, &BTreeSet::new());
    assert_eq!(deployment.running(other), kept);
    deployment.sandbox().xtask(["smoke", stays]).success();
    assert_eq!(deployment.deploy(&[stays])["result"], "unchanged");
}

#[track_caller]
pub(crate) fn with_the_last_goes_what_they_shared<D: Deployed>(deployment: &D, last: &str) {
    let receipt = deployment.sandbox().xtask(["teardown", last, "--yes", "--json"]).success().json();
    assert_eq!((&receipt["result"], &receipt["survivors"]), (&json!("clean"), &json!([])), "{receipt:#}");
    assert!(!receipt["removed"].as_array().unwrap().is_empty(), "{receipt:#}");
    assert!(!deployment.sandbox().home().exists());
    assert_eq!(deployment.left(), Vec::<String>::new());
}

/// The receipt of the teardown that keeps what is stored, which a later deploy finds again.
#[track_caller]
pub(crate) fn kept_data_is_found_again<D: Deployed>(deployment: &D, teardown: &[&str]) -> Value {
    deployment.deploy(&["shortener"]);
    let link = shorten(deployment);
    let args = [&["teardown"], teardown, &["--keep-data", "--yes", "--json"]].concat();
    let receipt = deployment.sandbox().xtask(args).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert!(!receipt["kept"].as_array().unwrap().is_empty(), "{receipt:#}");
    deployment.runs_only("shortener", &BTreeSet::new());
    deployment.deploy(&["shortener"]);
    eventually("the link", || match deployment.get("shortener", &link) {
        Ok((200, body)) if body.contains("https://example.com/kept") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    receipt
}
