use super::passing::DRAIN;
use super::*;
use crate::launch::tests::example;
use crate::probe::Seen;

fn seen(ok: bool) -> Seen {
    Seen { ok, text: "GET /x: text".to_owned() }
}

fn ready_instance(now: Instant) -> Instance {
    let mut instance = Instance::new(1, example(), now);
    instance.phase = Phase::Starting;
    assert_eq!(instance.learn(answer(None, true), now), None);
    assert_eq!(instance.phase, Phase::Ready(now));
    instance
}

fn answer(live: Option<bool>, ready: bool) -> Answer {
    Answer {
        number: 1,
        starts: 0,
        live: live.map(seen),
        ready: seen(ready),
        is_direct: false,
        elsewhere: Vec::new(),
        overdue: false,
    }
}

#[test]
fn only_misses_in_a_row_count() {
    let now = Instant::now();
    let mut instance = ready_instance(now);
    let given_up: Vec<bool> = [false, false, true, false, false, false]
        .map(|live| instance.learn(answer(Some(live), live), now).is_some())
        .to_vec();
    assert_eq!(given_up, [false, false, false, false, false, true]);
}

#[test]
fn an_instance_that_is_alive_but_not_ready_is_kept() {
    let now = Instant::now();
    let mut instance = ready_instance(now);
    for _ in 0..10 {
        assert_eq!(instance.learn(answer(Some(true), false), now), None);
    }
    assert_eq!(instance.phase, Phase::Unready);
}

#[test]
fn an_overdue_start_says_what_was_seen_and_where_it_listens() {
    let now = Instant::now();
    let mut instance = Instance::new(1, example(), now);
    instance.phase = Phase::Starting;
    let overdue = Answer { overdue: true, elsewhere: vec![41231], ..answer(None, false) };
    let reason = "not ready within 10 s: GET /x: text; declared 1337, but listens on 41231";
    assert_eq!(instance.learn(overdue, now).as_deref(), Some(reason));
}

#[test]
fn an_answer_about_an_earlier_process_is_ignored() {
    let now = Instant::now();
    let mut instance = ready_instance(now);
    instance.starts = 1;
    assert_eq!(instance.learn(answer(Some(false), false), now), None);
    assert_eq!(instance.phase, Phase::Ready(now));
}

#[test]
fn being_well_for_a_while_forgets_former_failures() {
    let now = Instant::now();
    let mut instance = ready_instance(now);
    instance.backoff.next();
    instance.backoff.next();
    instance.settle(now + STEADY / 2);
    assert_ne!(instance.backoff, Backoff::default());
    instance.settle(now + STEADY);
    assert_eq!(instance.backoff, Backoff::default());
}

#[test]
fn one_that_an_edge_has_left_ends_once_what_was_on_its_way_is_there() {
    let now = Instant::now();
    let log = std::env::temp_dir().join(format!("xtask-drain-{}", std::process::id()));
    let place = "127.0.0.1:0".parse().unwrap();
    let (program, args, dir) = ("/bin/sleep".into(), vec!["60".to_owned()], "/".into());
    let spec = LaunchSpec { program, args, dir, listen: place, log, style: LaunchStrategy::Plain, ..example() };
    let mut instance = Instance::new(1, spec, now);
    instance.launch(Path::new("/nowhere"), now).unwrap();
    let is_told = |instance: &Instance| instance.process.as_ref().unwrap().kill_at.is_some();
    instance.drain(now);
    instance.end_when_drained(now + DRAIN / 2);
    assert_eq!((is_told(&instance), instance.phase), (false, Phase::Ending));
    instance.end_when_drained(now + DRAIN);
    assert!(is_told(&instance));
    while !instance.reap(now) {
        assert!(now.elapsed() < Duration::from_secs(30), "it has not ended");
        std::thread::yield_now();
    }
    std::fs::remove_file(&instance.spec.log).unwrap();
}
