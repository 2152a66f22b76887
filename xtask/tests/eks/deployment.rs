//! A deployment of this repository's systems to AWS.

use super::account::{Account, account};
use super::repeated::mark;
use super::sandbox::{Run, Running, Sandbox, checkout, scratch};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use xtask::http::{Request, Url, send};
use xtask::scratch::copy_repository;

/// An environment of its own; torn down when dropped.
pub(crate) struct Deployment {
    pub(crate) sandbox: Sandbox,
    pub(crate) account: &'static Account,
    pub(crate) id: String,
    prefix: String,
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

impl Deployment {
    /// `None` where there is no AWS. The name is at most eight characters long.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let account = account()?;
        let id = format!("t{}-{name}", mark());
        let prefix = format!("{id}-");
        let Account { id: number, region, in_pods, charts, .. } = account;
        let settings = format!(
            "target = \"eks\"\naccount = \"{number}\"\nregion = \"{region}\"\ndeployment_id = \"{id}\"\n\
             namespace_prefix = \"{prefix}\"\naccess_cidrs = \"10.0.0.0/8\"\ncontroller_repository = \"{charts}\"\n\
             storage_class = \"local-path\"\n\n\
             [env]\nAWS_ENDPOINT_URL = \"{in_pods}\"\nAWS_ACCESS_KEY_ID = \"pods\"\nAWS_SECRET_ACCESS_KEY = \"pods\"\n"
        );
        let env = format!("e2e-{name}");
        let sandbox = Sandbox::with_settings(shared_copy().to_owned(), &env, false, settings);
        Some(Self { sandbox, account, id, prefix })
    }

    /// What the cluster and everything else on AWS is called.
    pub(crate) fn base(&self) -> String {
        format!("slipway-{}", self.id)
    }

    pub(crate) fn namespace(&self, system: &str) -> String {
        format!("{}{system}", self.prefix)
    }

    #[track_caller]
    pub(crate) fn deploy(&self, args: &[&str]) -> Value {
        self.sandbox.xtask([&["deploy", "--yes", "--json"], args].concat()).success().json()
    }

    #[track_caller]
    pub(crate) fn teardown(&self) -> Value {
        self.sandbox.xtask(["teardown", "--yes", "--json"]).success().json()
    }

    /// Tears it down and looks at AWS and the cluster by name: nothing of it is there any more.
    #[track_caller]
    pub(crate) fn ends_clean(&self) {
        let receipt = self.teardown();
        assert_eq!(
            (&receipt["result"], &receipt["survivors"]),
            (&"clean".into(), &serde_json::json!([])),
            "{receipt:#}"
        );
        assert_eq!(self.left(), Vec::<String>::new());
        assert!(!self.sandbox.home().exists());
    }

    /// What AWS and the cluster have of it, by name.
    #[track_caller]
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = self.account.named(&self.base());
        let classes = "namespaces,ingressclasses,storageclasses,clusterroles,clusterrolebindings,\
                       validatingwebhookconfigurations,mutatingwebhookconfigurations";
        let found = self.account.kubectl(["get", classes, "--output=name"]).success().stdout;
        left.extend(found.lines().filter(|name| name.contains(&self.prefix)).map(str::to_owned));
        left
    }

    /// The names of the load balancers' own hosts resolve, so that a service is asked as anybody would.
    #[track_caller]
    pub(crate) fn get(&self, service: &str, path: &str) -> Result<(u16, String), String> {
        let answer = self.send(service, "GET", path, None)?;
        Ok((answer.0, String::from_utf8_lossy(&answer.1).into_owned()))
    }

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
}
