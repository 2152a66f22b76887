//! Pages of runs that are too large, too broken or too hostile to be had for the asking.

use super::browser::{NARROW, WIDE, browser};
use super::real::assert_readable;
use super::sandbox::Sandbox;
use super::stage::Stage;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A repository with the journal of one run, and the run's page.
fn page(name: &str, records: &[Value], rest: &str) -> (Stage, PathBuf) {
    let stage = Stage::new(name, &["one"]);
    write(&stage.sandbox, "20261121T081344Z-7", records, rest);
    let run = stage.sandbox.xtask(["report", "20261121T08"]).success();
    (stage, PathBuf::from(run.stdout.trim_end()))
}

pub(crate) fn write(sandbox: &Sandbox, run: &str, records: &[Value], rest: &str) {
    let runs = sandbox.home().join("runs");
    std::fs::create_dir_all(&runs).unwrap();
    let first = json!({"event": "run", "schema": 1, "run": run, "command": "deploy", "env": "try", "ms": 0});
    let lines: String = std::iter::once(&first).chain(records).map(|record| format!("{record}\n")).collect();
    std::fs::write(runs.join(format!("{run}.ndjson")), lines + rest).unwrap();
}

fn planned(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "title": format!("do {id}"), "system": null, "needs": needs})
}

/// The browser's console is heard by the tests, or its silence would prove nothing.
#[test]
fn a_browser_that_has_something_to_complain_of_does() {
    let browser = skip::unless!(browser());
    let page = super::sandbox::scratch().join("complaint.html");
    std::fs::write(&page, "<!doctype html><html><script>console.error('heard')</script></html>").unwrap();
    let complaints = browser.complaints(&page);
    assert!(complaints.len() == 1 && complaints[0].contains("heard"), "{complaints:?}");
}

#[test]
fn scripts_in_a_journal_are_text() {
    let evil =
        "</style></title></code></pre><script>window.owned = 1</script><img src=x onerror='window.owned = 2'>\"'>";
    let failure = json!({"code": evil, "cause": format!("{evil}\n{evil}"), "hint": evil});
    let records = [
        json!({"event": "plan", "steps": [{"id": evil, "title": evil, "system": evil, "needs": [evil]}], "ms": 1}),
        json!({"event": "started", "step": evil, "ms": 2}),
        json!({"event": "status", "step": evil, "text": evil, "ms": 3}),
        json!({"event": "news", "step": evil, "text": evil, "ms": 3}),
        json!({"event": "command", "step": evil, "argv": [evil, evil], "ms": 4}),
        json!({"event": "asked", "step": evil, "service": evil, "requests": 9, "failed": 2, "ms": 1004}),
        json!({"event": "diagnostics", "step": evil, "path": evil, "findings": [failure, {"code": "x", "cause": evil}], "ms": 1005}),
        json!({"event": "ended", "step": evil, "result": "failed", "seconds": 1.0, "failure": failure, "ms": 1010}),
        json!({"event": "note", "text": evil, "ms": 1011}),
        json!({"event": "finished", "result": evil, "ms": 1012}),
    ];
    let (_stage, page) = page("report-evil", &records, "");
    let browser = skip::unless!(browser());
    assert_eq!(browser.complaints(&page), [""; 0]);
    let measured = browser.measure(WIDE, &page);
    assert_readable(WIDE, &measured);
    assert_eq!((&measured["owned"], &measured["rows"][0]["name"]), (&Value::Null, &evil.into()));
}

#[test]
fn two_hundred_steps_of_a_killed_run_are_all_there() {
    let ids: Vec<String> = (0..200).map(|at| format!("step-with-a-rather-long-name:{at}")).collect();
    let needs = |at: usize| at.checked_sub(1).map(|before| ids[before].as_str());
    let plan: Vec<Value> = ids.iter().enumerate().map(|(at, id)| planned(id, needs(at).as_slice())).collect();
    let mut records = vec![json!({"event": "plan", "steps": plan, "ms": 1})];
    for (at, id) in ids[..180].iter().enumerate() {
        records.push(json!({"event": "started", "step": id, "ms": at * 1000 + 100}));
        records.push(json!({"event": "ended", "step": id, "result": "done", "seconds": 0.95, "ms": at * 1000 + 1000}));
    }
    records.push(json!({"event": "started", "step": ids[180], "ms": 181_000}));
    let (_stage, page) = page("report-large", &records, "{\"event\":\"ended\",\"st");
    let browser = skip::unless!(browser());
    assert_eq!(browser.complaints(&page), [""; 0]);
    for look in [WIDE, NARROW] {
        let measured = browser.measure(look, &page);
        assert_readable(look, &measured);
        let rows = measured["rows"].as_array().unwrap();
        assert_eq!((rows.len(), &measured["table"]), (200, &200.into()));
        let outcomes = [180, 181].map(|row| rows[row]["outcome"].as_str().unwrap());
        assert_eq!(outcomes, ["… unfinished, from +3 min 01 s, took 0 ms", "○ not reached"]);
    }
}

#[test]
fn requests_that_were_lost_are_drawn_and_told() {
    let step = "release:shortener";
    let mut records = vec![
        json!({"event": "plan", "steps": [planned(step, &[])], "ms": 1}),
        json!({"event": "started", "step": step, "ms": 2}),
    ];
    for second in 1..=30 {
        let failed = if second == 7 { 12 } else { 0 };
        for service in ["shortener", "steady"] {
            let failed = if service == "steady" { 0 } else { failed };
            let asked = json!({"event": "asked", "step": step, "service": service, "requests": 200, "failed": failed, "ms": second * 1000});
            records.push(asked);
        }
    }
    let measured = |service: &str, failed: u64| json!({"event": "measured", "step": step, "service": service, "requests": 6000, "failed": failed, "longest_gap_seconds": 0.31, "ms": 30_001});
    records.extend([measured("shortener", 12), measured("steady", 0)]);
    records.push(json!({"event": "ended", "step": step, "result": "done", "seconds": 30.0, "ms": 30_002}));
    records.push(json!({"event": "finished", "result": "deployed", "ms": 30_003}));
    let (_stage, page) = page("report-traffic", &records, "");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("6000 requests, ✗ 12 failed; the longest time between two answers was 310 ms."), "{text}");
    let browser = skip::unless!(browser());
    let measured = browser.measure(WIDE, &page);
    assert_readable(WIDE, &measured);
    let charts = measured["charts"].as_array().unwrap();
    let columns: Vec<_> = charts.iter().map(|chart| chart["columns"].as_u64().unwrap()).collect();
    assert_eq!(columns, [30, 1, 30], "no chart of failures where there were none");
    assert!(charts.iter().all(|chart| chart["shown"] == true), "{charts:#?}");
    assert_eq!(charts[1]["label"], "Failures per second from +0 ms to +30.0 s: 12/s at most");
}
