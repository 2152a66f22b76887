//! A deploy to a cluster beside the plain sequence that a script would run: nothing to do, a changed line to its answer
//! through the ingress, and the first of all systems with their images built.
//!
//! The cluster is the context that `XTASK_E2E_CONTEXT` names, its registry `XTASK_E2E_REGISTRY`.

use crate::deploy::longest_path;
use crate::measure::{median, millis, ratio};
use crate::place::{Copy, Lazy, unique};
use crate::script::{Release, Script};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const RUNS: usize = 3;
const SOURCE: &str = "app/epoch/src/main.rs";
/// A text in it that ends up in the binary.
const TEXT: &str = "\"the clock is set before 1970";

pub(crate) fn run() {
    let (Ok(context), Ok(registry)) = (std::env::var("XTASK_E2E_CONTEXT"), std::env::var("XTASK_E2E_REGISTRY")) else {
        return println!("  skipped: `XTASK_E2E_CONTEXT` and `XTASK_E2E_REGISTRY` name no cluster");
    };
    let engine = Lazy::default();
    let Some(engine) = engine.with(&["base", "builder"]) else { return };
    let (id, prefix) = (unique("cluster"), "bench-");
    let copy = Copy::of(
        "cluster",
        "cluster",
        &format!(
            "context = \"{context}\"\nregistry = \"{registry}/bench\"\ndeployment_id = \"{id}\"\nnamespace_prefix = \"{prefix}\"\n"
        ),
    );
    // Compiles, builds and pushes everything once and leaves nothing running.
    deploy(&copy, &[]);
    assert!(copy.tear_down(), "the first deploy is torn down");

    let (first, document) = deploy(&copy, &[]);
    let releases = releases(&copy.root, prefix);
    let path = longest_path(&document, &copy.root.join(".slipway/cluster"));
    let again = median(RUNS, || deploy(&copy, &[]).0);
    let mut changes = 0;
    let change = median(RUNS, || {
        changes += 1;
        change_source(&copy.root, changes);
        let (took, document) = deploy(&copy, &["epoch"]);
        assert_eq!(document["result"], "deployed", "{document:#}");
        took
    });

    // The script has the same chart, values, namespaces and Secrets, and a Dockerfile as most have it.
    let script = Script::new(engine, &context, &format!("{registry}/bench-script"), &copy.root);
    let cold = script.build(&releases, "before");
    for release in &releases {
        script.uninstall(release);
    }
    let script_first = script.deploy(&releases, "before");
    let script_again = median(RUNS, || script.deploy(&releases, "before"));
    let epoch: Vec<Release> = releases.into_iter().filter(|release| release.system == "epoch").collect();
    changes += 1;
    change_source(&copy.root, changes);
    let script_change = script.deploy(&epoch, "after");

    println!(
        "  nothing to do {}; the script {}: {} times that",
        millis(again),
        millis(script_again),
        ratio(script_again, again)
    );
    println!(
        "  a changed line of `epoch` to its proven answer through the ingress {}; the script {}: {} times that",
        millis(change),
        millis(script_change),
        ratio(script_change, change)
    );
    println!(
        "  first deploy of all systems, images built before {}; the script {}: {} times that (its images took {})",
        millis(first),
        millis(script_first),
        ratio(script_first, first),
        millis(cold)
    );
    println!("  first deploy / longest path through its steps ({}): {}", millis(path), ratio(first, path));
    for release in &epoch {
        script.uninstall(release);
    }
}

fn deploy(copy: &Copy, systems: &[&str]) -> (Duration, Value) {
    let started = Instant::now();
    let document = copy.document(&[&["deploy"], systems].concat());
    let took = started.elapsed();
    assert!(document["failure"].is_null(), "{document:#}");
    (took, document)
}

/// What the tool has given to Helm, to be given again.
fn releases(root: &Path, prefix: &str) -> Vec<Release> {
    let folder = root.join(".slipway/cluster/values");
    let mut releases: Vec<Release> = fs::read_dir(&folder)
        .expect("read the values of the releases")
        .flatten()
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("read the values of a release");
            let system = entry.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let values = serde_json::from_str(&text).expect("values are JSON");
            Release { namespace: format!("{prefix}{system}"), system, values }
        })
        .collect();
    releases.sort_by(|one, other| one.system.cmp(&other.system));
    releases
}

fn change_source(root: &Path, number: usize) {
    let path = root.join(SOURCE);
    let text = fs::read_to_string(&path).expect("read a source");
    assert!(text.contains(TEXT), "{SOURCE} has no line with {TEXT}");
    fs::write(&path, text.replacen(TEXT, &format!("{TEXT}, {number}"), 1)).expect("write a source");
}
