//! A running service is watched, and started again.

use crate::scratch::{Scratch, await_current, status};
use base::os;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use supervisor::{Ending, State};

#[test]
fn three_misses_replace_the_process_and_are_counted_as_one_restart() {
    let scratch = Scratch::new("misses");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let first = status(&client).current.unwrap().pid.unwrap();

    scratch.tell("v1", "unhealthy");
    let resting = await_current(&client, |current| current.restarts == 1);
    scratch.untell("v1", "unhealthy");
    let misses =
        scratch.log_lines().iter().filter(|line| **line == format!("v1 {first} /livez 503 Unavailable")).count();
    assert_eq!(misses, 3);
    let reason = "3 liveness probes failed: GET /livez: 503 told to be unhealthy";
    assert_eq!(resting.reason.as_deref(), Some(reason));
    assert_eq!(resting.last_exit, Some(Ending::Code(0)));

    let back = await_current(&client, |current| current.state == State::Ready);
    assert_ne!(back.pid, Some(first));
    assert_eq!(back.restarts, 1);
    assert_eq!(back.reason.as_deref(), Some(reason), "why it was restarted stays visible");
    assert_eq!(scratch.get().unwrap(), "v1");
}

#[test]
fn a_service_that_is_not_ready_is_not_restarted_and_says_why() {
    let scratch = Scratch::new("not-ready");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let pid = status(&client).current.unwrap().pid;
    scratch.tell("v1", "unready");
    let unready = await_current(&client, |current| current.state == State::Unready);
    assert_eq!(unready.last_probe.as_deref(), Some("GET /readyz: 503 told not to be ready"));
    scratch.untell("v1", "unready");
    let ready = await_current(&client, |current| current.state == State::Ready);
    assert_eq!((ready.pid, ready.restarts), (pid, 0));
}

#[test]
fn a_crash_loop_backs_off_and_ends_when_its_cause_does() {
    let scratch = Scratch::new("loop");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    scratch.tell("v1", "crash");
    let process = os::identity(status(&client).current.unwrap().pid.unwrap()).unwrap();
    os::signal(&process, Signal::SIGKILL);

    let mut seen = Vec::new();
    for restarts in 1..=3 {
        let current = await_current(&client, |current| current.restarts >= restarts);
        seen.push((Instant::now(), current));
    }
    assert_eq!(seen[0].1.last_exit, Some(Ending::Signal(9)));
    assert_eq!(seen[2].1.reason.as_deref(), Some("exited with code 101"));
    // Half a second and a second, less what it takes to see the change.
    let pauses: Vec<Duration> = seen.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(pauses[0] >= Duration::from_millis(400), "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(900), "{pauses:?}");

    scratch.untell("v1", "crash");
    await_current(&client, |current| current.state == State::Ready);
    assert_eq!(scratch.get().unwrap(), "v1");
}

#[test]
fn connections_wait_while_a_service_is_started_again() {
    let scratch = Scratch::new("waiting");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let process = os::identity(status(&client).current.unwrap().pid.unwrap()).unwrap();
    os::signal(&process, Signal::SIGKILL);
    assert!(os::wait_gone(&process, Instant::now() + Duration::from_secs(10)));
    assert_eq!(scratch.get().unwrap(), "v1");
}
