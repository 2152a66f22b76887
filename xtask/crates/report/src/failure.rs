//! Why a run failed: each failure with its cause, what to do about it, and what else was found.

use super::Told;
use super::html::Html;
use super::phrase::at;
use super::record::{Diagnostics, Finding, Step};

pub(super) fn section(told: &Told<'_>, html: &mut Html) {
    let mut failed: Vec<(&Step, u64, &Finding)> = told.run.steps.iter().filter_map(failure).collect();
    failed.sort_by_key(|(_, at, _)| *at);
    let lone = |gathered: &&Diagnostics| !failed.iter().any(|(step, ..)| step.id == gathered.step);
    let lone: Vec<&Diagnostics> = told.run.diagnostics.iter().filter(lone).collect();
    if failed.is_empty() && lone.is_empty() {
        return;
    }
    html.element("section", &[("class", "failures"), ("aria-labelledby", "failure")], |html| {
        html.markup("<h2 id=\"failure\">Why it failed</h2>\n");
        for (step, when, finding) in &failed {
            html.element("article", &[], |html| {
                title(&step.id, Some(*when), html);
                cause(finding, html);
                for gathered in told.run.diagnostics.iter().filter(|gathered| gathered.step == step.id) {
                    findings(gathered, Some(finding), html);
                }
            });
            html.markup("\n");
        }
        for gathered in lone {
            html.element("article", &[], |html| {
                title(&gathered.step, None, html);
                findings(gathered, None, html);
            });
            html.markup("\n");
        }
    });
    html.markup("\n");
}

fn failure(step: &Step) -> Option<(&Step, u64, &Finding)> {
    let end = step.end.as_ref()?;
    Some((step, end.at, end.failure.as_ref()?))
}

fn title(step: &str, when: Option<u64>, html: &mut Html) {
    html.element("h3", &[], |html| {
        html.markup("<span aria-hidden=\"true\">✗</span> ");
        html.leaf("code", &[], step);
        if let Some(when) = when {
            html.text(&format!(" failed at {}", at(when)));
        }
    });
}

fn cause(finding: &Finding, html: &mut Html) {
    // What a tool or a service said comes on lines of its own.
    let (first, more) = finding.cause.split_once('\n').unwrap_or((&finding.cause, ""));
    html.element("p", &[("class", "cause")], |html| {
        html.element("strong", &[], |html| html.prose(first));
        html.markup(" ");
        html.leaf("code", &[("class", "code")], &finding.code);
    });
    if !more.is_empty() {
        html.leaf("pre", &[], more);
    }
    if let Some(hint) = &finding.hint {
        html.element("p", &[("class", "hint")], |html| {
            html.markup("What to do: ");
            html.prose(hint);
        });
    }
}

/// What the diagnostics have beyond the failure that was made from its first finding.
fn findings(gathered: &Diagnostics, failure: Option<&Finding>, html: &mut Html) {
    let told = |finding: &&Finding| {
        failure.is_some_and(|failure| failure.code == finding.code && failure.cause.contains(&finding.cause))
    };
    let others: Vec<&Finding> = gathered.findings.iter().filter(|finding| !told(finding)).collect();
    if !others.is_empty() {
        let heading = if failure.is_some() { "Also found" } else { "Found" };
        html.leaf("h4", &[], heading);
        html.element("ol", &[], |html| {
            for finding in others {
                html.element("li", &[], |html| cause(finding, html));
            }
        });
    }
    html.element("p", &[], |html| {
        html.markup("Events, logs and manifests were kept in ");
        html.leaf("code", &[], &gathered.path);
    });
}
