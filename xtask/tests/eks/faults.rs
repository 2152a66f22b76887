//! What goes wrong on AWS, each with a clear cause and nothing lost.

use super::contract::{self, Deployed};
use super::deployment::Deployment;
use super::proxy::{Fate, Proxy};
use super::sandbox::{Run, eventually, failure, get};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::process::Command;

/// What a run that could not be tried says.
#[track_caller]
fn refused(run: Run, part: &str) -> Run {
    let run = run.exits(3);
    assert!(run.stderr.contains(part), "no `{part}` in:\n{}", run.stderr);
    run
}

#[test]
fn who_may_not_deploy_is_told_before_anything_is_made() {
    let deployment = skip::unless!(Deployment::new("may"));
    let deploy = ["deploy", "epoch", "--yes"];
    // Keys that have expired.
    let proxy = Proxy::start(|_, _| Fate::Refused(403, "ExpiredToken"));
    refused(deployment.through(&proxy.url(), &deploy), "expired");
    // Nobody's keys.
    proxy.judge(|_, _| Fate::Refused(403, "InvalidClientTokenId"));
    refused(deployment.through(&proxy.url(), &deploy), "credentials");
    // Somebody else's account.
    let other = deployment.sandbox.xtask([&deploy[..], &["--set", "account=999999999999"]].concat());
    let other = refused(other, "999999999999");
    assert!(other.stderr.contains(&deployment.account.id), "{}", other.stderr);
    // Nobody there.
    refused(deployment.through("http://127.0.0.1:9", &deploy), "127.0.0.1:9");
    // Nobody to ask.
    let unasked = deployment.sandbox.xtask(["deploy", "epoch"]).exits(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    let nothing: Vec<String> = deployment.left().into_iter().filter(|name| !name.starts_with("bucket")).collect();
    assert_eq!(nothing, Vec::<String>::new());
}

#[test]
fn what_goes_wrong_is_told_and_mended() {
    let deployment = skip::unless!(Deployment::with_own_copy("faults", &["epoch", "web"], ""));
    a_throttled_api_is_asked_again_and_a_lost_answer_is_no_second_bucket(&deployment);
    contract::a_change_is_made_and_taken_back(&deployment);
    nobody_else_deploys_at_the_same_time(&deployment);
    a_lock_that_was_left_is_told_and_removed(&deployment);
    what_would_destroy_the_network_is_refused(&deployment);
    a_subnet_without_tags_is_the_cause(&deployment);
    keys_that_expire_on_the_way_lose_nothing(&deployment);
    contract::a_renamed_service_takes_the_place_of_the_old_one(&deployment, |old| {
        assert_eq!(get(old, "/").unwrap().0, 200, "the old one serves until the new one is proven");
    });
    a_controller_that_was_removed_by_hand_leaves_nothing_behind(&deployment);
}

/// The first deploy, which is interrupted where Terraform has its lock.
fn a_throttled_api_is_asked_again_and_a_lost_answer_is_no_second_bucket(deployment: &Deployment) {
    let (mut throttled, mut lost) = (0, 0);
    let proxy = Proxy::start(move |service, text| {
        if service == "sts" && throttled < 2 {
            throttled += 1;
            return Fate::Refused(400, "Throttling");
        }
        // The bucket is made, and nobody hears of it.
        if service == "s3" && text.starts_with("PUT ") && lost == 0 {
            lost += 1;
            return Fate::Lost;
        }
        Fate::Passes
    });
    let mut command = deployment.sandbox.command(["deploy", "epoch", "--yes"]);
    command.env("AWS_ENDPOINT_URL", proxy.url());
    a_first_ctrl_c_lets_terraform_give_its_lock_back(deployment, command);
    let buckets = deployment.account.list(["s3api", "list-buckets"], "Buckets");
    let own = buckets.iter().filter(|bucket| bucket["Name"].as_str().unwrap().contains(&deployment.base())).count();
    assert_eq!(own, 1, "{buckets:?}");
    // What it has begun is gone on with.
    assert_eq!(deployment.deploy(&["epoch"])["result"], "deployed");
}

fn a_first_ctrl_c_lets_terraform_give_its_lock_back(deployment: &Deployment, deploy: Command) {
    let mut running = deployment.sandbox.start_command(deploy);
    let applies = |record: &Value| record["event"] == "command" && record["argv"].to_string().contains("\"apply\"");
    assert!(running.wait_for(applies));
    running.signal(Signal::SIGINT);
    let run = running.finish().exits(130);
    assert!(run.stderr.contains("interrupted"), "{}", run.stderr);
    let bucket = deployment.account.bucket(&deployment.base());
    eventually("the lock is given back", || {
        let objects = deployment.account.list(["s3api", "list-objects-v2", "--bucket", &bucket], "Contents");
        let locked = objects.iter().any(|object| object["Key"].as_str().is_some_and(|key| key.ends_with(".tflock")));
        if locked { Err("locked".to_owned()) } else { Ok(()) }
    });
}

fn nobody_else_deploys_at_the_same_time(deployment: &Deployment) {
    let running = deployment.until(&["deploy", "epoch", "--verify", "--yes"], "infra");
    // From this folder and from another one.
    refused(deployment.sandbox.xtask(["deploy", "epoch", "--yes"]), "held by");
    running.finish().success();
}

fn a_lock_that_was_left_is_told_and_removed(deployment: &Deployment) {
    let bucket = deployment.account.bucket(&deployment.base());
    let lock = r#"{"ID":"0a1b2c3d-0000-1111-2222-333344445555","Operation":"OperationTypeApply","Info":"","Who":"somebody@elsewhere","Version":"1.10.0","Created":"2026-01-01T00:00:00Z","Path":"x"}"#;
    let file = deployment.sandbox.root.join(format!("target-lock-{}", deployment.id));
    std::fs::write(&file, lock).unwrap();
    let put = [
        "s3api",
        "put-object",
        "--bucket",
        &bucket,
        "--key",
        "terraform.tfstate.tflock",
        "--body",
        file.to_str().unwrap(),
    ];
    deployment.account.ask(put);
    std::fs::remove_file(&file).unwrap();
    let told = deployment.sandbox.xtask(["deploy", "epoch", "--verify", "--yes", "--json"]).exits(1);
    assert!(told.stderr.contains("somebody@elsewhere") && told.stderr.contains("infra unlock"), "{}", told.stderr);
    let id = "0a1b2c3d-0000-1111-2222-333344445555";
    deployment.sandbox.xtask(["infra", "unlock", id, "--yes"]).success();
    let again = deployment.deploy(&["epoch", "--verify"]);
    assert_ne!(again["result"], "failed", "{again:#}");
}

fn what_would_destroy_the_network_is_refused(deployment: &Deployment) {
    let other = ["deploy", "epoch", "--yes", "--json", "--set", "terraform.vpc_cidr=10.43.0.0/16"];
    let run = deployment.sandbox.xtask(other).exits(1);
    let told = failure(&run);
    assert_eq!(told["code"], "would-destroy", "{told:#}");
    assert!(told["cause"].as_str().unwrap().contains("aws_vpc.main"), "{told:#}");
    assert!(told["hint"].as_str().unwrap().contains("--confirm"), "{told:#}");
    assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
}

/// The tag by which the controller finds subnets for load balancers.
const SUBNETS: &str = "kubernetes.io/role/elb";

fn a_subnet_without_tags_is_the_cause(deployment: &Deployment) {
    let filter = format!("Name=tag:deployment_id,Values={}", deployment.id);
    let subnets = deployment.account.list(["ec2", "describe-subnets", "--filters", &filter], "Subnets");
    let ids: Vec<&str> = subnets.iter().filter_map(|subnet| subnet["SubnetId"].as_str()).collect();
    assert!(!ids.is_empty());
    for id in ids {
        deployment.account.ask(["ec2", "delete-tags", "--resources", id, "--tags", &format!("Key={SUBNETS}")]);
    }
    let run = deployment.sandbox.xtask(["deploy", "web", "--yes", "--json"]).exits(1);
    let told = failure(&run);
    assert!(told["cause"].as_str().unwrap().contains("subnet"), "{told:#}");
    // Drift, which a deploy that looks for it puts right.
    let mended = deployment.deploy(&["web", "--verify"]);
    assert_eq!(mended["result"], "deployed", "{mended:#}");
    assert_eq!(deployment.get("web", "/").unwrap().0, 200);
}

fn keys_that_expire_on_the_way_lose_nothing(deployment: &Deployment) {
    let proxy = Proxy::start(|_, _| Fate::Passes);
    let mut command = deployment.sandbox.command(["teardown", "web", "--yes", "--json"]);
    command.env("AWS_ENDPOINT_URL", proxy.url());
    let mut running = deployment.sandbox.start_command(command);
    assert!(running.wait_for(|record| record["event"] == "started"));
    proxy.judge(|_, _| Fate::Refused(403, "ExpiredToken"));
    let run = running.finish();
    assert_ne!(run.code(), 0, "{}", run.stdout);
    assert!(run.stderr.contains("expired"), "{}", run.stderr);
    contract::one_system_goes(deployment, [("web", "web"), ("epoch", "epoch")]);
    assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
}

fn a_controller_that_was_removed_by_hand_leaves_nothing_behind(deployment: &Deployment) {
    let namespace = deployment.namespace("load-balancer-controller");
    let releases = deployment.account.helm(["list", "--namespace", &namespace, "--short"]).success().stdout;
    let release = releases.lines().next().unwrap_or_else(|| panic!("no release in {namespace}"));
    assert_ne!(
        deployment.account.balancers(&deployment.base()),
        Vec::<String>::new(),
        "there is one to be left behind"
    );
    deployment.account.helm(["uninstall", release, "--namespace", &namespace, "--wait"]).success();
    // Nobody but the controller removes what it has made: it is brought back for that, and removed after it.
    contract::a_system_without_a_file_goes_by_its_name(deployment);
}
