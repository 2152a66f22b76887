//! `cert`: requests the certificate of the environment's domain, says which record proves it, and whether it is issued.

mod request;
mod show;

use self::request::{Requested, Work};
use self::show::State;
use verbs::cmd::dry_run::Rehearsal;
use verbs::cmd::execute::execute;

use crate::targets;
use anyhow::Result;
use aws::infra::certificate;
use aws::infra::certificate::Certificate;
use aws::infra::ledger::AwsLedger;
use aws::infra::{Infra, dns};
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use eks::Eks;
use engine::deployment::Deployment;
use engine::plan::{Action, Holds, Plan, Preview, Step, StepId};
use model::cluster::Domain;
use model::environment::Environment;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use verbs::cli::{CertArgs, CertVerb};
use verbs::ui;

/// # Errors
/// When AWS refuses, or the environment has no domain.
pub(crate) fn run(args: &CertArgs, ctx: &Ctx) -> Result<Exit> {
    let deployment = Deployment::load(ctx, &args.environment, &[])?.agreed(args.mutation.yes);
    let environment = deployment.environment.clone();
    let Some(domain) = environment.cluster.domain.clone() else {
        let cause = format!("environment `{}` has no `domain` to get a certificate for", environment.name);
        return Err(Fault::usage(cause).hint("set one: `--set domain=shop.example.com`, or in its file").into());
    };
    let home = deployment.home.clone();
    let target = targets::on_aws(deployment, ctx)?;
    let infra = Arc::clone(target.infra());
    let ledger = AwsLedger::new(Arc::clone(&infra.bucket), home);
    let command = Command { args, ctx, environment, domain, target, infra, ledger: Arc::new(ledger) };
    match args.verb {
        CertVerb::Request { wait } => command.request(wait),
        CertVerb::Status => command.status(),
    }
}

struct Command<'c> {
    args: &'c CertArgs,
    ctx: &'c Ctx,
    environment: Environment,
    domain: Domain,
    target: Arc<Eks>,
    infra: Arc<Infra>,
    ledger: Arc<AwsLedger>,
}

impl Command<'_> {
    fn request(&self, wait: Option<Duration>) -> Result<Exit> {
        let requested = Requested::default();
        let plan = self.plan(wait, &requested)?;
        let json = self.args.json.json;
        if self.args.mutation.dry_run {
            return Rehearsal { environment: &self.environment, plan: &plan, skipped: &[] }.print(json);
        }
        let execution =
            execute(self.ctx, self.target.as_ref(), "cert request", self.environment.name.as_str(), plan, || Ok(None))?;
        let certificate = requested.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failure = execution.failure().map(|(_, fault)| fault.clone());
        if certificate.is_some() || json {
            self.show(certificate.as_ref(), failure.as_ref())?;
        }
        execution.print_failures();
        Ok(execution.exit())
    }

    fn plan(&self, wait: Option<Duration>, requested: &Requested) -> Result<Plan> {
        let state = self.infra.bucket.step(false);
        let needs = vec![state.id.clone()];
        let work = Work {
            infra: Arc::clone(&self.infra),
            ledger: Arc::clone(&self.ledger),
            domain: self.domain.clone(),
            wait,
            requested: Arc::clone(requested),
        };
        let step = Step {
            id: StepId::new(Action::new("certificate")),
            title: format!("get a certificate for `{0}` and `*.{0}`", self.domain),
            system: None,
            needs,
            holds: Holds::Nothing,
            preview: self.preview(wait),
            work: Box::new(work),
        };
        Plan::new(vec![state, step])
    }

    fn preview(&self, wait: Option<Duration>) -> Vec<Preview> {
        let name = self.environment.name.as_str();
        let args = certificate::request_args(&self.infra.names, &self.domain, name, "<token of this request>");
        let mut lines = vec![
            Preview::Run(self.infra.aws.command().args(args)),
            Preview::Do(format!(
                "record its ARN as `{}` in bucket `{}`",
                certificate::CERTIFICATE,
                self.infra.bucket.name()
            )),
        ];
        let zone = self.environment.aws.as_ref().and_then(|aws| aws.hosted_zone.as_ref());
        lines.extend(
            zone.map(|zone| Preview::Do(format!("create the record that validates the domain in zone {zone}"))),
        );
        let waits = wait.map(|wait| format!("wait until it is issued, {} at most", humantime::format_duration(wait)));
        lines.extend(waits.map(Preview::Do));
        lines
    }

    /// The one that the environment names, or that was requested, or Terraform's.
    fn status(&self) -> Result<Exit> {
        let (aws, names) = (&self.infra.aws, &self.infra.names);
        let caller = aws.caller()?;
        if caller.account != names.account {
            let cause =
                format!("the environment is for account {}, the credentials are for {}", names.account, caller.account);
            return Err(Fault::could_not_run("other-account", cause)
                .hint("`--set profile=NAME` takes other credentials")
                .into());
        }
        let fault = |refusal| aws::fault("look for the certificate", &refusal);
        let set = self.environment.aws.as_ref().and_then(|aws| aws.certificate_arn.clone());
        let arn = match set {
            Some(arn) => Some(arn),
            None => certificate::noted(&self.infra.bucket, &self.domain).map_err(fault)?,
        };
        let known = match arn {
            Some(arn) => certificate::describe(aws, arn.as_str()).map_err(fault)?,
            None => None,
        };
        let found = match known {
            Some(known) => Some(known),
            None => certificate::find(aws, names, &self.domain).map_err(fault)?,
        };
        self.show(found.as_ref(), None)?;
        Ok(Exit::Done)
    }

    fn show(&self, certificate: Option<&Certificate>, failure: Option<&Fault>) -> Result<()> {
        let made = self.is_record_made(certificate);
        let state = State { environment: &self.environment, domain: &self.domain, certificate, made, failure };
        if self.args.json.json { ui::document(&state.document()) } else { ui::result(&state.text()) }
    }

    /// Whether the record that validates the domain is in the environment's zone; `None` where there is no zone.
    fn is_record_made(&self, certificate: Option<&Certificate>) -> Option<bool> {
        let zone = self.environment.aws.as_ref()?.hosted_zone.as_ref()?;
        let record = certificate?.proof.as_ref()?.record();
        let standing = dns::standing(&self.infra.aws, zone, &record).ok()?;
        Some(standing == dns::RecordState::Same)
    }
}
