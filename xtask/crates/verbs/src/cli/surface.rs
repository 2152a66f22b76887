//! What `--help` shows: the commands, what they take, and the words for it.

use super::level::Level;
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command, value_parser};
use clap_complete::Shell;
use std::path::PathBuf;

pub(super) const SUPERVISE: &str = base::proc::SUPERVISE;
pub(super) const EXEC: &str = base::proc::EXEC;
pub(super) const CONTAINER: &str = base::proc::CONTAINER;
pub(super) const GUARD: &str = base::proc::GUARD;

const EXAMPLES: &str = "\
Start here:
  cargo xtask deploy             from a fresh clone to running and proven, on this machine
  cargo xtask status             what runs, where, how healthy
  cargo xtask teardown           removes it all, and shows that nothing is left
  cargo xtask ci                 every check, the same here and in a pipeline

Exit codes:
  0  done
  1  a step or a check failed, or a teardown left something behind
  2  the command line is wrong, or a question cannot be asked without a terminal
  3  could not run: a tool is missing, the spec is wrong, someone else holds the environment
  130, 143  interrupted (Ctrl-C or a closed terminal, SIGTERM)";

const COMPLETIONS: &str = "\
Kept for every new shell:
  bash  cargo xtask completions bash > ~/.cargo-xtask.bash && echo '. ~/.cargo-xtask.bash' >> ~/.bashrc
  zsh   cargo xtask completions zsh > \"${fpath[1]}/_cargo-xtask\"
  fish  cargo xtask completions fish > ~/.config/fish/conf.d/cargo-xtask.fish";

/// The whole command line.
pub fn command() -> Command {
    Command::new("cargo xtask")
        .bin_name("cargo xtask")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Takes this repository's systems from a fresh clone to running and proven, and back to nothing")
        .after_help(EXAMPLES)
        .max_term_width(100)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            doctor(),
            deploy(),
            plan(),
            status(),
            logs(),
            smoke(),
            rollback(),
            run(),
            teardown(),
            build(),
            add(),
            cluster(),
            infra(),
            cert(),
            render(),
            report(),
            diagram(),
            reference(),
            ci(),
            completions(),
        ])
        .subcommands([supervise(), exec(), container(), guard()])
}

fn doctor() -> Command {
    Command::new("doctor")
        .about("Say whether this machine is ready for an environment, and how to fix what is not")
        .args(environment())
        .arg(json())
        .arg(flag("fix", "Fix what can be fixed here and undone again; asks first, never uses sudo"))
        .arg(flag("dry-run", "With --fix: print what would be run, run nothing").requires("fix"))
        .arg(flag("yes", "With --fix: do not ask").short('y'))
        .arg(flag("verbose", "Show passed checks one by one").short('v'))
}

fn deploy() -> Command {
    Command::new("deploy")
        .about("Take systems from nothing to running and proven; again, it does only what is missing")
        .arg(systems())
        .args(environment())
        .args(mutation())
        .arg(json())
        .arg(flag("verify", "Also look for drift: run the smoke contracts though nothing changed"))
        .arg(confirm())
        .arg(move_state())
}

fn move_state() -> Arg {
    let help = "Let this system keep its state elsewhere, beginning with none, where other programs are there now";
    option("move-state", "SYSTEM", help).action(ArgAction::Append)
}

fn plan() -> Command {
    reading("plan", "Show what a deploy would change, and why")
}

fn status() -> Command {
    reading("status", "Show what runs where, at which version, how healthy")
}

fn smoke() -> Command {
    reading("smoke", "Check what runs against its smoke contract")
}

fn logs() -> Command {
    let about = "How many of the last lines to print first [default: 100, with `--since` all]";
    let lines = option("lines", "LINES", about).short('n');
    Command::new("logs")
        .about("Show what services and jobs say, in one stream by time")
        .arg(
            Arg::new("names")
                .value_name("NAME")
                .num_args(0..)
                .help("Services, jobs or whole systems; none means all that are deployed"),
        )
        .args(environment())
        .arg(flag("follow", "Keep printing new lines").short('f'))
        .arg(lines.value_parser(value_parser!(usize)))
        .arg(
            option("since", "TIME", "Only lines of the last TIME, such as `5m`")
                .value_parser(humantime::parse_duration),
        )
        .arg(option("grep", "TEXT", "Only what has TEXT in it; capitals matter where TEXT has any"))
        .arg(
            option(
                "level",
                "LEVEL",
                "Only what is at least as grave: trace, debug, info, warn, error; and what says no level",
            )
            .value_parser(|text: &str| Level::parse(text).ok_or("one of trace, debug, info, warn, error")),
        )
        .arg(flag("raw", "Print lines as they were written, without names"))
}

fn cluster() -> Command {
    let verb = |name: &'static str, about: &'static str| {
        let yes = flag("yes", "Do not ask").short('y');
        Command::new(name)
            .about(about)
            .args(environment().map(in_cluster))
            .arg(flag("dry-run", "Print the exact command lines, run nothing"))
            .arg(yes)
    };
    Command::new("cluster")
        .about("Make a Kubernetes cluster on this machine, or remove it again")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            verb(
                "up",
                "Make a cluster with whichever of kind, k3d and minikube is installed, and name it in the environment",
            ),
            verb("down", "Remove the cluster that `up` has made"),
        ])
}

fn infra() -> Command {
    let verb = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).args(environment().map(on_aws)).arg(json())
    };
    let changing = |name: &'static str, about: &'static str| verb(name, about).args(mutation());
    let id = Arg::new("id").value_name("ID").help("The lock's ID, as Terraform shows it");
    Command::new("infra")
        .about("The AWS platform on its own: what Terraform makes")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            verb("plan", "Show what would be created, changed and destroyed, and what it would cost"),
            changing("apply", "Make the platform what `terraform/` says").arg(confirm()),
            changing("destroy", "Destroy the platform; `teardown` does so in the right order").arg(confirm()),
            verb("output", "Print Terraform's outputs"),
            changing("unlock", "Remove the state lock that a killed Terraform left behind").arg(id),
            changing("lock", "Write Terraform's lock file, with the checksums of its providers"),
        ])
}

fn cert() -> Command {
    let verb = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).args(environment().map(on_aws)).arg(json())
    };
    let wait = option("wait", "TIME", "Wait until it is issued, at most this long, such as `30m`");
    Command::new("cert")
        .about("The certificate of the environment's domain")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            verb("request", "Request it, and print the record that validates the domain")
                .args(mutation())
                .arg(wait.value_parser(humantime::parse_duration)),
            verb("status", "Show whether it is issued, and the record that validates the domain"),
        ])
}

fn confirm() -> Arg {
    let help = "Let the cluster, the network or data of the deployment of this name be destroyed or replaced";
    option("confirm", "NAME", help)
}

/// What is about AWS is about the environment `aws` unless another one is named.
fn on_aws(arg: Arg) -> Arg {
    if arg.get_id() == "env" { arg.default_value("aws") } else { arg }
}

/// What is about a cluster is about the environment `cluster` unless another one is named.
fn in_cluster(arg: Arg) -> Arg {
    if arg.get_id() == "env" { arg.default_value("cluster") } else { arg }
}

/// What takes an engine takes that of the environment `containers` unless another one is named.
fn in_containers(arg: Arg) -> Arg {
    if arg.get_id() == "env" { arg.default_value("containers") } else { arg }
}

fn render() -> Command {
    Command::new("render")
        .about("Write plain manifests of an environment, for GitOps")
        .arg(systems())
        .args(environment().map(in_cluster))
        .arg(option("out", "DIR", "The folder to write to").required(true).value_parser(path()))
}

fn report() -> Command {
    Command::new("report")
        .about("Write a page that shows a run: its steps, its critical path, what it lost, why it failed")
        .arg(
            Arg::new("run")
                .value_name("RUN")
                .help("The run, by its name or the beginning of it; the newest unless named"),
        )
        .args(environment())
        .arg(option("out", "FILE", "Where the page goes; beside the run's journal unless named").value_parser(path()))
}

fn rollback() -> Command {
    Command::new("rollback")
        .about("Go back to the previous healthy revision of a system")
        .arg(Arg::new("system").value_name("SYSTEM").required(true).help("The system"))
        .args(environment())
        .args(mutation())
        .arg(json())
}

fn run() -> Command {
    Command::new("run")
        .about("Run a job now, made of what is deployed, and show what it says")
        .arg(Arg::new("job").value_name("JOB").required(true).help("The job: `JOB`, or `SYSTEM/JOB`"))
        .args(environment())
        .args(mutation())
}

fn teardown() -> Command {
    let verify = "Change nothing; look for what an earlier teardown or a lost ledger left behind";
    Command::new("teardown")
        .about("Remove what deploy made and nothing else, then prove that nothing is left")
        .arg(systems())
        .args(environment())
        .args(mutation())
        .arg(json())
        .arg(flag("keep-data", "Keep what the services have stored; on AWS only for systems that are named"))
        .arg(flag("verify", verify).conflicts_with_all(["keep-data", "dry-run"]))
}

fn build() -> Command {
    let pins = flag("update-pins", "Build nothing; pin public images by the digests that their registries have now");
    Command::new("build")
        .about("Build the container images of systems whose sources have changed")
        .arg(systems())
        .args(environment())
        .args(mutation())
        .arg(json())
        .arg(flag("push", "Push them to the environment's registry, too"))
        .arg(flag("why", "Say for each image what changed since it was built last"))
        .arg(pins.conflicts_with_all(["systems", "push", "why", "dry-run"]))
}

fn add() -> Command {
    let source = "A folder with a Dockerfile, a public image (REGISTRY/PATH:TAG), or a compose file";
    Command::new("add")
        .about(
            "Write the file of a system from what is there: a folder with a Dockerfile, a public image, a compose file",
        )
        .arg(Arg::new("source").value_name("PATH|IMAGE").required(true).help(source))
        .arg(option("name", "NAME", "What the system is called; as the folder or the image unless named"))
        .arg(option("port", "PORT", "The port that a Dockerfile's program listens on, where it exposes none"))
        .args(environment().map(in_containers))
        .args(mutation())
        .arg(json())
}

fn diagram() -> Command {
    Command::new("diagram")
        .about("Draw the architecture into `docs/architecture.md`, from the spec and Terraform")
        .arg(flag("check", "Write nothing; fail if the page is not what would be drawn"))
}

fn reference() -> Command {
    Command::new("reference")
        .about("Write the reference and the schemas of the files in `deploy/`, from their reader")
        .arg(flag("check", "Write nothing; fail if a file is not what would be written"))
}

fn ci() -> Command {
    let ids = |id: &'static str, help| option(id, "ID", help).value_delimiter(',').action(ArgAction::Append);
    Command::new("ci")
        .about("Run every check of this repository")
        .arg(ids("only", "Run only these checks"))
        .arg(ids("skip", "Leave these checks out"))
        .arg(flag("list", "Print the checks and what each does"))
        .arg(flag("strict", "A check that would be skipped because its tool is missing fails"))
        .arg(flag("full", "Add the long matrices"))
        .arg(json())
}

fn completions() -> Command {
    let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell));
    Command::new("completions").about("Print a completion script for a shell").after_help(COMPLETIONS).arg(shell)
}

fn supervise() -> Command {
    Command::new(SUPERVISE).hide(true).arg(Arg::new("state-dir").required(true).value_parser(path()))
}

fn exec() -> Command {
    Command::new(EXEC).hide(true).arg(Arg::new("log").long("log").required(true).value_parser(path())).arg(program())
}

fn guard() -> Command {
    Command::new(GUARD).hide(true).arg(program())
}

/// A program with its arguments, after `--`.
fn program() -> Arg {
    let command = Arg::new("command").num_args(1..).required(true).trailing_var_arg(true).allow_hyphen_values(true);
    command.value_parser(ValueParser::os_string())
}

fn container() -> Command {
    Command::new(CONTAINER)
        .hide(true)
        .arg(Arg::new("log").long("log").required(true).value_parser(path()))
        .arg(Arg::new("spec").required(true))
}

fn path() -> ValueParser {
    value_parser!(PathBuf)
}

/// A command that only looks.
fn reading(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).arg(systems()).args(environment()).arg(json())
}

fn systems() -> Arg {
    Arg::new("systems").value_name("SYSTEM").num_args(0..).help("Only these systems")
}

fn environment() -> [Arg; 2] {
    [
        option("env", "NAME", "The environment: a file in `deploy/environments/`").default_value("local"),
        option("set", "KEY=VALUE", "Change one setting for this run").action(ArgAction::Append),
    ]
}

fn mutation() -> [Arg; 2] {
    [
        flag("dry-run", "Print the steps and their exact command lines, run nothing"),
        flag("yes", "Answer every question with yes").short('y'),
    ]
}

fn json() -> Arg {
    flag("json", "Print one JSON document on standard output and nothing else")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}
