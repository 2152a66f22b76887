//! Asks one thing again and again at a fixed rate, whatever becomes of it: when to ask is told by the clock and not by the
//! last answer, so that a slow one hides nothing.

use super::Traffic;
use crate::http::{self, Request};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What could not be asked in time, since too many answers are awaited, is left out after so long.
const OVERDUE: Duration = Duration::from_secs(1);
/// As many answers are awaited at once as there are requests in a fifth of a second.
const IN_FLIGHT: u32 = 5;

/// Threads that ask.
pub(super) struct Asking {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
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
    /// The number of the next request.
    next: AtomicU64,
    /// Nobody wants the answers that are still awaited.
    given_up: AtomicBool,
    tally: Mutex<Tally>,
    /// No further request is to be sent.
    stopped: Mutex<bool>,
    stopping: Condvar,
}

impl Asking {
    /// Asks at once and then `rate` times a second.
    pub(super) fn start(request: Request, rate: u32) -> Self {
        let shared = Arc::new(Shared {
            request,
            rate,
            started: Instant::now(),
            next: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            tally: Mutex::default(),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        });
        let worker = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.ask())
        };
        let workers = (0..(rate / IN_FLIGHT).clamp(4, 64)).map(worker).collect();
        Self { shared, workers: Mutex::new(workers) }
    }

    /// Sends no further request.
    pub(super) fn stop(&self) {
        *lock(&self.shared.stopped) = true;
        self.shared.stopping.notify_all();
    }

    /// The same, and waits for no answer any more.
    pub(super) fn give_up(&self) {
        self.shared.given_up.store(true, Ordering::SeqCst);
        self.stop();
    }

    /// Waits for the answers to what was asked, and says what came of all of it.
    pub(super) fn finish(&self) -> Tally {
        self.stop();
        for worker in lock(&self.workers).drain(..) {
            // One that panicked has counted nothing.
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
    fn ask(&self) {
        while let Some(at) = self.wait_for_turn() {
            if self.started.elapsed() > at + OVERDUE {
                continue;
            }
            let result = http::send(&self.request, &|| self.given_up.load(Ordering::SeqCst));
            if self.given_up.load(Ordering::SeqCst) {
                return;
            }
            let failure = match result {
                Ok(response) if response.is_success() || response.leads_to_tls(&self.request.url) => None,
                Ok(response) => Some(format!("status {}", response.status)),
                Err(error) => Some(error.to_string()),
            };
            lock(&self.tally).count(self.started.elapsed(), failure);
        }
    }

    /// When the next request is due, since the start; nothing once there is to be none.
    fn wait_for_turn(&self) -> Option<Duration> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let at = Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(self.rate.max(1)));
        let mut stopped = lock(&self.stopped);
        while !*stopped {
            let left = at.saturating_sub(self.started.elapsed());
            if left.is_zero() {
                return Some(at);
            }
            stopped = match self.stopping.wait_timeout(stopped, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        None
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
