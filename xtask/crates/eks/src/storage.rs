//! The storage class of the deployment: encrypted gp3 volumes, in a release of its own.
//!
//! An environment that names a class of its own has that one, and no release is made.

use super::{Eks, derive};
use anyhow::Result;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use kube::path;
use kubernetes::Kubernetes;
use kubernetes::fixture::Fixture;
use model::aws::Compute;
use remote_tools::helm::Chart;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const STEP: Action = Action::new("storage");
/// What its release is called.
const NAME: &str = "storage";

/// Below the root of the repository.
const CHART: &str = "helm/storage";

/// The step `storage`; none where the environment names a class of its own.
pub(super) fn step(eks: &Arc<Eks>, needs: Vec<StepId>) -> Option<Step> {
    let class = own_class(eks)?;
    let fixture = fixture(eks);
    Some(Step {
        id: StepId::new(STEP),
        title: format!("install the storage class `{class}`"),
        system: None,
        needs,
        holds: Holds::Nothing,
        preview: vec![Preview::Run(fixture.line_as_typed(&eks.core))],
        work: Box::new(StorageWork { values: values(eks, &class), fixture, class, core: Arc::clone(&eks.core) }),
    })
}

/// The step that uninstalls it.
pub(super) fn removal(eks: &Arc<Eks>, needs: Vec<StepId>) -> Step {
    let fixture = fixture(eks);
    Step {
        id: StepId::new(Action::new("uninstall-storage")),
        title: "uninstall the storage class".to_owned(),
        system: None,
        needs,
        holds: Holds::Nothing,
        preview: vec![Preview::Run(fixture.removal_as_typed(&eks.core))],
        work: Box::new(RemovalWork { fixture, core: Arc::clone(&eks.core) }),
    }
}

/// The name of ours, unless the environment names another.
fn own_class(eks: &Eks) -> Option<String> {
    let cluster = &eks.deployment().environment.cluster;
    let own = derive::storage_class(cluster.namespace_prefix.as_str(), &eks.infra.names);
    (cluster.storage_class.as_ref() == Some(&own)).then_some(own)
}

/// In the deployment's own namespace: a class is in none.
fn fixture(eks: &Eks) -> Fixture {
    Fixture {
        name: NAME.to_owned(),
        namespace: eks.core.names.home.clone(),
        chart: Chart::Folder(CHART.into()),
        base: None,
    }
}

fn values(eks: &Eks, class: &str) -> Value {
    let environment = &eks.deployment().environment;
    let compute = environment.aws.as_ref().map_or(Compute::Nodes, |aws| aws.compute);
    let id = environment.deployment_id.to_string();
    json!({
        "name": class, "provisioner": provisioner(compute), "deploymentId": id,
        "tags": derive::tags(environment),
    })
}

/// Who makes volumes: the add-on that Terraform installs, or EKS itself.
fn provisioner(compute: Compute) -> &'static str {
    match compute {
        Compute::Nodes => "ebs.csi.aws.com",
        Compute::Auto => "ebs.csi.eks.amazonaws.com",
    }
}

struct StorageWork {
    core: Arc<Kubernetes>,
    fixture: Fixture,
    class: String,
    values: Value,
}

impl Work for StorageWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let stamp = self.fixture.stamp(&self.core.deployment.root, &self.values)?;
        let Some(revision) = self.fixture.standing(&self.core, &stamp)? else { return Ok(None) };
        let found = self.core.access.api()?.get(&path::STORAGE_CLASS.named(&self.class));
        let found = found.map_err(|refusal| kube::fault("look for the storage class", &refusal))?;
        Ok(found.map(|_| format!("revision {revision} of the release is current")))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let stamp = self.fixture.stamp(&self.core.deployment.root, &self.values)?;
        self.fixture.make(&self.core, cx, &self.values, &stamp)?;
        Ok(Outcome::DoneWith(format!("`{}`", self.class)))
    }
}

struct RemovalWork {
    core: Arc<Kubernetes>,
    fixture: Fixture,
}

impl Work for RemovalWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok((!self.fixture.is_there(&self.core)?).then(|| "there is no release of it".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        self.fixture.remove(&self.core, cx)?;
        Ok(Outcome::Done)
    }
}
