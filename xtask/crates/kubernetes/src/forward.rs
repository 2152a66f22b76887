//! Ways to services that have none from outside: `kubectl port-forward`, which no network policy refuses, since it ends
//! inside the pod.

use super::{Kubernetes, pods};
use anyhow::Result;
use base::error::Fault;
use base::http::Endpoint;
use base::proc::GuardedChild;
use kube::object;
use model::name::ServiceName;
use remote_tools::kubectl;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long one may take to listen.
const START: Duration = Duration::from_secs(20);

/// Those that this run has opened. They end with it.
#[derive(Default)]
pub(super) struct Forwards {
    /// Each behind a lock of its own, so that one that takes its time holds up nobody else.
    open: Mutex<BTreeMap<ServiceName, Arc<Mutex<Option<Forward>>>>>,
}

struct Forward {
    /// The UID of the pod that it leads to.
    pod: String,
    address: SocketAddr,
    program: GuardedChild,
}

impl Forwards {
    /// Where a service is asked from here.
    ///
    /// # Errors
    /// The reason, for people.
    pub(super) fn endpoint(&self, core: &Kubernetes, service: &ServiceName) -> Result<Endpoint, String> {
        self.reach(core, service).map(Endpoint::from).map_err(|error| Fault::of(&error).cause)
    }

    fn reach(&self, core: &Kubernetes, service: &ServiceName) -> Result<SocketAddr> {
        let slot = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry(service.clone()).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let pods = pods::serving(core, service)?;
        let leads_on = |forward: &Forward| {
            forward.program.is_alive() && pods.iter().any(|pod| object::text(pod, "/metadata/uid") == forward.pod)
        };
        if let Some(forward) = slot.as_ref().filter(|forward| leads_on(forward)) {
            return Ok(forward.address);
        }
        // What it led to is gone.
        *slot = None;
        let pod =
            pods.first().ok_or_else(|| Fault::failed("no-pod", format!("`{service}` has no pod that is ready")))?;
        Ok(slot.insert(open(core, service, pod)?).address)
    }
}

fn open(core: &Kubernetes, service: &ServiceName, pod: &Value) -> Result<Forward> {
    let port = core.deployment.find_service(service).and_then(|declared| declared.port).unwrap_or_default();
    let line = kubectl::port_forward(core.access.kubectl()?, object::namespace(pod), object::name(pod), port);
    let program = core.proc.spawn_guarded(&core.own_program, &line)?;
    let address = program.expect_line(START, &|| core.interrupts.stopping(), kubectl::forwarded)?;
    Ok(Forward { pod: object::text(pod, "/metadata/uid").to_owned(), address, program })
}
