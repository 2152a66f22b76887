//! What is secret is neither shown nor recorded.

use super::sandbox::{Run, Sandbox, eventually, get};
use super::stage::Stage;
use serde_json::Value;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

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

/// Two services that tell what they were given: by a variable, and by a file and by nobody.
const SHOP: &str = r#"description = "A test's own"

[secrets]
shared = { from = "env", name = "SHOP_SHARED" }

[services.teller]
crate = "teller"
port = 1
public = true
ready_within = "5s"
env = { TOLD = " ${secret.shared}" }

[services.seller]
crate = "seller"
port = 2
ready_within = "5s"
env = { TOLD = " ${secret.key} ${secret.own}" }

[services.seller.secrets]
key = { from = "file", name = "jwt.key" }
own = { from = "generated", bytes = 12, as = "alphanumeric" }

[[smoke]]
name = "it says one"
request = "GET /"
status = 200
contains = "one"
"#;

const FIRST: &str = "first-of-the-shop-0123";
const SECOND: &str = "second-of-the-shop-0123";
const KEY: &str = "-----BEGIN KEY-----\nbGluZSBvbmUgb2YgdGhl\nIGtleSBvZiB0aGUgc2hv\n-----END KEY-----\n";
const KEY_LINES: [&str; 2] = ["bGluZSBvbmUgb2YgdGhl", "IGtleSBvZiB0aGUgc2hv"];

/// A system of two services that take secrets.
struct Shop(Stage);

impl Shop {
    fn new(name: &str) -> Self {
        let stage = Stage::new(name, &["teller", "seller"]);
        let systems = stage.sandbox.root.join("deploy/systems");
        for service in ["teller", "seller"] {
            std::fs::remove_file(systems.join(format!("{service}.toml"))).unwrap();
        }
        std::fs::write(systems.join("shop.toml"), SHOP).unwrap();
        Self(stage)
    }

    fn write_key(&self, text: &str) {
        let folder = self.0.sandbox.root.join("deploy/secrets");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("jwt.key"), text).unwrap();
    }

    /// Runs with the variable set, and looks that none of the values is said or recorded.
    #[track_caller]
    fn run(&self, shared: &str, args: &[&str]) -> Run {
        let run = Run::of(self.0.sandbox.command(args).env("SHOP_SHARED", shared));
        self.hides(&run);
        run
    }

    /// The same without the variable.
    #[track_caller]
    fn run_without(&self, args: &[&str]) -> Run {
        let run = Run::of(self.0.sandbox.command(args).env_remove("SHOP_SHARED"));
        self.hides(&run);
        run
    }

    /// No value is in what was said, nor in any file of the deployment but the one that keeps them for their owner alone.
    #[track_caller]
    fn hides(&self, run: &Run) {
        let home = self.0.sandbox.home();
        let mut said =
            vec![("standard output".to_owned(), run.stdout.clone()), ("standard error".to_owned(), run.stderr.clone())];
        texts(&home, &mut said);
        let values = [FIRST, SECOND].into_iter().chain(KEY_LINES);
        for value in values {
            let at = said.iter().find(|(place, text)| !place.ends_with("secrets.json") && text.contains(value));
            assert!(at.is_none(), "{value}: {at:?}");
        }
        if let Ok(kept) = home.join("secrets.json").metadata() {
            assert_eq!(kept.permissions().mode() & 0o777, 0o600);
        }
    }

    fn answer(&self, service: &str) -> String {
        get(&self.0.sandbox.via(service), "/").unwrap().1
    }

    fn pid(&self, service: &str) -> u32 {
        let found = self.0.sandbox.processes();
        let own = found.iter().find(|process| process.command.contains(&format!("/{service}/")));
        own.unwrap_or_else(|| panic!("{service}: {found:?}")).id.pid
    }
}

/// What is in the files below a folder.
fn texts(folder: &Path, texts_of: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts(&path, texts_of);
        } else if let Ok(bytes) = std::fs::read(&path) {
            texts_of.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

fn result(run: &Run) -> Value {
    run.json()["systems"][0]["result"].clone()
}

#[test]
fn secrets_that_nobody_gives_are_named_at_once_and_nothing_begins() {
    let shop = Shop::new("secrets-missing");
    let run = shop.run_without(&["deploy", "--json"]).exits(3);
    let failure = &run.json()["failure"];
    assert_eq!(failure["code"], "secrets-missing", "{run:?}");
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.contains("`shared` of `shop`: the variable `SHOP_SHARED` is not set, or empty"), "{cause}");
    assert!(cause.contains("`key` of `shop`: `deploy/secrets/jwt.key` is not there"), "{cause}");
    let hint = failure["hint"].as_str().unwrap();
    assert!(hint.contains("set `SHOP_SHARED`") && hint.contains("write `deploy/secrets/jwt.key`"), "{hint}");
    // A variable with nothing in it says nothing.
    shop.run("", &["deploy"]).exits(3);
    assert!(shop.0.sandbox.processes().is_empty() && !shop.0.sandbox.home().join("ledger.json").exists());
    // What only looks does without.
    let plan = shop.run_without(&["plan"]).success().stdout;
    assert!(plan.contains("a deploy needs the secret `key` of `shop`"), "{plan}");
    shop.run_without(&["deploy", "--dry-run"]).success();
    shop.run_without(&["status"]).success();
    let doctor = shop.run_without(&["doctor", "--json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == "repo.secrets").unwrap();
    assert_eq!((&check["outcome"], &check["found"]), (&"fail".into(), &"2 missing".into()), "{check:#}");
    // No link leads out.
    shop.write_key("");
    let key = shop.0.sandbox.root.join("deploy/secrets/jwt.key");
    std::fs::remove_file(&key).unwrap();
    symlink("../../Cargo.toml", &key).unwrap();
    let run = shop.run(FIRST, &["deploy"]).exits(3);
    assert!(
        run.stderr.contains("`deploy/secrets/jwt.key` is a link that leads out of `deploy/secrets`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_secret_that_changes_restarts_what_uses_it_and_goes_back_with_its_revision() {
    let shop = Shop::new("secrets-given");
    shop.write_key(KEY);
    assert_eq!(result(&shop.run(FIRST, &["deploy", "--json"]).success()), "deployed");
    assert_eq!(shop.answer("teller"), format!("one {FIRST}"));
    let told = shop.answer("seller");
    let own = told.strip_prefix(&format!("one {KEY} ")).unwrap_or_else(|| panic!("{told}")).to_owned();
    assert!(own.len() == 12 && own.chars().all(|c| c.is_ascii_alphanumeric()), "{own}");
    let (teller, seller) = (shop.pid("teller"), shop.pid("seller"));
    assert_eq!(result(&shop.run(FIRST, &["deploy", "--json"]).success()), "unchanged");
    let plan = shop.run_without(&["plan", "--json"]).success();
    assert_eq!(result(&plan), "unchanged", "it is taken to be as it was: {plan:?}");
    // Another value for one of them.
    let plan = shop.run(SECOND, &["plan"]).success().stdout;
    assert!(plan.contains("the secret `teller.shared` changed") && !plan.contains("seller would change"), "{plan}");
    assert_eq!(result(&shop.run(SECOND, &["deploy", "--json"]).success()), "deployed");
    assert_eq!(shop.answer("teller"), format!("one {SECOND}"));
    assert!(shop.pid("teller") != teller && shop.pid("seller") == seller);
    // Without the variable what runs is restarted, and what ran before comes back.
    let teller = shop.pid("teller");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(teller.try_into().unwrap()), nix::sys::signal::SIGKILL).unwrap();
    eventually("it is restarted", || match get(&shop.0.sandbox.via("teller"), "/")?.1 {
        answer if answer == format!("one {SECOND}") => Ok(()),
        other => Err(other),
    });
    shop.run_without(&["rollback", "shop"]).success();
    assert_eq!(shop.answer("teller"), format!("one {FIRST}"));
    assert_eq!(shop.answer("seller"), format!("one {KEY} {own}"));
    assert_eq!(shop.pid("seller"), seller);
    // What was given is not kept without what it was given to.
    shop.run_without(&["teardown", "shop", "--keep-data", "--yes"]).success();
    let mut kept = Vec::new();
    texts(&shop.0.sandbox.home(), &mut kept);
    assert!(!kept.iter().any(|(_, text)| text.contains(FIRST) || text.contains(SECOND)), "{kept:?}");
}

#[test]
fn a_system_with_a_secret_of_aws_is_skipped_elsewhere() {
    let stage = Stage::new("secrets-aws", &["teller", "seller"]);
    let keys = "secrets = { a = { from = \"aws\", name = \"prod/teller\" } }\nenv = { TOLD = \"${secret.a}\" }";
    stage.declare("teller", 1, keys);
    let run = stage.sandbox.xtask(["deploy"]).success();
    let why = "teller skipped: the secret `a` of `teller` is `prod/teller` in AWS Secrets Manager, which only target `eks` reads";
    assert!(run.stderr.contains(why), "{}", run.stderr);
    assert_eq!(stage.sandbox.status("seller")["state"], "running");
    assert!(stage.sandbox.xtask(["deploy", "teller"]).exits(3).stderr.contains("`prod/teller`"));
}
