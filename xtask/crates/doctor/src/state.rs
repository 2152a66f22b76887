//! What earlier runs have left in `.slipway/`: a lease, a supervisor, a ledger.

use super::fix::Fix;
use super::{Check, Finding, Group, Scene};
use base::files;
use base::os;
use engine::home::Home;
use engine::ledger::Ledger;
use model::Spec;
use model::system::{Source, TargetKind};
use serde_json::Value;
use std::path::PathBuf;
use std::time::SystemTime;
use supervisor::{Client, Connection};
use tools::python::{Runner, Script};

pub(super) const SUPERVISOR: &str = "state.supervisor";

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let (Some(home), Some(environment)) = (scene.home(), &scene.subject.environment) else {
        return Vec::new();
    };
    let flag = super::render::env_flag(environment.name.as_str());
    let deploy = Fix::by_hand(format!("cargo xtask deploy{flag}"));
    let verify = Fix::by_hand(format!("cargo xtask teardown{flag} --verify"));
    let (lease_home, ledger_home) = (home.clone(), home.clone());
    let mut checks = vec![
        Check::new(Group::State, "state.lease", "lease", {
            let deploy = deploy.clone();
            move |_| lease(&lease_home, &deploy)
        }),
        Check::new(Group::State, "state.ledger", "ledger", move |_| ledger(&ledger_home, &verify)),
    ];
    if environment.target == TargetKind::Host {
        checks.extend(scene.subject.spec.iter().flat_map(|spec| stores(spec, &home, &flag)));
        checks.extend(scene.subject.spec.iter().flat_map(|spec| installed(spec, &home, &deploy)));
        checks.push(Check::new(Group::State, SUPERVISOR, "supervisor", move |_| supervisor(&home, &deploy)));
    }
    checks
}

/// The optional services whose presence was decided: with them, where their systems keep what they store.
fn stores(spec: &Spec, home: &Home, flag: &str) -> Vec<Check> {
    let Ok(Some(decided)) = files::read_json(&home.presence()) else { return Vec::new() };
    let mut checks = Vec::new();
    for (system, service) in spec.systems.iter().flat_map(|system| system.services.iter().map(move |one| (system, one)))
    {
        let (Some(present), Source::Image { host: Some(host), .. }) =
            (decided[service.name.as_str()].as_bool(), &service.source)
        else {
            continue;
        };
        let (programs, name) = (host.programs.clone(), system.name.clone());
        let moves = Fix::by_hand(format!("cargo xtask deploy{flag} --move-state {name}"));
        let id = format!("state.store.{}", service.name);
        let ask = move |scene: &Scene| {
            let found: Vec<&String> = programs.iter().filter(|program| scene.find(program).is_some()).collect();
            match (present, found.first()) {
                (true, Some(_)) if found.len() > 1 => {
                    let names: Vec<String> = found.iter().map(|program| format!("`{program}`")).collect();
                    Finding::pass(format!("`{name}` keeps its state with the one that it began with"))
                        .detail(format!("there are several: {}", names.join(", ")))
                }
                (true, Some(program)) => Finding::pass(format!("`{name}` keeps its state with `{program}`")),
                (false, None) => Finding::pass(format!("`{name}` keeps its state without")),
                (true, None) => {
                    Finding::fail(format!("`{name}` keeps its state with it")).found("gone").fix([moves.clone()])
                }
                (false, Some(program)) => {
                    Finding::warn(format!("`{name}` keeps its state where it is until it is moved"))
                        .found(format!("`{program}` could be had"))
                        .fix([moves.clone()])
                }
            }
        };
        checks.push(Check::new(Group::State, id, format!("store {}", service.name), ask));
    }
    checks
}

/// The Python packages that were installed for this deployment alone.
fn installed(spec: &Spec, home: &Home, deploy: &Fix) -> Vec<Check> {
    let mut checks = Vec::new();
    for service in spec.systems.iter().flat_map(|system| &system.services) {
        let folder = home.tools().join(service.name.as_str());
        let Source::Image { host: Some(host), .. } = &service.source else { continue };
        let (Some(requirement), Some(name)) = (&host.python, host.programs.first()) else { continue };
        if !folder.is_dir() {
            continue;
        }
        let (script, deploy) = (Script { requirement: requirement.clone(), name: name.clone() }, deploy.clone());
        let runner = Runner::Venv { python: PathBuf::new(), folder };
        let ask = move |_: &Scene| match runner.is_usable(&script) {
            true => Finding::pass("installed"),
            false => Finding::warn("the Python that it was made with is gone; the next deploy makes it anew")
                .found("broken")
                .fix([deploy.clone()]),
        };
        checks.push(Check::new(Group::State, format!("state.venv.{}", service.name), requirement.clone(), ask));
    }
    checks
}

fn lease(home: &Home, deploy: &Fix) -> Finding {
    match files::read_json(&home.lease()) {
        Ok(None) => Finding::pass("free"),
        Ok(Some(document)) => judge_lease(&document, SystemTime::now(), &|pid| os::identity(pid).is_some(), deploy),
        Err(error) => Finding::fail(format!("{error:#}")).fix([remove(home)]),
    }
}

/// The document alone is read: trying the lock would refuse a run that is just starting.
fn judge_lease(document: &Value, now: SystemTime, alive: &dyn Fn(u32) -> bool, deploy: &Fix) -> Finding {
    let pid = document["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let expires = document["expires"].as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
    let held = pid.is_some_and(alive) && expires.is_some_and(|expires| expires > now);
    let text = |key: &str| document[key].as_str().unwrap_or("?");
    let owner = format!("{}, `cargo xtask {}`, since {}", text("who"), text("command"), text("since"));
    if held {
        let pid = pid.unwrap_or_default();
        return Finding::warn("wait for it: only one run at a time may change this environment")
            .found(format!("held by {owner}"))
            .want("free")
            .fix([Fix::by_hand(format!("kill {pid}"))]);
    }
    Finding::warn("that run was killed; the next one takes over")
        .found(format!("left by {owner}"))
        .want("free")
        .fix([deploy.clone()])
}

fn remove(home: &Home) -> Fix {
    Fix::by_hand(format!("rm {}", home.lease().display()))
}

fn ledger(home: &Home, verify: &Fix) -> Finding {
    match Ledger::open(&home.ledger()) {
        Ok(ledger) => Finding::pass(format!("{} entries", ledger.entries().len())),
        Err(error) => Finding::fail(format!("what was deployed is not known: {error:#}"))
            .fix([Fix::by_hand(format!("rm {}", home.ledger().display())), verify.clone()]),
    }
}

fn supervisor(home: &Home, deploy: &Fix) -> Finding {
    let want = "looks after what is deployed";
    match Client::connect(home.dir()) {
        Connection::Live(client) => match client.status() {
            Ok(services) => Finding::pass(format!("looks after {} services", services.len())).want(want),
            Err(error) => Finding::fail(format!("runs, and does not answer: {error:#}"))
                .want(want)
                .fix([Fix::by_hand(format!("kill {}", client.process().pid)), deploy.clone()]),
        },
        Connection::Foreign(foreign) => Finding::warn("the next deploy replaces it and restarts its services")
            .found(format!("of another version of this tool (process {})", foreign.process.pid))
            .want(want)
            .fix([deploy.clone()]),
        Connection::Absent => without_supervisor(home, deploy).want(want),
    }
}

fn without_supervisor(home: &Home, deploy: &Fix) -> Finding {
    let orphans = supervisor::orphans(home.dir());
    if !orphans.is_empty() {
        let names: Vec<_> = orphans.iter().map(|orphan| format!("`{}`", orphan.service)).collect();
        let detail = format!("nothing restarts {} when they fail", names.join(", "));
        return Finding::warn(detail).found("gone, its services run on").fix([deploy.clone()]);
    }
    // A ledger that cannot be read is reported by its own check; data alone may be there because it was to be kept.
    let ledger = Ledger::open(&home.ledger());
    let deployed = ledger.is_ok_and(|ledger| ledger.entries().iter().any(|entry| entry.kind == "process"));
    if deployed {
        let detail = "nothing that was deployed is running, for example after a reboot";
        return Finding::warn(detail).found("gone").fix([deploy.clone()]);
    }
    Finding::pass("nothing is deployed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;
    use serde_json::json;
    use std::time::Duration;

    fn lease(alive: bool, expires_in: i64) -> Finding {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(1_700_000_000 + expires_in).unwrap());
        let document = json!({
            "who": "alice@laptop", "pid": 4711, "command": "deploy", "since": "2023-11-14T22:13:20Z",
            "expires": humantime::format_rfc3339_seconds(expires).to_string(),
        });
        judge_lease(&document, now, &|pid| alive && pid == 4711, &Fix::by_hand("cargo xtask deploy"))
    }

    #[test]
    fn a_live_lease_names_its_owner() {
        let finding = lease(true, 10);
        assert_eq!(finding.outcome, Outcome::Warn);
        assert_eq!(
            finding.found.as_deref(),
            Some("held by alice@laptop, `cargo xtask deploy`, since 2023-11-14T22:13:20Z")
        );
        assert_eq!(finding.fix[0].to_string(), "kill 4711");
    }

    #[test]
    fn a_dead_or_expired_owner_has_left_it() {
        for finding in [lease(false, 10), lease(true, -10)] {
            assert!(finding.found.is_some_and(|found| found.starts_with("left by alice@laptop")));
            assert_eq!(finding.fix[0].to_string(), "cargo xtask deploy");
        }
    }
}
