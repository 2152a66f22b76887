//! A deployment of this repository's systems to AWS.

use super::account::{Account, account};
use super::contract::{Deployed, document};
use super::repeated::{mark, system_of};
use super::sandbox::{Run, Running, Sandbox, checkout, scratch};
use base::http::{Request, Url, send};
use remote_tools::scratch::copy_repository;
use serde_json::Value;
use skip::{Found, Missing};
use std::collections::BTreeSet;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// An environment of its own; torn down when dropped.
pub(crate) struct Deployment {
    pub(crate) sandbox: Sandbox,
    pub(crate) account: &'static Account,
    pub(crate) id: String,
    prefix: String,
}

/// A platform that takes minutes more than what it adds to the other tests is worth each time.
pub(crate) fn asked_for() -> Found<()> {
    let full = std::env::var_os("XTASK_FULL").is_some_and(|full| full == "1");
    full.then_some(()).ok_or_else(|| Missing::new("a further platform takes minutes; `cargo xtask ci --full` makes it"))
}

/// A copy of this repository for all tests.
fn shared_copy() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = scratch().join("e2e-eks");
        copy_repository(checkout(), &copy).unwrap();
        copy
    })
}

/// Leaves a copy nothing but these systems.
fn only(copy: &Path, systems: &[&str]) {
    for entry in std::fs::read_dir(copy.join("deploy/systems")).unwrap() {
        let path = entry.unwrap().path();
        if !systems.iter().any(|system| path.ends_with(format!("{system}.toml"))) {
            std::fs::remove_file(path).unwrap();
        }
    }
}

impl Deployment {
    /// The name is at most eight characters long.
    pub(crate) fn new(name: &str) -> Found<Self> {
        Self::with(name, "")
    }

    /// With more settings.
    pub(crate) fn with(name: &str, more: &str) -> Found<Self> {
        account()?;
        Self::in_copy(shared_copy().to_owned(), name, false, more)
    }

    /// With more settings, in a copy of its own with nothing but these systems, whose files may be changed.
    pub(crate) fn with_own_copy(name: &str, systems: &[&str], more: &str) -> Found<Self> {
        account()?;
        let copy = scratch().join(format!("eks-{name}")).join("e2e-eks");
        copy_repository(checkout(), &copy).unwrap();
        only(&copy, systems);
        Self::in_copy(copy, name, true, more)
    }

    /// In a folder that has a checkout of its own, and goes with it, for services that AWS is nothing to: they are given no
    /// credentials.
    pub(crate) fn in_folder(folder: impl FnOnce() -> PathBuf, name: &str) -> Found<Self> {
        account()?;
        Self::with_env(folder(), name, true, "", "")
    }

    fn in_copy(copy: PathBuf, name: &str, own: bool, more: &str) -> Found<Self> {
        let credentials = "AWS_ACCESS_KEY_ID = \"pods\"\nAWS_SECRET_ACCESS_KEY = \"pods\"\n";
        Self::with_env(copy, name, own, more, credentials)
    }

    fn with_env(copy: PathBuf, name: &str, own: bool, more: &str, env: &str) -> Found<Self> {
        let account = account()?;
        // Not as the tests of a cluster call theirs, which may be the same one.
        let id = format!("a{}-{name}", mark());
        let prefix = format!("{id}-");
        let Account { id: number, region, in_pods, charts, .. } = account;
        let settings = format!(
            "target = \"eks\"\naccount = \"{number}\"\nregion = \"{region}\"\ndeployment_id = \"{id}\"\n\
             namespace_prefix = \"{prefix}\"\naccess_cidrs = \"10.0.0.0/8\"\ncontroller_repository = \"{charts}\"\n\
             storage_class = \"local-path\"\n{more}\n\
             [env]\nAWS_ENDPOINT_URL = \"{in_pods}\"\n{env}"
        );
        let env = format!("e2e-{name}");
        let sandbox = Sandbox::with_settings(copy, &env, own, settings);
        Ok(Self { sandbox, account, id, prefix })
    }

    /// The file of a system.
    pub(crate) fn file(&self, system: &str) -> PathBuf {
        self.sandbox.root.join(format!("deploy/systems/{system}.toml"))
    }

    /// What the ledger has of a kind, each with whose it is.
    #[track_caller]
    pub(crate) fn noted(&self, kind: &str) -> Vec<(String, Option<String>)> {
        let bucket = self.account.bucket(&self.base());
        let ledger = self.account.ask(["s3", "cp", &format!("s3://{bucket}/ledger.json"), "-"]);
        let entries = ledger["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == kind);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        entries.map(|entry| (text(&entry["id"]).unwrap(), text(&entry["system"]))).collect()
    }

    /// What the cluster and everything else on AWS is called.
    pub(crate) fn base(&self) -> String {
        format!("slipway-{}", self.id)
    }

    pub(crate) fn namespace(&self, system: &str) -> String {
        format!("{}{system}", self.prefix)
    }

    /// The names of the load balancers' own hosts resolve, so that a service is asked as anybody would.
    #[track_caller]
    pub(crate) fn send(
        &self,
        service: &str,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Vec<u8>), String> {
        let url = self.url(service);
        let url: Url = format!("{}{path}", url.trim_end_matches('/')).parse().map_err(|error| format!("{error:?}"))?;
        let request = Request {
            method,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.map(|body| body.to_string().into_bytes()),
            ..Request::get(url, Duration::from_secs(10))
        };
        let answer = send(&request, &|| false).map_err(|error| error.to_string())?;
        Ok((answer.status, answer.body))
    }

    /// What a person opens.
    #[track_caller]
    pub(crate) fn url(&self, service: &str) -> String {
        let status = self.sandbox.status(service);
        status["url"].as_str().unwrap_or_else(|| panic!("{status:#}")).to_owned()
    }

    /// Starts the program and waits until it is at a step.
    #[track_caller]
    pub(crate) fn until(&self, args: &[&str], step: &str) -> Running {
        let mut running = self.sandbox.start(args);
        assert!(running.wait_for(|record| record["step"] == step), "`{step}` never began");
        running
    }

    /// The program with AWS behind a proxy.
    pub(crate) fn through(&self, endpoint: &str, args: &[&str]) -> Run {
        Run::of(self.sandbox.command(args).env("AWS_ENDPOINT_URL", endpoint))
    }

    pub(crate) fn objects(&self, kind: &str, system: &str) -> Vec<Value> {
        let namespace = self.namespace(system);
        let list = self.account.kubectl(["get", kind, "--namespace", &namespace, "--output=json"]).success().json();
        list["items"].as_array().unwrap().clone()
    }
}

impl Deployed for Deployment {
    const TARGET: &'static str = "eks";
    const PROOF: &'static str = "prove";
    const CRASHED: &'static str = "crash";
    // SNS and SQS are AWS's own.
    const ABSENT: &'static [&'static str] = &["emulator"];
    const CONFINES: bool = true;

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn running(&self, service: &str) -> BTreeSet<String> {
        let mut pods = self.objects("pods", system_of(service));
        pods.retain(|pod| pod["metadata"]["labels"]["app.kubernetes.io/name"] == service);
        // What an interrupted teardown has told to end may take its time to, beside what was deployed again.
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        // Since a service may grow meanwhile, it is its sets of pods that tell whether there is a new version.
        // A pod of nobody's is one of ours that tries whether the service can be reached.
        let sets = pods.iter().filter_map(|pod| pod["metadata"]["ownerReferences"][0]["uid"].as_str());
        sets.map(str::to_owned).collect()
    }

    fn has_variable(&self, service: &str, name: &str, value: &str) -> bool {
        let workloads = self.objects("deployments", system_of(service));
        let own = workloads.iter().filter(|workload| workload["metadata"]["name"] == service);
        let variables = own.filter_map(|own| own.pointer("/spec/template/spec/containers/0/env")?.as_array());
        variables.flatten().any(|variable| variable["name"] == name && variable["value"] == value)
    }

    fn get(&self, service: &str, path: &str) -> Result<(u16, String), String> {
        let answer = self.send(service, "GET", path, None)?;
        Ok((answer.0, String::from_utf8_lossy(&answer.1).into_owned()))
    }

    fn post(&self, service: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
        let (status, answer) = self.send(service, "POST", path, Some(body))?;
        Ok((status, serde_json::from_slice(&answer).map_err(|error| error.to_string())?))
    }

    fn place(&self, service: &str) -> Option<String> {
        let url = self.url(service);
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let address = (host, 80).to_socket_addrs().unwrap().next().unwrap();
        Some(format!("{host}@{address}"))
    }

    fn left(&self) -> Vec<String> {
        let mut left = self.account.named(&self.base());
        let classes = "namespaces,ingressclasses,storageclasses,clusterroles,clusterrolebindings,\
                       validatingwebhookconfigurations,mutatingwebhookconfigurations";
        let found = self.account.kubectl(["get", classes, "--output=name"]).success().stdout;
        left.extend(found.lines().filter(|name| name.contains(&self.prefix)).map(str::to_owned));
        left
    }

    fn replicas(&self, service: &str) -> Option<u32> {
        let alone = ["redis", "ledger", "consumer"];
        Some(if alone.contains(&service) { 1 } else { 2 })
    }

    /// What AWS is asked changes nothing there.
    fn may_run(command: &Value) -> bool {
        !["terraform", "helm"].iter().any(|name| command.to_string().contains(name))
    }

    #[track_caller]
    fn deploy(&self, args: &[&str]) -> Value {
        document::deploy(&self.sandbox, &[&["--yes"], args].concat())
    }
}
