//! The command line: help, exit codes, and what goes to which stream.

use super::sandbox::{Run, Sandbox, cargo, program};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const EVERY_SHELL: [&str; 3] = ["bash", "zsh", "fish"];

/// A folder outside of any repository.
fn nowhere() -> PathBuf {
    std::env::temp_dir()
}

fn run_in(folder: &Path, args: &[&str]) -> Run {
    Run::of(program(folder).args(args))
}

/// A run that is refused: this exit code, all of these words on standard error, and nothing on standard output.
#[track_caller]
pub(crate) fn refused(run: Run, code: i32, words: &[&str]) {
    let run = run.exits(code);
    assert_eq!(run.stdout, "", "standard output is for results");
    for word in words {
        assert!(run.stderr.contains(word), "no `{word}` in:\n{}", run.stderr);
    }
}

#[track_caller]
fn plain_text(text: &str) {
    assert!(!text.contains(['\x1b', '\r']), "control characters in {text:?}");
}

// Help.

/// The names of all commands that people may type.
fn commands() -> Vec<String> {
    let cli = verbs::cli::command();
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

fn all_help() -> String {
    let mut text = run_in(&nowhere(), &["--help"]).success().stdout;
    for command in commands() {
        let help = run_in(&nowhere(), &[&command, "--help"]).success().stdout;
        text.push_str(&format!("\n───── cargo xtask {command} --help\n\n{help}"));
    }
    text
}

#[test]
fn help_is_as_it_was_agreed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help.txt");
    let help = all_help();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&golden, &help).unwrap();
    }
    let agreed = std::fs::read_to_string(&golden).unwrap_or_default();
    let differs = help.lines().zip(agreed.lines().chain(std::iter::repeat(""))).find(|(now, then)| now != then);
    assert!(
        help == agreed,
        "help has changed: {differs:?}; if that is meant: BLESS=1 cargo test -p xtask --profile xtask --target host-tuple --test e2e help_is"
    );
}

#[test]
fn the_bare_command_prints_help_and_is_a_usage_error() {
    let run = run_in(&nowhere(), &[]).exits(2);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("Usage: cargo xtask <COMMAND>"), "{}", run.stderr);
}

#[test]
fn help_needs_no_repository() {
    let help = run_in(&nowhere(), &["help", "deploy"]).success();
    assert!(help.stdout.contains("Usage: cargo xtask deploy"), "{}", help.stdout);
    assert!(run_in(&nowhere(), &["--version"]).success().stdout.starts_with("cargo xtask "));
}

// What is refused, and how.

#[test]
fn unknown_commands_and_flags_are_usage_errors() {
    refused(run_in(&nowhere(), &["deply"]), 2, &["'deply'", "'deploy'"]);
    refused(run_in(&nowhere(), &["deploy", "--forse"]), 2, &["'--forse'"]);
    refused(run_in(&nowhere(), &["run"]), 2, &["<JOB>"]);
    refused(run_in(&nowhere(), &["teardown", "--verify", "--keep-data"]), 2, &["cannot be used with"]);
}

#[test]
fn an_unknown_system_is_refused_with_what_was_meant_and_what_there_is() {
    let sandbox = Sandbox::new("cli-names");
    let there = "epoch, invoices, messages, shortener, web";
    for verb in ["deploy", "plan", "status", "smoke", "rollback", "teardown"] {
        refused(sandbox.xtask([verb, "epohc"]), 2, &["unknown system `epohc`; did you mean `epoch`?", there]);
        refused(sandbox.xtask([verb, "redis"]), 2, &["`redis` is a service of `shortener`, not a system"]);
    }
    let run = sandbox.xtask(["deploy", "zzzzzz"]);
    assert!(!run.stderr.contains("did you mean"), "{}", run.stderr);
    refused(run, 2, &["unknown system `zzzzzz`", there]);
    refused(
        sandbox.xtask(["logs", "shortner"]),
        2,
        &["unknown service `shortner`; did you mean `shortener`?", "redis"],
    );
    assert!(!sandbox.home().exists());
}

#[test]
fn an_unknown_environment_is_refused_with_what_was_meant_and_what_there_is() {
    let sandbox = Sandbox::new("cli-where");
    let run = run_in(&sandbox.root, &["deploy", "--env", "lcoal", "--json"]);
    refused(run, 2, &["`--env lcoal`", "did you mean `local`?", "`cli-where`"]);
    refused(run_in(&sandbox.root, &["status", "--env", "../local"]), 2, &["`--env ../local`"]);
}

#[test]
fn settings_on_the_command_line_are_checked() {
    let sandbox = Sandbox::new("cli-set");
    let set = |setting: &str| sandbox.xtask(["deploy", "--dry-run", "--set", setting]);
    refused(set("ports"), 2, &["`--set ports`", "`KEY=VALUE`"]);
    refused(set("ports=fre"), 2, &["`--set ports`", "unknown value `fre`", "did you mean `free`?", "`declared`"]);
    refused(set("prts=free"), 2, &["unknown setting `prts`", "did you mean `ports`?"]);
    refused(set("LOG=info"), 2, &["unknown setting `LOG`; did you mean `env.LOG`?"]);
    refused(set("env.1X=y"), 2, &["`--set env.1X`"]);
    refused(set("bind=localhost"), 2, &["`--set bind`", "not an IP address"]);
}

#[test]
fn outside_a_repository_nothing_can_be_run() {
    for verb in ["deploy", "status", "teardown", "doctor", "ci"] {
        refused(run_in(&nowhere(), &[verb]), 3, &["no `deploy/systems`", "inside the repository"]);
    }
}

#[test]
fn a_broken_spec_is_refused_with_file_and_line() {
    let sandbox = Sandbox::with_own_copy("cli-spec");
    let path = sandbox.root.join("deploy/systems/epoch.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let broken = good.replace("public = true", "publik = true");
    let line = 1 + broken.lines().position(|line| line.contains("publik")).unwrap();
    std::fs::write(&path, &broken).unwrap();
    let place = format!("deploy/systems/epoch.toml:{line}");
    let told = [place.as_str(), "`publik`", "did you mean `public`?"];
    for verb in ["deploy", "plan", "smoke"] {
        refused(sandbox.xtask([verb]), 3, &told);
    }
    // What works from the records says it and goes on.
    for verb in ["status", "teardown"] {
        let run = sandbox.xtask([verb]).success();
        assert!(told.iter().all(|part| run.stderr.contains(part)), "{verb}: {}", run.stderr);
    }
    std::fs::write(&path, good).unwrap();
    sandbox.write_environment("colour = \"red\"\n");
    refused(sandbox.xtask(["status"]), 3, &["deploy/environments/cli-spec.toml:3", "`colour`"]);
    sandbox.write_environment("");
}

#[test]
fn a_question_without_a_terminal_names_the_flag_that_answers_it() {
    let sandbox = Sandbox::new("cli-question");
    sandbox.xtask(["deploy", "epoch"]).success();
    std::fs::write(sandbox.home().join("data/epoch/kept"), "").unwrap();
    let words = ["this removes what `epoch` stored", "`--keep-data`", "not a terminal", "hint: add `--yes`"];
    refused(sandbox.xtask(["teardown", "--json"]), 2, &words);
    assert_eq!(sandbox.status("epoch")["state"], "running");
}

// From anywhere, for any shell.

#[test]
fn the_alias_works_in_a_subfolder() {
    let list = Run::of(cargo("app/epoch/src").args(["xtask", "ci", "--list"])).success();
    assert!(list.stdout.contains("clippy"), "{}", list.stdout);
    let status = Run::of(cargo("deploy").args(["xtask", "status", "--json"])).success().json();
    assert_eq!(status["env"], "local");
}

#[test]
fn every_folder_of_the_repository_will_do() {
    let sandbox = Sandbox::new("cli-folder");
    let mut command = sandbox.command(["plan", "epoch", "--json"]);
    let plan = Run::of(command.current_dir(sandbox.root.join("app/epoch/src"))).success().json();
    assert_eq!(plan["systems"][0]["services"][0]["name"], "epoch");
}

#[test]
fn completions_need_no_repository() {
    for shell in EVERY_SHELL {
        let script = run_in(&nowhere(), &["completions", shell]).success().stdout;
        for word in ["teardown", "keep-data"] {
            assert!(script.contains(word), "no `{word}` for {shell}");
        }
        assert!(!script.contains("__supervise"), "hidden commands are offered in {shell}");
    }
    refused(run_in(&nowhere(), &["completions", "tcsh"]), 2, &["tcsh", "bash"]);
}

/// What bash offers for a line that ends where the cursor is.
fn offered_by_bash(script: &str, before: &str, words: &[&str]) -> Vec<String> {
    let words = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let ask = format!(
        "{before}\n{script}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         function=$(complete -p cargo | sed 's/.* -F \\([^ ]*\\) .*/\\1/')\n\
         $function cargo \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = std::process::Command::new("bash");
    let run = Run::of(bash.args(["--norc", "-c", &ask]).stdin(Stdio::null())).success();
    assert_eq!(run.stderr, "");
    run.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_behind_cargo_and_leaves_the_rest_to_cargo() {
    let script = run_in(&nowhere(), &["completions", "bash"]).success().stdout;
    assert_eq!(offered_by_bash(&script, "", &["cargo", "xtask", "tear"]), ["teardown"]);
    assert_eq!(offered_by_bash(&script, "", &["cargo", "xtask", "teardown", "--keep"]), ["--keep-data"]);
    let of_cargo = "_cargo() { COMPREPLY=(build); }; complete -o default -F _cargo cargo";
    assert_eq!(offered_by_bash(&script, of_cargo, &["cargo", "bu"]), ["build"]);
}

// Streams.

#[test]
fn without_a_terminal_there_are_no_bars_and_no_colours() {
    let sandbox = Sandbox::new("cli-plain");
    for args in
        [vec!["deploy", "epoch"], vec!["deploy", "epoch", "--verify"], vec!["smoke"], vec!["status"], vec!["doctor"]]
    {
        let run = sandbox.xtask(&args);
        plain_text(&run.stdout);
        plain_text(&run.stderr);
    }
    let run = sandbox.xtask(["deploy", "epoch", "--verify"]).success();
    assert!(run.stderr.contains("> smoke:epoch "), "a line where a step starts:\n{}", run.stderr);
    assert!(run.stderr.contains("✓ smoke:epoch done"), "a line where a step ends:\n{}", run.stderr);
    assert!(run.stdout.starts_with("deployed and proven\nepoch  running  http://"), "{}", run.stdout);
}

/// What a terminal is shown, by util-linux's `script`, which macOS has with other arguments.
#[cfg(target_os = "linux")]
fn on_a_terminal(sandbox: &Sandbox, line: &str, env: &[(&str, &str)]) -> String {
    let line = format!("{} {line} --env {}", env!("CARGO_BIN_EXE_xtask"), sandbox.env);
    let mut command = std::process::Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env_remove("NO_COLOR").envs([("TERM", "xterm")]).envs(env.iter().copied());
    Run::of(command.current_dir(&sandbox.root).stdin(Stdio::null())).success().stdout
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_has_bars_and_colours_unless_they_are_not_wanted() {
    let sandbox = Sandbox::new("cli-terminal");
    sandbox.xtask(["deploy", "epoch"]).success();
    let coloured = "\x1b[32m✓";
    let shown = on_a_terminal(&sandbox, "deploy epoch --verify", &[]);
    assert!(shown.contains(coloured), "{shown:?}");
    assert!(shown.contains("\x1b[2K"), "a bar clears its line: {shown:?}");
    for quiet in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let shown = on_a_terminal(&sandbox, "deploy epoch --verify", &quiet);
        assert!(!shown.contains("\x1b[32m"), "{shown:?}");
    }
    let file = sandbox.home().join("smoke.txt");
    on_a_terminal(&sandbox, &format!("smoke > {}", file.display()), &[]);
    plain_text(&std::fs::read_to_string(file).unwrap());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new("cli-pipe");
    // Where the other binary is not built yet, that is said once.
    assert!(sandbox.command(["ci", "--list"]).output().unwrap().status.success());
    for args in
        [vec!["status"], vec!["status", "--json"], vec!["ci", "--list"], vec!["completions", "bash"], vec!["--help"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = sandbox.command(&args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}: {stderr}");
        assert_eq!(stderr, "", "{args:?}");
    }
}
