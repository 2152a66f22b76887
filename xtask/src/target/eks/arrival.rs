//! Waits until what was released is reached as its users reach it.

use super::front::Balancers;
use crate::plan::runner::StepCx;
use crate::spec::name::ServiceName;
use crate::target::kubernetes::Kubernetes;
use anyhow::Result;

pub(super) fn arrive(front: &Balancers, core: &Kubernetes, cx: &StepCx<'_>, services: &[ServiceName]) -> Result<()> {
    let _ = (cx, &front.ledger, core);
    front.look_again(services);
    Ok(())
}
