//! Which backend runs an environment's systems: the one place that knows all of them.

use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use eks::Eks;
use engine::backend::Target;
use engine::deployment::Deployment;
use images::auth::Ask;
use kubernetes::Kubernetes;
use model::system::TargetKind;
use std::sync::Arc;

/// The backend of a deployment's environment.
///
/// # Errors
/// When the environment's state on this machine cannot be read.
pub(crate) fn of(deployment: Deployment, ctx: &Ctx) -> Result<Arc<dyn Target>> {
    engine::identity::check(&deployment.home, &deployment.environment)?;
    match deployment.environment.target {
        TargetKind::Host => machine::host(deployment, ctx),
        TargetKind::Containers => containers::open(deployment, ctx),
        TargetKind::Kubernetes => Ok(Arc::new(Kubernetes::of_context(deployment, ctx)?)),
        TargetKind::Eks => Ok(Arc::new(Eks::new(deployment, ctx)?)),
    }
}

/// The backend on AWS, for the commands that are about its platform alone.
///
/// # Errors
/// When the environment is for another target, or its state on this machine cannot be read.
pub(crate) fn on_aws(deployment: Deployment, ctx: &Ctx) -> Result<Arc<Eks>> {
    let environment = &deployment.environment;
    if environment.target != TargetKind::Eks {
        let cause = format!("environment `{}` is for target `{}`, not `eks`", environment.name, environment.target);
        return Err(Fault::usage(cause).hint("name one that is: `--env aws`").into());
    }
    Ok(Arc::new(Eks::new(deployment, ctx)?))
}

/// A deployment as its images see it, where something is known of those without anything being there yet: the registry that
/// the target has for them, and who is asked for what signs in there. `pushes` says that it has to be known.
///
/// # Errors
/// When it has to be and is not.
pub(crate) fn for_images(deployment: Deployment, ctx: &Ctx, pushes: bool) -> Result<(Deployment, Option<Ask>)> {
    match deployment.environment.target {
        TargetKind::Host | TargetKind::Containers | TargetKind::Kubernetes => Ok((deployment, None)),
        TargetKind::Eks => eks::for_images(deployment, ctx, pushes),
    }
}
