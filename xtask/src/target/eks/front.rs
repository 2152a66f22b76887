//! The way in from outside: Application Load Balancers, which the controller makes for the Ingresses of our class.
//!
//! With a `domain` all public services share one, told apart by their hosts; without one each has its own.

use crate::ctx::Ctx;
use crate::http::Endpoint;
use crate::infra::ledger::AwsLedger;
use crate::infra::{Infra, Outputs};
use crate::plan::runner::StepCx;
use crate::spec::name::ServiceName;
use crate::target::kubernetes::Kubernetes;
use crate::target::kubernetes::platform::Front;
use crate::target::kubernetes::wanted::{Exposure, Part};
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct Balancers {
    infra: Arc<Infra>,
    ledger: Arc<AwsLedger>,
    outputs: Mutex<Option<Outputs>>,
}

impl Balancers {
    pub(super) fn new(infra: &Arc<Infra>, ledger: &Arc<AwsLedger>, ctx: &Ctx) -> Self {
        let _ = ctx;
        Self { infra: Arc::clone(infra), ledger: Arc::clone(ledger), outputs: Mutex::default() }
    }

    pub(super) fn set_outputs(&self, outputs: &Outputs) {
        *self.outputs.lock().unwrap_or_else(PoisonError::into_inner) = Some(outputs.clone());
    }
}

impl Front for Balancers {
    fn exposure(&self) -> Result<Option<Exposure>> {
        todo!("H7")
    }

    fn annotations(&self, part: &Part) -> BTreeMap<String, String> {
        let _ = part;
        todo!("H7")
    }

    fn endpoint(&self, core: &Kubernetes, service: &ServiceName) -> Result<Endpoint, String> {
        let _ = (core, service);
        todo!("H7")
    }

    fn url(&self, core: &Kubernetes, service: &ServiceName) -> Option<String> {
        let _ = (core, service);
        todo!("H7")
    }

    fn arrive(&self, core: &Kubernetes, cx: &StepCx<'_>, services: &[ServiceName]) -> Result<()> {
        let _ = (core, cx, services, &self.infra, &self.ledger);
        todo!("H7")
    }
}
