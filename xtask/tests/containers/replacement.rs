//! One version after another, without a gap, and the way back.

use super::client::{Hammer, Seen};
use super::contract::Deployed;
use super::contract::document::{edit, step};
use super::deployment::Deployment;
use super::sandbox::get;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Requests a second.
const RATE: u32 = 200;

#[test]
fn a_public_service_is_replaced_under_load_without_a_lost_request() {
    let deployment = skip::unless!(Deployment::alone("replaced"));
    deployment.deploy(&["epoch"]);
    let via = deployment.sandbox.via("epoch");
    let (hammer, started) = (Hammer::start(&via, RATE), Instant::now());
    for level in ["debug", "warn", "info"] {
        let old = deployment.container("epoch")["Id"].clone();
        let document = deployment.deploy(&["epoch", "--set", &format!("env.LOG={level}")]);
        assert_eq!(step(&document, "start:epoch")["result"], "done");
        assert_ne!(deployment.container("epoch")["Id"], old);
        assert!(deployment.has_variable("epoch", "LOG", level));
    }
    let seen = hammer.until_answered("epoch");
    let took = started.elapsed();
    assert_eq!(failures(&seen), Vec::<String>::new());
    let answered: usize = seen.iter().map(|seen| seen.bodies.len()).sum();
    // Whoever falls behind catches up; a busy machine may not let it.
    let wanted = took.saturating_sub(Duration::from_secs(1)).as_secs_f64() * f64::from(RATE) / 2.0;
    assert!(answered as f64 > wanted, "only {answered} requests in {took:?}");
    assert_eq!(deployment.sandbox.via("epoch"), via, "its port stays the same");
}

fn failures(seen: &[Seen]) -> Vec<String> {
    seen.iter().flat_map(|seen| seen.failures.clone()).collect()
}

/// A service of which nothing is known but its port.
const STORE: &str = r#"description = "A store for everybody"
[services.store]
image = "redis"
port = 6379
host_port = 6381
public = true
ready = { tcp = { send = "PING\r\n", expect = "+PONG" } }
[services.store.container]
user = "999:999"
command = ["redis-server", "--protected-mode", "no"]
"#;

/// What it says to a connection of its own.
fn ping(place: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(place)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn a_public_service_that_does_not_speak_http_is_published_and_replaced_without_a_lost_connection() {
    let deployment = skip::unless!(Deployment::alone_with_own_copy("public-tcp"));
    let file = deployment.sandbox.root.join("deploy/systems/store.toml");
    std::fs::write(&file, STORE).unwrap();
    deployment.deploy(&["store"]);
    let via = deployment.sandbox.via("store");
    assert_eq!(ping(&via).unwrap(), "+PONG\r\n");
    let old = deployment.container("store")["Id"].clone();
    let stop = Arc::new(AtomicBool::new(false));
    let client = std::thread::spawn({
        let (via, stop) = (via.clone(), Arc::clone(&stop));
        move || {
            let mut answers = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                answers.push(ping(&via).map_err(|error| error.to_string()));
            }
            answers
        }
    });
    edit(&file, "\"no\"]", "\"no\", \"--maxclients\", \"100\"]");
    let document = deployment.deploy(&["store"]);
    stop.store(true, Ordering::SeqCst);
    let answers = client.join().unwrap();
    assert_eq!(step(&document, "start:store")["result"], "done");
    assert_ne!(deployment.container("store")["Id"], old);
    let lost: Vec<_> = answers.iter().filter(|answer| answer.as_deref() != Ok("+PONG\r\n")).collect();
    assert!(lost.is_empty() && answers.len() > 10, "of {}: {lost:?}", answers.len());
    assert_eq!(deployment.sandbox.via("store"), via, "its port stays the same");
}

#[test]
fn an_internal_service_is_replaced_and_its_neighbour_finds_it() {
    let deployment = skip::unless!(Deployment::alone("neighbour"));
    deployment.deploy(&["invoices"]);
    let app = deployment.sandbox.via("invoice-app");
    deployment.deploy(&["invoices", "--set", "env.LOG=debug"]);
    let (status, body) = get(&app, "/health/provider").unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(deployment.running("payment-provider").len(), 1);
}

#[test]
fn an_edge_that_moves_is_planned_and_proven_again() {
    let deployment = skip::unless!(Deployment::new("moves"));
    deployment.deploy(&["web"]);
    let before = deployment.sandbox.via("web");
    let moved = ["web", "--set", "bind=0.0.0.0"];
    let plan = deployment.sandbox.xtask(["plan", "--json"].into_iter().chain(moved)).success().json();
    assert!(plan.to_string().contains(&format!("it moves away from {before}")), "{plan:#}");
    let document = deployment.deploy(&moved);
    assert_eq!(step(&document, "smoke:web")["result"], "done", "{document:#}");
    assert_eq!(deployment.deploy(&moved)["result"], "unchanged");
    the_edge_is_its_systems(&deployment);
}

/// What removes it must not remove everything.
fn the_edge_is_its_systems(deployment: &Deployment) {
    let found = deployment.sandbox.xtask(["teardown", "--verify", "--json"]).exits(1).json();
    let edges =
        found["survivors"].as_array().unwrap().iter().filter(|found| found["id"].to_string().contains("edge-web"));
    let edges: Vec<_> = edges.collect();
    assert!(edges.iter().all(|edge| edge["owner"] == "web"), "{edges:#?}");
    let process = edges.iter().find(|edge| edge["kind"] == "process").unwrap();
    assert_eq!(process["remove"], format!("cargo xtask teardown web --env {}", deployment.id()));
}
