//! How much a teardown takes: what was named, or everything; and whether there is a cluster to take it from.

use crate::{Eks, controller};
use anyhow::Result;
use base::error::Fault;
use engine::deployment::Scope;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use engine::teardown::Stage;
use kubernetes::teardown as inside;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a cluster that does not answer is asked again, before what it would have removed is removed on AWS.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The scope as a teardown takes it. What is to be kept is in volumes of the cluster, so that the platform stays with it
/// where only systems were named.
pub(super) fn effective(eks: &Eks, scope: &Scope, keep_data: bool) -> Scope {
    let named = &eks.deployment().scope;
    if keep_data && scope.everything && !named.everything { named.clone() } else { scope.clone() }
}

/// # Errors
/// Usage, when what is to be kept would go with its cluster.
pub(super) fn check_kept(eks: &Eks, scope: &Scope, keep_data: bool) -> Result<()> {
    if !(scope.everything && keep_data && has_cluster(eks)?) {
        return Ok(());
    }
    let cause = "data is stored in volumes of the cluster, and no deploy finds it again once the cluster is gone";
    let hint = "name the systems to tear down with `--keep-data`: the platform then stays, and so does their data";
    Err(Fault::usage(cause).hint(hint).into())
}

/// As target `kubernetes` has it; with the last system goes the platform. Where there is no cluster nothing is deployed
/// beside what was named.
pub(crate) fn widened(eks: &Eks, scope: Scope) -> Result<Scope> {
    if scope.everything || has_cluster(eks)? {
        return inside::widened(&eks.core, scope, &[controller::namespace(eks)]);
    }
    Ok(Scope { everything: true, ..scope })
}

/// Whether AWS has the cluster, in a state in which it can be asked.
///
/// # Errors
/// When AWS refuses or does not answer.
pub(super) fn has_cluster(eks: &Eks) -> Result<bool> {
    let infra = &eks.infra;
    let name = infra.names.base();
    let status = match infra.aws.ask(&["eks", "describe-cluster", "--name", &name]) {
        Ok(found) => found["cluster"]["status"].as_str().unwrap_or_default().to_owned(),
        Err(refusal) if refusal.is_absent() => return Ok(false),
        Err(refusal) => return Err(aws::fault(&format!("look for cluster `{name}`"), &refusal).into()),
    };
    // Nothing was ever deployed to one whose making did not end.
    Ok(["ACTIVE", "UPDATING"].contains(&status.as_str()) && eks.platform.outputs()?.is_some())
}

/// Whether an error says that the cluster cannot be reached by us, rather than that something is wrong in it.
pub(super) fn is_shut(error: &anyhow::Error) -> bool {
    ["cluster-unreachable", "cluster-credentials", "cluster-forbidden", "no-cluster"].contains(&Fault::of(error).code)
}

/// Access to the cluster, tried once in a run.
pub(super) struct ClusterAccess {
    eks: Arc<Eks>,
    known: Mutex<Option<State>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Absent,
    /// It is there and cannot be asked: why.
    Shut(String),
}

impl ClusterAccess {
    pub(super) fn new(eks: &Arc<Eks>) -> Arc<Self> {
        Arc::new(Self { eks: Arc::clone(eks), known: Mutex::default() })
    }

    /// # Errors
    /// When it cannot be told, or the cluster is another one than before.
    pub(super) fn state(&self, cx: &StepCx<'_>) -> Result<State> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = &*known {
            return Ok(state.clone());
        }
        let state = self.find_out(cx)?;
        if let State::Shut(words) = &state {
            cx.news(format!("the cluster does not answer; what it left on AWS is removed there: {words}"));
        }
        Ok(known.insert(state).clone())
    }

    fn find_out(&self, cx: &StepCx<'_>) -> Result<State> {
        if !has_cluster(&self.eks)? {
            return Ok(State::Absent);
        }
        let mut words = String::new();
        let ask = || match self.eks.core.access.api() {
            Ok(_) => Ok(Some(State::Open)),
            Err(error) if is_shut(&error) => {
                cx.status(format!("waiting for the cluster to answer: {error:#}"));
                words = format!("{error:#}");
                Ok(None)
            }
            Err(error) => Err(error),
        };
        let gave_up = || Fault::failed("cluster-shut", "the cluster does not answer");
        match super::gate::until(cx, ANSWER_WITHIN, ask, gave_up) {
            Err(error) if Fault::of(&error).code == "cluster-shut" => Ok(State::Shut(words)),
            state => state,
        }
    }
}

/// What is done in the cluster, if there is one that can be asked.
struct InCluster {
    cluster: Arc<ClusterAccess>,
    inner: Box<dyn Work>,
}

/// The stage with its work done only in a cluster that is there.
pub(super) fn in_cluster<'a>(cluster: &Arc<ClusterAccess>, stage: Stage<'a>) -> Stage<'a> {
    let cluster = Arc::clone(cluster);
    stage.with_work(move |inner| Box::new(InCluster { cluster: Arc::clone(&cluster), inner }))
}

impl Work for InCluster {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        match self.cluster.state(cx)? {
            State::Open => self.inner.is_done(cx),
            State::Absent => Ok(Some("there is no cluster".to_owned())),
            State::Shut(_) => Ok(Some("the cluster cannot be reached".to_owned())),
        }
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        self.inner.run(cx)
    }
}
