//! The promises that every target keeps, asked of processes of this machine.

use super::contract::Deployed;
use super::sandbox::{Sandbox, get, post};
use super::systems::ask_redis;
use super::upgrade::redis_password;
use serde_json::Value;
use std::collections::BTreeSet;

/// Redis hides the mark by which processes are found when it gives itself a title, and says itself which start it is.
fn redis_runs(sandbox: &Sandbox) -> Option<String> {
    let asked = format!("AUTH {}\r\nINFO server\r\n", redis_password(sandbox)?);
    let answer = ask_redis(&sandbox.via("redis"), &asked);
    let run = answer.lines().find(|line| line.starts_with("run_id:"));
    Some(run.unwrap_or_else(|| panic!("{answer}")).to_owned())
}

impl Deployed for Sandbox {
    const TARGET: &'static str = "host";
    const PROOF: &'static str = "smoke";
    const CRASHED: &'static str = "service-crashed";
    // Without replicas there is nothing for it to do.
    const ABSENT: &'static [&'static str] = &["ledger"];
    const CONFINES: bool = false;

    fn sandbox(&self) -> &Sandbox {
        self
    }

    fn running(&self, service: &str) -> BTreeSet<String> {
        if service == "redis" {
            return redis_runs(self).into_iter().collect();
        }
        // The first word of the command: what the others name is in a folder of the service's own.
        let is_its = |command: &str| command.split(' ').next().is_some_and(|program| program.ends_with(service));
        let processes = self.processes().into_iter().filter(|process| is_its(&process.command));
        processes.map(|process| process.id.to_json().to_string()).collect()
    }

    fn has_variable(&self, service: &str, name: &str, value: &str) -> bool {
        let having = base::os::processes_with_env(name, value);
        let running = self.running(service);
        having.iter().any(|process| running.contains(&process.id.to_json().to_string()))
    }

    fn get(&self, service: &str, path: &str) -> Result<(u16, String), String> {
        get(&self.via(service), path)
    }

    fn post(&self, service: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
        post(&self.via(service), path, body)
    }

    fn place(&self, service: &str) -> Option<String> {
        Some(self.via(service))
    }

    fn left(&self) -> Vec<String> {
        self.processes().into_iter().map(|process| process.command).collect()
    }

    fn replicas(&self, _: &str) -> Option<u32> {
        Some(1)
    }
}
