//! What the cluster said, each question asked when its answer is first wanted, and once.

use base::ctx::Ctx;
use base::error::Fault;
use base::proc::CommandLine;
use doctor::Scene;
use kube::Api;
use kubernetes::facts::Facts;
use remote_tools::kubectl;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long the cluster may take to say its version, signing in included.
const WITHIN: Duration = Duration::from_millis(3500);

pub(super) struct Answers {
    context: Option<String>,
    contexts: OnceLock<Result<Vec<String>, String>>,
    live: OnceLock<Result<(Arc<Api>, Value), Fault>>,
    facts: OnceLock<Result<Facts, Fault>>,
}

impl Answers {
    pub(super) fn new(context: Option<String>) -> Self {
        Self { context, contexts: OnceLock::new(), live: OnceLock::new(), facts: OnceLock::new() }
    }

    /// Those that kubeconfig has, or why it cannot be told.
    pub(super) fn contexts(&self, scene: &Scene) -> Result<Vec<String>, String> {
        let ask = || {
            let finished = scene.ask(&kubectl::contexts(), 1)?;
            if !finished.success {
                return Err(doctor::question::complaint(&finished));
            }
            Ok(finished.stdout.lines().map(|line| line.trim().to_owned()).collect())
        };
        self.contexts.get_or_init(ask).clone()
    }

    /// The way to the cluster once it has answered; `None` where there is none.
    pub(super) fn live(&self, scene: &Scene) -> Option<Arc<Api>> {
        self.opened(scene).as_ref().ok().map(|(api, _)| Arc::clone(api))
    }

    /// What it says of its version, or why it says nothing.
    pub(super) fn version(&self, scene: &Scene) -> Result<Value, Fault> {
        self.opened(scene).as_ref().map(|(_, version)| version.clone()).map_err(Clone::clone)
    }

    pub(super) fn facts(&self, scene: &Scene) -> Option<Result<Facts, Fault>> {
        let api = self.live(scene)?;
        let read = || Facts::read(&api).map_err(|error| Fault::of(&error));
        Some(self.facts.get_or_init(read).clone())
    }

    fn opened(&self, scene: &Scene) -> &Result<(Arc<Api>, Value), Fault> {
        self.live.get_or_init(|| self.open(scene))
    }

    fn open(&self, scene: &Scene) -> Result<(Arc<Api>, Value), Fault> {
        let of = |error: anyhow::Error| Fault::of(&error);
        let kubectl = self.kubectl().ok_or_else(|| Fault::could_not_run("no-context", "no context is named"))?;
        let program = Ctx::own_program().map_err(of)?;
        let api = Api::open(&scene.proc, &program, kubectl, &folder(scene), &scene.interrupts).map_err(of)?;
        let version = api.get_within("/version", WITHIN).map_err(|refusal| kube::fault("ask its version", &refusal))?;
        Ok((Arc::new(api), version.unwrap_or_default()))
    }

    /// The user's own kubeconfig: a deployment's copy of it is not made for the sake of a look.
    fn kubectl(&self) -> Option<CommandLine> {
        Some(kubectl::named(self.context.as_ref()?))
    }
}

/// A path that is short enough for a socket, and this user's alone.
fn folder(scene: &Scene) -> PathBuf {
    let temporary = scene.vars.get("TMPDIR").unwrap_or("/tmp");
    PathBuf::from(temporary).join(format!("slipway-doctor-{}", nix::unistd::Uid::current()))
}
