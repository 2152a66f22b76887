//! Ways to services that have none from outside: `kubectl port-forward`, which no network policy refuses, since it ends
//! inside the pod.

use super::Kubernetes;
use crate::http::Endpoint;
use crate::proc::Tethered;
use crate::spec::name::ServiceName;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

/// Those that this run has opened. They end with it.
#[derive(Default)]
pub(super) struct Forwards {
    open: Mutex<BTreeMap<ServiceName, (SocketAddr, Tethered)>>,
}

impl Forwards {
    /// Where a service is asked from here.
    ///
    /// # Errors
    /// The reason, for people.
    pub(super) fn endpoint(&self, _core: &Kubernetes, _service: &ServiceName) -> Result<Endpoint, String> {
        let _ = &self.open;
        Err("not yet".to_owned())
    }
}
