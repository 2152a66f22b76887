//! A deployment of this repository's systems to the cluster, and questions about it.

use super::kubectl::Cluster;
use super::repeated::mark;
use super::sandbox::{Run, Sandbox, checkout, scratch};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use xtask::scratch::copy_repository;

/// An environment of its own in the cluster; torn down when dropped.
pub(crate) struct Deployment {
    pub(crate) sandbox: Sandbox,
    pub(crate) cluster: &'static Cluster,
    prefix: String,
    /// Dropped last.
    _turn: Turn,
}

/// Deployments go side by side, since most of their time they wait for the cluster; but not beside one whose requests
/// are counted or whose load is measured, or which takes most of the room.
static TURNS: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "held, never looked at")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Turn {
    fn shared() -> Self {
        Self::Shared(TURNS.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn alone() -> Self {
        Self::Alone(TURNS.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The cluster. What needs one is to be skipped otherwise, which is said here.
///
/// # Panics
/// If there is none and the variable `XTASK_REQUIRE_CLUSTER` is set to `1`.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    const REQUIRE: &str = "XTASK_REQUIRE_CLUSTER";
    static FOUND: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let found = FOUND.get_or_init(Cluster::find);
    if let Err(reason) = found {
        assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{reason}, and `{REQUIRE}` is `1`");
        eprintln!("SKIPPED: {reason} (set `{REQUIRE}=1` to make this a failure)");
    }
    found.as_ref().ok()
}

/// What differs in the copies from the repository: a version that does not come up is told within seconds, and a service
/// that has grown shrinks as soon.
fn hasten(copy: &Path) {
    edit(&copy.join("deploy/systems/epoch.toml"), "[services.epoch]\n", "[services.epoch]\nready_within = \"10s\"\n");
    edit(&copy.join("deploy/systems/epoch.toml"), "max = 6\n", "max = 3\ncpu = 50\nsettle = \"1s\"\n");
}

/// A copy of this repository for all tests that change none of it.
fn shared_copy() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = scratch().join("e2e-cluster");
        copy_repository(checkout(), &copy).unwrap();
        hasten(&copy);
        copy
    })
}

/// Replaces a part of a file, which has to be there.
pub(crate) fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", path.display());
    std::fs::write(path, text.replace(from, to)).unwrap();
}

impl Deployment {
    /// `None` where there is no cluster. The name is at most ten characters long.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let cluster = cluster()?;
        Some(Self::in_copy(cluster, shared_copy().to_owned(), name, false, Turn::shared()))
    }

    /// With no other one at the same time.
    pub(crate) fn alone(name: &str) -> Option<Self> {
        let cluster = cluster()?;
        Some(Self::in_copy(cluster, shared_copy().to_owned(), name, false, Turn::alone()))
    }

    /// In a copy of its own, whose files may be changed.
    pub(crate) fn with_own_copy(name: &str) -> Option<Self> {
        Self::in_own_copy(name, Turn::shared)
    }

    /// In a copy of its own, and with no other one at the same time.
    pub(crate) fn alone_with_own_copy(name: &str) -> Option<Self> {
        Self::in_own_copy(name, Turn::alone)
    }

    fn in_own_copy(name: &str, turn: fn() -> Turn) -> Option<Self> {
        let cluster = cluster()?;
        let copy = scratch().join(format!("e2e-cluster-{name}"));
        copy_repository(checkout(), &copy).unwrap();
        hasten(&copy);
        Some(Self::in_copy(cluster, copy, name, true, turn()))
    }

    fn in_copy(cluster: &'static Cluster, copy: PathBuf, name: &str, own: bool, turn: Turn) -> Self {
        let prefix = format!("t{}-{name}-", mark());
        let settings = format!(
            "target = \"kubernetes\"\ncontext = \"{}\"\nregistry = \"{}/e2e-{name}\"\nnamespace_prefix = \"{prefix}\"\n",
            cluster.context, cluster.registry
        );
        let env = format!("e2e-{}-{name}", mark());
        Self { sandbox: Sandbox::with_settings(copy, &env, own, settings), cluster, prefix, _turn: turn }
    }

    /// Another checkout with the same environment, which knows nothing of what this one keeps on disk.
    pub(crate) fn elsewhere(&self) -> PathBuf {
        let copy = scratch().join("e2e-cluster-elsewhere");
        copy_repository(checkout(), &copy).unwrap();
        let file = format!("deploy/environments/{}.toml", self.sandbox.env);
        std::fs::copy(self.sandbox.root.join(&file), copy.join(&file)).unwrap();
        copy
    }

    /// What everything made for it carries.
    pub(crate) fn id(&self) -> &str {
        &self.sandbox.env
    }

    pub(crate) fn namespace(&self, system: &str) -> String {
        format!("{}{system}", self.prefix)
    }

    #[track_caller]
    pub(crate) fn deploy(&self, args: &[&str]) -> Value {
        self.sandbox.xtask([&["deploy", "--json"], args].concat()).success().json()
    }

    /// A deploy that has to fail.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str]) -> Run {
        self.sandbox.xtask([&["deploy", "--json"], args].concat()).exits(1)
    }

    /// Where a public service is asked: its host by way of the ingress.
    #[track_caller]
    pub(crate) fn place(&self, service: &str) -> String {
        let status = self.sandbox.status(service);
        let url = status["url"].as_str().unwrap_or_else(|| panic!("{status:#}"));
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        format!("{host}@{}", status["via"].as_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn kubectl<const N: usize>(&self, system: &str, args: [&str; N]) -> Run {
        let namespace = self.namespace(system);
        let mut command = std::process::Command::new("kubectl");
        command.args(["--context", &self.cluster.context, "--namespace", &namespace]).args(args);
        Run::of(command.stdin(std::process::Stdio::null()))
    }

    /// The pods of a service.
    #[track_caller]
    pub(crate) fn pods(&self, system: &str, service: &str) -> Vec<Value> {
        let mut pods = self.cluster.list("pods", &self.namespace(system));
        pods.retain(|pod| pod["metadata"]["labels"]["app.kubernetes.io/name"] == service);
        pods
    }

    /// Helm's own number of the newest release of a system, and its state.
    #[track_caller]
    pub(crate) fn helm_release(&self, system: &str) -> (u64, String) {
        let records = self.cluster.list("secrets", &self.namespace(system));
        let label =
            |record: &Value, name: &str| record["metadata"]["labels"][name].as_str().unwrap_or_default().to_owned();
        let ours = records.iter().filter(|record| label(record, "owner") == "helm" && label(record, "name") == system);
        let versions = ours.map(|record| (label(record, "version").parse().unwrap(), label(record, "status")));
        versions.max().unwrap_or_default()
    }

    /// The kinds and names of everything in the cluster that carries the deployment's label.
    pub(crate) fn everything(&self) -> Vec<String> {
        let kinds = "namespaces,pods,services,deployments,statefulsets,ingresses,networkpolicies,secrets,configmaps,\
                     serviceaccounts,roles,rolebindings,persistentvolumeclaims,horizontalpodautoscalers,\
                     poddisruptionbudgets,leases";
        let selector = format!("deployment_id={}", self.id());
        let found = self.cluster.run(["get", kinds, "--all-namespaces", "--selector", &selector, "--output=name"]);
        let namespaces = self.cluster.run(["get", "namespaces", "--output=name"]).success().stdout;
        let own = namespaces.lines().filter(|name| name.contains(&format!("/{}", self.prefix)));
        found.success().stdout.lines().chain(own).map(str::to_owned).collect()
    }
}

/// The entry of a step in the document of a run.
#[track_caller]
pub(crate) fn step<'v>(document: &'v Value, id: &str) -> &'v Value {
    let steps = document["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step `{id}` in {document:#}"))
}
