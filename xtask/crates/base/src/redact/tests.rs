use super::*;
use serde_json::json;

fn knowing(values: &[&str]) -> Redactor {
    let mut redactor = Redactor::new();
    values.iter().for_each(|value| redactor.learn(value));
    redactor
}

#[test]
fn a_known_secret_is_nowhere() {
    let redactor = knowing(&["0123456789abcdef", "ab", "seven77"]);
    assert_eq!(redactor.text("key 0123456789abcdef, abc, seven77"), "key [redacted], abc, seven77");
}

#[test]
fn a_secret_is_found_in_every_form_that_it_is_written_in() {
    let secret = "pa\"ss/wörd+1";
    let redactor = knowing(&[secret]);
    let encoded = base64::encode(secret.as_bytes());
    for form in [secret, "pa\\\"ss/wörd+1", "pa%22ss%2Fw%C3%B6rd%2B1", &encoded] {
        assert_eq!(redactor.text(&format!("<{form}>")), "<[redacted]>");
    }
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
    let redactor = knowing(&[key]);
    assert_eq!(redactor.text("line: kqhkiG9w0BAQEF"), "line: [redacted]");
    assert_eq!(redactor.text(&base64::encode(key.as_bytes())), HIDDEN);
    // What an address has is written otherwise elsewhere.
    let mut redactor = Redactor::new();
    redactor.learn_named("DATABASE_URL", "postgres://app:p%40ssw0rd!@db/x");
    assert_eq!(redactor.text("p@ssw0rd! p%40ssw0rd!"), "[redacted] [redacted]");
}

#[test]
fn names_and_keys_are_shown() {
    let mut redactor = knowing(&["postgres", "emulator", "deployed", "ledgersx"]);
    redactor.keep_names(["emulator"]);
    assert_eq!(redactor.text("start:emulator postgresql postgres"), "start:emulator postgresql [redacted]");
    let document = json!({"postgres": "postgres", "result": "deployed", "list": ["ledgersx", 1]});
    let expected = json!({"postgres": "[redacted]", "result": "deployed", "list": ["[redacted]", 1]});
    assert_eq!(redactor.document(&document), expected);
}

#[test]
fn only_what_a_name_gives_away_is_learnt() {
    let mut redactor = Redactor::new();
    redactor.learn_named("API_TOKEN", "first-secret");
    redactor.learn_named("LOG", "info,hyper=warn");
    redactor.learn_named("UPSTREAM", "https://only-a-user@h, http://u:another-one@h");
    let shown = redactor.text("first-secret info,hyper=warn only-a-user another-one u");
    assert_eq!(shown, "[redacted] info,hyper=warn [redacted] [redacted] u");
}

#[test]
fn an_argument_is_shown_without_what_its_name_hides() {
    for (given, expected) in [
        ("API_TOKEN=short", "API_TOKEN=[redacted]"),
        ("--set=env.DB_PASS=x", "--set=env.DB_PASS=[redacted]"),
        ("env.LOG=debug", "env.LOG=debug"),
        ("--password=x", "--password=[redacted]"),
        ("URL=redis://u:p@h/", "URL=redis://[redacted]@h/"),
        ("--verbose", "--verbose"),
    ] {
        assert_eq!(argument(given), expected);
    }
}

#[test]
fn what_looks_like_a_secret_is_hidden() {
    let redactor = Redactor::default();
    for (given, expected) in [
        ("redis://:hunter2@redis:6379/0 is away", "redis://[redacted]@redis:6379/0 is away"),
        ("https://me:p@ss@a.b, http://c.d/e@f", "https://[redacted]@a.b, http://c.d/e@f"),
        ("password=hunter2 port=1", "password=[redacted] port=1"),
        ("DB_PASSWORD: hunter2", "DB_PASSWORD: [redacted]"),
        (r#"{"token": "abc.def", "a": 1}"#, r#"{"token": "[redacted]", "a": 1}"#),
        (r#"{"msg":"{\"api_key\":\"xyz\"}"}"#, r#"{"msg":"{\"api_key\":\"[redacted]\"}"}"#),
        ("Authorization: Bearer abc def", "Authorization: [redacted]"),
        ("requirepass \"hunter2\"", "requirepass \"[redacted]\""),
        ("token_file=/run/x", "token_file=[redacted]"),
        ("the password is wrong", "the password is wrong"),
        ("NOAUTH Authentication required. secret", "NOAUTH Authentication required. secret"),
        ("größe tokenß=ü", "größe tokenß=ü"),
    ] {
        assert_eq!(redactor.foreign(given), expected);
    }
    assert_eq!(redactor.foreign("a\npassword=b\nc"), "a\npassword=[redacted]\nc");
}

#[test]
fn variables_with_a_secret_s_name_have_no_value() {
    let pod = json!({
        "metadata": {"managedFields": [1], "name": "a"},
        "env": [{"name": "ADMIN_PASSWORD", "value": "x"}, {"name": "A", "value": "b"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    });
    let expected = json!({
        "metadata": {"name": "a"},
        "env": [{"name": "ADMIN_PASSWORD", "value": "[redacted]"}, {"name": "A", "value": "b"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    });
    assert_eq!(Redactor::default().object(&pod), expected);
}
