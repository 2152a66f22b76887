//! Is this machine ready? Checks, each with an id that scripts rely on, run side by side into one [`Report`].
//!
//! A group of checks is a module that says which checks there are for a [`Scene`]. Nothing here changes anything; what
//! would mend a finding is part of it, and [`mend`] runs it when asked.

mod examine;
pub mod fix;
mod machine;
pub mod mend;
mod ports;
pub mod question;
pub mod render;
mod repository;
mod scene;
mod state;
mod tools;

pub use examine::{again, examine};
pub use repository::{GIB, free, gib};
pub use scene::{GivenSecrets, Scene, Subject};
pub use tools::tool;

use base::error::Fault;
use fix::Fix;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long the programs that a check asks may take together, unless it says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// One question about this machine.
pub struct Check {
    /// Stable: `tool.helm`.
    pub id: String,
    pub group: Group,
    /// What the human form calls it: "helm".
    pub title: String,
    /// The check without whose success this one says nothing.
    pub parent: Option<&'static str>,
    /// Known to take long, and therefore started first.
    pub slow: bool,
    /// How long it is waited for.
    pub within: Duration,
    pub probe: Probe,
}

/// How a check comes to its finding.
pub enum Probe {
    /// Known without asking.
    Known(Finding),
    /// Asked on a thread of its own.
    Ask(Ask),
}

type Ask = Arc<dyn Fn(&Scene) -> Finding + Send + Sync>;

impl Check {
    pub fn new(
        group: Group,
        id: impl Into<String>,
        title: impl Into<String>,
        ask: impl Fn(&Scene) -> Finding + Send + Sync + 'static,
    ) -> Self {
        Self::with(group, id, title, Probe::Ask(Arc::new(ask)))
    }

    pub fn known(group: Group, id: impl Into<String>, title: impl Into<String>, finding: Finding) -> Self {
        Self::with(group, id, title, Probe::Known(finding))
    }

    fn with(group: Group, id: impl Into<String>, title: impl Into<String>, probe: Probe) -> Self {
        Self { id: id.into(), group, title: title.into(), parent: None, slow: false, within: DEADLINE, probe }
    }

    pub fn after(mut self, parent: &'static str) -> Self {
        self.parent = Some(parent);
        self
    }

    /// For one that asks what is far away.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    pub fn slow(mut self, slow: bool) -> Self {
        self.slow = slow;
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Repository,
    Tools,
    Machine,
    Aws,
    Cluster,
    State,
}

impl Group {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Tools => "tools",
            Self::Machine => "machine",
            Self::Aws => "aws",
            Self::Cluster => "cluster",
            Self::State => "state",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    /// Works, but less well than it could.
    Warn,
    Fail,
    /// Says nothing: not needed, or its parent failed. The detail is the reason.
    Skip,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub outcome: Outcome,
    pub found: Option<String>,
    pub want: Option<String>,
    pub detail: Option<String>,
    /// What mends it, in order.
    pub fix: Vec<Fix>,
}

impl Finding {
    fn new(outcome: Outcome) -> Self {
        Self { outcome, found: None, want: None, detail: None, fix: Vec::new() }
    }

    pub fn pass(found: impl Into<String>) -> Self {
        Self::new(Outcome::Pass).found(found)
    }

    pub fn warn(detail: impl Into<String>) -> Self {
        Self::new(Outcome::Warn).detail(detail)
    }

    pub fn fail(detail: impl Into<String>) -> Self {
        Self::new(Outcome::Fail).detail(detail)
    }

    pub fn skip(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Skip).detail(reason)
    }

    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub fn want(mut self, want: impl Into<String>) -> Self {
        self.want = Some(want.into());
        self
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub fn fix(mut self, fix: impl IntoIterator<Item = Fix>) -> Self {
        self.fix.extend(fix);
        self
    }

    /// Whether what depends on this can be asked at all.
    fn carries_children(&self) -> bool {
        match self.outcome {
            Outcome::Pass => true,
            Outcome::Warn => self.found.is_some(),
            Outcome::Fail | Outcome::Skip => false,
        }
    }
}

/// A check with its finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    pub id: String,
    pub group: Group,
    pub title: String,
    pub finding: Finding,
    pub took: Duration,
}

/// All findings, by group. Every form of output is drawn from this.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub checks: Vec<Checked>,
}

impl Report {
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|checked| checked.finding.outcome == outcome).count()
    }

    /// Warnings do not count against it.
    pub fn ok(&self) -> bool {
        self.count(Outcome::Fail) == 0
    }

    /// The document that scripts read.
    pub fn to_json(&self) -> Value {
        let check = |checked: &Checked| {
            let Finding { outcome, found, want, detail, fix } = &checked.finding;
            json!({
                "id": checked.id, "outcome": outcome.as_str(), "found": found, "want": want, "detail": detail,
                "fix": fix.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "ms": u64::try_from(checked.took.as_millis()).unwrap_or(u64::MAX),
            })
        };
        json!({
            "schema": 1, "ok": self.ok(),
            "summary": {
                "pass": self.count(Outcome::Pass), "warn": self.count(Outcome::Warn),
                "fail": self.count(Outcome::Fail), "skip": self.count(Outcome::Skip),
            },
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
        })
    }
}

/// Checks of what is not this machine, which only a binary with all backends has.
#[derive(Clone, Copy)]
pub struct Extra {
    pub all: fn(&Scene) -> Vec<Check>,
    /// Those that have to succeed before anything can be deployed.
    pub required: fn(&Scene) -> Vec<Check>,
}

/// Every check for the scene.
pub fn all(scene: &Scene, extra: Extra) -> Vec<Check> {
    let mut checks = repository::checks(scene);
    checks.extend(tools::checks(scene));
    checks.extend(machine::checks());
    checks.extend((extra.all)(scene));
    checks.extend(ports::checks(scene));
    checks.extend(state::checks(scene));
    checks
}

/// Runs what has to succeed before anything can be deployed, and nothing that is merely useful to know. Returns what
/// failed. Ports are not looked at: which of them are needed is known only once the plan is.
pub fn preflight(scene: &Arc<Scene>, extra: Extra) -> Vec<Checked> {
    let mut checks = repository::required();
    checks.extend(tools::required(scene));
    checks.extend((extra.required)(scene));
    let mut failed = examine(scene, &checks).checks;
    failed.retain(|checked| checked.finding.outcome == Outcome::Fail);
    failed
}

/// The error for what a preflight found in an environment: each miss with what mends it.
pub fn fault(environment: &str, failed: &[Checked]) -> Fault {
    let flag = render::env_flag(environment);
    let causes: Vec<_> = failed.iter().map(render::cause).collect();
    let fixes: Vec<_> = failed.iter().flat_map(|checked| &checked.finding.fix).map(|fix| format!("`{fix}`")).collect();
    let fixes = if fixes.is_empty() { String::new() } else { format!("{}; ", fixes.join(", ")) };
    Fault::could_not_run("preflight", causes.join("\n")).hint(format!("{fixes}`cargo xtask doctor{flag}` shows it all"))
}
