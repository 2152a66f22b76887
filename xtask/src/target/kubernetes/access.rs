//! The way to the cluster: a private kubeconfig with the one context that the environment names, and what uses it.

use crate::ctx::{Ctx, Vars};
use crate::kube::Api;
use crate::proc::{CommandLine, Proc};
use crate::signal::Interrupts;
use crate::target::Deployment;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

pub(super) struct Access {
    context: Option<String>,
    /// The folder of the deployment's state on this machine.
    home: PathBuf,
    vars: Vars,
    proc: Proc,
    interrupts: Interrupts,
    own_program: PathBuf,
    api: Mutex<Option<Arc<Api>>>,
}

impl Access {
    pub(super) fn new(deployment: &Deployment, ctx: &Ctx) -> Result<Self> {
        Ok(Self {
            context: deployment.environment.cluster.context.clone(),
            home: deployment.home.dir().to_owned(),
            vars: ctx.vars.clone(),
            proc: ctx.proc.clone(),
            interrupts: ctx.interrupts.clone(),
            own_program: Ctx::own_program()?,
            api: Mutex::default(),
        })
    }

    /// The API, opened when it is first asked for.
    ///
    /// # Errors
    /// When the environment names no context, kubeconfig has no such one, or the cluster cannot be reached.
    pub(super) fn api(&self) -> Result<Arc<Api>> {
        bail!("not yet")
    }

    /// `kubectl` with the private kubeconfig and the context, up to the verb.
    ///
    /// # Errors
    /// Those of the private kubeconfig.
    pub(super) fn kubectl(&self) -> Result<CommandLine> {
        bail!("not yet")
    }

    /// `helm` likewise.
    ///
    /// # Errors
    /// Those of the private kubeconfig.
    pub(super) fn helm(&self) -> Result<CommandLine> {
        bail!("not yet")
    }

    /// The same line as `--dry-run` shows it: nothing is read or made for it.
    pub(super) fn helm_as_typed(&self) -> CommandLine {
        CommandLine::new("helm")
    }
}
