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
    Answer { number: 1, starts: 0, live: live.map(seen), ready: seen(ready), elsewhere: Vec::new(), overdue: false }
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
