//! What is secret is neither shown nor recorded.

use super::sandbox::{Run, Sandbox};
use super::stage::Stage;

/// What is said and recorded of runs, none of which may have these texts in it.
#[track_caller]
fn says_none_of(sandbox: &Sandbox, secrets: &[&str], args: &[&str]) -> Run {
    let run = sandbox.xtask(args).success();
    let mut said =
        vec![("standard output".to_owned(), run.stdout.clone()), ("standard error".to_owned(), run.stderr.clone())];
    for entry in std::fs::read_dir(sandbox.home().join("runs")).into_iter().flatten().flatten() {
        said.push((entry.path().display().to_string(), std::fs::read_to_string(entry.path()).unwrap()));
    }
    for (place, text) in said {
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{args:?}, {place}:\n{text}");
    }
    run
}

#[test]
fn what_is_secret_is_in_no_plan_and_no_record_of_a_run() {
    let stage = Stage::new("plan-secret", &["one"]);
    let sandbox = &stage.sandbox;
    let secrets = ["first-0123456789", "second-0123456789", "in-a-url-0123456789"];
    let [first, second] = ["first", "second"].map(|name| format!("env.API_TOKEN={name}-0123456789"));
    let url = "env.UPSTREAM=http://user:in-a-url-0123456789@upstream.example/";
    let with = |args: &[&str], token: &str| {
        let args = [args, &["--set", token, "--set", url]].concat();
        says_none_of(sandbox, &secrets, &args)
    };
    for args in [&["plan"][..], &["plan", "--json"], &["deploy", "--dry-run"], &["deploy", "--dry-run", "--json"]] {
        with(args, &first);
    }
    with(&["deploy", "--json"], &first);
    assert_eq!(with(&["plan", "--json"], &first).json()["systems"][0]["result"], "unchanged");
    // That it differs is said.
    let other = with(&["plan"], &second).stdout;
    assert!(other.contains("one would change"), "{other}");
    with(&["deploy"], &second);
}
