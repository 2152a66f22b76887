//! Secrets are planted wherever one can stand, and all that is shown and kept is searched for them.

use super::sandbox::{Run, Sandbox};
use super::stage::Stage;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What only its owner knows: in an untracked file, on the command line, in the environment of the command.
const OF_OWNER: [&str; 18] = [
    "plant-db-pass-01",
    "plant-stripe-02",
    "plant-in-url-03",
    "plant%2Dencoded%2D04",
    "plant-encoded-04",
    "plant-dsn-05",
    "plant-auth-06",
    "plantPemLineOne07AAAA",
    "plant-one-only-08",
    "plant-set-token-09",
    "plant-set-url-10",
    "plant-set-service-11",
    "plant-env-registry-12",
    "plant-env-aws-13",
    "plant-env-proxy-14",
    "plant-env-github-15",
    "plant \"quoted\" 'word' 16",
    "cGxhbnQtZG9ja2VyLTE3",
];
/// What stands in files that git has: hidden at its own place.
const TRACKED: [&str; 3] = ["plant-tracked-18", "plant-tracked-url-19", "plant-tracked-smoke-20"];

const LOCAL: &str = r#"
[env]
DB_PASS = "plant-db-pass-01"
STRIPE_KEY = "plant-stripe-02"
DATABASE_URL = "postgres://app:plant-in-url-03@db.example/x"
CACHE_URL = "redis://:plant%2Dencoded%2D04@cache.example/0"
SENTRY_DSN = "https://plant-dsn-05@sentry.example/1"
BASIC_AUTH = "me:plant-auth-06"
SIGNING_PRIVATE = "-----BEGIN KEY-----\nplantPemLineOne07AAAA\n-----END KEY-----\n"
QUOTED_SECRET = "plant \"quoted\" 'word' 16"

[services.one.env]
API_KEY = "plant-one-only-08"
"#;
const SETS: [&str; 3] = [
    "env.API_TOKEN=plant-set-token-09",
    "env.UPSTREAM=http://u:plant-set-url-10@up.example/",
    "services.one.env.SESSION_SECRET=plant-set-service-11",
];
const VARIABLES: [(&str, &str); 5] = [
    ("REGISTRY_USER", "me"),
    ("REGISTRY_PASSWORD", "plant-env-registry-12"),
    ("AWS_SECRET_ACCESS_KEY", "plant-env-aws-13"),
    ("HTTPS_PROXY", "http://u:plant-env-proxy-14@127.0.0.1:9"),
    ("GITHUB_TOKEN", "plant-env-github-15"),
];
/// Of the service: a secret of its own, and a literal.
const KEYS: &str = r#"
[services.one.secrets]
password = { from = "generated" }

[services.one.env]
OWN_PASSWORD = "${secret.password}"
TRACKED_URL = "http://u:plant-tracked-url-19@tracked.example/"
"#;
/// It says all that it was given, and ends when it is told to.
const TALKATIVE: &str = "    for (name, value) in std::env::vars() {\n        println!(\"{name}={value}\");\n    }\n    \
                         match std::env::var(\"BEHAVIOUR\")";

fn stage() -> Stage {
    let stage = Stage::new("planted", &["one"]);
    let sandbox = &stage.sandbox;
    stage.declare("one", 1, KEYS);
    let write = |path: PathBuf, change: &dyn Fn(String) -> String| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, change(text)).unwrap();
    };
    let source = sandbox.root.join("app/one/src/main.rs");
    write(source, &|text| text.replace("    match std::env::var(\"BEHAVIOUR\")", TALKATIVE));
    write(sandbox.root.join("deploy/systems/one.toml"), &|text| {
        let headers = "headers = { authorization = \"Bearer plant-tracked-smoke-20\" }\nstatus = 200\n";
        text.replace("status = 200\n", headers)
    });
    sandbox.write_environment("[env]\nTRACKED_TOKEN = \"plant-tracked-18\"\n");
    write(sandbox.root.join(format!("deploy/environments/{}.local.toml", sandbox.env)), &|_| LOCAL.to_owned());
    std::fs::create_dir_all(sandbox.root.join("docker")).unwrap();
    let docker = r#"{"auths": {"registry.example": {"auth": "cGxhbnQtZG9ja2VyLTE3"}}}"#;
    std::fs::write(sandbox.root.join("docker/config.json"), docker).unwrap();
    stage
}

fn command(sandbox: &Sandbox, args: &[&str]) -> Command {
    let sets = SETS.iter().flat_map(|set| ["--set", set]);
    let mut command = sandbox.command(args.iter().copied().chain(sets));
    command.envs(VARIABLES).env("DOCKER_CONFIG", sandbox.root.join("docker"));
    command
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The generated secret of the service, once there is one.
fn generated(sandbox: &Sandbox) -> Option<String> {
    let secrets = std::fs::read(sandbox.home().join("secrets.json")).ok()?;
    let secrets: serde_json::Value = serde_json::from_slice(&secrets).ok()?;
    secrets["one.password"].as_str().map(str::to_owned)
}

/// Runs a command, and looks for what was planted in what it has said, and in all that is kept.
#[track_caller]
fn tells_nothing(sandbox: &Sandbox, args: &[&str]) -> Run {
    let run = Run::of(&mut command(sandbox, args));
    let generated = generated(sandbox);
    let secrets: Vec<&str> = OF_OWNER.into_iter().chain(generated.as_deref()).collect();
    let said = [("stdout", &run.stdout), ("stderr", &run.stderr)];
    let told: Vec<&str> = secrets.iter().copied().chain(TRACKED).collect();
    for (place, text) in said {
        // What a service says of what all can read is its own affair.
        let of_all = if args[0] == "logs" || run.code() != 0 { &secrets } else { &told };
        let found: Vec<_> = of_all.iter().filter(|secret| text.contains(**secret)).collect();
        assert!(found.is_empty(), "{args:?} says {found:?} on {place}:\n{text}");
    }
    for path in files_below(&sandbox.home()) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
        let inside = path.strip_prefix(sandbox.home()).unwrap();
        let kind = inside.iter().next().unwrap().to_str().unwrap();
        let is_private = std::fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o077 == 0);
        let is_meant = ["secrets.json", "releases", "logs", "files"].contains(&kind) && is_private;
        let found: Vec<_> = secrets.iter().filter(|secret| text.contains(**secret)).collect();
        assert!(found.is_empty() || is_meant, "{args:?} leaves {found:?} in {}", inside.display());
    }
    run
}

#[test]
fn what_is_secret_is_nowhere_but_where_it_is_meant_to_be() {
    let stage = stage();
    let sandbox = &stage.sandbox;
    let dry = tells_nothing(sandbox, &["deploy", "--dry-run"]).success().stdout;
    for line in ["env.DB_PASS = [redacted]", "env.DATABASE_URL = postgres://[redacted]@db.example/x", "(--set)"] {
        assert!(dry.contains(line), "{dry}");
    }
    for args in [
        &["deploy", "--dry-run", "--json"][..],
        &["plan"],
        &["plan", "--json"],
        &["deploy"],
        &["plan", "--json"],
        &["status"],
        &["status", "--json"],
        &["smoke"],
        &["doctor", "--json"],
        &["teardown", "--dry-run"],
    ] {
        tells_nothing(sandbox, args);
    }
    let logs = tells_nothing(sandbox, &["logs", "one"]).success().stdout;
    assert!(logs.contains("DB_PASS=[redacted]") && logs.contains("API_KEY=[redacted]"), "{logs}");
    // It says all of it again before it fails, and its last words are part of the cause.
    sandbox.write_environment("[env]\nTRACKED_TOKEN = \"plant-tracked-18\"\nBEHAVIOUR = \"crashes\"\n");
    let failed = tells_nothing(sandbox, &["deploy", "--json"]).exits(1);
    assert!(failed.stderr.contains("last words"), "{}", failed.stderr);
    tells_nothing(sandbox, &["status", "--json"]);
    let report = sandbox.root.join("report.html");
    tells_nothing(sandbox, &["report", "--out", report.to_str().unwrap()]).success();
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.contains("last words") && !OF_OWNER.iter().any(|secret| page.contains(secret)));
    // What is wrong with the command line is told without it, too.
    tells_nothing(sandbox, &["deploy", "--no-such-flag"]).exits(2);
    tells_nothing(sandbox, &["deploy", "env.API_TOKEN=plant-set-token-09"]).exits(2);
    // In a file that cannot be read nothing is known to be secret.
    let local = sandbox.root.join(format!("deploy/environments/{}.local.toml", sandbox.env));
    std::fs::write(&local, format!("{LOCAL}\nDB_PASS = \"plant-db-pass-01\"\n[env\n")).unwrap();
    tells_nothing(sandbox, &["deploy"]).exits(3);
    tells_nothing(sandbox, &["status"]);
    std::fs::remove_file(local).unwrap();
}
