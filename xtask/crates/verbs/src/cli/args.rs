//! What each command takes, as types.

use super::level::Level;
use clap_complete::Shell;
use engine::deployment::EnvironmentArgs;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Which systems; all of them unless some are named.
#[derive(Debug)]
pub struct SystemsArgs {
    pub systems: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub struct JsonArgs {
    pub json: bool,
}

/// How a command that changes something is held back or let go.
#[derive(Debug, Clone, Copy)]
pub struct MutationArgs {
    pub dry_run: bool,
    pub yes: bool,
}

#[derive(Debug)]
pub struct DoctorArgs {
    pub environment: EnvironmentArgs,
    pub json: JsonArgs,
    pub fix: bool,
    pub mutation: MutationArgs,
    pub verbose: bool,
}

#[derive(Debug)]
pub struct DeployArgs {
    pub systems: SystemsArgs,
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
    pub json: JsonArgs,
    pub verify: bool,
    /// The name of the deployment whose cluster, network or data may be destroyed or replaced.
    pub confirm: Option<String>,
    /// The systems that may keep their state elsewhere from now on.
    pub move_state: Vec<String>,
}

/// What a command takes that only looks.
#[derive(Debug)]
pub struct ReadArgs {
    pub systems: SystemsArgs,
    pub environment: EnvironmentArgs,
    pub json: JsonArgs,
}

#[derive(Debug)]
pub struct LogsArgs {
    /// Services, jobs and systems; none means all that were deployed.
    pub names: Vec<String>,
    pub environment: EnvironmentArgs,
    pub follow: bool,
    pub lines: usize,
    /// No line that is older.
    pub since: Option<Duration>,
    /// Only entries that have this text.
    pub grep: Option<String>,
    /// Nothing that is less grave.
    pub level: Option<Level>,
    /// As it was written, without names.
    pub raw: bool,
}

/// A cluster on this machine.
#[derive(Debug)]
pub struct ClusterArgs {
    pub verb: ClusterVerb,
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterVerb {
    Up,
    Down,
}

/// The AWS platform on its own.
#[derive(Debug)]
pub struct InfraArgs {
    pub verb: InfraVerb,
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
    pub json: JsonArgs,
    /// See [`DeployArgs::confirm`].
    pub confirm: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InfraVerb {
    Plan,
    Apply,
    Destroy,
    Output,
    /// Removes the lock that a killed Terraform has left; the lock's ID, where several could be meant.
    Unlock(Option<String>),
    /// Writes Terraform's lock file, with the checksums of its providers for every platform.
    Lock,
}

/// The certificate of the domain.
#[derive(Debug)]
pub struct CertArgs {
    pub verb: CertVerb,
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
    pub json: JsonArgs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertVerb {
    Request {
        /// For as long as it takes at most until it is issued.
        wait: Option<Duration>,
    },
    Status,
}

#[derive(Debug)]
pub struct RenderArgs {
    pub systems: SystemsArgs,
    pub environment: EnvironmentArgs,
    /// The folder that the manifests go into.
    pub out: PathBuf,
}

#[derive(Debug)]
pub struct ReportArgs {
    /// The run's name or the beginning of it; the newest when there is none.
    pub run: Option<String>,
    pub environment: EnvironmentArgs,
    /// Where the page goes; beside the journal unless named.
    pub out: Option<PathBuf>,
}

#[derive(Debug)]
pub struct RollbackArgs {
    pub system: String,
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
    pub json: JsonArgs,
}

#[derive(Debug)]
pub struct RunArgs {
    /// `JOB` or `SYSTEM/JOB`
    pub job: String,
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
}

#[derive(Debug)]
pub struct TeardownArgs {
    pub systems: SystemsArgs,
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
    pub json: JsonArgs,
    pub keep_data: bool,
    pub verify: bool,
}

#[derive(Debug)]
pub struct BuildArgs {
    pub systems: SystemsArgs,
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
    pub json: JsonArgs,
    pub push: bool,
    pub why: bool,
    pub update_pins: bool,
}

#[derive(Debug)]
pub struct AddArgs {
    /// A path, or the reference of a public image.
    pub source: String,
    /// What the system is called, where its source is not to say.
    pub name: Option<String>,
    /// Where a Dockerfile's program listens, where nothing says it.
    pub port: Option<String>,
    /// Whose engine a public image is tried with.
    pub environment: EnvironmentArgs,
    pub mutation: MutationArgs,
    pub json: JsonArgs,
}

/// Of what is made from the rest of the repository.
#[derive(Debug)]
pub struct MadeArgs {
    /// Only say whether it is fresh.
    pub check: bool,
}

#[derive(Debug)]
pub struct CiArgs {
    pub only: Vec<String>,
    pub skip: Vec<String>,
    pub list: bool,
    pub strict: bool,
    pub full: bool,
    pub json: JsonArgs,
}

#[derive(Debug)]
pub struct CompletionsArgs {
    pub shell: Shell,
}

#[derive(Debug)]
pub struct SuperviseArgs {
    /// The folder that holds the deployment's state.
    pub state_dir: PathBuf,
}

#[derive(Debug)]
pub struct ExecArgs {
    /// Where the program's output is appended.
    pub log: PathBuf,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

#[derive(Debug)]
pub struct ContainerArgs {
    /// Where the container's output is appended.
    pub log: PathBuf,
    /// What the shim is told, as JSON.
    pub spec: String,
}

#[derive(Debug)]
pub struct GuardArgs {
    /// The program and its arguments.
    pub command: Vec<OsString>,
}
