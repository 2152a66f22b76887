//! The load balancer controller: a release of our own, pinned in `helm/load-balancer-controller`, that serves our class of
//! ingress and nobody else's.
//!
//! It answers the API server's question whether an Ingress is a good one, so it is waited for until it does: pods that are
//! ready are not enough.

mod pinned;
mod webhook;

use self::pinned::Pinned;
use super::{Eks, derive};
use anyhow::{Context, Result};
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use kube::path;
use kubernetes::Kubernetes;
use kubernetes::fixture::Fixture;
use kubernetes::prerequisites::NamespaceWork;
use model::allowance::SecurityLevel;
use model::aws::ChartRepository;
use model::environment::is_secret;
use model::name::ServiceName;
use remote_tools::helm::Chart;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) const STEP: Action = Action::new("controller");
/// What a person calls it.
const TITLE: &str = "the load balancer controller";

/// What `terraform/identity.tf` gives its rights to: this account in this namespace, behind the prefix.
const NAMESPACE: &str = "load-balancer-controller";
const ACCOUNT: &str = "aws-load-balancer-controller";

/// Its `--leader-election-id`, which the chart leaves as it is.
const LEADER: &str = "aws-load-balancer-controller-leader";

/// Below the root of the repository.
const VALUES: &str = "helm/load-balancer-controller/values.yaml";

/// What keeps other controllers from our Ingresses, in a release beside it.
const GUARD: &str = "helm/ingress-guard";

/// Where it answers, and how long it may take for that: it reads what there is first, and is asked only after a while.
const PORT: u16 = 9443;
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The longest name of which the chart keeps every character in what it makes of it.
const LONGEST: usize = 40;

/// The step `controller`: its namespace, its release, and its webhook answering.
///
/// # Errors
/// When the pinned version cannot be read.
pub(super) fn step(eks: &Arc<Eks>, needs: Vec<StepId>) -> Result<Step> {
    let work = ControllerWork::new(eks)?;
    let title = format!("have {TITLE} {}", work.pinned.controller);
    Ok(Step {
        id: StepId::new(STEP),
        title,
        system: None,
        needs,
        holds: Holds::Nothing,
        preview: vec![
            Preview::Do(format!("namespace `{}`, unless it is there", work.fixture.namespace)),
            Preview::Run(work.guard.line_as_typed(&eks.core)),
            Preview::Run(work.fixture.line_as_typed(&eks.core)),
            Preview::Do("wait until its pods are ready and its webhook answers".to_owned()),
        ],
        work: Box::new(work),
    })
}

/// The step that uninstalls it, for a teardown in which nothing needs it any more. Its namespace goes with those of the
/// systems.
///
/// # Errors
/// When the pinned version cannot be read.
pub(super) fn removal(eks: &Arc<Eks>, needs: Vec<StepId>) -> Result<Step> {
    let work = ControllerWork::new(eks)?;
    Ok(Step {
        id: StepId::new(Action::new("uninstall-controller")),
        title: format!("uninstall {TITLE}"),
        system: None,
        needs,
        holds: Holds::Nothing,
        preview: [&work.fixture, &work.guard].map(|one| Preview::Run(one.removal_as_typed(&eks.core))).into(),
        work: Box::new(RemovalWork { core: Arc::clone(&eks.core), fixtures: [work.fixture, work.guard] }),
    })
}

/// The namespace that it is in.
pub(super) fn namespace(eks: &Eks) -> String {
    eks.deployment().environment.cluster.prefixed(NAMESPACE)
}

/// Its chart, as it is had from there.
///
/// # Errors
/// When its pin cannot be read.
pub fn chart(root: &Path, from: &ChartRepository) -> Result<Chart> {
    Ok(Pinned::read(root)?.chart_from(from.to_string()))
}

struct ControllerWork {
    eks: Arc<Eks>,
    pinned: Pinned,
    fixture: Fixture,
    guard: Fixture,
    namespace: NamespaceWork,
    /// What its workload is called, and all that it has in the cluster beside its namespace.
    name: ServiceName,
}

impl ControllerWork {
    fn new(eks: &Arc<Eks>) -> Result<Self> {
        let pinned = Pinned::read(&eks.deployment().root)?;
        let environment = &eks.deployment().environment;
        let from = environment.aws.as_ref().map_or_else(String::new, |aws| aws.controller_repository.to_string());
        let fixture = Fixture {
            // With the prefix like all that is ours: who lists the cluster's releases sees whose it is.
            name: namespace(eks),
            namespace: namespace(eks),
            chart: pinned.chart_from(from),
            base: Some(VALUES),
        };
        let guard = Fixture {
            name: environment.cluster.prefixed("ingress-guard"),
            namespace: fixture.namespace.clone(),
            chart: Chart::Folder(GUARD.into()),
            base: None,
        };
        let prefix = environment.cluster.namespace_prefix.as_str();
        let name = derive::fitting(&format!("{prefix}{}", eks.infra.names.base()), LONGEST);
        Ok(Self {
            namespace: NamespaceWork {
                core: Arc::clone(&eks.core),
                system: None,
                namespace: fixture.namespace.clone(),
                level: SecurityLevel::Restricted,
            },
            fixture,
            guard,
            pinned,
            name: name.parse().context("name the load balancer controller")?,
            eks: Arc::clone(eks),
        })
    }

    fn core(&self) -> &Kubernetes {
        &self.eks.core
    }

    /// What differs between deployments; `None` while there is no network to serve.
    fn values(&self) -> Result<Option<Value>> {
        let Some(outputs) = self.eks.platform.outputs()? else { return Ok(None) };
        let environment = &self.eks.deployment().environment;
        let name = self.name.as_str();
        Ok(Some(json!({
            "clusterName": outputs.cluster_name,
            "region": self.eks.infra.names.region.as_str(),
            "vpcId": outputs.vpc_id,
            "image": {"tag": self.pinned.controller},
            "ingressClass": environment.cluster.ingress_class,
            // Roles, bindings and webhooks are in no namespace: under the chart's own names they would be taken from
            // whoever else runs this controller.
            "nameOverride": name,
            "fullnameOverride": name,
            "serviceAccount": {"create": true, "name": ACCOUNT},
            "podLabels": {"deployment_id": environment.deployment_id.to_string()},
            "defaultTags": derive::tags(environment),
            "env": for_controller(&environment.env),
        })))
    }

    fn guarded(&self) -> Result<(Value, String)> {
        let values = json!({
            "name": self.name.as_str(), "account": ACCOUNT, "namespace": self.fixture.namespace,
            "deploymentId": self.eks.deployment().environment.deployment_id.to_string(),
        });
        let stamp = self.guard.stamp(&self.eks.deployment().root, &values)?;
        Ok((values, stamp))
    }

    fn stamped(&self) -> Result<Option<(Value, String)>> {
        let Some(values) = self.values()? else { return Ok(None) };
        let stamp = self.fixture.stamp(&self.eks.deployment().root, &values)?;
        Ok(Some((values, stamp)))
    }
}

impl Work for ControllerWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let Some((_, stamp)) = self.stamped()? else { return Ok(None) };
        let Some(revision) = self.fixture.standing(self.core(), &stamp)? else { return Ok(None) };
        let stands = self.guard.standing(self.core(), &self.guarded()?.1)?.is_some()
            && self.fixture.is_ready(self.core())?
            && webhook::has_endpoints(self.core(), &self.fixture.namespace)?
            && self.namespace.is_done(cx)?.is_some();
        Ok(stands.then(|| format!("revision {revision} of the release is current, and it serves")))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (values, stamp) = self.stamped()?.context("there is no cluster for the load balancer controller")?;
        self.namespace.run(cx)?;
        let (guard, guard_stamp) = self.guarded()?;
        self.guard.make(self.core(), cx, &guard, &guard_stamp)?;
        cx.status(format!("chart {} {}", self.pinned.chart, self.pinned.version));
        self.fixture.make(self.core(), cx, &values, &stamp)?;
        self.fixture
            .watch(self.core(), cx, &self.name, PORT, READY_WITHIN)
            .map_err(|error| self.fixture.failed(&error, TITLE))?;
        let class = self.eks.deployment().environment.cluster.ingress_class.clone().unwrap_or_default();
        webhook::wait(self.core(), cx, &self.fixture.namespace, &class)?;
        Ok(Outcome::DoneWith(format!("{}, for Ingresses of class `{class}`", self.pinned.controller)))
    }
}

/// What tells the way to AWS: a proxy, other roots, another endpoint. An endpoint of one service of AWS's has that one's name
/// behind it.
const WAY: [&str; 11] = [
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_RETRY_MODE",
];

/// What the environment gives every service holds for it as well where it tells the way to AWS. It is not ours: it is given
/// nothing else, and no secret, such as the credentials of services or the password of a proxy.
fn for_controller(env: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let tells_the_way = |name: &str| {
        let name = name.to_ascii_uppercase();
        WAY.contains(&name.as_str()) || name.starts_with("AWS_ENDPOINT_URL_")
    };
    let all = env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    all.filter(|(name, value)| tells_the_way(name) && !is_secret(name, value)).collect()
}

struct RemovalWork {
    core: Arc<Kubernetes>,
    fixtures: [Fixture; 2],
}

impl Work for RemovalWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        for fixture in &self.fixtures {
            if fixture.is_there(&self.core)? {
                return Ok(None);
            }
        }
        let lease = self.core.access.api()?.get(&self.lease());
        let lease = lease.map_err(|refusal| kube::fault("look for the controller's lease", &refusal))?;
        Ok(lease.is_none().then(|| "there is no release of it".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        for fixture in &self.fixtures {
            fixture.remove(&self.core, cx)?;
        }
        let deleted = self.core.access.api()?.delete(&self.lease(), false);
        deleted.map_err(|refusal| kube::fault("remove the controller's lease", &refusal))?;
        Ok(Outcome::Done)
    }
}

impl RemovalWork {
    /// By which its pods agree on one of them. They make it themselves, so that no release takes it along, and its
    /// namespace would be taken for somebody else's.
    fn lease(&self) -> String {
        path::LEASE.at(&self.fixtures[0].namespace, LEADER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_is_given_what_tells_the_way_to_aws_alone() {
        let names = ["AWS_ENDPOINT_URL", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "LOG", "PROXY_LEVEL", "API_TOKEN"];
        let own = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_API_TOKEN", "SHOP_PROXY"];
        let all = names.iter().chain(&own);
        let env: BTreeMap<String, String> = all.map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        let given: Vec<&str> = for_controller(&env).into_keys().collect();
        assert_eq!(given, ["AWS_ENDPOINT_URL", "HTTPS_PROXY", "SSL_CERT_FILE", "no_proxy"]);
        let env = BTreeMap::from([("HTTPS_PROXY".to_owned(), "http://u:word@proxy:3128".to_owned())]);
        assert!(for_controller(&env).is_empty());
    }
}
