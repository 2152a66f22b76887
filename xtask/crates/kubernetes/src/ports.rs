//! The further ports of a service as the chart takes them, and as a release that was proven had them.

use model::port::{FurtherPort, FurtherPorts, Speaks};
use model::system::Service;
use serde_json::{Value, json};

/// What the further ports speak, as clusters call it (kubernetes.io/docs, "Application protocol").
const PROTOCOLS: [(Speaks, &str); 2] = [(Speaks::Http, "http"), (Speaks::Grpc, "kubernetes.io/h2c")];

/// `None` where there are none, as for most.
pub(super) fn values(service: &Service) -> Option<Value> {
    let one = |(name, further): (&String, &FurtherPort)| {
        let transport = if further.speaks.is_udp() { "UDP" } else { "TCP" };
        let mut one = json!({"name": name, "port": further.port, "protocol": transport});
        if let Some((_, spoken)) = PROTOCOLS.iter().find(|(speaks, _)| *speaks == further.speaks) {
            one["appProtocol"] = json!(spoken);
        }
        if further.public {
            one["publicPort"] = json!(further.host_port);
        }
        one
    };
    (!service.ports.is_empty()).then(|| service.ports.iter().map(one).collect())
}

/// What the values of a service say of them.
pub(super) fn recalled(values: &Value) -> FurtherPorts {
    let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let one = |value: &Value| {
        let port = number(&value["port"])?;
        let spoken = PROTOCOLS.iter().find(|(_, spoken)| value["appProtocol"] == *spoken).map(|(speaks, _)| *speaks);
        let plain = if value["protocol"] == "UDP" { Speaks::Udp } else { Speaks::Tcp };
        let public_port = number(&value["publicPort"]);
        let (speaks, public, host_port) = (spoken.unwrap_or(plain), public_port.is_some(), public_port.unwrap_or(port));
        Some((value["name"].as_str()?.to_owned(), FurtherPort { port, host_port, speaks, public }))
    };
    values["ports"].as_array().into_iter().flatten().filter_map(one).collect()
}
