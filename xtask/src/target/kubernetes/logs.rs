//! What the pods of a service say.

use super::Kubernetes;
use crate::ctx::Ctx;
use crate::spec::name::ServiceName;
use crate::target::{LogRequest, LogStream};
use anyhow::{Result, bail};

pub(super) struct PodLogs<'t> {
    pub(super) core: &'t Kubernetes,
    pub(super) service: ServiceName,
}

impl LogStream for PodLogs<'_> {
    fn read(&self, _: &Ctx, _: &LogRequest, _: &mut dyn FnMut(&str) -> Result<bool>) -> Result<()> {
        let _ = self.core;
        bail!("not yet: {}", self.service)
    }
}
