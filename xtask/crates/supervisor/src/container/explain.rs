//! What a shim says about its container beyond how it is.

use base::http;
use base::http::{Endpoint, Request, Url};
use base::socket;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// The path at which a shim explains.
pub const EXPLAIN: &str = "/explain";
/// The engine may have to be asked, and to run something in the container.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a shim says about its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The container's name.
    pub container: String,
    /// The port it is declared to listen on.
    pub declared: u16,
    /// The ports it listens on instead. Empty as well when it listens as declared, on nothing, or nobody can tell.
    pub elsewhere: BTreeSet<u16>,
    /// Where others on its network reach it, while it runs.
    pub address: Option<IpAddr>,
}

impl Explained {
    pub fn to_json(&self) -> Value {
        let address = self.address.map(|address| address.to_string());
        json!({
            "container": self.container, "declared": self.declared, "elsewhere": self.elsewhere, "address": address,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
        Some(Self {
            container: value["container"].as_str()?.to_owned(),
            declared: port(&value["declared"])?,
            elsewhere: value["elsewhere"].as_array()?.iter().map(port).collect::<Option<_>>()?,
            address: value["address"].as_str().and_then(|address| address.parse().ok()),
        })
    }
}

/// Asks the shim of an instance, by its socket. `None` when it does not answer.
pub fn explain(shim: &Path) -> Option<Explained> {
    socket::is_ours(shim.parent()?).then_some(())?;
    let url = Url { endpoint: Endpoint::socket(shim), path: EXPLAIN.to_owned() };
    let answer = http::send(&Request::get(url, TIMEOUT), &|| false).ok()?;
    Explained::from_json(&serde_json::from_slice(&answer.body).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_survives_the_wire() {
        let container = "slipway-1-web-3".to_owned();
        let address = "10.89.0.3".parse().ok();
        let explained = Explained { container, declared: 80, elsewhere: BTreeSet::from([3000, 8080]), address };
        assert_eq!(Explained::from_json(&explained.to_json()), Some(explained));
        assert_eq!(Explained::from_json(&json!({})), None);
    }
}
