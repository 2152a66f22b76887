//! Pages of runs that took place.

use super::browser::{DARK, Look, NARROW, WIDE, browser};
use super::sandbox::Sandbox;
use super::stage::Stage;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The page of the newest run.
fn report(sandbox: &Sandbox) -> PathBuf {
    let run = sandbox.xtask(["report"]).success();
    assert_eq!(run.stderr, "");
    PathBuf::from(run.stdout.trim_end())
}

/// The steps of the plan and the commands that were run, as the journal beside a page has them.
fn journal(page: &Path) -> (Vec<String>, usize) {
    let text = std::fs::read_to_string(page.with_extension("ndjson")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let plan = records.iter().find(|record| record["event"] == "plan").unwrap();
    let steps = plan["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap().to_owned());
    (steps.collect(), records.iter().filter(|record| record["event"] == "command").count())
}

/// What is so of every page, whatever run it shows.
pub(crate) fn assert_readable(look: Look, measured: &Value) {
    assert!(measured["overflow"].as_i64() <= Some(0), "{look:?}: it has to be scrolled sideways: {measured:#}");
    assert_eq!(measured["faint"], serde_json::json!([]), "{look:?}: texts of too little contrast");
    assert!(measured["texts"].as_u64() > Some(20), "{look:?}: {measured:#}");
    assert_eq!((&measured["dead"], &measured["foreign"]), (&0.into(), &0.into()), "{look:?}: {measured:#}");
    assert_eq!(measured["ids"], serde_json::json!([]), "{look:?}: ids that are there twice");
    for row in measured["rows"].as_array().unwrap() {
        assert_eq!(row["shown"], true, "{look:?}: {row}");
        assert!(row["bars"].as_array().unwrap().iter().all(|bar| bar == true), "{look:?}: {row}");
        assert!(row["outcome"].as_str().unwrap().chars().any(char::is_alphabetic), "{look:?}: no word in {row}");
    }
}

fn names(measured: &Value) -> Vec<String> {
    let mut names: Vec<_> =
        measured["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Looks at a page in every way and returns how it came out.
fn look(page: &Path) -> skip::Found<Value> {
    let browser = browser()?;
    assert_eq!(browser.complaints(page), [""; 0]);
    let [wide, dark, narrow] = [WIDE, DARK, NARROW].map(|look| {
        let measured = browser.measure(look, page);
        assert_readable(look, &measured);
        measured
    });
    assert_ne!(wide["paper"], dark["paper"], "a page for the night is another one");
    assert_eq!(wide["rows"], narrow["rows"]);
    for look in [WIDE, NARROW] {
        let picture = std::fs::read(browser.picture(look, page)).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{} bytes", picture.len());
    }
    Ok(wide)
}

#[test]
fn a_deploy_is_shown_with_all_its_steps_and_commands() {
    let stage = Stage::new("report-good", &["one", "two"]);
    stage.sandbox.xtask(["deploy"]).success();
    let page = report(&stage.sandbox);
    assert!(page.starts_with(stage.sandbox.home().join("runs")), "{}", page.display());
    let (mut steps, commands) = journal(&page);
    steps.sort();
    let measured = skip::unless!(look(&page));
    assert_eq!(names(&measured), steps);
    assert_eq!(measured["table"], steps.len());
    assert_eq!(measured["commands"].as_array().unwrap().len(), commands);
    assert!(measured["commands"].to_string().contains("cargo build"), "{}", measured["commands"]);
    assert_eq!(measured["failures"], Value::Null);
    assert!(measured["title"].as_str().unwrap().ends_with(": deployed"), "{}", measured["title"]);
    let critical = measured["rows"].as_array().unwrap().iter().filter(|row| row["critical"] == true).count();
    assert!((2..=steps.len()).contains(&critical), "{:#}", measured["rows"]);
}

#[test]
fn a_failed_deploy_begins_with_its_cause() {
    let stage = Stage::new("report-bad", &["one"]);
    stage.source("one", "fn main() {\n    eprintln!(\"no <db> & no disk\");\n    std::process::exit(7);\n}\n");
    let cause = stage.sandbox.xtask(["deploy", "--json"]).exits(1).json()["failure"]["cause"].clone();
    let measured = skip::unless!(look(&report(&stage.sandbox)));
    assert_eq!(measured["first"], true);
    let shown = measured["failures"].as_str().unwrap();
    // The page marks the names up that stand in backticks.
    let plain = |text: &str| text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ");
    let first = cause.as_str().unwrap().lines().next().unwrap();
    assert!(plain(shown).contains(&plain(first)), "{first}\n{shown}");
    assert!(shown.contains("no <db> & no disk"), "{shown}");
    let outcomes = measured["rows"].to_string();
    assert!(outcomes.contains("✗ failed") && outcomes.contains("– skipped"), "{outcomes}");
}
