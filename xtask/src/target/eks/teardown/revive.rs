//! The controller, for as long as Ingresses need it: only it lets go of them, so that where it is gone and Ingresses are
//! still there it is installed once more. A finalizer is never taken away for it.

use super::ingresses;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Step, Work};
use crate::target::Scope;
use crate::target::eks::Eks;
use anyhow::Result;
use std::sync::Arc;

struct Revive {
    eks: Arc<Eks>,
    scope: Scope,
    inner: Box<dyn Work>,
}

/// The step that installs the controller, done only where Ingresses wait for one.
pub(super) fn step(eks: &Arc<Eks>, scope: &Scope, install: Step) -> Step {
    let work = Revive { eks: Arc::clone(eks), scope: scope.clone(), inner: install.work };
    let title = "have the load balancer controller for as long as Ingresses need it".to_owned();
    Step { title, work: Box::new(work), ..install }
}

impl Work for Revive {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        if ingresses::held(&self.eks, &self.scope)?.is_empty() {
            return Ok(Some("no Ingress needs it".to_owned()));
        }
        Ok(ingresses::has_controller(&self.eks)?.then(|| "it is there".to_owned()))
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let held = ingresses::held(&self.eks, &self.scope)?;
        if let Some(first) = held.first() {
            let (name, finalizer) = (format!("{}/{}", first.namespace, first.name), &first.finalizer);
            cx.news(format!(
                "no pod of the load balancer controller is ready, and only it lets go of `Ingress {name}` (finalizer \
                 `{finalizer}`) with its load balancer: it is installed again"
            ));
        }
        self.inner.act(cx)
    }
}
