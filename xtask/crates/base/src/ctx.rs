//! What a command is given: where the repository is, what the environment says, and the way to run programs.
//! The only module that reads environment variables and the working directory.

use crate::error::Fault;
use crate::proc::{Children, Proc};
use crate::redact;
use crate::signal::Interrupts;
use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

pub struct Ctx {
    /// The repository: the nearest folder above the working directory that has `deploy/systems` and a `Cargo.toml`.
    pub root: PathBuf,
    pub vars: Vars,
    /// Whether a person watches: standard error is a terminal.
    pub terminal: bool,
    /// Whether a person can be asked: standard input and standard error are terminals.
    pub can_ask: bool,
    pub interrupts: Interrupts,
    pub proc: Proc,
}

impl Ctx {
    /// # Errors
    /// When the working directory is outside a repository, or signal handlers cannot be installed.
    pub fn new() -> Result<Self> {
        let vars = Vars::of_process();
        vars.learn_secrets();
        let root = Self::repository()?;
        let children = Children::default();
        let interrupts = Interrupts::install(children.clone())?;
        let terminal = std::io::stderr().is_terminal();
        Ok(Self {
            proc: Proc::new(children, interrupts.clone(), vars.path()),
            root,
            terminal: terminal && vars.get("TERM").is_none_or(|term| term != "dumb"),
            can_ask: terminal && std::io::stdin().is_terminal(),
            vars,
            interrupts,
        })
    }

    /// See [`Ctx::root`].
    ///
    /// # Errors
    /// When the working directory is outside a repository.
    pub fn repository() -> Result<PathBuf> {
        let cwd = std::env::current_dir().map_err(|error| {
            Fault::could_not_run("no-working-directory", format!("the working directory cannot be read: {error}"))
        })?;
        let outside = || {
            let cause = format!("no `deploy/systems` beside a `Cargo.toml` in `{}` or above it", cwd.display());
            Fault::could_not_run("no-repository", cause).hint("run `cargo xtask` inside the repository")
        };
        Ok(find_root(&cwd).ok_or_else(outside)?)
    }

    /// The file of the running program, for the helpers that outlive a command.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn own_program() -> Result<PathBuf> {
        Ok(std::env::current_exe()?)
    }
}

/// The environment as it was at start.
#[derive(Debug, Clone, Default)]
pub struct Vars(BTreeMap<OsString, OsString>);

impl Vars {
    /// For the helpers that run without a repository.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Has what is secret among them shown nowhere. Where something is, such as an agent's socket, is none.
    fn learn_secrets(&self) {
        let is_place = |value: &str| Path::new(value).is_absolute() && Path::new(value).exists();
        let text =
            |(name, value): (&'_ OsString, &'_ OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        for (name, value) in self.0.iter().filter_map(text).filter(|(_, value)| !is_place(value)) {
            redact::learn_named(&name, &value);
        }
    }

    /// Just these.
    pub fn of<'v>(pairs: impl IntoIterator<Item = (&'v str, &'v str)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.os(name).and_then(OsStr::to_str)
    }

    fn os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The search path for programs.
    pub fn path(&self) -> OsString {
        self.os("PATH").map(OsStr::to_owned).unwrap_or_default()
    }

    /// The cargo that runs us, so that a nested build uses the same toolchain.
    pub fn cargo(&self) -> PathBuf {
        self.os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
    }

    /// Where cargo keeps what it has fetched.
    pub fn cargo_home(&self) -> PathBuf {
        let usual = || self.os("HOME").map(|home| Path::new(home).join(".cargo"));
        self.os("CARGO_HOME").map(PathBuf::from).or_else(usual).unwrap_or_default()
    }

    /// The compiler that cargo uses. Like cargo it takes a toolchain's own where rustup has chosen that, since to ask
    /// rustup's stand-in takes several times as long.
    pub fn rustc(&self) -> PathBuf {
        let beside =
            || Some(self.cargo().with_file_name("rustc")).filter(|rustc| rustc.is_absolute() && rustc.is_file());
        let chosen = || self.os("RUSTUP_TOOLCHAIN").and_then(|_| beside());
        self.os("RUSTC").map(PathBuf::from).or_else(chosen).unwrap_or_else(|| PathBuf::from("rustc"))
    }

    /// What cargo sets for `cargo run` and a nested cargo must not inherit: build scripts watch these and would be
    /// rerun for nothing (rust-lang/cargo#16134).
    pub fn set_by_cargo_run(&self) -> Vec<OsString> {
        let leaks = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        self.0.keys().filter(|name| name.to_str().is_some_and(leaks)).cloned().collect()
    }

    /// Who runs this, for whoever finds the environment held: "alice@laptop", or the pipeline's run.
    pub fn who(&self) -> String {
        if let (Some(server), Some(repository), Some(run)) =
            (self.get("GITHUB_SERVER_URL"), self.get("GITHUB_REPOSITORY"), self.get("GITHUB_RUN_ID"))
        {
            return format!("{server}/{repository}/actions/runs/{run}");
        }
        let user = self.get("USER").or(self.get("LOGNAME")).unwrap_or("somebody");
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        format!("{user}@{}", host.unwrap_or_else(|| "this machine".to_owned()))
    }

    /// Variables with this beginning.
    pub fn starting_with(&self, prefix: &str) -> Vec<(String, String)> {
        let text =
            |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        self.0.iter().filter_map(text).filter(|(name, _)| name.starts_with(prefix)).collect()
    }
}

fn find_root(from: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| folder.join("deploy/systems").is_dir() && folder.join("Cargo.toml").is_file();
    from.ancestors().find(is_root).map(Path::to_path_buf)
}
