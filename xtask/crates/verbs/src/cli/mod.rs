//! The whole command line, without behaviour: what each command is called, what it takes, and the types that its
//! arguments become.
//!
//! Built with clap's builder and not its derive macros, which would be a sixth of this tool's cold build.

mod args;
mod level;
mod surface;

pub use self::level::Level;
pub use args::*;
pub use surface::command;

use clap::ArgMatches;
use clap::error::Error;
use engine::deployment::EnvironmentArgs;
use std::ffi::OsString;
use std::time::Duration;

/// A command with its arguments.
#[derive(Debug)]
pub enum Command {
    Doctor(DoctorArgs),
    Deploy(DeployArgs),
    Plan(ReadArgs),
    Status(ReadArgs),
    Logs(LogsArgs),
    Smoke(ReadArgs),
    Rollback(RollbackArgs),
    Run(RunArgs),
    Teardown(TeardownArgs),
    Build(BuildArgs),
    Add(AddArgs),
    Cluster(ClusterArgs),
    Infra(InfraArgs),
    Cert(CertArgs),
    Render(RenderArgs),
    Report(ReportArgs),
    Diagram(MadeArgs),
    Reference(MadeArgs),
    Ci(CiArgs),
    Completions(CompletionsArgs),
    Supervise(SuperviseArgs),
    Exec(ExecArgs),
    Container(ContainerArgs),
    Guard(GuardArgs),
}

/// How many of the last lines `logs` shows unasked.
const LINES: usize = 100;

/// Reads the command line.
///
/// # Errors
/// When it is wrong, or asks for help or the version; the error prints itself and knows its exit code.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let mut matches = command().try_get_matches_from(line)?;
    match matches.remove_subcommand() {
        Some((name, matches)) => Command::read(&name, &mut Matches(matches)),
        None => None,
    }
    .ok_or_else(|| Error::new(clap::error::ErrorKind::MissingSubcommand))
}

impl Command {
    /// Whether every binary has it.
    pub fn is_common(&self) -> bool {
        !matches!(
            self,
            Self::Build(_)
                | Self::Add(_)
                | Self::Cluster(_)
                | Self::Infra(_)
                | Self::Cert(_)
                | Self::Render(_)
                | Self::Report(_)
                | Self::Diagram(_)
                | Self::Reference(_)
                | Self::Ci(_)
                | Self::Container(_)
        )
    }

    /// The environment that a verb of all binaries is about.
    pub fn environment(&self) -> Option<&EnvironmentArgs> {
        match self {
            Self::Doctor(args) => Some(&args.environment),
            Self::Deploy(args) => Some(&args.environment),
            Self::Plan(args) | Self::Status(args) | Self::Smoke(args) => Some(&args.environment),
            Self::Logs(args) => Some(&args.environment),
            Self::Rollback(args) => Some(&args.environment),
            Self::Run(args) => Some(&args.environment),
            Self::Teardown(args) => Some(&args.environment),
            _ => None,
        }
    }

    /// `None` for a command that [`command`] does not have, or that lacks what clap has seen to.
    fn read(name: &str, m: &mut Matches) -> Option<Self> {
        Some(match name {
            "doctor" => Self::Doctor(DoctorArgs {
                environment: m.environment(),
                json: m.json(),
                fix: m.flag("fix"),
                mutation: m.mutation(),
                verbose: m.flag("verbose"),
            }),
            "deploy" => Self::Deploy(DeployArgs {
                systems: m.systems(),
                environment: m.environment(),
                mutation: m.mutation(),
                json: m.json(),
                verify: m.flag("verify"),
                confirm: m.one("confirm"),
                move_state: m.many("move-state"),
            }),
            "plan" => Self::Plan(m.read_args()),
            "status" => Self::Status(m.read_args()),
            "smoke" => Self::Smoke(m.read_args()),
            "logs" => {
                let since: Option<Duration> = m.one("since");
                // Whoever names a time wants all that was said in it.
                let lines = if since.is_some() { usize::MAX } else { LINES };
                Self::Logs(LogsArgs {
                    names: m.many("names"),
                    environment: m.environment(),
                    follow: m.flag("follow"),
                    lines: m.one("lines").unwrap_or(lines),
                    since,
                    grep: m.one("grep"),
                    level: m.one("level"),
                    raw: m.flag("raw"),
                })
            }
            "cluster" => {
                let (verb, matches) = m.0.remove_subcommand()?;
                let mut m = Matches(matches);
                let verb = if verb == "up" { ClusterVerb::Up } else { ClusterVerb::Down };
                Self::Cluster(ClusterArgs { verb, environment: m.environment(), mutation: m.mutation() })
            }
            "infra" => {
                let (verb, matches) = m.0.remove_subcommand()?;
                Self::Infra(Matches(matches).infra(&verb)?)
            }
            "cert" => {
                let (verb, matches) = m.0.remove_subcommand()?;
                let mut m = Matches(matches);
                let request = verb == "request";
                let verb = if request { CertVerb::Request { wait: m.one("wait") } } else { CertVerb::Status };
                let mutation = if request { m.mutation() } else { MutationArgs { dry_run: false, yes: false } };
                Self::Cert(CertArgs { verb, environment: m.environment(), mutation, json: m.json() })
            }
            "render" => {
                Self::Render(RenderArgs { systems: m.systems(), environment: m.environment(), out: m.one("out")? })
            }
            "report" => Self::Report(ReportArgs { run: m.one("run"), environment: m.environment(), out: m.one("out") }),
            "rollback" => Self::Rollback(RollbackArgs {
                system: m.one("system")?,
                environment: m.environment(),
                mutation: m.mutation(),
                json: m.json(),
            }),
            "run" => Self::Run(RunArgs { job: m.one("job")?, environment: m.environment(), mutation: m.mutation() }),
            "teardown" => Self::Teardown(TeardownArgs {
                systems: m.systems(),
                environment: m.environment(),
                mutation: m.mutation(),
                json: m.json(),
                keep_data: m.flag("keep-data"),
                verify: m.flag("verify"),
            }),
            "build" => Self::Build(BuildArgs {
                systems: m.systems(),
                environment: m.environment(),
                mutation: m.mutation(),
                json: m.json(),
                push: m.flag("push"),
                why: m.flag("why"),
                update_pins: m.flag("update-pins"),
            }),
            "add" => Self::Add(AddArgs {
                source: m.one("source")?,
                name: m.one("name"),
                port: m.one("port"),
                environment: m.environment(),
                mutation: m.mutation(),
                json: m.json(),
            }),
            "diagram" => Self::Diagram(MadeArgs { check: m.flag("check") }),
            "reference" => Self::Reference(MadeArgs { check: m.flag("check") }),
            "ci" => Self::Ci(CiArgs {
                only: m.many("only"),
                skip: m.many("skip"),
                list: m.flag("list"),
                strict: m.flag("strict"),
                full: m.flag("full"),
                json: m.json(),
            }),
            "completions" => Self::Completions(CompletionsArgs { shell: m.one("shell")? }),
            surface::SUPERVISE => Self::Supervise(SuperviseArgs { state_dir: m.one("state-dir")? }),
            surface::EXEC => Self::Exec(ExecArgs { log: m.one("log")?, command: m.many("command") }),
            surface::CONTAINER => Self::Container(ContainerArgs { log: m.one("log")?, spec: m.one("spec")? }),
            surface::GUARD => Self::Guard(GuardArgs { command: m.many("command") }),
            _ => return None,
        })
    }
}

/// What clap has read, by the names that [`surface`] gives the arguments.
struct Matches(ArgMatches);

impl Matches {
    fn flag(&self, id: &str) -> bool {
        self.0.get_flag(id)
    }

    fn one<T: Clone + Send + Sync + 'static>(&mut self, id: &str) -> Option<T> {
        self.0.remove_one(id)
    }

    fn many<T: Clone + Send + Sync + 'static>(&mut self, id: &str) -> Vec<T> {
        self.0.remove_many(id).into_iter().flatten().collect()
    }

    fn environment(&mut self) -> EnvironmentArgs {
        EnvironmentArgs { name: self.one("env").unwrap_or_default(), set: self.many("set") }
    }

    fn systems(&mut self) -> SystemsArgs {
        SystemsArgs { systems: self.many("systems") }
    }

    fn json(&self) -> JsonArgs {
        JsonArgs { json: self.flag("json") }
    }

    fn mutation(&self) -> MutationArgs {
        MutationArgs { dry_run: self.flag("dry-run"), yes: self.flag("yes") }
    }

    fn infra(&mut self, verb: &str) -> Option<InfraArgs> {
        let changes = matches!(verb, "apply" | "destroy" | "unlock" | "lock");
        let confirms = matches!(verb, "apply" | "destroy");
        let verb = match verb {
            "plan" => InfraVerb::Plan,
            "apply" => InfraVerb::Apply,
            "destroy" => InfraVerb::Destroy,
            "output" => InfraVerb::Output,
            "unlock" => InfraVerb::Unlock(self.one("id")),
            "lock" => InfraVerb::Lock,
            _ => return None,
        };
        Some(InfraArgs {
            verb,
            environment: self.environment(),
            mutation: if changes { self.mutation() } else { MutationArgs { dry_run: false, yes: false } },
            json: self.json(),
            confirm: if confirms { self.one("confirm") } else { None },
        })
    }

    fn read_args(&mut self) -> ReadArgs {
        ReadArgs { systems: self.systems(), environment: self.environment(), json: self.json() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Command, Error> {
        parse(std::iter::once("cargo xtask").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    /// An argument that is read but not declared would panic, and one that is declared but not read be for nothing.
    #[test]
    fn every_command_is_read_with_all_that_it_takes() {
        let lines = [
            "doctor --env x --set a=b --json --fix --dry-run --yes --verbose",
            "deploy a b --env x --set a=b --dry-run --yes --json --verify --confirm x --move-state a",
            "plan a --env x --set a=b --json",
            "status a --env x --set a=b --json",
            "smoke a --env x --set a=b --json",
            "logs a --env x --set a=b --follow --lines 7 --since 5m",
            "cluster up --env x --set a=b --dry-run --yes",
            "cluster down --env x --set a=b --dry-run --yes",
            "infra plan --env x --set a=b --json",
            "infra apply --env x --set a=b --json --dry-run --yes --confirm x",
            "infra destroy --env x --set a=b --json --dry-run --yes --confirm x",
            "infra output --env x --set a=b --json",
            "infra unlock 1 --env x --set a=b --json --dry-run --yes",
            "infra lock --env x --set a=b --json --dry-run --yes",
            "cert request --env x --set a=b --json --dry-run --yes --wait 10m",
            "cert status --env x --set a=b --json",
            "render a --env x --set a=b --out /out",
            "report a --env x --set a=b --out /out",
            "rollback a --env x --set a=b --dry-run --yes --json",
            "run a --env x --set a=b --dry-run --yes",
            "teardown a --env x --set a=b --dry-run --yes --json --keep-data",
            "build a --env x --set a=b --dry-run --yes --json --push --why",
            "build --update-pins",
            "add a --name b --port 80 --env x --set a=b --dry-run --yes --json",
            "diagram --check",
            "reference --check",
            "ci --only a,b --skip c --list --strict --full --json",
            "completions zsh",
            "__supervise /state",
            "__exec --log /log -- program --flag",
            "__container --log /log {}",
            "__guard -- program --flag",
        ];
        for line in lines {
            let read = parse_words(line).map(|command| format!("{command:?}"));
            assert!(read.is_ok(), "{line}: {read:?}");
        }
        let names: Vec<_> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
        let declared = command();
        let declared: Vec<_> = declared.get_subcommands().map(clap::Command::get_name).collect();
        assert!(declared.iter().all(|name| names.contains(name)), "{declared:?}");
    }

    #[test]
    fn what_is_read_is_what_was_given() {
        let Ok(Command::Deploy(args)) = parse_words("deploy a b --env x --set k=v --set l=w --yes --verify") else {
            panic!("not read as a deploy");
        };
        assert_eq!(args.systems.systems, ["a", "b"]);
        assert_eq!((args.environment.name.as_str(), args.environment.set), ("x", vec!["k=v".into(), "l=w".into()]));
        assert!(args.mutation.yes && args.verify && !args.mutation.dry_run && !args.json.json);
        let Ok(Command::Exec(args)) = parse_words("__exec --log /l -- p --json") else {
            panic!("not read as an exec");
        };
        assert_eq!(args.command, ["p", "--json"]);
        let Ok(Command::Logs(args)) = parse_words("logs epoch") else { panic!("not read as logs") };
        assert_eq!((args.lines, args.environment.name.as_str()), (100, "local"));
        let Ok(Command::Logs(args)) = parse_words("logs epoch --since 5m") else { panic!("not read as logs") };
        assert_eq!(args.lines, usize::MAX);
    }
}
