//! The page of a run: drawn from its journal alone, in one file that needs nothing else.
//!
//! It runs no scripts, loads nothing, and says in words and shapes what it also says in colour.

mod critical;
mod failure;
mod html;
mod phrase;
pub mod record;
mod steps;
mod timeline;
mod traffic;

use self::critical::{Critical, Span, State, spans};
use self::html::Html;
use self::record::Run;
use engine::journal::StepResult;

const STYLE: &str = include_str!("page.css");
/// What a browser is to refuse should anything slip into the page after all.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A run with what follows from it.
struct Told<'r> {
    run: &'r Run,
    states: Vec<State>,
    spans: Vec<Option<Span>>,
    critical: Critical,
}

impl Told<'_> {
    fn is_critical(&self, step: usize) -> bool {
        self.critical.steps.contains(&step)
    }

    /// The steps in the order in which they began; those that never did come last, in the order of the plan.
    fn by_time(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.run.steps.len()).collect();
        order.sort_by_key(|at| self.spans[*at].map_or(u64::MAX, |span| span.begin));
        order
    }
}

/// The page as one document.
pub fn page(run: &Run) -> String {
    let spans = spans(run);
    let critical = Critical::of(&run.steps, &spans);
    let told = Told { run, states: run.steps.iter().map(State::of).collect(), spans, critical };
    let mut html = Html::default();
    html.markup("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.open("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
    html.markup("\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.markup("<meta name=\"color-scheme\" content=\"light dark\">\n");
    html.leaf("title", &[], &format!("{}: {}", title(run), result(run).1));
    html.markup("\n<style>\n");
    html.markup(STYLE);
    html.markup("</style>\n</head>\n<body>\n");
    head(&told, &mut html);
    html.element("main", &[], |html| {
        failure::section(&told, html);
        timeline::section(&told, html);
        traffic::section(run, html);
        steps::section(&told, html);
        log(run, html);
    });
    html.markup("\n</body>\n</html>\n");
    html.into_string()
}

fn title(run: &Run) -> String {
    format!("{} in `{}`", run.command, run.environment)
}

/// A mark and a word for what became of the run. The words of `deploy` would be odd for what other commands do.
fn result(run: &Run) -> (&'static str, &str) {
    match run.result.as_deref() {
        Some("failed") => ("✗", "failed"),
        Some("interrupted") => ("!", "interrupted"),
        Some("unchanged") => ("=", "unchanged"),
        Some("deployed") if run.command != "deploy" => ("✓", "done"),
        Some("deployed") => ("✓", "deployed"),
        Some(other) => ("•", other),
        None => ("…", "no end recorded"),
    }
}

/// The mark of a step's state, which goes before its word.
fn mark(state: State) -> &'static str {
    match state {
        State::Ended(StepResult::Done) => "✓",
        State::Ended(StepResult::Unchanged) => "=",
        State::Ended(StepResult::Failed) => "✗",
        State::Ended(StepResult::Skipped) => "–",
        State::Ended(StepResult::Cancelled) => "!",
        State::Unknown => "•",
        State::Unfinished => "…",
        State::NotReached => "○",
    }
}

/// The name of a state in the style sheet.
fn class(state: State) -> &'static str {
    match state {
        State::Ended(result) => result.word(),
        State::Unknown => "unknown",
        State::Unfinished => "unfinished",
        State::NotReached => "not-reached",
    }
}

fn head(told: &Told<'_>, html: &mut Html) {
    let run = told.run;
    let (sign, word) = result(run);
    let kind = match word {
        "failed" => "failed",
        "deployed" | "done" => "done",
        _ => "unchanged",
    };
    html.element("header", &[], |html| {
        html.element("h1", &[], |html| {
            html.prose(&title(run));
            html.markup(" ");
            html.leaf("span", &[("class", &format!("badge {kind}"))], &format!("{sign} {word}"));
        });
        html.element("dl", &[("class", "facts")], |html| {
            let mut fact = |name: &'static str, value: &str| {
                html.element("div", &[], |html| {
                    html.leaf("dt", &[], name);
                    html.leaf("dd", &[], value);
                });
            };
            fact("Run", &run.name);
            if let Some(when) = phrase::when(&run.name) {
                fact("Began", &when);
            }
            fact("Took", &phrase::duration(run.last));
            fact("Steps", &census(told));
            if told.critical.took > 0 {
                fact("Critical path", &phrase::duration(told.critical.took));
            }
        });
        if run.result.is_none() {
            let why = "The journal is incomplete: the run was killed, or it was still running when this page was \
                       written.";
            html.leaf("p", &[("class", "remark")], why);
        }
        if run.unread > 0 {
            let lines = base::text::counted(run.unread, "line", "lines");
            let why = format!("{lines} of the journal could not be read; a run that is killed may leave half a line.");
            html.leaf("p", &[("class", "remark")], &why);
        }
    });
    html.markup("\n");
}

/// "12 done, 1 failed"
fn census(told: &Told<'_>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for state in &told.states {
        match counts.iter_mut().find(|(word, _)| *word == state.word()) {
            Some((_, count)) => *count += 1,
            None => counts.push((state.word(), 1)),
        }
    }
    let words: Vec<_> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn log(run: &Run, html: &mut Html) {
    html.element("section", &[("aria-labelledby", "log")], |html| {
        html.markup("<h2 id=\"log\">Log</h2>\n");
        if run.log.is_empty() {
            html.markup("<p>Nothing was noted.</p>");
            return;
        }
        html.element("ol", &[("class", "log")], |html| {
            for entry in &run.log {
                html.element("li", &[], |html| {
                    html.leaf("span", &[("class", "at")], &phrase::at(entry.at));
                    html.markup(" ");
                    if let Some(step) = &entry.step {
                        html.leaf("code", &[], step);
                        html.markup(" ");
                    }
                    html.element("span", &[("class", "said")], |html| html.prose(&entry.text));
                });
                html.markup("\n");
            }
        });
    });
    html.markup("\n");
}

#[cfg(test)]
mod tests;
