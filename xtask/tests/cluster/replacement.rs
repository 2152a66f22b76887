//! One version after another, without a lost request, and the way back.

use super::client::{Hammer, Seen};
use super::contract::Deployed;
use super::contract::document::step;
use super::deployment::Deployment;
use super::kubectl::text;
use std::time::{Duration, Instant};

/// Requests a second.
const RATE: u32 = 200;

fn failures(seen: &[Seen]) -> Vec<String> {
    seen.iter().flat_map(|seen| seen.failures.clone()).collect()
}

/// The system's file with one more variable for the service of the same name.
fn with_variable(original: &str, system: &str, level: &str) -> String {
    let section = format!("[services.{system}.env]\n");
    let line = format!("LOG = \"{level}\"\n");
    if original.contains(&section) {
        return original.replace(&section, &format!("{section}{line}"));
    }
    format!("{original}\n{section}{line}")
}

/// Replaces a service twice under load; what it says is in `answer`. The variable that differs is that service's alone.
fn replaced_under_load(deployment: &Deployment, system: &str, path: &'static str, answer: &str) {
    let file = deployment.sandbox.root.join(format!("deploy/systems/{system}.toml"));
    let original = std::fs::read_to_string(&file).unwrap();
    deployment.deploy(&[system]);
    let (hammer, started) = (Hammer::asking(&deployment.place(system), path, RATE), Instant::now());
    for level in ["debug", "warn"] {
        std::fs::write(&file, with_variable(&original, system, level)).unwrap();
        let document = deployment.deploy(&[system]);
        let release = step(&document, &format!("release:{system}"));
        assert_eq!(release["result"], "done", "{document:#}");
        assert!(deployment.has_variable(system, "LOG", level));
        // The deploy has measured it as well, from outside.
        let measured = &release["traffic"][0];
        assert!(measured["requests"].as_u64() > Some(10) && measured["failed"] == 0, "{release:#}");
    }
    let took = started.elapsed();
    let seen = hammer.until_answered(answer);
    assert_eq!(failures(&seen), Vec::<String>::new());
    let answered: usize = seen.iter().map(|seen| seen.bodies.len()).sum();
    // Whoever falls behind catches up; a busy machine may not let it.
    let wanted = took.saturating_sub(Duration::from_secs(1)).as_secs_f64() * f64::from(RATE) / 2.0;
    assert!(answered as f64 > wanted, "only {answered} requests in {took:?}");
}

#[test]
fn epoch_is_replaced_under_load_without_a_lost_request() {
    let deployment = skip::unless!(Deployment::alone_with_own_copy("replaced"));
    replaced_under_load(&deployment, "epoch", "/hammer", "epoch");
}

#[test]
fn shortener_is_replaced_under_load_without_a_lost_request() {
    let deployment = skip::unless!(Deployment::alone_with_own_copy("shorten"));
    replaced_under_load(&deployment, "shortener", "/pw", "redis crud");
}

/// Only one at a time can have a volume, so that nobody who needs what is in it is answered meanwhile: that fails no release.
#[test]
fn what_needs_a_volume_is_released_with_it() {
    let deployment = skip::unless!(Deployment::new("volume"));
    deployment.deploy(&["shortener"]);
    let redis = || text(&deployment.pods("shortener", "redis")[0], "/metadata/uid").to_owned();
    let before = redis();
    let changed = deployment.deploy(&["shortener", "--set", "env.ZONE=a"]);
    assert_eq!(changed["result"], "deployed", "{changed:#}");
    assert_ne!(redis(), before);
    assert!(deployment.has_variable("shortener", "ZONE", "a"));
}
