//! A container is started, watched, restarted and ended as a process is. The engine is the fake one.

use crate::fake::{Fake, placed};
use crate::scratch::{await_candidate, await_current, await_that, eventually, service, status};
use base::http::{Endpoint, Request, Response, Url, Via};
use base::{http, os, socket};
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use supervisor::container;
use supervisor::container::{Explained, Reach};
use supervisor::{Client, LaunchSpec, LaunchStrategy, State};

fn declared(spec: &LaunchSpec) -> u16 {
    let LaunchStrategy::Container { place, .. } = &spec.style else { panic!("not a container") };
    place.port
}

/// Where the shim of the current instance listens.
fn socket_of(client: &Client) -> PathBuf {
    match status(client).current.unwrap().admin {
        Some(Via::Socket(socket)) => socket,
        other => panic!("a shim at {other:?}"),
    }
}

fn ask(shim: &Path, method: &'static str, path: &str) -> Response {
    let url = Url { endpoint: Endpoint::socket(shim), path: path.to_owned() };
    http::send(&Request { method, ..Request::get(url, Duration::from_secs(30)) }, &|| false).unwrap()
}

/// Why a candidate fails, and that it leaves nothing.
fn failure(fake: &Fake, spec: &LaunchSpec) -> String {
    let client = fake.scratch.supervisor();
    let number = client.start(spec).unwrap();
    let reason = await_candidate(&client, State::Failed).reason.unwrap();
    client.discard(&service(), number).unwrap();
    fake.assert_nothing_left();
    reason
}

#[test]
fn a_container_is_probed_through_its_shim_and_leaves_nothing() {
    let fake = Fake::new("shim");
    let client = fake.scratch.supervisor();
    let spec = fake.spec("v1");
    let number = fake.scratch.deploy(&client, &spec);
    let current = status(&client).current.unwrap();
    assert_eq!(current.last_probe.as_deref(), Some("GET /readyz: 200"));
    let name = format!("fixture-{number}");
    assert_eq!(fake.containers(), [name.as_str()]);
    let shim = socket_of(&client);
    let explained = container::explain(&shim).unwrap();
    assert_eq!((explained.container, explained.declared), (name, declared(&spec)));
    assert_eq!(explained.address, "127.0.0.1".parse().ok());
    assert_eq!(ask(&shim, "GET", "/").status, 404, "its shim is no way to the service");
    let log = fake.scratch.log_lines();
    assert!(log.iter().any(|line| line.ends_with(" starting")), "{log:?}");

    client.stop(&service()).unwrap();
    assert!(fake.scratch.log_lines().iter().any(|line| line.ends_with(" stopped")), "it ended by itself");
    fake.assert_nothing_left();
}

#[test]
fn a_shim_is_its_owner_s_alone_and_its_socket_goes_with_it() {
    let fake = Fake::new("owner");
    let client = fake.scratch.supervisor();
    let spec = placed(fake.spec("v1"), |place| place.relays = vec!["/slipway/".to_owned()]);
    fake.scratch.deploy(&client, &spec);
    let shim = socket_of(&client);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(shim.parent().unwrap()), mode(&shim)), (0o700, 0o600));
    assert_eq!(ask(&shim, "POST", "/reload").status, 200);
    let number = status(&client).current.unwrap().instance;
    assert_eq!(fake.signals(), format!("HUP fixture-{number}\n"));

    let process = os::identity(fake.pid(&format!("fixture-{number}")).unwrap()).unwrap();
    os::signal(&process, Signal::SIGKILL);
    await_current(&client, |current| current.restarts == 1 && current.state == State::Ready);
    let next = socket_of(&client);
    assert!(next != shim && next.exists() && !shim.parent().unwrap().exists());
    client.stop(&service()).unwrap();
    assert!(!next.parent().unwrap().exists());
}

#[test]
fn a_shim_answers_as_many_as_come() {
    let fake = Fake::new("crowd");
    let client = fake.scratch.supervisor();
    fake.scratch.deploy(&client, &fake.spec("v1"));
    let shim = socket_of(&client);
    let silent: Vec<_> = (0..200).map(|_| UnixStream::connect(&shim).unwrap()).collect();
    assert!(container::explain(&shim).is_some());
    // An answer that comes now was asked for behind all of these.
    fake.scratch.tell("v1", "unready");
    await_current(&client, |current| current.last_probe.as_deref().is_some_and(|seen| seen.contains("503")));
    fake.scratch.untell("v1", "unready");
    let now = await_current(&client, |current| current.state == State::Ready);
    assert_eq!(now.restarts, 0);
    drop(silent);
}

#[test]
fn a_shim_whose_socket_was_cleaned_away_listens_again_and_its_container_runs_on() {
    let fake = Fake::new("cleaned");
    let client = fake.scratch.supervisor();
    fake.scratch.deploy(&client, &fake.spec("v1"));
    let before = status(&client).current.unwrap();
    let shim = socket_of(&client);
    socket::remove(shim.parent().unwrap());
    assert!(container::explain(&shim).is_none());
    eventually("it listens again", || container::explain(&shim));
    fake.scratch.tell("v1", "unready");
    await_current(&client, |current| current.last_probe.as_deref().is_some_and(|seen| seen.contains("503")));
    fake.scratch.untell("v1", "unready");
    let now = await_current(&client, |current| current.state == State::Ready);
    assert_eq!((now.pid, now.restarts), (before.pid, 0));
    client.stop(&service()).unwrap();
    assert!(!shim.parent().unwrap().exists());
}

#[test]
fn versions_that_overlap_run_side_by_side_and_others_make_room() {
    let fake = Fake::new("overlap");
    let client = fake.scratch.supervisor();
    let first = fake.scratch.deploy(&client, &fake.spec("v1"));
    let second = client.start(&fake.spec("v2")).unwrap();
    await_candidate(&client, State::Ready);
    assert_eq!(fake.containers(), [format!("fixture-{first}"), format!("fixture-{second}")]);
    client.promote(&service(), second).unwrap();
    assert_eq!(fake.containers(), [format!("fixture-{second}")]);

    let mut exclusive = fake.spec("v3");
    let LaunchStrategy::Container { overlaps, .. } = &mut exclusive.style else { panic!("not a container") };
    *overlaps = false;
    fake.scratch.tell("v3", "unready");
    let third = client.start(&LaunchSpec { ready_within: Duration::from_secs(1), ..exclusive }).unwrap();
    eventually("the old one makes room", || (fake.containers() == [format!("fixture-{third}")]).then_some(()));
    await_candidate(&client, State::Failed);
    let back = await_current(&client, |current| current.state == State::Ready);
    assert_eq!((back.instance, back.release.as_str()), (second, "v2"));
    client.discard(&service(), third).unwrap();
    assert_eq!(fake.containers(), [format!("fixture-{second}")]);
}

#[test]
fn a_container_that_ends_is_started_again_under_its_name() {
    let fake = Fake::new("crash");
    let client = fake.scratch.supervisor();
    let number = fake.scratch.deploy(&client, &fake.spec("v1"));
    let name = format!("fixture-{number}");
    let first = fake.pid(&name).unwrap();
    os::signal(&os::identity(first).unwrap(), Signal::SIGKILL);
    let back = await_current(&client, |current| current.restarts == 1 && current.state == State::Ready);
    assert_eq!(back.reason.as_deref(), Some("was ended by SIGKILL, which usually means out of memory"));
    assert_ne!(fake.pid(&name), Some(first));

    fake.scratch.tell("v1", "unhealthy");
    let resting = await_current(&client, |current| current.restarts == 2);
    fake.scratch.untell("v1", "unhealthy");
    let reason = "3 liveness probes failed: GET /livez: 503 told to be unhealthy";
    assert_eq!(resting.reason.as_deref(), Some(reason));
    await_current(&client, |current| current.state == State::Ready);
    assert_eq!(fake.containers(), [name]);
}

#[test]
fn a_container_that_ends_before_its_client_does_says_how_it_ended() {
    let fake = Fake::new("linger");
    let client = fake.scratch.supervisor();
    let number = fake.scratch.deploy(&client, &fake.spec("v1"));
    fake.linger(true);
    os::signal(&os::identity(fake.pid(&format!("fixture-{number}")).unwrap()).unwrap(), Signal::SIGKILL);
    let given_up = |reason: &str| reason == "3 liveness probes failed: the container has ended";
    await_current(&client, |current| current.reason.as_deref().is_some_and(given_up));
    fake.linger(false);
    let back = await_current(&client, |current| current.restarts == 1 && current.state == State::Ready);
    assert_eq!(back.reason.as_deref(), Some("was ended by SIGKILL, which usually means out of memory"));
}

#[test]
fn a_container_whose_client_is_killed_is_removed_and_started_again() {
    let fake = Fake::new("client");
    let client = fake.scratch.supervisor();
    let number = fake.scratch.deploy(&client, &fake.spec("v1"));
    let first = os::identity(fake.pid(&format!("fixture-{number}")).unwrap()).unwrap();
    // It is not known as the supervisor's: what engines leave behind serves others as well.
    let given = os::processes_with_env("FAKE_DIR", &fake.scratch.dir.to_string_lossy());
    let engine = given.into_iter().find(|process| process.command.contains("/engine run --name"));
    os::signal(&engine.unwrap().id, Signal::SIGKILL);
    let back = await_current(&client, |current| current.restarts == 1 && current.state == State::Ready);
    let reason = "the engine's client ended with code 137 while the container ran";
    assert_eq!(back.reason.as_deref(), Some(reason));
    assert!(!os::is_alive(&first));
}

#[test]
fn a_container_that_does_not_heed_the_signal_is_removed_in_time() {
    let fake = Fake::new("stubborn");
    let client = fake.scratch.supervisor();
    let script = "trap '' TERM; while :; do sleep 0.05; done";
    let spec = LaunchSpec { stop_within: Duration::from_secs(1), ..fake.running(&["/bin/sh", "-c", script], "v1") };
    let number = fake.scratch.deploy(&client, &spec);
    assert_eq!(status(&client).current.unwrap().last_probe.as_deref(), Some("the container runs"));
    let process = os::identity(fake.pid(&format!("fixture-{number}")).unwrap()).unwrap();
    let started = Instant::now();
    client.stop(&service()).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "it has its time");
    assert!(!os::is_alive(&process));
    fake.assert_nothing_left();
}

#[test]
fn why_a_container_does_not_start_is_said() {
    let fake = Fake::new("words");
    let missing = "the command `/nope` does not exist in the image `busybox`, whose own command is `sh`";
    assert_eq!(failure(&fake, &fake.running(&["/nope"], "v1")), missing);
    let network = "the engine cannot make the container: unable to find network lost: network not found";
    assert_eq!(failure(&fake, &fake.running(&["--network", "lost"], "v1")), network);
    let spec = LaunchSpec { program: "/no/such/engine".into(), ..fake.spec("v1") };
    let reason = failure(&fake, &spec);
    assert!(reason.contains("cannot start `/no/such/engine`: No such file or directory"), "{reason}");
    assert_eq!(failure(&fake, &fake.running(&["/bin/sh", "-c", "exit 3"], "v1")), "exited with code 3");
}

#[test]
fn a_container_that_listens_elsewhere_says_where() {
    let fake = Fake::new("elsewhere");
    let table = "0: 00000000:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1 0 100\n";
    std::fs::write(fake.scratch.dir.join("tables"), table).unwrap();
    let spec = LaunchSpec { ready_within: Duration::from_secs(1), ..fake.spec("v1") };
    let port = declared(&spec);
    let other = placed(spec, |place| place.port = 9);
    let client = fake.scratch.supervisor();
    let number = client.start(&other).unwrap();
    let admin = await_that(&client, "the shim", |status| status.candidate.as_ref()?.admin.clone());
    let Via::Socket(shim) = admin else { panic!("a shim at {admin}") };
    let explained = eventually("the container listens", || {
        container::explain(&shim).filter(|explained| !explained.elsewhere.is_empty())
    });
    let (container, address) = (format!("fixture-{number}"), "127.0.0.1".parse().ok());
    assert_eq!(explained, Explained { container, declared: 9, elsewhere: [3000].into(), address });
    let reason = await_candidate(&client, State::Failed).reason.unwrap();
    assert_ne!(port, 9);
    let expected = "not ready within 1 s: GET /readyz: connect to 127.0.0.1:9: connection refused; \
                    declared 9, but listens on 3000";
    assert_eq!(reason, expected);
}

#[test]
fn where_a_container_has_no_address_a_command_inside_tells() {
    let fake = Fake::new("inside");
    let client = fake.scratch.supervisor();
    std::fs::write(fake.scratch.dir.join("health"), "ill").unwrap();
    let spec = placed(fake.running(&["/bin/sleep", "600"], "v1"), |place| {
        place.reach = Reach::Exec(vec!["/service".to_owned(), "healthcheck".to_owned()]);
    });
    let number = client.start(&spec).unwrap();
    await_that(&client, "the words of the command", |status| {
        status.candidate.as_ref()?.last_probe.clone().filter(|seen| seen == "`/service healthcheck` inside: ill")
    });
    std::fs::write(fake.scratch.dir.join("health"), "well").unwrap();
    await_candidate(&client, State::Ready);
    client.promote(&service(), number).unwrap();
}

#[test]
fn the_next_supervisor_ends_what_a_killed_one_has_left() {
    let fake = Fake::new("killed");
    let client = fake.scratch.supervisor();
    let number = fake.scratch.deploy(&client, &fake.spec("v1"));
    let process = os::identity(fake.pid(&format!("fixture-{number}")).unwrap()).unwrap();
    let shim = socket_of(&client);
    fake.scratch.kill(&client);
    assert!(os::is_alive(&process) && container::explain(&shim).is_some(), "it serves on");
    let ensured = fake.scratch.ensure();
    assert_eq!(ensured.orphans.len(), 1);
    assert!(!os::is_alive(&process) && !shim.parent().unwrap().exists());
    fake.assert_nothing_left();
}
