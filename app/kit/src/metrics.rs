//! Prometheus metrics: those of every service, and a place for its own.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// A number that only grows.
pub type Counter = prometheus_client::metrics::counter::Counter;

/// Upper bounds in seconds: from a lookup in memory to the slowest call of an outside service.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];

/// The metrics of this process; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge<i64, AtomicI64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

/// A request that has not been answered yet. Dropped without an answer, it was given up by the client.
pub(crate) struct InFlight(Gauge<i64, AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new(service: &'static str, version: &'static str) -> Self {
        let metrics = Self {
            registry: Arc::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            in_flight: Gauge::default(),
        };
        {
            let mut registry = metrics.registry();
            let build = Info::new(vec![("service", service), ("version", version)]);
            registry.register("build", "The service and its version", build);
            registry.register("http_requests", "Requests answered", metrics.requests.clone());
            let help = "Seconds from the head of a request to the head of its answer";
            registry.register("http_request_duration_seconds", help, metrics.durations.clone());
            registry.register("http_requests_in_flight", "Requests not answered yet", metrics.in_flight.clone());
        }
        metrics
    }

    /// A counter that `/metrics` shows as `NAME_total`.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        // The library ends the help text with a full stop of its own.
        self.registry().register(name, help, counter.clone());
        counter
    }

    pub(crate) fn begin_request(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn end_request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let route_labels = RouteLabels { method: method.clone(), route: route.clone() };
        self.durations.get_or_create(&route_labels).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry()) {
            Ok(()) => text,
            // Writing to a `String` cannot fail, and a metric that cannot be encoded must not take the others down.
            Err(error) => format!("# {error}\n"),
        }
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use std::time::Duration;

    #[test]
    fn the_text_has_all_of_them() {
        let metrics = Metrics::new("epoch", "1.2.3");
        metrics.counter("payments_charges", "Charges").inc();
        let in_flight = metrics.begin_request();
        metrics.end_request("GET", "/x/{id}", 404, Duration::from_millis(3));
        let text = metrics.text();
        for line in [
            r#"build_info{service="epoch",version="1.2.3"} 1"#,
            r#"http_requests_total{method="GET",route="/x/{id}",status="404"} 1"#,
            r#"http_request_duration_seconds_bucket{le="0.005",method="GET",route="/x/{id}"} 1"#,
            "http_requests_in_flight 1",
            "payments_charges_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
        }
        drop(in_flight);
        assert!(metrics.text().contains("http_requests_in_flight 0"));
    }
}
