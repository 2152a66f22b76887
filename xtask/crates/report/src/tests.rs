//! Whole pages: what they say, and that they stay pages whatever a journal holds.

use super::critical::State;
use super::page;
use super::record::{Diagnostics, End, Entry, Finding, Run, Sample, Step, Total, Traffic};
use engine::journal::StepResult;
use std::time::{Duration, Instant};

fn step(id: &str, needs: &[&str], begin: u64, end: u64, result: StepResult) -> Step {
    Step {
        id: id.to_owned(),
        title: format!("do {id}"),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        started: Some(begin),
        end: Some(End { at: end, result: Some(result), took: end - begin, ..End::default() }),
        ..Step::default()
    }
}

fn run(steps: Vec<Step>) -> Run {
    Run {
        name: "20261121T081344Z-7".to_owned(),
        command: "deploy".to_owned(),
        environment: "try".to_owned(),
        result: Some("deployed".to_owned()),
        last: 4000,
        steps,
        ..Run::default()
    }
}

fn finding(code: &str, cause: &str) -> Finding {
    Finding { code: code.to_owned(), cause: cause.to_owned(), hint: Some(format!("mend {cause}")) }
}

/// What a reader reads: the text of the page's body.
fn text(page: &str) -> String {
    let (_, body) = page.split_once("<body>").unwrap();
    let mut text = String::new();
    let mut inside = false;
    for character in body.chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(character),
            _ => {}
        }
    }
    text
}

#[test]
fn a_page_says_in_words_what_it_draws() {
    let steps = vec![
        step("build", &[], 0, 3000, StepResult::Done),
        step("release:epoch", &["build"], 3000, 3900, StepResult::Unchanged),
        step("release:web", &[], 0, 10, StepResult::Done),
    ];
    let page = page(&run(steps));
    let text = text(&page);
    for wanted in [
        "deploy in try ✓ deployed",
        "2026-11-21 08:13:44 UTC",
        "2 done, 1 unchanged",
        "build (3.0 s) → release:epoch (900 ms)",
        "These steps took 3.9 s together, the run 4.0 s: 1.03 times as long.",
        "release:epoch ◆ on the critical path= unchanged, from +3.0 s, took 900 ms",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    assert!(!text.contains("Why it failed"), "{text}");
}

#[test]
fn a_failure_comes_first_and_its_cause_once() {
    let mut failed = step("release:web", &[], 0, 2000, StepResult::Failed);
    failed.end.as_mut().unwrap().failure = Some(finding("wrong-port", "nobody listens on 80"));
    let mut run = run(vec![failed]);
    run.result = Some("failed".to_owned());
    run.diagnostics = vec![Diagnostics {
        step: "release:web".to_owned(),
        path: "/bundle".to_owned(),
        findings: vec![finding("wrong-port", "nobody listens on 80"), finding("probe", "probes got no answer")],
    }];
    let text = text(&page(&run));
    let places =
        ["Why it failed", "nobody listens on 80", "mend nobody", "Also found", "probes got", "/bundle", "Timeline"];
    let places = places.map(|wanted| text.find(wanted).unwrap_or_else(|| panic!("{wanted}\n{text}")));
    assert!(places.is_sorted(), "{places:?}\n{text}");
    let (above, _) = text.split_once("Timeline").unwrap();
    assert_eq!(above.matches("nobody listens on 80").count(), 2, "the cause and its hint: {above}");
}

/// Every text that a journal can hold, in every place that a page shows.
#[test]
fn nothing_in_a_journal_becomes_markup() {
    let evil = || "\"'></style></title><script>alert(1)</script><img src=x onerror=alert(2)>`<b>`".to_owned();
    let mut hostile = step(&evil(), &[&evil()], 0, 2000, StepResult::Failed);
    hostile.title = evil();
    hostile.commands = vec![(1, vec![evil(), evil()])];
    hostile.said = vec![(1, evil())];
    let end = hostile.end.as_mut().unwrap();
    (end.reason, end.failure) = (Some(evil()), Some(finding(&evil(), &evil())));
    let mut run = run(vec![hostile]);
    (run.name, run.command, run.environment, run.result) = (evil(), evil(), evil(), Some(evil()));
    run.log = vec![Entry { at: 1, step: Some(evil()), text: evil() }];
    let samples = vec![Sample { at: 1000, requests: 5, failed: 1 }];
    let total = Some(Total { requests: 5, failed: 1, longest_gap: 9 });
    run.traffic = vec![Traffic { step: evil(), service: evil(), samples, total }];
    run.diagnostics = ["other".to_owned(), evil()]
        .map(|step| Diagnostics { step, path: evil(), findings: vec![finding("code", &evil())] })
        .to_vec();
    let page = page(&run);
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() > 15, "{page}");
    for refused in ["<script", "<img", "<b>", "\"'>", "'></style>"] {
        assert!(!page.contains(refused), "{refused} in {page}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    // Nothing is loaded from anywhere.
    assert!(!page.contains("src=\"") && !page.contains("url(") && !page.contains("@import"), "{page}");
}

#[test]
fn a_run_that_ended_before_its_plan_has_a_page() {
    let mut empty = run(Vec::new());
    (empty.result, empty.last, empty.unread) = (None, 0, 1);
    let text = text(&page(&empty));
    for wanted in ["no end recorded", "No steps were planned", "1 line of the journal could not be read"] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
}

#[test]
fn other_commands_than_deploy_do_not_deploy() {
    let mut run = run(vec![step("stop:epoch", &[], 0, 9, StepResult::Done)]);
    run.command = "teardown".to_owned();
    assert!(text(&page(&run)).contains("teardown in try ✓ done"));
}

#[test]
fn two_hundred_steps_are_drawn_at_once() {
    let steps: Vec<Step> = (0..200)
        .map(|at| {
            let needs: Vec<String> = (0..at).rev().take(3).map(|need| format!("step-{need}")).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let mut step = step(&format!("step-{at}"), &needs, at * 20, at * 20 + 20, StepResult::Done);
            step.commands = vec![(at, vec!["helm".to_owned(); 30]); 5];
            step.said = (0..20).map(|said| (at, format!("waiting for {said}"))).collect();
            step
        })
        .collect();
    let run = run(steps);
    assert!(run.steps.iter().all(|step| State::of(step) == State::Ended(StepResult::Done)));
    let began = Instant::now();
    let page = page(&run);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(page.matches("<li class=\"row critical\">").count(), 200);
}
