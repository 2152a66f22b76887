//! A cluster that the user's kubeconfig knows by the name of a context.

use super::kubeconfig::{self, Kubeconfig};
use super::platform::Platform;
use anyhow::Result;
use base::ctx::{Ctx, Vars};
use base::error::{Exit, Fault};
use base::proc::Proc;
use engine::deployment::Deployment;
use engine::deployment::unknown;
use model::environment::Environment;
use remote_tools::kubectl;
use std::path::PathBuf;

pub(crate) struct ContextCluster {
    environment: Environment,
    /// The folder of the deployment's state on this machine.
    home: PathBuf,
    vars: Vars,
    proc: Proc,
}

impl ContextCluster {
    pub(crate) fn new(deployment: &Deployment, ctx: &Ctx) -> Self {
        Self {
            environment: deployment.environment.clone(),
            home: deployment.home.dir().to_owned(),
            vars: ctx.vars.clone(),
            proc: ctx.proc.clone(),
        }
    }

    fn contexts(&self) -> Result<Vec<String>> {
        Ok(self.proc.read(&kubectl::contexts())?.lines().map(|line| line.trim().to_owned()).collect())
    }

    fn no_context(&self) -> Result<Fault> {
        let contexts = self.contexts()?;
        let cause = format!("environment `{}` does not name the context of its cluster", self.environment.name);
        Ok(Fault::could_not_run("no-context", cause).hint(self.how_to_name_one(&contexts)))
    }

    fn unknown_context(&self, context: &str, contexts: &[String]) -> Fault {
        let fault = unknown("context", context, contexts.iter().map(String::as_str));
        Fault { exit: Exit::CouldNotRun, code: "no-context", hint: Some(self.how_to_name_one(contexts)), ..fault }
    }

    fn how_to_name_one(&self, contexts: &[String]) -> String {
        format!(
            "{}; name one with `--set context=NAME` or `context = \"NAME\"` in `deploy/environments/{}.local.toml`, or \
             make a cluster on this machine: `{}`",
            known(contexts),
            self.environment.name,
            self.environment.command("cluster up")
        )
    }
}

impl Platform for ContextCluster {
    fn is_there(&self) -> Result<bool> {
        Ok(true)
    }

    /// The one that is there, unless it was made from something else.
    fn kubeconfig(&self) -> Result<Kubeconfig> {
        let Some(context) = &self.environment.cluster.context else { return Err(self.no_context()?.into()) };
        let stamp = kubeconfig::stamp(&self.vars, context);
        if let Some(kubeconfig) = Kubeconfig::read(&self.home, context, &stamp) {
            return Ok(kubeconfig);
        }
        let contexts = self.contexts()?;
        if !contexts.contains(context) {
            return Err(self.unknown_context(context, &contexts).into());
        }
        let text = self.proc.read(&kubectl::view(context))?;
        Kubeconfig::write(&self.home, context, &stamp, &text)
    }
}

/// "kubeconfig has `a`, `b`"
fn known(contexts: &[String]) -> String {
    let names: Vec<_> = contexts.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "kubeconfig has none, or is not there".to_owned(),
        [one] => format!("kubeconfig has only {one}"),
        names => format!("kubeconfig has {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_contexts_that_there_are_are_named() {
        let known = |names: &[&str]| super::known(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(known(&["a", "b"]), "kubeconfig has `a`, `b`");
        assert_eq!(known(&["a"]), "kubeconfig has only `a`");
        assert_eq!(known(&[]), "kubeconfig has none, or is not there");
    }
}
