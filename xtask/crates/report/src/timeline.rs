//! The timeline: a line for each step, when it waited, asked and acted, and which of them the run took its time from.

use super::critical::{Span, State};
use super::html::Html;
use super::phrase::{at, duration, percent, round};
use super::{Told, class, mark};
use engine::journal::StepResult;

/// How far apart the marks of the axis may be, in milliseconds.
const STEPS: [u64; 22] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    1_800_000, 3_600_000, 7_200_000,
];
/// How many marks fit.
const MARKS: u64 = 7;
/// How many steps of a critical path are named one by one.
const NAMED: usize = 12;

pub(super) fn section(told: &Told<'_>, html: &mut Html) {
    if told.run.steps.is_empty() {
        html.markup("<section><h2>Timeline</h2>\n<p>No steps were planned: the run ended before that.</p></section>\n");
        return;
    }
    let whole = told.run.last.max(1);
    let apart = apart(whole);
    html.element("section", &[("aria-labelledby", "timeline")], |html| {
        html.markup("<h2 id=\"timeline\">Timeline</h2>\n");
        critical_path(told, html);
        legend(html);
        html.element("div", &[("class", "gantt"), ("style", &format!("--apart:{}", percent(apart, whole)))], |html| {
            axis(whole, apart, html);
            html.element("ol", &[], |html| {
                for step in told.by_time() {
                    row(told, step, whole, html);
                }
            });
        });
    });
    html.markup("\n");
}

/// In words: which steps, and how much of the run they explain.
fn critical_path(told: &Told<'_>, html: &mut Html) {
    let (critical, total) = (&told.critical, told.run.last);
    if critical.took == 0 {
        html.markup("<p>No step took time.</p>\n");
        return;
    }
    html.element("p", &[], |html| {
        html.markup("<strong>Critical path</strong> (marked ◆): ");
        chain(told, html);
        html.markup(". ");
        let ratio = total as f64 / critical.took as f64;
        let (sum, total) = (duration(critical.took), duration(total));
        html.text(&format!("These steps took {sum} together, the run {total}: {ratio:.2} times as long. "));
        let waited = critical.steps.iter().filter_map(|step| told.spans[*step]).map(Span::waited).sum::<u64>();
        // What the runner itself takes between two steps is nobody's concern.
        if waited * 50 > critical.took {
            html.text(&format!("For {} they waited for a lock or for a free slot.", duration(waited)));
        }
    });
    html.markup("\n");
}

/// The steps of the critical path; of a long one only both ends, since all are marked below.
fn chain(told: &Told<'_>, html: &mut Html) {
    let steps = &told.critical.steps;
    let left_out = if steps.len() > NAMED { NAMED / 2..steps.len() - NAMED / 2 } else { 0..0 };
    for (place, step) in steps.iter().enumerate() {
        if left_out.contains(&place) {
            if place == left_out.start {
                html.text(&format!(" → … {} more …", left_out.len()));
            }
            continue;
        }
        if place > 0 {
            html.markup(" → ");
        }
        let took = told.spans[*step].map_or(0, Span::took);
        html.leaf("a", &[("href", &format!("#step-{step}"))], &told.run.steps[*step].id);
        html.text(&format!(" ({})", duration(took)));
    }
}

fn legend(html: &mut Html) {
    let results = [StepResult::Done, StepResult::Unchanged, StepResult::Failed, StepResult::Cancelled];
    let states = results.map(State::Ended).into_iter().chain([State::Unfinished]);
    html.element("ul", &[("class", "legend"), ("aria-label", "Legend")], |html| {
        for state in states {
            html.element("li", &[], |html| {
                html.leaf("span", &[("class", &format!("sample bar {}", class(state))), ("aria-hidden", "true")], "");
                html.text(&format!(" {} {}", mark(state), state.word()));
            });
        }
        html.markup(
            "<li><span class=\"sample asked\" aria-hidden=\"true\"></span> checked whether it is already done</li>",
        );
        html.markup("<li><span class=\"sample wait\" aria-hidden=\"true\"></span> waited for its turn</li>");
        html.markup(
            "<li><span class=\"sample bar done critical\" aria-hidden=\"true\"></span> ◆ on the critical path</li>",
        );
    });
    html.markup("\n");
}

fn axis(whole: u64, apart: u64, html: &mut Html) {
    html.element("div", &[("class", "axis"), ("aria-hidden", "true")], |html| {
        html.element("div", &[("class", "marks")], |html| {
            for tick in 0..=whole / apart {
                let place = format!("left:{}", percent(tick * apart, whole));
                // Near the end a mark's text would not fit to its right.
                let class = if tick * apart * 100 > whole * 93 { "late" } else { "" };
                html.leaf("span", &[("class", class), ("style", &place)], &round(tick * apart));
            }
        });
    });
    html.markup("\n");
}

fn apart(whole: u64) -> u64 {
    let fitting = STEPS.into_iter().find(|apart| whole / apart <= MARKS);
    fitting.unwrap_or(whole / MARKS).max(1)
}

fn row(told: &Told<'_>, index: usize, whole: u64, html: &mut Html) {
    let (step, state) = (&told.run.steps[index], told.states[index]);
    let critical = told.is_critical(index);
    html.element("li", &[("class", if critical { "row critical" } else { "row" })], |html| {
        html.element("span", &[("class", "name")], |html| {
            html.leaf("a", &[("href", &format!("#step-{index}")), ("title", &step.title)], &step.id);
            if critical {
                html.markup(" <span class=\"diamond\" title=\"on the critical path\">◆</span>");
                html.markup("<span class=\"unseen\"> on the critical path</span>");
            }
        });
        html.element("span", &[("class", "track"), ("aria-hidden", "true")], |html| {
            if let Some(span) = told.spans[index] {
                bars(span, state, critical, whole, html);
            }
        });
        html.element("span", &[("class", "outcome")], |html| {
            html.text(&format!("{} {}", mark(state), state.word()));
            if let Some(span) = told.spans[index] {
                html.leaf("span", &[("class", "unseen")], &format!(", from {}, took", at(span.begin)));
                html.text(&format!(" {}", duration(span.took())));
            }
        });
    });
    html.markup("\n");
}

fn bars(span: Span, state: State, critical: bool, whole: u64, html: &mut Html) {
    let mut bar = |class: &str, from: u64, to: u64| {
        let style = format!("left:{};width:{}", percent(from, whole), percent(to - from, whole));
        html.leaf("span", &[("class", class), ("style", &style)], "");
    };
    if span.waited() * 200 > whole {
        bar("wait", span.ready, span.begin);
    }
    let critical = if critical { " critical" } else { "" };
    // A step that only asked has no part in which it acted.
    let acted = span.acted.unwrap_or(span.begin);
    if acted > span.begin {
        bar(&format!("asked{critical}"), span.begin, acted);
    }
    bar(&format!("bar {}{critical}", class(state)), acted, span.end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_few_marks_at_round_times() {
        for whole in [1, 9, 700, 12_345, 61_000, 1_000_000, 36_000_000, 400_000_000] {
            let marks = whole / apart(whole);
            assert!((1..=MARKS + 1).contains(&marks), "{whole}: {marks}");
        }
        assert_eq!((apart(700), apart(12_345), apart(61_000)), (100, 2000, 10_000));
    }
}
