//! What the cluster does by itself: it adds and removes replicas, and starts again what is not well.

use super::client::Hammer;
use super::contract::Deployed;
use super::deployment::Deployment;
use super::kubectl::text;
use super::sandbox::eventually;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Measuring, deciding and starting take their time: metrics-server looks four times a minute.
const SLOW: Duration = Duration::from_secs(240);

/// Waits until there are so many replicas of `epoch` as `enough` wants.
#[track_caller]
fn replicas(deployment: &Deployment, what: &str, enough: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + SLOW;
    loop {
        let ready = deployment.sandbox.status("epoch")["replicas"]["ready"].as_u64().unwrap_or_default();
        if enough(ready) {
            return;
        }
        let autoscaler = || deployment.kubectl("epoch", ["describe", "hpa", "epoch"]).stdout;
        assert!(Instant::now() < deadline, "{what}: {ready} are ready\n{}", autoscaler());
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn epoch_grows_under_load_and_shrinks_again() {
    let deployment = skip::unless!(Deployment::alone("scaled"));
    deployment.deploy(&["epoch"]);
    let ready = deployment.sandbox.status("epoch")["replicas"]["ready"].as_u64();
    assert!(ready >= Some(2), "as many as there are to be at least, from the beginning: {ready:?}");
    replicas(&deployment, "before the load", |ready| ready == 2);
    let place = deployment.place("epoch");
    let load: Vec<Hammer> = (0..2).map(|_| Hammer::start(&place, u32::MAX)).collect();
    replicas(&deployment, "under load", |ready| ready > 2);
    for hammer in load {
        let failures: Vec<_> = hammer.until_answered("epoch").into_iter().flat_map(|seen| seen.failures).collect();
        assert_eq!(failures, Vec::<String>::new());
    }
    replicas(&deployment, "after the load", |ready| ready == 2);
}

#[test]
fn an_autoscaler_begins_with_what_runs() {
    let deployment = skip::unless!(Deployment::with_own_copy("takeover"));
    let declared = deployment.sandbox.root.join("deploy/systems/epoch.toml");
    let scaled = std::fs::read_to_string(&declared).unwrap();
    let (before, after) = scaled.split_once("[services.epoch.scale]").unwrap();
    let rest = after.find("\n[").map_or("", |at| &after[at..]);
    std::fs::write(&declared, format!("{before}{rest}")).unwrap();
    deployment.deploy(&["epoch", "--set", "replicas=3"]);
    // Had the number fallen in between, one of these would have gone.
    let running = || {
        let pods = deployment.pods("epoch", "epoch");
        pods.iter().map(|pod| text(pod, "/metadata/uid").to_owned()).collect::<BTreeSet<_>>()
    };
    let pods = running();
    assert_eq!(pods.len(), 3);
    std::fs::write(&declared, scaled).unwrap();
    deployment.deploy(&["epoch", "--set", "replicas=1"]);
    let there = running();
    assert!(pods.is_subset(&there), "{pods:?} {there:?}");
}

#[test]
fn a_pod_that_is_not_well_is_started_again() {
    let deployment = skip::unless!(Deployment::new("unwell"));
    deployment.deploy(&["epoch", "--set", "env.FAULT=unhealthy-after=15"]);
    eventually("a restart", || {
        let status = deployment.sandbox.status("epoch");
        if status["restarts"].as_u64() >= Some(1) { Ok(()) } else { Err(status.to_string()) }
    });
}
