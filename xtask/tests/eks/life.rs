//! From an empty account to proven and back to an empty account: all systems at once, and another deployment beside them.

use super::deployment::Deployment;
use super::sandbox::eventually;
use serde_json::{Value, json};

#[test]
fn all_systems_go_from_an_empty_account_to_proven_and_leave_it_empty() {
    let Some(deployment) = Deployment::new("all") else { return };
    what_it_would_be_is_told_before(&deployment);
    let first = deployment.deploy(&[]);
    assert_eq!(first["result"], "deployed", "{first:#}");
    for system in first["systems"].as_array().unwrap() {
        assert_eq!(system["result"], "deployed", "{first:#}");
    }
    the_graph_is_as_promised(&first);
    all_run(&deployment);
    public_services_do_what_they_are_for(&deployment);
    again_is_nothing_to_do(&deployment);
    what_is_made_carries_the_deployment(&deployment);
    another_one_comes_and_goes_beside_it(&deployment);
    deployment.ends_clean();
    let receipt = deployment.sandbox.xtask(["teardown", "--verify", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
}

fn what_it_would_be_is_told_before(deployment: &Deployment) {
    let plan = deployment.sandbox.xtask(["plan"]).success().stdout;
    assert!(plan.contains("aws_eks_cluster") || plan.contains("created"), "{plan}");
    let plan = deployment.sandbox.xtask(["plan", "--json"]).success().json();
    let monthly = plan["estimate"]["monthly_usd"].as_f64().unwrap_or_else(|| panic!("{plan:#}"));
    assert!(monthly > 73.0, "a cluster alone is 73 dollars a month: {plan:#}");
    let lines = deployment.sandbox.xtask(["deploy", "--dry-run"]).success().stdout;
    for part in ["terraform", "plan", "-out", "upgrade --install", "<digest of epoch>"] {
        assert!(lines.contains(part), "no `{part}` in:\n{lines}");
    }
    assert_eq!(deployment.left(), Vec::<String>::new(), "it begins with nothing, and nothing of this makes anything");
}

/// Images are built while Terraform runs, and pushed only when there is a place for them.
fn the_graph_is_as_promised(document: &Value) {
    let steps: Vec<&str> =
        document["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect();
    let at = |id: &str| steps.iter().position(|step| *step == id).unwrap_or_else(|| panic!("no `{id}` in {steps:?}"));
    assert!(at("infra") > at("state"), "{steps:?}");
    assert!(at("push:epoch") > at("infra") && at("controller") > at("infra"), "{steps:?}");
    assert!(at("release:epoch") > at("controller") && at("release:epoch") > at("push:epoch"), "{steps:?}");
}

fn all_run(deployment: &Deployment) {
    let status = deployment.sandbox.xtask(["status", "--json"]).success().json();
    assert_eq!(status["target"], "eks");
    for service in
        status["systems"].as_array().unwrap().iter().flat_map(|system| system["services"].as_array().unwrap())
    {
        let absent = ["emulator", "ledger"].iter().any(|name| service["name"] == *name && service["state"] == "absent");
        assert!(absent || service["state"] == "running", "{service:#}");
        let is_public = ["epoch", "shortener", "invoice-app", "web"].iter().any(|name| service["name"] == *name);
        assert_eq!(service["url"].is_string(), is_public, "{service:#}");
    }
}

fn public_services_do_what_they_are_for(deployment: &Deployment) {
    let (status, body) = deployment.get("epoch", "/").unwrap();
    assert!(status == 200 && body.contains("The current epoch time"), "{status} {body}");
    let body = json!({"url": "https://example.com/x"});
    assert_eq!(deployment.send("shortener", "POST", "/api/urls", Some(&body)).unwrap().0, 201);
    assert_eq!(deployment.send("invoice-app", "POST", "/invoices/pay", Some(&json!({}))).unwrap().0, 200);
    eventually("all are paid, whichever replica is asked", || match deployment.get("invoice-app", "/invoices") {
        Ok((200, invoices)) if !invoices.contains("false") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(deployment.get("web", "/").unwrap().0, 200);
    let messages = deployment.sandbox.xtask(["smoke", "messages", "--json"]).success();
    assert!(messages.stdout.contains("messages"), "{}", messages.stdout);
}

fn again_is_nothing_to_do(deployment: &Deployment) {
    let mut run = deployment.sandbox.start(["deploy", "--yes", "--json"]);
    assert!(run.wait_for(|record| record["event"] == "finished"));
    let commands: Vec<Value> = run.records().into_iter().filter(|record| record["event"] == "command").collect();
    let document = run.finish().success().json();
    assert_eq!(document["result"], "unchanged", "{document:#}");
    let changing = |command: &&Value| ["terraform", "helm"].iter().any(|name| command.to_string().contains(name));
    assert_eq!(commands.iter().find(changing), None, "neither Terraform nor Helm was run");
    let plan = deployment.sandbox.xtask(["plan", "--json"]).success().json();
    for system in plan["systems"].as_array().unwrap() {
        assert_eq!(system["services"], json!([]), "{plan:#}");
    }
}

fn what_is_made_carries_the_deployment(deployment: &Deployment) {
    let vpcs = deployment.account.list(["ec2", "describe-vpcs"], "Vpcs");
    let tags = |vpc: &Value| vpc["Tags"].as_array().cloned().unwrap_or_default();
    let carries =
        |vpc: &&Value| tags(vpc).iter().any(|tag| tag["Key"] == "deployment_id" && tag["Value"] == *deployment.id);
    assert!(vpcs.iter().any(|vpc| carries(&vpc)), "{vpcs:#?}");
    // Without a domain each public service has a load balancer of its own.
    assert_eq!(deployment.account.balancers(&deployment.base()).len(), 4);
}

fn another_one_comes_and_goes_beside_it(deployment: &Deployment) {
    let before = deployment.left();
    let other = Deployment::new("beside").unwrap();
    other.deploy(&["epoch"]);
    assert_ne!(other.url("epoch"), deployment.url("epoch"));
    assert_eq!(other.get("epoch", "/").unwrap().0, 200);
    other.ends_clean();
    assert_eq!(deployment.left(), before, "the first one has all that it had");
    assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
    let again = deployment.deploy(&[]);
    assert_eq!(again["result"], "unchanged", "{again:#}");
}
