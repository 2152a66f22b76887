//! What is known by the records, whatever the files say.

use super::contract::document::deploy;
use super::life::pid;
use super::sandbox::{failure, get};
use super::undeclared::{Stage, free_port};
use serde_json::{Value, json};

#[test]
fn a_system_without_a_file_is_known_by_its_records() {
    let stage = Stage::new("undeclared-system");
    stage.add("tick", "tick", free_port());
    deploy(&stage.sandbox, &[]);
    let others = pid(&stage.sandbox, "epoch");
    std::fs::remove_file(stage.file("tick")).unwrap();
    let (declared, tick) = stage.status("tick", "tick").unwrap();
    assert_eq!((declared, &tick["declared"], &tick["state"]), (json!(false), &json!(false), &json!("running")));
    let table = stage.sandbox.xtask(["status"]).success().stdout;
    let undeclared: Vec<&str> = table.lines().filter(|line| line.ends_with("no longer declared")).collect();
    assert!(matches!(undeclared[..], [line] if line.starts_with("tick ")), "{table}");
    stage.sandbox.xtask(["logs", "tick"]).success();
    stage.sandbox.xtask(["logs", "tock"]).exits(2);
    stage.sandbox.xtask(["teardown", "tock", "--yes"]).exits(2);
    // A deploy of something else leaves it, and says so.
    let run = stage.sandbox.xtask(["deploy", "epoch", "--json"]).success();
    assert!(run.stderr.contains("tick/tick is left"), "{}", run.stderr);
    let plan = stage.sandbox.xtask(["plan"]).success().stdout;
    assert!(plan.contains("tick/tick would be removed: no file declares its system any more"), "{plan}");
    let document = deploy(&stage.sandbox, &[]);
    let removed = document["systems"].as_array().unwrap().iter().find(|system| system["name"] == "tick").unwrap();
    assert_eq!(removed["result"], "removed", "{document:#}");
    assert_eq!(stage.status("tick", "tick"), None);
    assert_eq!(pid(&stage.sandbox, "epoch"), others);
    assert_eq!(deploy(&stage.sandbox, &[])["result"], "unchanged");
    // By name, too.
    stage.add("tick", "tick", free_port());
    deploy(&stage.sandbox, &["tick"]);
    std::fs::remove_file(stage.file("tick")).unwrap();
    let receipt = stage.sandbox.xtask(["teardown", "tick", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert!(!receipt["removed"].as_array().unwrap().is_empty());
    assert_eq!(stage.status("tick", "tick"), None);
    assert_eq!(pid(&stage.sandbox, "epoch"), others);
}

#[test]
fn a_file_that_cannot_be_read_stops_nobody_else() {
    let stage = Stage::new("undeclared-broken");
    stage.add("tick", "tick", free_port());
    deploy(&stage.sandbox, &[]);
    let whole = std::fs::read_to_string(stage.file("tick")).unwrap();
    std::fs::write(stage.file("tick"), format!("<<<<<<< HEAD\n{whole}")).unwrap();
    let broken = "deploy/systems/tick.toml:1";
    let run = stage.sandbox.xtask(["status", "--json"]).success();
    assert!(run.stderr.contains(broken), "{}", run.stderr);
    let document = run.json();
    assert!(document["errors"][0].as_str().unwrap().contains(broken), "{document:#}");
    let (declared, tick) = stage.status("tick", "tick").unwrap();
    assert_eq!((declared, &tick["declared"], &tick["state"]), (Value::Null, &Value::Null, &json!("running")));
    assert!(stage.sandbox.xtask(["logs", "epoch"]).success().stderr.contains(broken));
    stage.sandbox.xtask(["logs", "tick"]).success();
    assert!(stage.sandbox.xtask(["deploy", "--yes"]).exits(3).stderr.contains(broken));
    stage.sandbox.xtask(["deploy", "tick", "--yes"]).exits(3);
    assert_eq!(deploy(&stage.sandbox, &["epoch"])["result"], "unchanged");
    // While it cannot be read, nothing is removed for being undeclared.
    stage.rename("");
    let run = stage.sandbox.xtask(["deploy", "epoch", "--json"]).exits(1);
    assert!(failure(&run)["cause"].as_str().unwrap().contains("the file of `tick` cannot be read"));
    assert!(stage.answers());
    let run = stage.sandbox.xtask(["teardown", "--yes", "--json"]).success();
    assert_eq!(run.json()["result"], "clean");
    assert!(run.stderr.contains(broken) && !stage.sandbox.home().exists());
}

#[test]
fn an_environment_without_its_file_is_known_by_its_records() {
    let stage = Stage::new("undeclared-settings");
    deploy(&stage.sandbox, &["epoch"]);
    let args = ["deploy", "epoch", "--yes", "--set", "env.LOG=debug", "--set", "env.CODE=untold"];
    stage.sandbox.xtask(args).success();
    let recorded = std::fs::read_to_string(stage.sandbox.home().join("settings.json")).unwrap();
    assert!(!recorded.contains("untold"), "{recorded}");
    let file = stage.sandbox.root.join("deploy/environments/undeclared-settings.toml");
    std::fs::write(&file, "<<<<<<< HEAD\n").unwrap();
    let run = stage.sandbox.xtask(["status", "--json"]).success();
    let document = run.json();
    assert_eq!(document["target"], "host");
    let told = document["errors"][0].as_str().unwrap();
    assert!(told.contains("deploy/environments/undeclared-settings.toml:1") && run.stderr.contains(told), "{told}");
    assert_eq!(stage.status("epoch", "epoch").unwrap().1["state"], "running");
    stage.sandbox.xtask(["logs", "epoch"]).success();
    stage.sandbox.xtask(["deploy", "epoch", "--yes"]).exits(3);
    stage.sandbox.xtask(["status", "--set", "prots=free"]).exits(3);
    stage.sandbox.xtask(["rollback", "epoch", "--yes"]).success();
    std::fs::remove_file(&file).unwrap();
    let run = stage.sandbox.xtask(["status"]).success();
    assert!(
        run.stderr.contains("is gone: `cargo xtask teardown --env undeclared-settings` removes it"),
        "{}",
        run.stderr
    );
    assert!(stage.answers());
    stage.sandbox.xtask(["deploy", "epoch", "--yes"]).exits(2);
    let receipt = stage.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert!(!stage.sandbox.home().exists() && !stage.answers());
    // Of what was never deployed nothing is known.
    stage.sandbox.xtask(["status"]).exits(2);
    stage.sandbox.write_environment("");
}

#[test]
fn a_program_that_left_path_is_not_undeclared() {
    let stage = Stage::new("undeclared-path");
    deploy(&stage.sandbox, &["epoch"]);
    let binary = std::fs::read_dir(stage.sandbox.home().join("artifacts/epoch")).unwrap().next().unwrap();
    let bin = stage.sandbox.root.join("bin-of-undeclared-path");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy(binary.unwrap().path().join("epoch"), bin.join("fake-cache")).unwrap();
    // What a system was first deployed without, it stays without.
    stage.sandbox.xtask(["teardown", "--yes"]).success();
    let helper = format!(
        "\n[services.cache]\nimage = \"redis\"\nport = {}\npresence = \"when-available\"\nready = {{ http = \"/readyz\" }}\n\n\
         [services.cache.host]\nprograms = [\"fake-cache\"]\nenable = \"make it\"\n",
        free_port()
    );
    let text = std::fs::read_to_string(stage.file("epoch")).unwrap();
    std::fs::write(stage.file("epoch"), text.replacen("\n[[smoke]]", &format!("{helper}\n[[smoke]]"), 1)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut with = stage.sandbox.command(["deploy", "epoch", "--json"]);
    super::sandbox::Run::of(with.env("PATH", path)).success();
    let cache = pid(&stage.sandbox, "cache");
    let run = stage.sandbox.xtask(["deploy", "--json"]).exits(1);
    let cause = failure(&run)["cause"].clone();
    assert!(cause.as_str().unwrap().contains("keeps its state in `cache`, which cannot be had any more"), "{cause}");
    assert_eq!(pid(&stage.sandbox, "cache"), cache);
    std::fs::remove_dir_all(bin).unwrap();
}

#[test]
fn another_deployment_under_the_same_name_is_refused() {
    let stage = Stage::new("undeclared-changed");
    deploy(&stage.sandbox, &["epoch"]);
    let run = stage.sandbox.xtask(["deploy", "--yes", "--set", "deployment_id=other"]).exits(3);
    assert!(run.stderr.contains("--set deployment_id=undeclared-changed"), "{}", run.stderr);
    let run = stage.sandbox.xtask(["teardown", "--yes", "--set", "target=containers"]).exits(3);
    assert!(run.stderr.contains("--set target=host"), "{}", run.stderr);
    // The state of an environment whose file is gone is told of wherever one looks.
    let file = stage.sandbox.root.join("deploy/environments/undeclared-changed.toml");
    let renamed = file.with_file_name("undeclared-renamed.toml");
    std::fs::rename(&file, &renamed).unwrap();
    let other = |verb: &str, env: &str| {
        let output = super::sandbox::program(&stage.sandbox.root).args([verb, "--env", env]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let told = other("status", "local");
    let refused = other("deploy", "undeclared-renamed");
    std::fs::rename(renamed, file).unwrap();
    assert!(told.0 == Some(0) && told.1.contains(".slipway/undeclared-changed"), "{told:?}");
    // By another name it is the same deployment.
    assert_eq!(refused.0, Some(3), "{refused:?}");
    assert!(refused.1.contains("`cargo xtask teardown --env undeclared-changed`"), "{refused:?}");
    assert!(stage.answers());
}

/// A system of these services, each on a port of its own.
fn declare(stage: &Stage, services: &[(&str, u16)]) {
    let service = |(name, port): &(&str, u16)| {
        format!("[services.{name}]\ncrate = \"epoch\"\nport = {port}\npublic = true\nteam = \"epoch\"\n\n")
    };
    let services: String = services.iter().map(service).collect::<String>()
        + &format!(
            "[[smoke]]\nname = \"it answers\"\nservice = \"{}\"\nrequest = \"GET /\"\nstatus = 200\n",
            services[0].0
        );
    std::fs::write(stage.file("duo"), format!("description = \"Two\"\n\n{services}")).unwrap();
}

#[test]
fn rollback_drops_what_was_added_and_keeps_a_system_without_a_file() {
    let stage = Stage::new("undeclared-back");
    let [left, up, down] = [(); 3].map(|()| free_port());
    let answers = |port: u16| get(&format!("127.0.0.1:{port}"), "/").is_ok_and(|(status, _)| status == 200);
    declare(&stage, &[("left", left)]);
    deploy(&stage.sandbox, &["duo"]);
    declare(&stage, &[("up", up)]);
    deploy(&stage.sandbox, &["duo"]);
    declare(&stage, &[("up", up), ("down", down)]);
    deploy(&stage.sandbox, &["duo"]);
    // All that the earlier revision has runs, and `down` beside it.
    stage.sandbox.xtask(["rollback", "duo"]).success();
    assert!(answers(up) && !answers(down) && !answers(left));
    std::fs::remove_file(stage.file("duo")).unwrap();
    // To and fro, with a service more and without it.
    for both in [true, false, true] {
        let back = stage.sandbox.xtask(["rollback", "duo", "--json"]).success().json();
        assert!(!back.to_string().contains("forget:duo"), "{back:#}");
        assert_eq!((answers(up), answers(down)), (true, both), "{back:#}");
    }
    let run = stage.sandbox.xtask(["rollback", "duo"]).success();
    let unproven = "no file declares a check of `duo`, so it is ready and not proven";
    assert!(run.stderr.contains(&format!("smoke:duo done: {unproven}")), "{}", run.stderr);
    assert!(run.stdout.contains(unproven), "{}", run.stdout);
    let receipt = stage.sandbox.xtask(["teardown", "duo", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert!(!answers(up) && !answers(down));
}
