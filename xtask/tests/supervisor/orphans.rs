//! What a killed supervisor leaves behind is found again, and nothing else is taken for it.

use crate::scratch::{Scratch, service, status};
use base::os;
use serde_json::{Value, json};
use supervisor::{Client, Connection};

#[test]
fn services_of_a_killed_supervisor_are_found_and_ended() {
    let scratch = Scratch::new("orphans");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let pid = status(&client).current.unwrap().pid.unwrap();
    assert_eq!(supervisor::orphans(&scratch.dir), [], "they are the supervisor's while it lives");

    scratch.kill(&client);
    assert!(matches!(Client::connect(&scratch.dir), Connection::Absent));
    assert_eq!(scratch.get().unwrap(), "v1", "it serves on");
    let orphans = supervisor::orphans(&scratch.dir);
    assert_eq!(orphans.len(), 1);
    assert_eq!((&orphans[0].service, orphans[0].release.as_str(), orphans[0].process.pid), (&service(), "v1", pid));
    assert_eq!(supervisor::end_orphans(&scratch.dir), orphans);
    assert_eq!(scratch.processes(), []);
    assert_eq!(supervisor::orphans(&scratch.dir), []);
}

#[test]
fn the_next_supervisor_ends_them_and_takes_their_port() {
    let scratch = Scratch::new("successor");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    scratch.kill(&client);
    let ensured = scratch.ensure();
    assert_eq!(ensured.orphans.len(), 1);
    assert_eq!(scratch.processes().len(), 1);
    scratch.deploy(&ensured.client, &scratch.spec("v2"));
    assert_eq!(scratch.get().unwrap(), "v2");
}

#[test]
fn files_of_another_boot_or_of_numbers_given_out_again_match_nothing() {
    let scratch = Scratch::new("stale");
    let ours = os::identity(std::process::id()).unwrap().to_json();
    let mut stale = ours.clone();
    stale["started"] = json!("6f0cb5b5-another-boot:1");
    let write = |process: &Value| {
        let services = json!({"schema": 1, "services": [{
            "service": "fixture", "release": "v1", "process": process, "listen": "127.0.0.1:1",
            "stop_within_ms": 1000,
        }]});
        std::fs::write(scratch.dir.join("services.json"), services.to_string()).unwrap();
        let contact = json!({"schema": 1, "protocol": 1, "process": stale, "port": 1, "token": "x"});
        std::fs::write(scratch.dir.join("supervisor.json"), contact.to_string()).unwrap();
    };
    // The same files with the true identity do match, so it is the identity that decides.
    write(&ours);
    assert_eq!(supervisor::orphans(&scratch.dir).len(), 1);
    write(&stale);
    assert_eq!(supervisor::end_orphans(&scratch.dir), []);
    assert!(matches!(Client::connect(&scratch.dir), Connection::Absent));
    assert_eq!(scratch.ensure().orphans, []);
}
