//! The engine that answers on this machine, and what it holds.

use super::sandbox::{Run, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::Command;

/// In the order in which the tool itself asks them.
const ENGINES: [&str; 2] = ["docker", "podman"];

/// docker or podman.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) program: &'static str,
}

/// The names of what an engine holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inventory {
    pub(crate) containers: BTreeSet<String>,
    pub(crate) networks: BTreeSet<String>,
    pub(crate) volumes: BTreeSet<String>,
    pub(crate) images: BTreeSet<String>,
}

impl Inventory {
    /// Everything that is here and not there, each with its kind.
    pub(crate) fn beyond(&self, other: &Self) -> Vec<String> {
        let kinds = [
            ("container", &self.containers, &other.containers),
            ("network", &self.networks, &other.networks),
            ("volume", &self.volumes, &other.volumes),
            ("image", &self.images, &other.images),
        ];
        let more = kinds.into_iter().flat_map(|(kind, here, there)| {
            here.difference(there).map(move |name| format!("{kind} {name}")).collect::<Vec<_>>()
        });
        more.collect()
    }
}

impl Engine {
    /// The first engine that lists its containers. A client whose engine is not running does not.
    pub(crate) fn find() -> Result<Self, String> {
        let answers =
            |program: &&str| Command::new(program).arg("ps").output().is_ok_and(|output| output.status.success());
        let found = ENGINES.into_iter().find(answers);
        found.map(|program| Self { program }).ok_or_else(|| format!("none of {ENGINES:?} answers"))
    }

    /// Runs its client to the end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        Run::of(Command::new(self.program).args(args))
    }

    /// A list that something leaves while it is made is refused as a whole, and is asked for again: other checks make and
    /// remove things in the same engine.
    fn lines(&self, args: &[&str]) -> Vec<String> {
        let listed = || {
            let run = self.run(args);
            if run.code() == 0 { Ok(run.stdout) } else { Err(run.stderr) }
        };
        eventually("the engine lists what it has", listed).lines().map(str::to_owned).collect()
    }

    /// Fetches an image unless it is there.
    pub(crate) fn provide(&self, image: &str) -> Result<(), String> {
        if self.run(["image", "inspect", image]).code() == 0 {
            return Ok(());
        }
        let pull = self.run(["pull", "--quiet", image]);
        if pull.code() == 0 { Ok(()) } else { Err(format!("`{image}` cannot be had: {}", pull.stderr.trim())) }
    }

    pub(crate) fn inventory(&self) -> Inventory {
        let names = |args: &[&str]| self.lines(args).into_iter().collect();
        Inventory {
            containers: names(&["ps", "--all", "--format", "{{.Names}}"]),
            networks: names(&["network", "ls", "--format", "{{.Name}}"]),
            volumes: names(&["volume", "ls", "--format", "{{.Name}}"]),
            images: names(&["images", "--format", "{{.Repository}}:{{.Tag}}"]),
        }
    }

    /// What it says of every container that carries this text in its name or in a label.
    pub(crate) fn containers(&self, mark: &str) -> Vec<Value> {
        let listed = self.lines(&["ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Labels}}"]);
        let ids = listed.iter().filter(|line| line.contains(mark)).filter_map(|line| line.split(' ').next());
        // One may go between the two questions.
        ids.filter_map(|id| self.inspect(id)).collect()
    }

    fn inspect(&self, container: &str) -> Option<Value> {
        let run = self.run(["container", "inspect", container]);
        let document: Value = serde_json::from_str(&run.stdout).ok()?;
        document.get(0).cloned()
    }
}
