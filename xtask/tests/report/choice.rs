//! Which run a page is of, and where it goes.

use super::made_up::write;
use super::stage::Stage;
use serde_json::json;

#[test]
fn a_run_is_found_by_the_beginning_of_its_name_or_refused_with_those_there_are() {
    let stage = Stage::new("report-choice", &["one"]);
    let sandbox = &stage.sandbox;
    let none = sandbox.xtask(["report"]).exits(3);
    assert!(none.stderr.contains("error: environment `report-choice` has no runs"), "{}", none.stderr);
    write(sandbox, "20261121T081344Z-1", &[], "");
    write(sandbox, "20261122T081344Z-2", &[json!({"event": "note", "text": "newest", "ms": 3})], "");
    // Neither the page of a run nor anything else is a run.
    std::fs::write(sandbox.home().join("runs/notes.txt"), "mine").unwrap();
    for (run, wanted) in [(&[][..], "20261122T081344Z-2"), (&["20261121"], "20261121T081344Z-1")] {
        let printed = sandbox.xtask([&["report"], run].concat()).success().stdout;
        assert_eq!(printed, format!("{}\n", sandbox.home().join(format!("runs/{wanted}.html")).display()));
    }
    let unknown = sandbox.xtask(["report", "2025"]).exits(2);
    assert!(unknown.stderr.contains("has no run `2025`"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("20261122T081344Z-2, 20261121T081344Z-1"), "{}", unknown.stderr);
    let several = sandbox.xtask(["report", "202611"]).exits(2);
    assert!(several.stderr.contains("several runs begin with `202611`"), "{}", several.stderr);
    let out = sandbox.root.join("page.html");
    let named = sandbox.xtask(["report", "--out", out.to_str().unwrap()]).success();
    assert_eq!(named.stdout, format!("{}\n", out.display()));
    assert!(std::fs::read_to_string(&out).unwrap().contains("newest"));
}

#[test]
fn what_is_no_journal_is_refused() {
    let stage = Stage::new("report-none", &["one"]);
    let runs = stage.sandbox.home().join("runs");
    std::fs::create_dir_all(&runs).unwrap();
    std::fs::write(runs.join("a.ndjson"), "hello\n").unwrap();
    let refused = stage.sandbox.xtask(["report"]).exits(3);
    assert!(refused.stderr.contains("a.ndjson` is not the journal of a run"), "{}", refused.stderr);
    assert!(!runs.join("a.html").exists());
    let spec = stage.sandbox.root.join("deploy/systems/one.toml");
    let good = std::fs::read(&spec).unwrap();
    write(&stage.sandbox, "b", &[], "");
    std::fs::write(&spec, "broken").unwrap();
    stage.sandbox.xtask(["report", "b"]).success();
    std::fs::write(&spec, good).unwrap();
}
