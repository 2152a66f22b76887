//! The controller, for as long as Ingresses need it: only it lets go of them, so that where it is gone and Ingresses are
//! still there it is installed once more. A finalizer is never taken away for it.

use super::ingresses;
use crate::Eks;
use anyhow::Result;
use engine::deployment::Scope;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Step, Work};
use std::sync::Arc;

struct Reinstall {
    eks: Arc<Eks>,
    scope: Scope,
    inner: Box<dyn Work>,
}

/// The step that installs the controller, done only where Ingresses wait for one.
pub(super) fn step(eks: &Arc<Eks>, scope: &Scope, install: Step) -> Step {
    let work = Reinstall { eks: Arc::clone(eks), scope: scope.clone(), inner: install.work };
    let title = "reinstall the load balancer controller while Ingresses need it".to_owned();
    Step { title, work: Box::new(work), ..install }
}

/// The same for whatever Ingress of the deployment there is.
pub(crate) fn everywhere(eks: &Arc<Eks>, install: Step) -> Step {
    step(eks, &Scope { systems: Vec::new(), everything: true }, install)
}

impl Work for Reinstall {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        if ingresses::held(&self.eks, &self.scope)?.is_empty() {
            return Ok(Some("no load balancer needs it".to_owned()));
        }
        Ok(ingresses::has_controller(&self.eks)?.then(|| "it is there".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let held = ingresses::held(&self.eks, &self.scope)?;
        if let Some(first) = held.first() {
            let (title, finalizer) = (first.title(), &first.finalizer);
            cx.news(format!(
                "no pod of the load balancer controller is ready, and only it can delete `{title}` (finalizer \
                 `{finalizer}`) and its load balancer: installing it again"
            ));
        }
        self.inner.run(cx)
    }
}
