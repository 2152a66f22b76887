//! What a cluster on EKS gives the target `kubernetes`: a way in, a registry, queues and topics, load balancers.

use super::{front, kubeconfig};
use crate::aws::Aws;
use crate::ctx::Ctx;
use crate::image::auth::Credentials;
use crate::infra::ledger::AwsLedger;
use crate::infra::{Infra, Outputs};
use crate::target::kubernetes::kubeconfig::Kubeconfig;
use crate::target::kubernetes::platform::{Front, Grants, Platform};
use crate::target::kubernetes::wanted::Part;
use anyhow::Result;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct EksPlatform {
    pub(super) infra: Arc<Infra>,
    pub(super) ledger: Arc<AwsLedger>,
    /// What Terraform has said, once it is known in this run.
    outputs: Mutex<Option<Outputs>>,
    front: front::Balancers,
}

impl EksPlatform {
    pub(super) fn new(infra: &Arc<Infra>, ledger: &Arc<AwsLedger>, ctx: &Ctx) -> Self {
        Self {
            infra: Arc::clone(infra),
            ledger: Arc::clone(ledger),
            outputs: Mutex::default(),
            front: front::Balancers::new(infra, ledger, ctx),
        }
    }

    pub(super) fn aws(&self) -> &Aws {
        &self.infra.aws
    }

    /// What Terraform has made, if it has. What this run applied comes first.
    ///
    /// # Errors
    /// When AWS refuses or does not answer.
    pub(super) fn outputs(&self) -> Result<Option<Outputs>> {
        let mut known = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = self.infra.applied(false)?.map(|(_, outputs)| outputs);
        }
        Ok(known.clone())
    }

    /// Hands on what this run has applied.
    pub(super) fn set_outputs(&self, outputs: Outputs) {
        self.front.set_outputs(&outputs);
        *self.outputs.lock().unwrap_or_else(PoisonError::into_inner) = Some(outputs);
    }
}

impl Platform for EksPlatform {
    fn is_there(&self) -> Result<bool> {
        Ok(self.outputs()?.is_some())
    }

    fn kubeconfig(&self) -> Result<Kubeconfig> {
        kubeconfig::write(self)
    }

    fn registry_credentials(&self) -> Result<Option<Credentials>> {
        todo!("H6: aws ecr get-login-password")
    }

    fn grants(&self, part: &Part) -> Result<Option<Grants>> {
        let _ = part;
        todo!("H6")
    }

    fn front(&self) -> Option<&dyn Front> {
        Some(&self.front)
    }
}
