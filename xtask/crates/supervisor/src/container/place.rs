//! Where a container is and how it is reached, as whoever plans a deployment decides it.

use model::container::EngineKind;
use serde_json::{Value, json};

/// Where a container is and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub engine: EngineKind,
    /// What its name begins with; `-` and the number of its instance follow.
    pub prefix: String,
    /// The network on which it has its address.
    pub network: String,
    /// The port that it is declared to listen on, inside; 0 for one that has none.
    pub port: u16,
    pub reach: Reach,
    /// Beginnings of paths (`/slipway/`) that its shim answers as the container does.
    pub relays: Vec<String>,
}

/// How its probes get to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// By its own address, which exists on this machine.
    Address,
    /// By a command that runs inside and answers with its exit code. Without one a container that runs is ready.
    Exec(Vec<String>),
}

impl Place {
    /// The container of an instance.
    pub fn name(&self, instance: u64) -> String {
        format!("{}-{instance}", self.prefix)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "engine": self.engine.as_str(), "prefix": self.prefix, "network": self.network, "port": self.port,
            "reach": self.reach.to_json(), "relays": self.relays,
        })
    }

    /// `None` when the value was not made by [`Place::to_json`].
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let engine = match value["engine"].as_str()? {
            "docker" => EngineKind::Docker,
            "podman" => EngineKind::Podman,
            _ => return None,
        };
        Some(Self {
            engine,
            prefix: text("prefix")?,
            network: text("network")?,
            port: value["port"].as_u64()?.try_into().ok()?,
            reach: Reach::from_json(&value["reach"])?,
            relays: texts(&value["relays"])?,
        })
    }
}

impl Reach {
    fn to_json(&self) -> Value {
        match self {
            Self::Address => json!("address"),
            Self::Exec(command) => json!({"exec": command}),
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        if value == "address" {
            return Some(Self::Address);
        }
        texts(&value["exec"]).map(Self::Exec)
    }
}

pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn example() -> Place {
        Place {
            engine: EngineKind::Podman,
            prefix: "slipway-1-epoch".to_owned(),
            network: "slipway-1".to_owned(),
            port: 1337,
            reach: Reach::Address,
            relays: vec!["/slipway/".to_owned()],
        }
    }

    #[test]
    fn a_place_survives_the_wire() {
        let exec = Reach::Exec(vec!["/service".to_owned(), "healthcheck".to_owned()]);
        for reach in [Reach::Address, exec] {
            let place = Place { engine: EngineKind::Docker, reach, ..example() };
            assert_eq!(Place::from_json(&place.to_json()), Some(place));
        }
        assert_eq!(Place::from_json(&json!({"engine": "podman"})), None);
    }

    #[test]
    fn a_container_has_the_number_of_its_instance() {
        assert_eq!(example().name(7), "slipway-1-epoch-7");
    }
}
