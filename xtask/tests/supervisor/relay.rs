//! A program that takes no socket, behind the supervisor's own listener.

use crate::scratch::{Scratch, await_candidate, await_current, eventually, free_address, service, status};
use base::os;
use nix::sys::signal::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use supervisor::{Client, LaunchSpec, LaunchStrategy, PORT, State};

/// A version that listens where it is told to and, told to end, finishes nothing.
fn spec(scratch: &Scratch, version: &str) -> LaunchSpec {
    scratch.tell(version, "abrupt");
    let mut spec = LaunchSpec { style: LaunchStrategy::Relay, ..scratch.spec(version) };
    spec.env.insert("FIXTURE_LISTEN".to_owned(), format!("127.0.0.1:{PORT}"));
    spec
}

/// A version that always listens on the port of the service.
fn stubborn(scratch: &Scratch, version: &str) -> LaunchSpec {
    LaunchSpec { style: LaunchStrategy::Relay, ..scratch.spec(version) }
}

fn is_relayed(client: &Client) -> bool {
    status(client).current.unwrap().admin.is_some()
}

#[test]
fn no_request_is_lost_while_one_version_follows_another() {
    let scratch = Scratch::new("relayed");
    let client = scratch.supervisor();
    scratch.deploy(&client, &spec(&scratch, "v1"));
    assert!(is_relayed(&client));
    let done = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let ask = || {
            let mut answers = Vec::new();
            while !done.load(Ordering::SeqCst) {
                answers.push(scratch.get());
            }
            answers.push(scratch.get());
            answers
        };
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        let switched = std::panic::catch_unwind(|| {
            for version in ["v2", "v3", "v4"] {
                scratch.deploy(&client, &spec(&scratch, version));
            }
        });
        done.store(true, Ordering::SeqCst);
        switched.unwrap();
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    let lost: Vec<_> = answers.iter().flatten().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(lost.is_empty(), "of {} requests: {lost:?}", answers.iter().flatten().count());
    assert!(answers.iter().all(|answers| answers.last().unwrap().as_ref().unwrap() == "v4"));
    assert_eq!(scratch.processes().len(), 2, "the supervisor and one service");
}

#[test]
fn an_answer_under_way_is_finished_and_waited_for_no_longer_than_allowed() {
    let scratch = Scratch::new("under-way");
    let client = scratch.supervisor();
    scratch.deploy(&client, &spec(&scratch, "v1"));
    let asked =
        |version: &str| scratch.log_lines().iter().any(|line| line.starts_with(version) && line.contains("asked"));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| scratch.get_path("/slow"));
        eventually("the slow request is there", || asked("v1").then_some(()));
        let deploying = scope.spawn(|| scratch.deploy(&client, &spec(&scratch, "v2")));
        eventually("the new version serves", || (scratch.get().unwrap() == "v2").then_some(()));
        assert!(!deploying.is_finished() && !slow.is_finished());
        scratch.tell("v1", "go");
        assert_eq!(slow.join().unwrap().unwrap(), "v1");
        deploying.join().unwrap();
    });
    let hurried = LaunchSpec { stop_within: Duration::from_millis(200), ..spec(&scratch, "v3") };
    scratch.deploy(&client, &hurried);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| scratch.get_path("/slow"));
        eventually("the slow request is there", || asked("v3").then_some(()));
        scratch.deploy(&client, &spec(&scratch, "v4"));
        assert!(slow.join().unwrap().is_err(), "nothing is waited for longer than it may take");
    });
    assert_eq!(scratch.get().unwrap(), "v4");
}

#[test]
fn a_program_that_listens_on_the_service_s_own_port_makes_room() {
    let scratch = Scratch::new("stubborn");
    let client = scratch.supervisor();
    scratch.deploy(&client, &stubborn(&scratch, "v1"));
    assert!(!is_relayed(&client));
    assert_eq!(scratch.get().unwrap(), "v1");
    scratch.deploy(&client, &stubborn(&scratch, "v2"));
    assert_eq!(scratch.get().unwrap(), "v2");

    scratch.tell("v3", "crash");
    let number = client.start(&spec(&scratch, "v3")).unwrap();
    await_candidate(&client, State::Failed);
    await_current(&client, |current| current.state == State::Ready);
    assert_eq!(scratch.get().unwrap(), "v2");
    client.discard(&service(), number).unwrap();
    scratch.untell("v3", "crash");

    for (style, relayed) in
        [(LaunchStrategy::Relay, true), (LaunchStrategy::Handover, true), (LaunchStrategy::Relay, true)]
    {
        scratch.deploy(&client, &LaunchSpec { style, ..spec(&scratch, "v3") });
        assert_eq!((scratch.get().unwrap().as_str(), is_relayed(&client)), ("v3", relayed));
    }
}

#[test]
fn a_candidate_that_fails_leaves_the_relay_to_the_current_instance() {
    let scratch = Scratch::new("fails-behind");
    let client = scratch.supervisor();
    scratch.deploy(&client, &spec(&scratch, "v1"));
    let before = status(&client).current.unwrap().pid;
    scratch.tell("v2", "crash");
    let number = client.start(&spec(&scratch, "v2")).unwrap();
    await_candidate(&client, State::Failed);
    client.discard(&service(), number).unwrap();
    assert_eq!((scratch.get().unwrap().as_str(), status(&client).current.unwrap().pid), ("v1", before));
}

#[test]
fn requests_wait_for_a_program_that_is_started_again() {
    let scratch = Scratch::new("again-behind");
    let client = scratch.supervisor();
    scratch.deploy(&client, &spec(&scratch, "v1"));
    let process = os::identity(status(&client).current.unwrap().pid.unwrap()).unwrap();
    os::signal(&process, Signal::SIGKILL);
    assert!(os::wait_gone(&process, Instant::now() + Duration::from_secs(10)));
    for _ in 0..20 {
        assert_eq!(scratch.get().unwrap(), "v1");
    }
    assert_eq!(status(&client).current.unwrap().restarts, 1);
}

#[test]
fn a_service_may_move_to_another_port() {
    let scratch = Scratch::new("moves-behind");
    let client = scratch.supervisor();
    scratch.deploy(&client, &spec(&scratch, "v1"));
    let listen = free_address();
    scratch.deploy(&client, &LaunchSpec { listen, ..spec(&scratch, "v2") });
    assert_eq!(crate::scratch::get(listen, "/").unwrap(), "v2");
    assert!(scratch.get().is_err(), "nobody listens there any more");
}

#[test]
fn nothing_is_left_of_a_supervisor_that_was_killed() {
    let scratch = Scratch::new("killed-behind");
    let client = scratch.supervisor();
    scratch.deploy(&client, &spec(&scratch, "v1"));
    scratch.kill(&client);
    assert!(scratch.get().is_err());
    assert_eq!(supervisor::end_orphans(&scratch.dir).len(), 1);
    assert_eq!(scratch.processes().len(), 0);
    let client = scratch.supervisor();
    scratch.deploy(&client, &spec(&scratch, "v2"));
    assert_eq!(scratch.get().unwrap(), "v2");
}
