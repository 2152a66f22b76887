//! From an empty account to proven and back to an empty account: all systems at once, and another deployment beside them.

use super::contract::{self, Deployed};
use super::deployment::{Deployment, asked_for};
use super::stranger::board;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn all_systems_go_from_an_empty_account_to_proven_and_leave_it_empty() {
    let all = ["epoch", "invoices", "messages", "shortener", "web"];
    let deployment = skip::unless!(Deployment::with_own_copy("all", &all, ""));
    let has_relay = relay_is_added(&deployment);
    contract::a_teardown_of_nothing_is_clean(&deployment);
    what_it_would_be_is_told_before(&deployment);
    let first = contract::comes_up(&deployment, &[]);
    the_graph_is_as_promised(&deployment, &first);
    only_what_is_public_has_a_url(&deployment);
    if has_relay {
        board::relay_is_asked_by_its_worker(&deployment);
    }
    what_is_made_carries_the_deployment(&deployment, has_relay);
    what_is_stored_is_kept_when_asked_for(&deployment);
    deployment.ends_clean();
}

/// A system that nobody wrote for the tool comes along, where what it starts from can be had.
fn relay_is_added(deployment: &Deployment) -> bool {
    let images = board::images();
    match &images {
        Ok(()) => {
            board::add(&deployment.sandbox.root, &["relay"]);
            board::keep_the_line_inside(&deployment.sandbox.root);
        }
        Err(missing) => skip::part(format!("a stranger's system on `eks`: {missing}")),
    }
    images.is_ok()
}

fn what_it_would_be_is_told_before(deployment: &Deployment) {
    let plan = deployment.sandbox.xtask(["plan"]).success().stdout;
    let (_, after) = plan.split_once("infrastructure: ").unwrap_or_else(|| panic!("{plan}"));
    assert!(after.split(' ').next().unwrap().parse::<u32>().unwrap() > 50 && after.contains(" to create"), "{plan}");
    let line = plan.lines().find(|line| line.contains("+ create ")).unwrap_or_else(|| panic!("{plan}"));
    assert!(line.contains("aws_eks_cluster") && line.contains("aws_vpc"), "{plan}");
    let plan = deployment.sandbox.xtask(["plan", "--json"]).success().json();
    let infrastructure = &plan["infrastructure"];
    let created = infrastructure["created"].as_array().unwrap_or_else(|| panic!("{plan:#}"));
    assert!(created.contains(&json!("aws_eks_cluster.main")), "{infrastructure:#}");
    assert_eq!(infrastructure["changed"], json!([]), "{infrastructure:#}");
    let monthly = plan["estimate"]["monthly_usd"].as_f64().unwrap_or_else(|| panic!("{plan:#}"));
    assert!(monthly > 73.0, "a cluster alone is 73 dollars a month: {plan:#}");
    let lines = deployment.sandbox.xtask(["deploy", "--dry-run"]).success().stdout;
    for part in ["terraform", "plan", "-out", "upgrade --install", "<digest of epoch>"] {
        assert!(lines.contains(part), "no `{part}` in:\n{lines}");
    }
    assert_eq!(deployment.left(), Vec::<String>::new(), "it begins with nothing, and nothing of this makes anything");
}

/// Images are built while Terraform runs, and pushed only when there is a place for them. The order of a list would prove
/// nothing, and neither would times: only what a step needs keeps it from beginning earlier.
fn the_graph_is_as_promised(deployment: &Deployment, document: &Value) {
    let needs = needs(deployment, document);
    let waits = |step: &str, other: &str| {
        let all = needs.get(step).unwrap_or_else(|| panic!("no `{step}` in {needs:#?}"));
        assert!(needs.contains_key(other), "no `{other}` in {needs:#?}");
        all.contains(other)
    };
    for (step, other) in [
        ("infra", "state"),
        ("push:epoch", "infra"),
        ("push:epoch", "image:epoch"),
        ("controller", "infra"),
        ("namespace:epoch", "home"),
        ("release:epoch", "controller"),
        ("release:epoch", "push:epoch"),
        ("release:epoch", "namespace:epoch"),
        ("prove:epoch", "release:epoch"),
    ] {
        assert!(waits(step, other), "`{step}` does not wait for `{other}`: {needs:#?}");
    }
    assert!(!waits("image:epoch", "infra"), "images are built meanwhile: {needs:#?}");
    assert!(!waits("release:messages", "controller"), "nothing of it is public: {needs:#?}");
}

/// All that each step of a run comes after, as its journal has it.
fn needs(deployment: &Deployment, document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let run = document["run"].as_str().unwrap();
    let path = deployment.sandbox.home().join("runs").join(format!("{run}.ndjson"));
    let journal = std::fs::read_to_string(path).unwrap();
    let mut records = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let plan = records.find(|record| record["event"] == "plan").unwrap();
    let mut all = BTreeMap::<String, BTreeSet<String>>::new();
    // Each step is listed after those that it needs.
    for step in plan["steps"].as_array().unwrap() {
        let own: Vec<&str> = step["needs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let further = own.iter().flat_map(|need| all[*need].clone()).collect::<Vec<_>>();
        let needs = own.into_iter().map(str::to_owned).chain(further).collect();
        all.insert(step["id"].as_str().unwrap().to_owned(), needs);
    }
    all
}

fn only_what_is_public_has_a_url(deployment: &Deployment) {
    let status = deployment.sandbox.xtask(["status", "--json"]).success().json();
    let systems = status["systems"].as_array().unwrap().iter();
    for service in systems.flat_map(|system| system["services"].as_array().unwrap()) {
        let is_public =
            ["epoch", "shortener", "invoice-app", "web", "relay"].iter().any(|name| service["name"] == *name);
        assert_eq!(service["url"].is_string(), is_public, "{service:#}");
    }
}

fn what_is_made_carries_the_deployment(deployment: &Deployment, has_relay: bool) {
    let vpcs = deployment.account.list(["ec2", "describe-vpcs"], "Vpcs");
    let tags = |vpc: &Value| vpc["Tags"].as_array().cloned().unwrap_or_default();
    let carries =
        |vpc: &&Value| tags(vpc).iter().any(|tag| tag["Key"] == "deployment_id" && tag["Value"] == *deployment.id);
    assert!(vpcs.iter().any(|vpc| carries(&vpc)), "{vpcs:#?}");
    // Without a domain each public service has a load balancer of its own.
    let balancers = deployment.account.balancers(&deployment.base()).len();
    assert_eq!(balancers, if has_relay { 5 } else { 4 });
}

fn what_is_stored_is_kept_when_asked_for(deployment: &Deployment) {
    let before = deployment.left();
    // Volumes go with their cluster.
    let whole = deployment.sandbox.xtask(["teardown", "--keep-data", "--yes", "--json"]).exits(2);
    assert!(whole.stderr.contains("data is stored in volumes of the cluster"), "{}", whole.stderr);
    assert_eq!(deployment.left(), before, "nothing was done");
    let receipt = contract::kept_data_is_found_again(deployment, &["shortener"]);
    assert!(receipt["kept"].to_string().contains("redis"), "{receipt:#}");
}

#[test]
fn a_deployment_has_all_that_it_had_once_another_one_has_come_and_gone() {
    skip::unless!(asked_for());
    let deployment = skip::unless!(Deployment::new("stays"));
    deployment.deploy(&[]);
    let before = deployment.left();
    let other = Deployment::new("beside").unwrap();
    contract::a_teardown_of_one_system_keeps_the_other(&other, [("epoch", "epoch"), ("web", "web")]);
    assert_eq!(deployment.left(), before);
    assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
    let again = deployment.deploy(&[]);
    assert_eq!(again["result"], "unchanged", "{again:#}");
    deployment.ends_clean();
}
