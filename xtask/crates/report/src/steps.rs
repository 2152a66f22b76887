//! The table of steps: what became of each, why, and exactly what was run for it.

use super::critical::{Span, State};
use super::html::Html;
use super::phrase::{at, command_line, duration};
use super::record::Step;
use super::{Told, class, mark};

pub(super) fn section(told: &Told<'_>, html: &mut Html) {
    if told.run.steps.is_empty() {
        return;
    }
    html.element("section", &[("aria-labelledby", "steps")], |html| {
        html.markup("<h2 id=\"steps\">Steps</h2>\n<table class=\"steps\"><thead><tr><th scope=\"col\">Step</th>");
        html.markup("<th scope=\"col\">Result</th><th scope=\"col\">Began</th><th scope=\"col\">Took</th>");
        html.markup("<th scope=\"col\">Waited</th></tr></thead>\n<tbody>\n");
        for index in told.by_time() {
            row(told, index, html);
        }
        html.markup("</tbody></table>");
    });
    html.markup("\n");
}

fn row(told: &Told<'_>, index: usize, html: &mut Html) {
    let (step, state, span) = (&told.run.steps[index], told.states[index], told.spans[index]);
    html.element("tr", &[("id", &format!("step-{index}"))], |html| {
        html.element("th", &[("scope", "row")], |html| {
            html.leaf("code", &[], &step.id);
            if told.is_critical(index) {
                html.markup(" <span class=\"diamond\">◆</span><span class=\"unseen\"> on the critical path</span>");
            }
            html.element("div", &[("class", "title")], |html| html.prose(&step.title));
            if let Some(reason) = reason(step) {
                html.element("div", &[("class", "reason")], |html| html.prose(reason));
            }
            details(step, html);
        });
        html.leaf(
            "td",
            &[("class", &format!("result {}", class(state)))],
            &format!("{} {}", mark(state), state.word()),
        );
        html.leaf("td", &[("class", "number")], &span.map_or(String::new(), |span| at(span.begin)));
        html.leaf("td", &[("class", "number")], &took(state, span));
        let waited = span.map(Span::waited).filter(|waited| *waited > 0);
        html.leaf("td", &[("class", "number")], &waited.map_or(String::new(), duration));
    });
    html.markup("\n");
}

fn reason(step: &Step) -> Option<&str> {
    let end = step.end.as_ref()?;
    end.reason.as_deref().or(end.failure.as_ref().map(|failure| failure.cause.as_str()))
}

fn took(state: State, span: Option<Span>) -> String {
    match (state, span) {
        (_, None) => String::new(),
        (State::Unfinished, Some(span)) => format!("over {}", duration(span.took())),
        (_, Some(span)) => duration(span.took()),
    }
}

/// What a step needed, ran and said, folded away.
fn details(step: &Step, html: &mut Html) {
    let said = said(step);
    let counts = [
        (!step.needs.is_empty()).then(|| base::text::counted(step.needs.len(), "need", "needs")),
        (!step.commands.is_empty()).then(|| base::text::counted(step.commands.len(), "command", "commands")),
        (!said.is_empty()).then(|| base::text::counted(said.len(), "message", "messages")),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if counts.is_empty() {
        return;
    }
    html.element("details", &[], |html| {
        html.leaf("summary", &[], &counts.join(", "));
        if !step.needs.is_empty() {
            html.element("p", &[], |html| {
                html.markup("Needs ");
                html.leaf("code", &[], &step.needs.join(", "));
            });
        }
        lines("commands", step.commands.iter().map(|(at, argv)| (*at, format!("$ {}", command_line(argv)))), html);
        lines("messages", said.iter().map(|(at, text)| (*at, (*text).to_owned())), html);
    });
}

fn lines(class: &'static str, lines: impl Iterator<Item = (u64, String)>, html: &mut Html) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    html.element("ol", &[("class", class)], |html| {
        for (when, text) in lines {
            html.element("li", &[], |html| {
                html.leaf("span", &[("class", "at")], &at(when));
                html.markup(" ");
                html.leaf("code", &[], &text);
            });
        }
    });
}

/// What it said, without what it only said again.
fn said(step: &Step) -> Vec<(u64, &str)> {
    let mut said: Vec<(u64, &str)> = Vec::new();
    for (at, text) in &step.said {
        if said.last().is_none_or(|(_, last)| last != text) {
            said.push((*at, text));
        }
    }
    said
}
