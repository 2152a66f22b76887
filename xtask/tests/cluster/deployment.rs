//! A deployment of this repository's systems to the cluster, and questions about it.

use super::contract::Deployed;
use super::contract::document::edit;
use super::kubectl::Cluster;
use super::repeated::{mark, system_of};
use super::sandbox::{Run, Sandbox, checkout, get, post, scratch};
use super::turn::Turn;
use remote_tools::scratch::copy_repository;
use serde_json::Value;
use skip::{Found, Missing};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// An environment of its own in the cluster; torn down when dropped.
pub(crate) struct Deployment {
    pub(crate) sandbox: Sandbox,
    pub(crate) cluster: &'static Cluster,
    prefix: String,
    /// Dropped last.
    _turn: Turn,
}

/// The cluster, if there is one.
///
/// # Panics
/// If there is none and the variable `XTASK_REQUIRE_CLUSTER` is set to `1`.
pub(crate) fn cluster() -> Found<&'static Cluster> {
    static FOUND: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let found = FOUND.get_or_init(Cluster::find);
    found.as_ref().map_err(|reason| Missing::unless_required(reason, "XTASK_REQUIRE_CLUSTER"))
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

impl Deployment {
    /// The name is at most ten characters long.
    pub(crate) fn new(name: &str) -> Found<Self> {
        let cluster = cluster()?;
        Ok(Self::in_copy(cluster, shared_copy().to_owned(), name, false, Turn::shared()))
    }

    /// With images in a registry of its own.
    pub(crate) fn with_registry(name: &str, registry: &str) -> Found<Self> {
        let cluster = Cluster { registry: registry.to_owned(), ..cluster()?.clone() };
        Ok(Self::in_copy(Box::leak(Box::new(cluster)), shared_copy().to_owned(), name, false, Turn::shared()))
    }

    /// With no other one at the same time: for those whose requests are counted or whose load is measured, or which take
    /// most of the room.
    pub(crate) fn alone(name: &str) -> Found<Self> {
        let cluster = cluster()?;
        Ok(Self::in_copy(cluster, shared_copy().to_owned(), name, false, Turn::alone()))
    }

    /// In a copy of its own, whose files may be changed.
    pub(crate) fn with_own_copy(name: &str) -> Found<Self> {
        Self::in_own_copy(name, Turn::shared)
    }

    /// In a copy of its own, and with no other one at the same time.
    pub(crate) fn alone_with_own_copy(name: &str) -> Found<Self> {
        Self::in_own_copy(name, Turn::alone)
    }

    fn in_own_copy(name: &str, turn: fn() -> Turn) -> Found<Self> {
        let cluster = cluster()?;
        let copy = scratch().join(format!("e2e-cluster-{name}"));
        copy_repository(checkout(), &copy).unwrap();
        hasten(&copy);
        Ok(Self::in_copy(cluster, copy, name, true, turn()))
    }

    /// In a folder that has a checkout of its own, and goes with it.
    pub(crate) fn in_folder(folder: impl FnOnce() -> PathBuf, name: &str) -> Found<Self> {
        let cluster = cluster()?;
        Ok(Self::in_copy(cluster, folder(), name, true, Turn::shared()))
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
        let copy = scratch().join(format!("e2e-cluster-elsewhere-{}", self.id()));
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

impl Deployed for Deployment {
    const TARGET: &'static str = "kubernetes";
    const PROOF: &'static str = "prove";
    const CRASHED: &'static str = "crash";
    const ABSENT: &'static [&'static str] = &[];
    const CONFINES: bool = true;

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn running(&self, service: &str) -> BTreeSet<String> {
        let mut pods = self.pods(system_of(service), service);
        // What an interrupted teardown has told to end may take its time to, beside what was deployed again.
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        // Since a service may grow meanwhile, it is its sets of pods that tell whether there is a new version.
        // A pod of nobody's is one of ours that tries whether the service can be reached.
        let sets = pods.iter().filter_map(|pod| pod["metadata"]["ownerReferences"][0]["uid"].as_str());
        sets.map(str::to_owned).collect()
    }

    fn has_variable(&self, service: &str, name: &str, value: &str) -> bool {
        let get = ["get", "deployment", service, "--output=json"];
        let workload = self.kubectl(system_of(service), get).success().json();
        let variables = workload.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array).unwrap();
        variables.iter().any(|variable| variable["name"] == name && variable["value"] == value)
    }

    fn get(&self, service: &str, path: &str) -> Result<(u16, String), String> {
        get(&self.place(service), path)
    }

    fn post(&self, service: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
        post(&self.place(service), path, body)
    }

    fn place(&self, service: &str) -> Option<String> {
        Some(Deployment::place(self, service))
    }

    fn left(&self) -> Vec<String> {
        self.everything()
    }

    fn replicas(&self, service: &str) -> Option<u32> {
        let alone = ["redis", "ledger", "emulator", "consumer"];
        Some(if alone.contains(&service) { 1 } else { 2 })
    }
}
