//! What services were asked while they were replaced, second by second, and how much of it failed.

use super::html::Html;
use super::phrase::{at, duration};
use super::record::{Run, Sample, Total, Traffic};

/// The height of a chart in the units of its drawing.
const HEIGHT: f64 = 100.0;
/// How long before a first sample it began, when nothing tells.
const USUAL: u64 = 1000;

pub(super) fn section(run: &Run, html: &mut Html) {
    if run.traffic.is_empty() {
        return;
    }
    html.element("section", &[("aria-labelledby", "traffic")], |html| {
        html.markup("<h2 id=\"traffic\">Requests while rolling out</h2>\n");
        for traffic in &run.traffic {
            html.element("article", &[], |html| article(traffic, html));
            html.markup("\n");
        }
    });
    html.markup("\n");
}

fn article(traffic: &Traffic, html: &mut Html) {
    html.element("h3", &[], |html| {
        html.leaf("code", &[], &traffic.service);
        html.markup(" during ");
        html.leaf("code", &[], &traffic.step);
    });
    let asked: u64 = traffic.samples.iter().map(|sample| sample.requests).sum();
    let lost: u64 = traffic.samples.iter().map(|sample| sample.failed).sum();
    let sentence = match traffic.total {
        Some(total) => summary(total),
        None => format!("{asked} requests, {lost} failed, up to the end of the journal."),
    };
    html.leaf("p", &[], &sentence);
    let slices = slices(&traffic.samples);
    if slices.is_empty() {
        return;
    }
    chart("Requests per second", "requests", &slices, Slice::requests, html);
    if lost > 0 {
        chart("Failures per second", "failures", &slices, Slice::failures, html);
    }
    table(&slices, html);
}

fn summary(total: Total) -> String {
    let failed = if total.failed == 0 { "✓ none failed".to_owned() } else { format!("✗ {} failed", total.failed) };
    let (requests, gap) = (total.requests, duration(total.longest_gap));
    format!("{requests} requests, {failed}; the longest time between two answers was {gap}.")
}

/// A sample with the time that it covers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slice {
    from: u64,
    to: u64,
    requests: u64,
    failed: u64,
}

impl Slice {
    fn requests(self) -> f64 {
        self.rate(self.requests)
    }

    fn failures(self) -> f64 {
        self.rate(self.failed)
    }

    fn rate(self, number: u64) -> f64 {
        number as f64 * 1000.0 / (self.to - self.from) as f64
    }
}

fn slices(samples: &[Sample]) -> Vec<Slice> {
    let mut slices: Vec<Slice> = Vec::new();
    for sample in samples {
        let from = slices.last().map_or(sample.at.saturating_sub(USUAL), |slice| slice.to);
        let Sample { at, requests, failed } = *sample;
        // Two samples of one millisecond are one.
        match slices.last_mut() {
            Some(last) if at <= last.to => {
                last.requests += requests;
                last.failed += failed;
            }
            _ => slices.push(Slice { from, to: at.max(from + 1), requests, failed }),
        }
    }
    slices
}

fn chart(caption: &'static str, class: &'static str, slices: &[Slice], rate: impl Fn(Slice) -> f64, html: &mut Html) {
    let (Some(first), Some(last)) = (slices.first(), slices.last()) else { return };
    let whole = last.to - first.from;
    let most = slices.iter().map(|slice| rate(*slice)).fold(0.0, f64::max);
    let label = format!("{caption} from {} to {}: {} at most", at(first.from), at(last.to), per_second(most));
    html.element("figure", &[], |html| {
        html.element("figcaption", &[], |html| {
            html.markup(caption);
            html.text(&format!(", {} at most", per_second(most)));
        });
        let view = format!("0 0 {whole} {HEIGHT}");
        let drawing = [
            ("class", class),
            ("role", "img"),
            ("aria-label", label.as_str()),
            ("viewBox", view.as_str()),
            ("preserveAspectRatio", "none"),
        ];
        html.element("svg", &drawing, |html| {
            for slice in slices.iter().filter(|slice| rate(**slice) > 0.0) {
                column(slice, first.from, rate(*slice) / most * HEIGHT, html);
            }
        });
        html.element("div", &[("class", "ends"), ("aria-hidden", "true")], |html| {
            html.leaf("span", &[], &at(first.from));
            html.leaf("span", &[], &at(last.to));
        });
    });
}

fn column(slice: &Slice, start: u64, height: f64, html: &mut Html) {
    let (x, y) = ((slice.from - start).to_string(), format!("{:.2}", HEIGHT - height));
    let (width, height) = ((slice.to - slice.from).to_string(), format!("{height:.2}"));
    html.leaf("rect", &[("x", &x), ("y", &y), ("width", &width), ("height", &height)], "");
}

/// The same in figures, for who does not see the charts or wants to know exactly.
fn table(slices: &[Slice], html: &mut Html) {
    html.element("details", &[], |html| {
        html.markup("<summary>Figures</summary><table class=\"figures\"><thead><tr><th scope=\"col\">From</th>");
        html.markup(
            "<th scope=\"col\">To</th><th scope=\"col\">Requests</th><th scope=\"col\">Failed</th></tr></thead>",
        );
        html.element("tbody", &[], |html| {
            for slice in slices {
                html.element("tr", &[], |html| {
                    let cells = [at(slice.from), at(slice.to), slice.requests.to_string(), slice.failed.to_string()];
                    for cell in cells {
                        html.leaf("td", &[], &cell);
                    }
                });
                html.markup("\n");
            }
        });
        html.markup("</table>");
    });
}

fn per_second(rate: f64) -> String {
    if rate >= 10.0 { format!("{rate:.0}/s") } else { format!("{rate:.1}/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, requests: u64, failed: u64) -> Sample {
        Sample { at, requests, failed }
    }

    #[test]
    fn a_rate_is_of_the_time_since_the_sample_before() {
        let slices = slices(&[sample(5000, 200, 0), sample(7000, 200, 4), sample(7000, 100, 0)]);
        let rates: Vec<_> = slices.iter().map(|slice| (slice.from, slice.requests(), slice.failures())).collect();
        assert_eq!(rates, [(4000, 200.0, 0.0), (5000, 150.0, 2.0)]);
        assert!(self::slices(&[]).is_empty());
        assert_eq!(self::slices(&[sample(0, 5, 0)])[0].requests(), 5000.0);
    }

    #[test]
    fn what_was_lost_is_said_in_words() {
        let total = |failed| summary(Total { requests: 6000, failed, longest_gap: 1200 });
        assert_eq!(total(0), "6000 requests, ✓ none failed; the longest time between two answers was 1.2 s.");
        assert!(total(7).contains("✗ 7 failed"));
    }
}
