use super::*;
use base::proc::Children;
use serde_json::json;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// AWS as a script that stands for the CLI says it.
fn aws(folder: &Path, script: &str, profile: Option<&str>) -> Aws {
    if !script.is_empty() {
        let program = folder.join("aws");
        std::fs::write(&program, format!("#!/bin/sh\ncd \"${{0%/*}}\"\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut path = OsString::from(folder);
    path.push(":/usr/bin:/bin");
    let interrupts = Interrupts::default();
    Aws {
        region: "eu-central-1".parse().unwrap(),
        profile: profile.map(str::to_owned),
        proc: Proc::new(Children::default(), interrupts.clone(), path),
        interrupts,
        vars: Vars::default(),
        caller: Arc::default(),
        limit: Arc::default(),
        within: ANSWER,
        persists: true,
    }
}

fn lines(folder: &Path, file: &str) -> usize {
    std::fs::read_to_string(folder.join(file)).unwrap_or_default().lines().count()
}

#[test]
fn who_one_is_is_asked_once() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let script = r#"echo "$@" >> calls; echo '{"Account": "123456789012", "Arn": "arn:aws:iam::1:user/x"}'"#;
    let aws = aws(folder.path(), script, Some("work"));
    let caller = aws.clone().caller().unwrap();
    assert_eq!((caller.account.as_str(), caller.arn.as_str()), ("123456789012", "arn:aws:iam::1:user/x"));
    assert_eq!(aws.caller().unwrap(), caller);
    assert_eq!(lines(folder.path(), "calls"), 1);
    let called = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    assert!(called.starts_with("--profile work --region eu-central-1 --output json "), "{called}");
}

#[test]
fn a_question_that_is_throttled_is_asked_again() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let script = r#"[ -e once ] && { echo '{"a": 1}'; exit; }; touch once
        echo 'An error occurred (Throttling) when calling the X operation: Rate exceeded' >&2; exit 254"#;
    assert_eq!(aws(folder.path(), script, None).ask(&["x"]).unwrap(), json!({"a": 1}));
}

#[test]
fn a_change_that_was_not_answered_is_not_made_again() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let script = "echo x >> calls; echo 'Read timeout on endpoint URL: \"http://x/\"' >&2; exit 255";
    let refusal = aws(folder.path(), script, None).change(&["x"]).unwrap_err();
    assert_eq!(refusal.trouble, Trouble::Unanswered);
    assert_eq!(lines(folder.path(), "calls"), 1);
}

#[test]
fn an_object_comes_before_what_is_said_of_it() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let script = r#"printf '{"a":1}{\n"ETag": "x"}\n'"#;
    let answers = aws(folder.path(), script, None).ask_all(&["x"]).unwrap();
    assert_eq!(answers, [json!({"a": 1}), json!({"ETag": "x"})]);
}

#[test]
fn a_look_is_not_patient() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let aws = aws(folder.path(), "echo x >> calls; sleep 60", None).within(Duration::from_millis(300));
    let refusal = aws.identity().unwrap_err();
    assert_eq!(refusal.trouble, Trouble::Unanswered);
    assert_eq!(lines(folder.path(), "calls"), 1);
}

#[test]
fn a_signal_ends_a_question_at_once() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let aws = aws(folder.path(), "sleep 60", None);
    let asking = aws.clone();
    let began = std::time::Instant::now();
    let asked = std::thread::spawn(move || asking.ask(&["x"]));
    std::thread::sleep(Duration::from_millis(200));
    aws.interrupts.stop();
    let refusal = asked.join().unwrap().unwrap_err();
    assert_eq!(refusal.trouble, Trouble::Interrupted);
    assert_eq!(fault("ask", &refusal).exit.code(), 143);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_is_not_json_is_not_repeated() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let refusal = aws(folder.path(), "echo secret", None).ask(&["x"]).unwrap_err();
    assert!(!refusal.to_string().contains("secret"));
    assert_eq!(aws(folder.path(), "true", None).ask(&["x"]).unwrap(), Value::Null);
}

#[test]
fn a_profile_wins_over_keys_for_other_programs_too() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let names = |profile: Option<&str>| -> Vec<String> {
        aws(folder.path(), "", profile).variables().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    };
    let region = ["AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1"];
    assert_eq!(names(None), region);
    let keys = ["AWS_PROFILE=work", "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN="];
    assert_eq!(names(Some("work")), [&region[..], &keys[..]].concat());
}

#[test]
fn the_end_of_credentials_is_read_as_the_cli_writes_it() {
    let end = humantime::parse_rfc3339("2026-01-02T03:04:05Z").unwrap();
    for text in ["2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05Z"] {
        assert_eq!(expiration(&json!({"Expiration": text})), Some(end));
    }
    assert_eq!(expiration(&json!({"AccessKeyId": "x"})), None);
}

#[test]
fn keys_without_a_session_do_not_end() {
    let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
    let mut aws = aws(folder.path(), "touch asked", None);
    aws.vars = Vars::of([("AWS_ACCESS_KEY_ID", "x")]);
    assert_eq!(aws.expiry(), None);
    aws.vars = Vars::of([
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SESSION_TOKEN", "y"),
        ("AWS_CREDENTIAL_EXPIRATION", "2026-01-02T03:04:05Z"),
    ]);
    assert!(aws.expiry().is_some());
    assert!(!folder.path().join("asked").exists());
}
