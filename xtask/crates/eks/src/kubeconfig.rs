//! The private kubeconfig of a cluster that Terraform has made: its address and authority from the outputs, its tokens from
//! `aws eks get-token`.

use super::platform::EksPlatform;
use anyhow::Result;
use aws::infra::Outputs;
use base::error::Fault;
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use keys::Digest;
use kubernetes::kubeconfig::Kubeconfig;
use kubernetes::{Kubernetes, forget_cluster};
use model::environment::Environment;
use serde_json::{Value, json};
use std::sync::Arc;

/// The step that writes it.
pub(super) const STEP: Action = Action::new("kubeconfig");

/// The version of what `aws eks get-token` answers with unless it is told another.
const EXEC_VERSION: &str = "client.authentication.k8s.io/v1beta1";

/// The one that is there, unless it was made from something else.
///
/// # Errors
/// `no-cluster` while Terraform has made none.
pub(super) fn write(platform: &EksPlatform) -> Result<Kubeconfig> {
    let Some((document, stamp)) = wanted(platform)? else {
        return Err(no_cluster(&platform.infra.deployment.environment).into());
    };
    let (home, context) = (platform.infra.deployment.home.dir(), platform.infra.names.base());
    match Kubeconfig::read(home, &context, &stamp) {
        Some(kubeconfig) => Ok(kubeconfig),
        None => Kubeconfig::keep(home, &context, &stamp, document),
    }
}

/// What it is to be, and what that is made from; nothing while there is no cluster.
fn wanted(platform: &EksPlatform) -> Result<Option<(Value, Digest)>> {
    let Some(outputs) = platform.outputs()? else { return Ok(None) };
    let token = token_line(platform, &outputs.cluster_name);
    let document = document(&platform.infra.names.base(), &outputs, &token);
    let stamp = Digest::of(document.to_string());
    Ok(Some((document, stamp)))
}

/// That there is nothing yet of what was asked for.
pub(super) fn no_cluster(environment: &Environment) -> Fault {
    let cause = format!("environment `{}` has no cluster yet", environment.name);
    Fault::could_not_run("no-cluster", cause).hint(format!("make it: `{}`", environment.command("deploy")))
}

/// What prints a token for the cluster.
fn token_line(platform: &EksPlatform, cluster: &str) -> CommandLine {
    platform.aws().command().args(["eks", "get-token", "--cluster-name", cluster])
}

/// What is in its environment beside that is inherited from whoever reads the kubeconfig.
fn document(context: &str, outputs: &Outputs, token: &CommandLine) -> Value {
    let argv = token.argv();
    let set = token.env.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let env: Vec<Value> =
        set.map(|(name, value)| json!({"name": name.to_string_lossy(), "value": value.to_string_lossy()})).collect();
    let exec = json!({
        "apiVersion": EXEC_VERSION, "command": argv[0], "args": argv[1..], "env": env, "interactiveMode": "Never",
    });
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": context, "cluster": {
            "server": outputs.cluster_endpoint, "certificate-authority-data": outputs.cluster_ca,
        }}],
        "users": [{"name": context, "user": {"exec": exec}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    })
}

/// The step `kubeconfig`.
pub(super) fn step(core: &Arc<Kubernetes>, platform: &Arc<EksPlatform>, needs: Vec<StepId>) -> Step {
    let cluster = platform.infra.names.base();
    Step {
        id: StepId::new(STEP),
        title: "look up the cluster's endpoint".to_owned(),
        system: None,
        needs,
        holds: Holds::Nothing,
        preview: vec![
            Preview::Do("write a kubeconfig of its own, whose tokens are asked for like this:".to_owned()),
            Preview::Run(token_line(platform, &cluster)),
        ],
        work: Box::new(KubeconfigWork { core: Arc::clone(core), platform: Arc::clone(platform) }),
    }
}

struct KubeconfigWork {
    core: Arc<Kubernetes>,
    platform: Arc<EksPlatform>,
}

impl Work for KubeconfigWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let home = self.core.deployment.home.dir();
        let Some((_, stamp)) = wanted(&self.platform)? else { return Ok(None) };
        let current = Kubeconfig::read(home, &self.platform.infra.names.base(), &stamp);
        Ok(current.map(|current| format!("`{}` points to {}", current.context, current.server)))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        // What was asked until now was asked of what stood here before; our own Terraform says which cluster it is now.
        self.core.access.forget();
        forget_cluster(&self.core.deployment.home)?;
        write(&self.platform)?;
        Ok(Outcome::DoneWith(self.core.access.identity()?.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remote_tools::aws;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_token_is_asked_for_in_one_region_with_one_profile() {
        let outputs = Outputs {
            cluster_name: "slipway-a".to_owned(),
            cluster_endpoint: "https://a".to_owned(),
            cluster_ca: "Y2E=".to_owned(),
            vpc_id: "vpc-1".to_owned(),
            public_subnets: BTreeMap::new(),
            controller_namespace: "load-balancer-controller".to_owned(),
            topic_arn: None,
            queue_url: None,
            cache_url: None,
            certificate_arn: None,
            log_groups: Vec::new(),
            repositories: BTreeSet::new(),
        };
        let line = aws::command(Some("me"), &"eu-west-1".parse().unwrap()).args(["eks", "get-token"]);
        let document = document("slipway-a", &outputs, &line);
        assert_eq!(document["clusters"][0]["cluster"]["server"], "https://a");
        assert_eq!(document["contexts"][0]["name"], document["current-context"]);
        let exec = &document["users"][0]["user"]["exec"];
        assert_eq!(exec["command"], "aws");
        let args: Vec<&str> = exec["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let words = args.join(" ");
        assert!(words.contains("--profile me --region eu-west-1") && words.ends_with("eks get-token"), "{words}");
        // What is taken away from the environment cannot be said here, and must not be set to nothing.
        assert!(!exec["env"].to_string().contains("AWS_ACCESS_KEY_ID"), "{}", exec["env"]);
    }
}
