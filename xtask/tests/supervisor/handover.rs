//! One version follows another.

use crate::scratch::{Scratch, await_candidate, await_current, await_that, eventually, free_address, service, status};
use base::os;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use supervisor::{Ending, LaunchSpec, LaunchStrategy, State};

#[test]
fn no_request_is_lost_while_one_version_follows_another() {
    let scratch = Scratch::new("handover");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));

    let done = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let ask = || {
            let mut answers = Vec::new();
            while !done.load(Ordering::SeqCst) {
                answers.push(scratch.get());
            }
            // At least one that was asked after the end of the old version.
            answers.push(scratch.get());
            answers
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let switched = std::panic::catch_unwind(|| {
            for version in ["v2", "v3", "v4"] {
                scratch.deploy(&client, &scratch.spec(version));
            }
        });
        done.store(true, Ordering::SeqCst);
        switched.unwrap();
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });

    let lost: Vec<_> = answers.iter().flatten().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(lost.is_empty(), "of {} requests: {lost:?}", answers.iter().flatten().count());
    for answers in &answers {
        assert_eq!(answers.last().unwrap().as_ref().unwrap(), "v4");
    }
    let stopped = scratch.log_lines().iter().filter(|line| line.ends_with(" stopped")).count();
    assert_eq!(stopped, 3, "the old versions end by themselves");
}

#[test]
fn a_promotion_answers_when_the_old_version_has_ended() {
    let scratch = Scratch::new("ended");
    let client = scratch.supervisor();
    scratch.tell("v1", "slow");
    scratch.deploy(&client, &scratch.spec("v1"));
    let old = os::identity(status(&client).current.unwrap().pid.unwrap()).unwrap();
    scratch.deploy(&client, &scratch.spec("v2"));
    assert!(!os::is_alive(&old));
}

#[test]
fn a_version_that_takes_too_long_to_end_is_killed() {
    let scratch = Scratch::new("killed");
    let client = scratch.supervisor();
    scratch.tell("v1", "slow");
    scratch.deploy(&client, &LaunchSpec { stop_within: Duration::from_millis(50), ..scratch.spec("v1") });
    scratch.deploy(&client, &scratch.spec("v2"));
    assert!(!scratch.log_lines().iter().any(|line| line.starts_with("v1 ") && line.ends_with(" stopped")));
    assert_eq!(scratch.get().unwrap(), "v2");
}

#[test]
fn a_candidate_that_never_becomes_ready_leaves_the_current_instance_alone() {
    let scratch = Scratch::new("unready");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let before = status(&client).current.unwrap();

    scratch.tell("v2", "unready");
    let spec = LaunchSpec { ready_within: Duration::from_millis(300), ..scratch.spec("v2") };
    let number = client.start(&spec).unwrap();
    let failed = await_candidate(&client, State::Failed);
    let reason = "not ready within 0.3 s: GET /readyz: 503 told not to be ready";
    assert_eq!(failed.reason.as_deref(), Some(reason));
    let refused = client.promote(&service(), number).unwrap_err().to_string();
    assert_eq!(refused, format!("instance {number} is failed: {reason}"));

    client.discard(&service(), number).unwrap();
    let after = status(&client);
    assert_eq!(after.candidate, None);
    assert_eq!(after.current.unwrap().pid, before.pid);
    assert_eq!(scratch.get().unwrap(), "v1");
    assert_eq!(scratch.processes().len(), 2, "the supervisor and one service");
}

#[test]
fn a_candidate_that_listens_elsewhere_says_where() {
    let scratch = Scratch::new("elsewhere");
    let client = scratch.supervisor();
    let other = free_address();
    let mut spec =
        LaunchSpec { ready_within: Duration::from_millis(300), style: LaunchStrategy::Plain, ..scratch.spec("v1") };
    spec.env.insert("FIXTURE_LISTEN".to_owned(), other.to_string());
    client.start(&spec).unwrap();
    let reason = await_candidate(&client, State::Failed).reason.unwrap();
    let expected = format!("; declared {}, but listens on {}", spec.listen.port(), other.port());
    assert!(reason.ends_with(&expected), "{reason}");
}

#[test]
fn a_candidate_that_nobody_promotes_is_given_up() {
    let scratch = Scratch::new("forgotten");
    let client = scratch.supervisor();
    scratch.deploy(&client, &scratch.spec("v1"));
    let within = Duration::from_millis(500);
    let spec = LaunchSpec { ready_within: within, promote_within: within, ..scratch.spec("v2") };
    client.start(&spec).unwrap();
    await_that(&client, "the candidate is given up", |status| status.candidate.is_none().then_some(()));
    eventually("its process has ended", || (scratch.processes().len() == 2).then_some(()));
    assert_eq!(scratch.get().unwrap(), "v1");
}

#[test]
fn a_second_candidate_takes_the_place_of_the_first() {
    let scratch = Scratch::new("second");
    let client = scratch.supervisor();
    let first = client.start(&scratch.spec("v1")).unwrap();
    let second = client.start(&scratch.spec("v2")).unwrap();
    let ready = await_candidate(&client, State::Ready);
    assert_eq!((ready.instance, ready.release.as_str()), (second, "v2"));
    let refused = client.promote(&service(), first).unwrap_err().to_string();
    assert_eq!(refused, format!("instance {first} is not the candidate"));
    client.discard(&service(), first).unwrap();
    client.promote(&service(), second).unwrap();
    assert_eq!(scratch.get().unwrap(), "v2");
    assert_eq!(scratch.processes().len(), 2);
}

#[test]
fn a_service_that_binds_its_port_makes_room_and_comes_back_when_the_candidate_fails() {
    let scratch = Scratch::new("exclusive");
    let client = scratch.supervisor();
    let spec = |version| LaunchSpec { style: LaunchStrategy::Plain, ..scratch.spec(version) };
    scratch.deploy(&client, &spec("v1"));
    assert_eq!(scratch.get().unwrap(), "v1");

    scratch.tell("v2", "crash");
    let number = client.start(&spec("v2")).unwrap();
    let failed = await_candidate(&client, State::Failed);
    assert_eq!(failed.last_exit, Some(Ending::Code(101)));
    assert_eq!(failed.reason.as_deref(), Some("exited with code 101"));
    let back = await_current(&client, |current| current.state == State::Ready);
    assert_eq!((back.release.as_str(), back.restarts), ("v1", 0));
    assert_eq!(scratch.get().unwrap(), "v1");
    client.discard(&service(), number).unwrap();

    scratch.untell("v2", "crash");
    scratch.deploy(&client, &spec("v2"));
    assert_eq!(scratch.get().unwrap(), "v2");
    assert_eq!(scratch.processes().len(), 2);
}

#[test]
fn a_ready_candidate_that_is_discarded_gives_the_port_back() {
    let scratch = Scratch::new("discarded");
    let client = scratch.supervisor();
    let spec = |version| LaunchSpec { style: LaunchStrategy::Plain, ..scratch.spec(version) };
    scratch.deploy(&client, &spec("v1"));
    let number = client.start(&spec("v2")).unwrap();
    await_candidate(&client, State::Ready);
    assert_eq!(scratch.get().unwrap(), "v2");
    client.discard(&service(), number).unwrap();
    await_current(&client, |current| current.state == State::Ready);
    assert_eq!(scratch.get().unwrap(), "v1");
}

#[test]
fn a_version_on_an_address_that_overlaps_takes_the_place_of_the_old_one() {
    let scratch = Scratch::new("overlapping");
    let client = scratch.supervisor();
    let narrow = |version| scratch.spec(version);
    let wide = |version| {
        let listen = (Ipv4Addr::UNSPECIFIED, narrow(version).listen.port()).into();
        LaunchSpec { listen, ..narrow(version) }
    };
    scratch.deploy(&client, &narrow("v1"));
    scratch.deploy(&client, &wide("v2"));
    assert_eq!(scratch.get().unwrap(), "v2");
    assert_eq!(scratch.processes().len(), 2, "the supervisor and one service");

    scratch.tell("v3", "crash");
    let number = client.start(&narrow("v3")).unwrap();
    await_candidate(&client, State::Failed);
    let back = await_current(&client, |current| current.state == State::Ready);
    assert_eq!(
        (back.release.as_str(), back.restarts),
        ("v2", 0),
        "it listens there again before anything is discarded"
    );
    client.discard(&service(), number).unwrap();

    scratch.deploy(&client, &narrow("v4"));
    assert_eq!(scratch.get().unwrap(), "v4");
}

#[test]
fn a_service_may_move_between_owning_its_socket_and_being_passed_it() {
    let scratch = Scratch::new("moving");
    let client = scratch.supervisor();
    for (version, style) in
        [("v1", LaunchStrategy::Handover), ("v2", LaunchStrategy::Plain), ("v3", LaunchStrategy::Handover)]
    {
        scratch.deploy(&client, &LaunchSpec { style, ..scratch.spec(version) });
        assert_eq!(scratch.get().unwrap(), version);
    }
}
