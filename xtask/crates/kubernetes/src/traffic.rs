//! Measures what users notice while a public service is replaced: it is asked at a fixed rate through the ingress.

mod asking;

use self::asking::{Asking, Tally};
use super::{Kubernetes, exposure};
use base::error::Fault;
use base::http;
use base::http::{Request, Scheme, Url};
use base::text::counted;
use engine::journal::Event;
use engine::plan::runner::{Recorder, StepCx};
use model::name::ServiceName;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an answer may take: hardly anybody waits longer than that.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long a service may take to show that it is there before it is replaced.
const FIRST: Duration = Duration::from_secs(2);
/// How often the journal hears of it.
const PERIOD: Duration = Duration::from_secs(1);
/// The most that is asked in a second over TLS, where each request is a program of its own.
const RATE_OVER_TLS: u32 = 10;
/// How long it goes on after the change: what is left of the old version is taken out of the ingress only then.
const LINGER: Duration = Duration::from_secs(1);

/// What came of the requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    pub requests: u64,
    pub failed: u64,
    /// Between two answers.
    pub longest_gap: Duration,
}

/// Asks from its start until it is finished.
pub(super) struct Probe {
    watched: Arc<Vec<Watched>>,
    reporter: Option<(Sender<()>, JoinHandle<()>)>,
    max_failed: u64,
}

struct Watched {
    service: ServiceName,
    asking: Asking,
    told: Mutex<Tally>,
}

impl Probe {
    /// Begins to ask these services, as far as they answer at this moment: what was not there before has nothing to lose.
    pub(super) fn start(core: &Kubernetes, cx: &StepCx<'_>, services: &[ServiceName]) -> Self {
        let cluster = &core.deployment.environment.cluster;
        let rate = cluster.probe_rate;
        let answers = |request: &Request| {
            let first = Request { timeout: FIRST, ..request.clone() };
            http::send(&first, &|| cx.interrupts.stopping()).is_ok_and(|response| response.passes_probe())
        };
        let watched = services.iter().filter_map(|service| {
            let request = request(core, service)?;
            answers(&request).then(|| watch(service.clone(), request, rate))
        });
        Self::of(watched.collect(), u64::from(cluster.max_failed), cx.recorder())
    }

    fn of(watched: Vec<Watched>, max_failed: u64, recorder: Recorder) -> Self {
        let watched = Arc::new(watched);
        let reporter = (!watched.is_empty()).then(|| {
            let (stop, stopped) = channel();
            let watched = Arc::clone(&watched);
            let report = move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PERIOD) {
                    watched.iter().for_each(|watched| watched.tell(&recorder));
                }
                watched.iter().for_each(|watched| watched.tell(&recorder));
            };
            (stop, std::thread::spawn(report))
        });
        Self { watched, reporter, max_failed }
    }

    /// Stops asking and records what came of it in the journal; fails when more was lost than the environment's
    /// `max_failed`.
    ///
    /// # Errors
    /// `requests-lost`, with the numbers and the first failure's words.
    pub(super) fn finish(mut self, cx: &StepCx<'_>) -> anyhow::Result<()> {
        if !self.watched.is_empty() {
            cx.interrupts.pause(LINGER);
        }
        self.watched.iter().for_each(|watched| watched.asking.stop());
        let mut lost = Vec::new();
        for watched in self.watched.iter() {
            let tally = watched.asking.finish();
            let Some(first) = &tally.first_failure else { continue };
            let words = sentence(&watched.service, tally.traffic, first);
            if tally.traffic.failed > self.max_failed {
                lost.push(words);
            } else {
                cx.news(words);
            }
        }
        self.stop_reporting();
        for watched in self.watched.iter() {
            let Traffic { requests, failed, longest_gap } = watched.asking.tally().traffic;
            let service = watched.service.to_string();
            cx.record(|step| Event::Measured { step, service, requests, failed, longest_gap });
        }
        if lost.is_empty() {
            return Ok(());
        }
        let allowed = match self.max_failed {
            0 => "none may be lost".to_owned(),
            number => format!("{number} may be lost"),
        };
        let hint = "`max_failed` says how many requests may fail while a service is replaced";
        Err(Fault::failed("requests-lost", format!("{}; {allowed}", lost.join("; "))).hint(hint).into())
    }

    fn stop_reporting(&mut self) {
        if let Some((stop, reporter)) = self.reporter.take() {
            drop(stop);
            // It has nothing to say that is not in the journal.
            let _ = reporter.join();
        }
    }
}

/// One that is given up ends its threads soon, and nobody waits for them.
impl Drop for Probe {
    fn drop(&mut self) {
        self.watched.iter().for_each(|watched| watched.asking.give_up());
        self.stop_reporting();
    }
}

impl Watched {
    /// Records what was asked since the last time.
    fn tell(&self, recorder: &Recorder) {
        let now = self.asking.tally();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = now.traffic.requests - told.traffic.requests;
        let failed = now.traffic.failed - told.traffic.failed;
        *told = now;
        if requests > 0 {
            let service = self.service.to_string();
            recorder.record(|step| Event::Asked { step, service, requests, failed });
        }
    }
}

fn watch(service: ServiceName, request: Request, rate: u32) -> Watched {
    let rate = if request.url.endpoint.scheme == Scheme::Https { rate.min(RATE_OVER_TLS) } else { rate };
    Watched { service, asking: Asking::start(request, rate), told: Mutex::default() }
}

/// What a public service is asked: whether it is ready.
pub(super) fn request(core: &Kubernetes, service: &ServiceName) -> Option<Request> {
    let declared = core.deployment.find_service(service).filter(|declared| declared.public)?;
    let endpoint = exposure::endpoint(core, service).ok()?;
    let path = declared.asked_from_outside()?.to_owned();
    Some(Request::get(Url { endpoint, path }, TIMEOUT))
}

fn sentence(service: &ServiceName, traffic: Traffic, first_failure: &str) -> String {
    let Traffic { requests, failed, longest_gap } = traffic;
    let asked = counted(usize::try_from(requests).unwrap_or(usize::MAX), "request", "requests");
    let gap = longest_gap.as_millis();
    format!(
        "`{service}` failed {failed} of {asked} while it was replaced, with up to {gap} ms between two answers; \
         the first failure: {first_failure}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_said_in_a_sentence() {
        let service: ServiceName = "epoch".parse().unwrap();
        let traffic = Traffic { requests: 40, failed: 3, longest_gap: Duration::from_millis(52) };
        let text = "`epoch` failed 3 of 40 requests while it was replaced, with up to 52 ms between two answers; \
                    the first failure: status 502 after 1.2 s";
        assert_eq!(sentence(&service, traffic, "status 502 after 1.2 s"), text);
    }
}
