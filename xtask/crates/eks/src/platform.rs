//! What a cluster on EKS gives the target `kubernetes`: a way in, a registry, queues and topics, load balancers.

use super::{alb_ingress, egress, kubeconfig, network_balancer};
use anyhow::Result;
use aws::Aws;
use aws::infra::ledger::AwsLedger;
use aws::infra::names::Names;
use aws::infra::{Infra, Outputs};
use base::base64;
use base::ctx::Ctx;
use base::error::Fault;
use base::proc::CommandLine;
use base::redact;
use engine::secrets::Lack;
use images::auth::{Ask, Credentials};
use kubernetes::kubeconfig::Kubeconfig;
use kubernetes::platform::{IngressProvider, Platform, ServiceBindings};
use kubernetes::release_spec::WorkloadSpec;
use model::name::ServiceName;
use model::system::{Service, TargetKind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Has the load balancer controller give pods of a namespace a gate: they count as ready once their load balancer sends
/// them requests (kubernetes-sigs.github.io/aws-load-balancer-controller, "Pod readiness gate").
const GATED: (&str, &str) = ("elbv2.k8s.aws/pod-readiness-gate-inject", "enabled");

pub(super) struct EksPlatform {
    pub(super) infra: Arc<Infra>,
    outputs: Mutex<OutputsState>,
    /// What Secrets Manager has said, each asked once in a run.
    secrets: Mutex<BTreeMap<String, Result<String, Lack>>>,
    pub(super) provider: alb_ingress::AlbIngress,
}

/// What Terraform has said, as far as it was asked in this run.
#[derive(Default)]
enum OutputsState {
    #[default]
    NotAsked,
    Nothing,
    Made(Box<Outputs>),
}

impl EksPlatform {
    pub(super) fn new(infra: &Arc<Infra>, ledger: &Arc<AwsLedger>, ctx: &Ctx) -> Self {
        Self {
            infra: Arc::clone(infra),
            outputs: Mutex::default(),
            secrets: Mutex::default(),
            provider: alb_ingress::AlbIngress::new(infra, ledger, ctx),
        }
    }

    pub(super) fn aws(&self) -> &Aws {
        &self.infra.aws
    }

    /// What Terraform has made, if it has. What this run applied comes first.
    ///
    /// # Errors
    /// When AWS refuses or does not answer.
    pub(super) fn outputs(&self) -> Result<Option<Outputs>> {
        let mut known = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if let OutputsState::NotAsked = *known {
            *known = match self.infra.applied(false)? {
                Some((_, outputs)) => {
                    self.provider.set_outputs(&outputs);
                    OutputsState::Made(Box::new(outputs))
                }
                None => OutputsState::Nothing,
            };
        }
        Ok(match &*known {
            OutputsState::Made(outputs) => Some(Outputs::clone(outputs)),
            OutputsState::Nothing | OutputsState::NotAsked => None,
        })
    }

    /// Hands on what this run has applied.
    pub(super) fn set_outputs(&self, outputs: Outputs) {
        self.provider.set_outputs(&outputs);
        *self.outputs.lock().unwrap_or_else(PoisonError::into_inner) = OutputsState::Made(Box::new(outputs));
    }

    /// The services that another one needs.
    fn needed<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Service> {
        let all = self.infra.deployment.spec.systems.iter().flat_map(|system| &system.services);
        all.filter(|other| service.needs.contains(&other.name))
    }

    /// Whether a service needs one of its system that AWS stands in for here: it then calls AWS itself.
    fn calls_aws(&self, service: &Service) -> bool {
        self.needed(service).any(|other| !other.targets.contains(&TargetKind::Eks))
    }

    /// What a service needs that AWS has a server of in its place.
    fn managed<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Service> {
        self.needed(service).filter(|other| self.infra.deployment.environment.manages(other))
    }
}

impl Platform for EksPlatform {
    fn is_there(&self) -> Result<bool> {
        Ok(self.outputs()?.is_some())
    }

    fn kubeconfig(&self) -> Result<Kubeconfig> {
        kubeconfig::write(self)
    }

    fn registry_owner(&self) -> Option<Ask> {
        Some(registry_owner(self.aws(), &self.infra.names))
    }

    /// Tokens are asked for by programs that kubectl and Helm start: what must not lead those elsewhere is taken from
    /// their environment, since a kubeconfig can only add to it.
    fn prepared(&self, line: CommandLine) -> CommandLine {
        let removed = self.aws().command().env.into_iter().filter(|(_, value)| value.is_none());
        removed.fold(line, |line, (name, _)| line.env_remove(name))
    }

    fn namespace_labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(GATED.0.to_owned(), GATED.1.to_owned())])
    }

    fn grants(&self, part: &WorkloadSpec) -> Result<Option<ServiceBindings>> {
        let environment = &self.infra.deployment.environment;
        if !self.calls_aws(&part.service) {
            let ports =
                self.managed(&part.service).filter_map(|service| Some(egress::within(environment, service.port?)));
            let egress = ports.collect();
            let balanced = part.service.has_public_port();
            let balancer = match balanced.then(|| self.outputs()).transpose()? {
                None => None,
                Some(Some(outputs)) => network_balancer::of(&part.service, environment, &outputs),
                Some(None) => return Ok(None),
            };
            return Ok(Some(ServiceBindings { env: BTreeMap::new(), egress, balancer }));
        }
        let Some(outputs) = self.outputs()? else { return Ok(None) };
        let balancer = network_balancer::of(&part.service, environment, &outputs);
        let region = Some(self.aws().region.to_string());
        let named = [("AWS_REGION", region), ("TOPIC_ARN", outputs.topic_arn), ("QUEUE_URL", outputs.queue_url)];
        let env = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Ok(Some(ServiceBindings { env, egress: egress::of(environment), balancer }))
    }

    fn provided(&self, service: &ServiceName, name: &str) -> Result<Option<String>> {
        let Some(outputs) = self.outputs()? else { return Ok(None) };
        match (name, outputs.cache_url) {
            ("url", Some(url)) => Ok(Some(url)),
            ("url", None) => Ok(None),
            _ => {
                let cause = format!("ElastiCache takes the place of `{service}` and does not provide `{name}`");
                Err(Fault::could_not_run("not-provided", cause).into())
            }
        }
    }

    fn secret(&self, name: &str) -> Result<Result<String, Lack>> {
        let mut known = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(name) {
            return Ok(found.clone());
        }
        let found = read_secret(self.aws(), name)?;
        known.insert(name.to_owned(), found.clone());
        Ok(found)
    }

    fn ingress_provider(&self) -> Option<&dyn IngressProvider> {
        Some(&self.provider)
    }
}

/// A secret of Secrets Manager, in the environment's account and region.
fn read_secret(aws: &Aws, name: &str) -> Result<Result<String, Lack>> {
    let lack = |why: &str| {
        let why = format!("`{name}` in AWS Secrets Manager {why} (region {})", aws.region);
        let line = aws.command().args(["secretsmanager", "create-secret", "--name", name]);
        Ok(Err(Lack::new(why, format!("make it: `{line} --secret-string file://PATH`"))))
    };
    match aws.ask(&["secretsmanager", "get-secret-value", "--secret-id", name]) {
        Ok(answer) => match secret_text(&answer) {
            Some(value) => {
                redact::learn(&value);
                Ok(Ok(value))
            }
            None => lack("is empty, or no text"),
        },
        Err(refusal) if refusal.is_absent() => lack("is not there"),
        Err(refusal) => Err(aws::fault(&format!("read the secret `{name}`"), &refusal).into()),
    }
}

/// What a secret holds, where that is text.
fn secret_text(answer: &Value) -> Option<String> {
    let binary = || String::from_utf8(base64::decode(answer["SecretBinary"].as_str()?)?).ok();
    let text = answer["SecretString"].as_str().map(str::to_owned).or_else(binary)?;
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

/// Who is asked for what signs in at the account's registry.
pub(super) fn registry_owner(aws: &Aws, names: &Names) -> Ask {
    let (aws, host) = (aws.clone(), names.registry_host());
    Arc::new(move || sign_in(&aws, &host))
}

/// What `aws ecr get-login-password` asks for, too. Nothing on this machine is signed in by it.
fn sign_in(aws: &Aws, host: &str) -> Result<Credentials> {
    const WHAT: &str = "sign in at the image registry";
    let answer = aws.ask(&["ecr", "get-authorization-token"]).map_err(|refusal| aws::fault(WHAT, &refusal))?;
    let token = answer.pointer("/authorizationData/0/authorizationToken").and_then(serde_json::Value::as_str);
    let (user, password) = token
        .and_then(opened)
        .ok_or_else(|| Fault::failed("no-registry-token", format!("cannot {WHAT}: ECR's answer has no valid token")))?;
    Ok(Credentials::new(host, user, password))
}

/// A token is `AWS:PASSWORD` in base64.
fn opened(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(base64::decode(token)?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_text_however_it_was_stored() {
        let of = |answer: Value| secret_text(&answer);
        assert_eq!(of(json!({"Name": "a", "SecretString": "{\"a\": 1}"})).as_deref(), Some("{\"a\": 1}"));
        assert_eq!(of(json!({"SecretBinary": base64::encode(b"hunter2")})).as_deref(), Some("hunter2"));
        for none in [json!({"SecretString": ""}), json!({"SecretBinary": base64::encode(b"\xff\0")}), json!({})] {
            assert_eq!(of(none), None);
        }
    }

    #[test]
    fn a_token_is_a_name_and_a_password() {
        let token = base64::encode(b"AWS:se:cret");
        assert_eq!(opened(&token), Some(("AWS".to_owned(), "se:cret".to_owned())));
        assert_eq!(opened("AWS:secret"), None);
    }
}
