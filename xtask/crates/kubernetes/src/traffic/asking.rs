//! Asks one thing again and again at a fixed rate, whatever becomes of it: when to ask is told by the clock and not by the
//! last answer, so that a slow one hides nothing. Whatever was due counts: with its answer, or as a failure.

use super::Traffic;
use base::http;
use base::http::{HttpError, Request};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The most answers that are awaited at once. Each takes a thread and an open file.
const IN_FLIGHT: usize = 128;
/// For how long a name is looked up again that was not found, and how often.
const UNRESOLVED: Duration = Duration::from_secs(2);
const LOOK_UP_EVERY: Duration = Duration::from_millis(50);
/// They have little to remember.
const STACK: usize = 512 * 1024;

/// Threads that ask.
pub(super) struct Asking {
    shared: Arc<Shared>,
    pacer: Mutex<Option<JoinHandle<()>>>,
}

/// What came of it so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) traffic: Traffic,
    /// In words: `status 502 after 1.2 s`.
    pub(super) first_failure: Option<String>,
    /// The last good answer, since the start.
    answered: Duration,
}

struct Shared {
    request: Request,
    rate: u32,
    started: Instant,
    /// Nobody wants the answers that are still awaited.
    given_up: AtomicBool,
    tally: Mutex<Tally>,
    turns: Mutex<Turns>,
    changed: Condvar,
}

/// What is to be asked, and who does it.
#[derive(Default)]
struct Turns {
    /// When each of them was due.
    waiting: VecDeque<Instant>,
    /// Threads that have nothing to do.
    idle: usize,
    workers: Vec<JoinHandle<()>>,
    /// No further request becomes due.
    stopped: bool,
}

impl Asking {
    /// Asks at once and then `rate` times a second.
    pub(super) fn start(request: Request, rate: u32) -> Self {
        let shared = Arc::new(Shared {
            request,
            rate,
            started: Instant::now(),
            given_up: AtomicBool::new(false),
            tally: Mutex::default(),
            turns: Mutex::default(),
            changed: Condvar::new(),
        });
        let pacing = Arc::clone(&shared);
        let pacer = std::thread::spawn(move || pacing.pace());
        Self { shared, pacer: Mutex::new(Some(pacer)) }
    }

    /// Sends no request that is not due yet.
    pub(super) fn stop(&self) {
        lock(&self.shared.turns).stopped = true;
        self.shared.changed.notify_all();
    }

    /// The same, and waits for no answer any more.
    pub(super) fn give_up(&self) {
        self.shared.given_up.store(true, Ordering::SeqCst);
        self.stop();
    }

    /// Waits for the answers to all that was due, and says what came of it.
    pub(super) fn finish(&self) -> Tally {
        self.stop();
        if let Some(pacer) = lock(&self.pacer).take() {
            // One that panicked has nothing to wait for.
            let _ = pacer.join();
        }
        let workers = std::mem::take(&mut lock(&self.shared.turns).workers);
        for worker in workers {
            let _ = worker.join();
        }
        // A service that failed to the end has not answered since.
        let mut tally = lock(&self.shared.tally);
        let silence = self.shared.started.elapsed().saturating_sub(tally.answered);
        if tally.first_failure.is_some() {
            tally.traffic.longest_gap = tally.traffic.longest_gap.max(silence);
        }
        tally.clone()
    }

    pub(super) fn tally(&self) -> Tally {
        lock(&self.shared.tally).clone()
    }
}

impl Shared {
    /// Has a request sent whenever one is due.
    fn pace(self: &Arc<Self>) {
        for number in 0u64.. {
            let at = Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(self.rate.max(1)));
            let mut turns = lock(&self.turns);
            loop {
                if turns.stopped {
                    return;
                }
                let left = at.saturating_sub(self.started.elapsed());
                if left.is_zero() {
                    break;
                }
                turns = self.wait(turns, left);
            }
            // A process that was suspended has asked nothing meanwhile, which is no fault of the service's.
            turns.waiting.push_back(Instant::now());
            self.employ(&mut turns);
            drop(turns);
            self.changed.notify_all();
        }
    }

    /// Starts a thread if there are too few for what waits.
    fn employ(self: &Arc<Self>, turns: &mut Turns) {
        if turns.waiting.len() <= turns.idle || turns.workers.len() >= IN_FLIGHT {
            return;
        }
        let shared = Arc::clone(self);
        match std::thread::Builder::new().stack_size(STACK).spawn(move || shared.ask()) {
            Ok(worker) => turns.workers.push(worker),
            // The others come to it in time or count it as lost.
            Err(_) if !turns.workers.is_empty() => {}
            Err(error) => {
                turns.waiting.clear();
                self.count(Some(format!("not asked: {error}")));
            }
        }
    }

    fn ask(&self) {
        while let Some(due) = self.next_turn() {
            let failure = if due.elapsed() > self.request.timeout {
                Some(format!("not sent within {} s: too many answers are outstanding", self.request.timeout.as_secs()))
            } else {
                self.send()
            };
            if self.given_up.load(Ordering::SeqCst) {
                return;
            }
            self.count(failure);
        }
    }

    /// Asks, and says what went wrong. A name that is not found for a moment says nothing of the service, whose addresses
    /// its clients know: it is looked up again.
    fn send(&self) -> Option<String> {
        let given_up = || self.given_up.load(Ordering::SeqCst);
        let deadline = Instant::now() + UNRESOLVED;
        let mut answer = http::send(&self.request, &given_up);
        while answer.as_ref().is_err_and(HttpError::is_unresolved) && Instant::now() < deadline && !given_up() {
            std::thread::sleep(LOOK_UP_EVERY);
            answer = http::send(&self.request, &given_up);
        }
        match answer {
            Ok(response) if response.passes_probe() || response.leads_to_tls(&self.request.url) => None,
            Ok(response) => Some(format!("status {}", response.status)),
            Err(error) => Some(error.to_string()),
        }
    }

    fn count(&self, failure: Option<String>) {
        lock(&self.tally).count(self.started.elapsed(), failure);
    }

    /// When what is to be asked now was due; nothing once there is no more.
    fn next_turn(&self) -> Option<Instant> {
        let mut turns = lock(&self.turns);
        loop {
            if let Some(due) = turns.waiting.pop_front() {
                return Some(due);
            }
            if turns.stopped {
                return None;
            }
            turns.idle += 1;
            turns = self.changed.wait(turns).unwrap_or_else(PoisonError::into_inner);
            turns.idle -= 1;
        }
    }

    fn wait<'t>(&self, turns: MutexGuard<'t, Turns>, at_most: Duration) -> MutexGuard<'t, Turns> {
        match self.changed.wait_timeout(turns, at_most) {
            Ok((turns, _)) => turns,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }
}

impl Tally {
    fn count(&mut self, at: Duration, failure: Option<String>) {
        self.traffic.requests += 1;
        match failure {
            None => {
                self.traffic.longest_gap = self.traffic.longest_gap.max(at.saturating_sub(self.answered));
                self.answered = self.answered.max(at);
            }
            Some(words) => {
                self.traffic.failed += 1;
                self.first_failure.get_or_insert_with(|| format!("{words} after {:.1} s", at.as_secs_f64()));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers each request on a thread of its own with what `answer` makes of its number, after a while.
    fn serve(answer: impl Fn(u64) -> (Duration, &'static str) + Send + Sync + 'static) -> Request {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming()) {
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let _ = stream.read(&mut [0; 1024]);
                    let (pause, status) = answer(number);
                    std::thread::sleep(pause);
                    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                });
            }
        });
        Request::get(url, Duration::from_secs(5))
    }

    /// Asks until there were so many answers.
    fn ask(request: Request, rate: u32, answers: u64) -> Tally {
        let asking = Asking::start(request, rate);
        while asking.tally().traffic.requests < answers {
            std::thread::sleep(Duration::from_millis(5));
        }
        asking.finish()
    }

    #[test]
    fn each_failure_is_counted_and_the_first_is_told() {
        let status = |number| if (3..5).contains(&number) { "502 Bad Gateway" } else { "200 OK" };
        let tally = ask(serve(move |number| (Duration::ZERO, status(number))), 100, 10);
        assert_eq!(tally.traffic.failed, 2);
        assert!(tally.traffic.requests >= 10);
        assert!(tally.first_failure.unwrap().starts_with("status 502 after 0."));
    }

    #[test]
    fn nobody_there_is_a_failure_in_the_system_s_words() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{free}/").parse().unwrap();
        let tally = ask(Request::get(url, Duration::from_secs(5)), 50, 3);
        assert_eq!(tally.traffic.failed, tally.traffic.requests);
        assert!(tally.first_failure.unwrap().contains("connection refused"));
    }

    #[test]
    fn a_slow_answer_does_not_hold_up_the_others() {
        let first_takes = Duration::from_millis(600);
        let request = serve(move |number| (if number == 0 { first_takes } else { Duration::ZERO }, "200 OK"));
        let asking = Asking::start(request, 50);
        let started = Instant::now();
        while asking.tally().traffic.requests < 10 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(started.elapsed() < first_takes, "the first answer was waited for");
        assert_eq!(asking.finish().traffic.failed, 0);
    }

    #[test]
    fn a_service_that_hangs_loses_every_request_that_was_due() {
        // The first ten are answered; whatever comes then is accepted, and answered too late or never.
        let hangs = Duration::from_secs(30);
        let request = serve(move |number| (if number < 10 { Duration::ZERO } else { hangs }, "200 OK"));
        let request = Request { timeout: Duration::from_millis(500), ..request };
        let asking = Asking::start(request, 50);
        let started = Instant::now();
        while asking.tally().traffic.requests < 60 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let due = u64::try_from(started.elapsed().as_millis() / 20).unwrap();
        let tally = asking.finish();
        assert!(tally.traffic.requests >= due, "{tally:?} of {due}");
        assert_eq!(tally.traffic.failed, tally.traffic.requests - 10);
        assert!(tally.first_failure.unwrap().starts_with("no answer within 500ms"));
    }

    #[test]
    fn more_than_can_be_awaited_are_lost_too() {
        let request = serve(|_| (Duration::from_secs(30), "200 OK"));
        let tally = ask(Request { timeout: Duration::from_millis(600), ..request }, 1000, 500);
        assert!(tally.first_failure.is_some(), "{tally:?}");
        assert_eq!(tally.traffic.failed, tally.traffic.requests);
    }

    #[test]
    fn the_longest_gap_is_between_two_good_answers() {
        let mut tally = Tally::default();
        let ms = Duration::from_millis;
        tally.count(ms(10), None);
        tally.count(ms(30), Some("status 503".to_owned()));
        tally.count(ms(80), None);
        // Answers come in any order.
        tally.count(ms(75), None);
        tally.count(ms(90), None);
        assert_eq!(tally.traffic, Traffic { requests: 5, failed: 1, longest_gap: ms(70) });
    }

    #[test]
    fn one_that_is_given_up_waits_for_nothing() {
        let asking = Asking::start(serve(|_| (Duration::from_secs(60), "200 OK")), 50);
        std::thread::sleep(Duration::from_millis(50));
        let started = Instant::now();
        asking.give_up();
        assert_eq!(asking.finish().traffic.requests, 0);
        assert!(started.elapsed() < Duration::from_secs(4));
    }
}
