//! A test that cannot run here says so: past the runner's capture, and none returns without a word.

#![expect(clippy::disallowed_methods, reason = "tests start the programs that they are about")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const REQUIRE: &str = "XTASK_REQUIRE_NOTHING";

#[test]
#[ignore = "not a test by itself: others run it"]
fn one_that_needs_what_nobody_has() {
    skip::unless!(skip::program(&["a-program-that-nobody-has"], REQUIRE));
    panic!("it goes on");
}

/// What `cargo test` shows of it.
fn run(require: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "one_that_needs_what_nobody_has", "--ignored", "--test-threads=2"]);
    command.env(REQUIRE, require).output().unwrap()
}

#[test]
fn what_is_skipped_is_seen_by_whoever_runs_it() {
    let output = run("");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let reason =
        format!("none of [\"a-program-that-nobody-has\"] is on PATH (set `{REQUIRE}=1` to make this a failure)");
    assert_eq!(said.trim_end(), skip::line("one_that_needs_what_nobody_has", &reason));
}

#[test]
fn what_is_required_fails_in_place_of_being_skipped() {
    let output = run("1");
    assert!(!output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("is on PATH, and `{REQUIRE}` is `1`")), "{said}");
}

/// The Rust files in the folders called `tests` below a folder.
fn files(folder: &Path, in_tests: bool, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if name != "target" {
                files(&path, in_tests || name == "tests", found);
            }
        } else if in_tests && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The bodies of the tests in a file, each with the line that it begins in. As rustfmt has it, the last line of a
/// function is a brace as far in as its first.
fn tests(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_test =
        |line: &str| line.trim_start().starts_with("#[test]") || line.trim_start().starts_with("#[tokio::test");
    let mut found = Vec::new();
    for start in (0..lines.len()).filter(|at| is_test(lines[*at])) {
        let indent = lines[start].len() - lines[start].trim_start().len();
        let end = format!("{}}}", &lines[start][..indent]);
        let body: Vec<&str> = lines[start..].iter().copied().take_while(|line| *line != end).collect();
        if !body.iter().any(|line| line.contains("#[ignore")) {
            found.push((start + 1, body.join("\n")));
        }
    }
    found
}

/// Whether a test ends early where it does not find what it needs.
fn returns_without_a_word(body: &str) -> bool {
    let plain: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    ["else{return}", "else{return;}", "is_none(){return", "is_err(){return"].iter().any(|guard| plain.contains(guard))
}

#[test]
fn no_test_returns_without_a_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = Vec::new();
    for folder in ["app", "xtask"] {
        files(&root.join(folder), false, &mut all);
    }
    let mut silent = Vec::new();
    let mut seen = 0;
    for file in all {
        let text = std::fs::read_to_string(&file).unwrap();
        for (line, body) in tests(&text) {
            seen += 1;
            if returns_without_a_word(&body) {
                silent.push(format!("{}:{line}", file.display()));
            }
        }
    }
    assert!(seen > 200, "only {seen} tests were found");
    assert_eq!(silent, Vec::<String>::new(), "these pass where they do not run: use `skip::unless!`");
}

#[test]
fn a_guard_is_recognized() {
    // In other words, or this test would be taken for a silent one.
    let recognized = |body: &str| returns_without_a_word(&body.replace("leave", "return"));
    for guard in ["let Some(x) = y() else { leave };", "let Ok(x) = y() else {\n    leave;\n};"] {
        assert!(recognized(guard), "{guard}");
    }
    assert!(recognized("if y().is_none() {\n    leave;\n}"));
    assert!(!recognized("let x = if y() { 1 } else { 2 };"));
    let text = "#[test]\nfn a() {\n    if b {\n    }\n}\n\n#[test]\n#[ignore = \"no\"]\nfn c() {}\n}\n";
    let found: Vec<_> = tests(text).into_iter().map(|(line, body)| (line, body.lines().count())).collect();
    assert_eq!(found, [(1, 4)]);
}
