//! What the files do not declare any more.

use super::Deployed;
use super::document::{edit, system};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The file of the system whose service is renamed.
fn file<D: Deployed>(deployment: &D) -> PathBuf {
    deployment.sandbox().root.join("deploy/systems/epoch.toml")
}

/// In a copy of its own: `epoch` is called `clock` from now on, then it runs as `epoch` again. What has to be so once `clock`
/// is proven is given the place where `epoch` was asked.
#[track_caller]
pub(crate) fn a_renamed_service_takes_the_place_of_the_old_one<D: Deployed>(deployment: &D, proven: impl FnOnce(&str)) {
    deployment.deploy(&["epoch"]);
    let place = deployment.place("epoch");
    edit(&file(deployment), "[services.epoch", "[services.clock");
    let plan = deployment.sandbox().xtask(["plan", "--json"]).success().json();
    let removed = &plan["removed"][0];
    assert_eq!((&removed["system"], &removed["service"]), (&json!("epoch"), &json!("epoch")), "{plan:#}");
    assert_eq!(removed["why"], "its system declares it no longer");

    let mut run = deployment.sandbox().start(["deploy", "epoch", "--yes", "--json"]);
    let proof = format!("{}:epoch", D::PROOF);
    assert!(run.wait_for(|record| record["event"] == "ended" && record["step"] == *proof));
    if let Some(place) = place {
        proven(&place);
    }
    run.finish().success();
    deployment.runs_only("epoch", &BTreeSet::new());
    assert_eq!(deployment.get("clock", "/").unwrap().0, 200);
    assert_eq!(services(deployment), ["clock"]);
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");

    // The revision before had the old name, and comes back with it.
    deployment.sandbox().xtask(["rollback", "epoch", "--yes"]).success();
    deployment.runs_only("clock", &BTreeSet::new());
    assert_eq!(deployment.get("epoch", "/").unwrap().0, 200);
}

/// Without its file a system, the last one, is known by the records, and goes by its name.
#[track_caller]
pub(crate) fn a_system_without_a_file_goes_by_its_name<D: Deployed>(deployment: &D) {
    std::fs::remove_file(file(deployment)).unwrap();
    let status = deployment.sandbox().xtask(["status", "epoch", "--json"]).success().json();
    assert_eq!(system(&status, "epoch")["declared"], json!(false), "{status:#}");
    assert!(!deployment.sandbox().xtask(["logs", "epoch"]).success().stdout.is_empty());
    let receipt = deployment.sandbox().xtask(["teardown", "epoch", "--yes", "--json"]).success().json();
    assert_eq!((&receipt["result"], &receipt["survivors"]), (&json!("clean"), &json!([])), "{receipt:#}");
    assert_eq!(deployment.left(), Vec::<String>::new());
}

/// The services of `epoch` in `status`.
#[track_caller]
fn services<D: Deployed>(deployment: &D) -> Vec<String> {
    let status = deployment.sandbox().xtask(["status", "--json"]).success().json();
    let services = system(&status, "epoch")["services"].as_array().unwrap();
    services.iter().map(|service: &Value| service["name"].as_str().unwrap().to_owned()).collect()
}
