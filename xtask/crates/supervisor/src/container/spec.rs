//! What a shim is told about its container. It is an argument of a process and so holds no secret: the values of the
//! container's variables are in the shim's own environment, and the engine's arguments only name them.

use super::place::{self, Place};
use model::system::Probe;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Stands for the container's name in the engine's arguments.
pub const NAME: &str = "{name}";

/// The variable in which a supervisor gives a shim the number of its instance.
pub const INSTANCE: &str = "SLIPWAY_INSTANCE";

/// What a shim runs and how it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimSpec {
    /// The engine's client.
    pub program: PathBuf,
    /// Its arguments that run the container in the foreground, [`NAME`] among them.
    pub args: Vec<String>,
    pub place: Place,
    pub ready: Probe,
    pub live: Probe,
    /// How long the container may take from SIGTERM to its end.
    pub stop_within: Duration,
}

impl ShimSpec {
    pub fn to_json(&self) -> Value {
        let stop_within = u64::try_from(self.stop_within.as_millis()).unwrap_or(u64::MAX);
        json!({
            "program": self.program.to_string_lossy(), "args": self.args, "place": self.place.to_json(),
            "ready": self.ready.to_json(), "live": self.live.to_json(), "stop_within_ms": stop_within,
        })
    }

    /// `None` when the value was not made by [`ShimSpec::to_json`].
    pub fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            program: value["program"].as_str()?.into(),
            args: place::texts(&value["args"])?,
            place: Place::from_json(&value["place"])?,
            ready: Probe::from_json(&value["ready"])?,
            live: Probe::from_json(&value["live"])?,
            stop_within: Duration::from_millis(value["stop_within_ms"].as_u64()?),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn example() -> ShimSpec {
        ShimSpec {
            program: "podman".into(),
            args: ["run", "--name", NAME, "image"].map(str::to_owned).to_vec(),
            place: place::tests::example(),
            ready: Probe::Http { path: "/readyz".to_owned() },
            live: Probe::Tcp { send: None, expect: None },
            stop_within: Duration::from_secs(10),
        }
    }

    #[test]
    fn a_specification_survives_an_argument() {
        let text = example().to_json().to_string();
        assert_eq!(ShimSpec::from_json(&serde_json::from_str(&text).unwrap()), Some(example()));
        assert_eq!(ShimSpec::from_json(&json!({"program": "podman"})), None);
    }
}
