//! `infra`: the AWS platform on its own, for whoever wants to look at it or make it without the rest.

use crate::targets;
use anyhow::Result;
use aws::infra::Goal;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::redact;
use base::table;
use eks::Eks;
use engine::backend::Target;
use engine::deployment::Deployment;
use engine::plan::{Plan, Step};
use model::environment::Environment;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use verbs::cli::{InfraArgs, InfraVerb};
use verbs::cmd::dry_run::Rehearsal;
use verbs::cmd::execute::execute;
use verbs::ui;

/// # Errors
/// When Terraform or AWS refuses.
pub(crate) fn run(args: &InfraArgs, ctx: &Ctx) -> Result<Exit> {
    let mut deployment = Deployment::load(ctx, &args.environment, &[])?.agreed(args.mutation.yes);
    deployment.consent.confirm.clone_from(&args.confirm);
    let environment = deployment.environment.clone();
    let target = targets::on_aws(deployment, ctx)?;
    let command = Command { args, ctx, environment, target };
    match &args.verb {
        InfraVerb::Plan => command.plan(),
        InfraVerb::Apply => command.change("infra apply", command.target.platform_steps(Goal::Platform)),
        InfraVerb::Destroy => command.destroy(),
        InfraVerb::Output => command.output(),
        InfraVerb::Unlock(id) => command.unlock(id.as_deref()),
        InfraVerb::Lock => command.lock(),
    }
}

struct Command<'c> {
    args: &'c InfraArgs,
    ctx: &'c Ctx,
    environment: Environment,
    target: Arc<Eks>,
}

impl Command<'_> {
    fn plan(&self) -> Result<Exit> {
        let Some(plan) = self.target.platform_plan()? else { return Ok(Exit::Done) };
        if self.args.json.json {
            let env = self.environment.name.as_str();
            let (infrastructure, estimate) = (plan.infrastructure, plan.estimate);
            ui::document(&json!({"schema": 1, "env": env, "infrastructure": infrastructure, "estimate": estimate}))?;
        } else {
            ui::result(&plan.text)?;
        }
        Ok(Exit::Done)
    }

    /// Runs steps as a deploy does: with the lease, the journal, and the questions that come before.
    fn change(&self, command: &str, steps: Vec<Step>) -> Result<Exit> {
        let plan = Plan::new(steps)?;
        let json = self.args.json.json;
        if self.args.mutation.dry_run {
            return Rehearsal { environment: &self.environment, plan: &plan, skipped: &[] }.print(json);
        }
        let name = self.environment.name.as_str();
        let execution = execute(self.ctx, self.target.as_ref(), command, name, plan, || Ok(None))?;
        if json {
            ui::document(&execution.document(name, &[], &[]))?;
        }
        execution.print_failures();
        Ok(execution.exit())
    }

    fn destroy(&self) -> Result<Exit> {
        let steps = self.target.platform_steps(Goal::Nothing);
        if !self.args.mutation.dry_run {
            let name = self.environment.deployment_id.as_str();
            let about = format!("this destroys the platform of `{name}` with everything that runs on it");
            if !ui::confirm_name(self.ctx, self.args.mutation.yes, name, &about)? {
                ui::say("nothing was destroyed");
                return Ok(Exit::Failed);
            }
        }
        self.change("infra destroy", steps)
    }

    fn output(&self) -> Result<Exit> {
        let outputs = self.target.infra().output()?;
        let values = outputs.as_object().into_iter().flatten();
        let values: Map<String, Value> = values
            .map(|(name, output)| {
                let hidden = output["sensitive"] == true && !output["value"].is_null();
                (name.clone(), if hidden { redact::HIDDEN.into() } else { output["value"].clone() })
            })
            .collect();
        if self.args.json.json {
            let env = self.environment.name.as_str();
            ui::document(&json!({"schema": 1, "env": env, "outputs": values}))?;
            return Ok(Exit::Done);
        }
        if values.is_empty() {
            ui::result("Terraform has made nothing yet")?;
            return Ok(Exit::Done);
        }
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let rows: Vec<_> = values.iter().map(|(name, value)| vec![name.clone(), shown(value)]).collect();
        ui::result(table::layout(&rows).trim_end())?;
        Ok(Exit::Done)
    }

    fn unlock(&self, id: Option<&str>) -> Result<Exit> {
        let Some(lock) = self.target.infra().lock_of_state()? else {
            return self.told("unlocked", "the state is not locked");
        };
        if let Some(id) = id.filter(|id| **id != lock.id) {
            let cause = format!("the state is not locked with ID `{id}` but with `{}`, by {}", lock.id, lock.holder());
            let hint = self.environment.command(&format!("infra unlock {}", lock.id));
            return Err(Fault::failed("other-lock", cause).hint(hint).into());
        }
        let steps = vec![self.target.infra().unlocking(&lock)];
        if !self.args.mutation.dry_run {
            let about = format!("the state is locked by {}; make sure that this run has ended", lock.holder());
            if !ui::confirm(self.ctx, self.args.mutation.yes, &about)? {
                return self.told("locked", "the lock was left as it is").map(|_| Exit::Failed);
            }
        }
        self.change("infra unlock", steps)
    }

    fn lock(&self) -> Result<Exit> {
        if self.args.mutation.dry_run {
            let line = self.target.infra().providers_line().to_string();
            return self.told("dry-run", &line);
        }
        ui::say("asking the registry of providers for their checksums, for Linux and macOS");
        let file = self.target.infra().lock_providers()?;
        self.told("written", &format!("`{file}` is written; commit it"))
    }

    fn told(&self, result: &str, text: &str) -> Result<Exit> {
        if self.args.json.json {
            let env = self.environment.name.as_str();
            ui::document(&json!({"schema": 1, "env": env, "result": result, "detail": text}))?;
        } else {
            ui::result(text)?;
        }
        Ok(Exit::Done)
    }
}
