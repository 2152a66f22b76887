//! How an instance comes to the port it answers on, and so how one version of a service follows another.

use crate::container::Place;
use model::name::ServiceName;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Stands for the port of a program behind a relay, which is another one each time that it is started.
pub const PORT: &str = "{slipway.port}";

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one in each of a few launches")]
pub enum LaunchStrategy {
    /// The program binds its port, and the old version has to end before the new one starts.
    Plain,
    /// The supervisor owns the socket and passes it on, so that one version follows another without a gap.
    Handover,
    /// The supervisor owns the port and passes connections on to a port of the program's own, which stands for [`PORT`] in
    /// its arguments and variables. Should it listen on the port of the service instead, it is left to do so.
    Relay,
    /// The program has no port, and may run beside another version of it.
    Worker,
    /// A container behind its shim, which is asked in its place.
    Container {
        place: Place,
        /// It may run beside another version of its service: both may have its data open. Otherwise the old version has
        /// to end before the new one starts.
        overlaps: bool,
        route: Option<Route>,
    },
}

/// How an edge proxy learns which instance is to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// In a folder that the edge watches.
    pub file: PathBuf,
    /// What is written there for an instance: `{container}` stands for its container's name, `{host}` for that or the
    /// container's address, whichever the engine is better at, and `{instance}` for its number.
    pub text: String,
    /// Without it what was written is taken to hold at once.
    pub confirm: Option<Confirm>,
}

/// Where it shows that the edge goes by what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// The service that is the edge, of the same supervisor.
    pub edge: ServiceName,
    /// What its shim is asked for until it answers 200; `{instance}` stands for the instance's number.
    pub path: String,
}

impl LaunchStrategy {
    /// Whether instances of these two may run at the same time.
    pub(super) fn runs_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Handover, Self::Handover) | (Self::Relay, Self::Relay) | (Self::Worker, Self::Worker) => true,
            (Self::Container { overlaps, .. }, Self::Container { overlaps: other, .. }) => *overlaps && *other,
            _ => false,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Plain => json!("plain"),
            Self::Handover => json!("handover"),
            Self::Relay => json!("relay"),
            Self::Worker => json!("worker"),
            Self::Container { place, overlaps, route } => json!({
                "place": place.to_json(), "overlaps": overlaps, "route": route.as_ref().map(Route::to_json),
            }),
        }
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        match value.as_str() {
            Some("plain") => Some(Self::Plain),
            Some("handover") => Some(Self::Handover),
            Some("relay") => Some(Self::Relay),
            Some("worker") => Some(Self::Worker),
            Some(_) => None,
            None => Some(Self::Container {
                place: Place::from_json(&value["place"])?,
                overlaps: value["overlaps"].as_bool()?,
                route: optional(&value["route"], Route::from_json)?,
            }),
        }
    }
}

impl Route {
    fn to_json(&self) -> Value {
        let confirm = self.confirm.as_ref();
        let confirm = confirm.map(|Confirm { edge, path }| json!({"edge": edge.as_str(), "path": path}));
        json!({"file": self.file.to_string_lossy(), "text": self.text, "confirm": confirm})
    }

    fn from_json(value: &Value) -> Option<Self> {
        let confirm = |value: &Value| {
            let edge = value["edge"].as_str()?.parse().ok()?;
            Some(Confirm { edge, path: value["path"].as_str()?.to_owned() })
        };
        Some(Self {
            file: value["file"].as_str()?.into(),
            text: value["text"].as_str()?.to_owned(),
            confirm: optional(&value["confirm"], confirm)?,
        })
    }
}

/// What is null is nothing; what is there has to be readable.
fn optional<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    if value.is_null() { Some(None) } else { read(value).map(Some) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::container::Reach;
    use model::container::EngineKind;

    pub(crate) fn container(overlaps: bool) -> LaunchStrategy {
        let confirm = Confirm { edge: "edge".parse().unwrap(), path: "/slipway/epoch/{instance}".to_owned() };
        let route = Route {
            file: "/x/routes/epoch.yml".into(),
            text: "{\"container\":\"{container}\"}".to_owned(),
            confirm: Some(confirm),
        };
        let place = Place {
            engine: EngineKind::Podman,
            prefix: "d-epoch".to_owned(),
            network: "d-epoch".to_owned(),
            port: 1337,
            reach: Reach::Address,
            relays: vec!["/slipway/".to_owned()],
        };
        LaunchStrategy::Container { place, overlaps, route: Some(route) }
    }

    #[test]
    fn a_style_survives_the_wire() {
        let LaunchStrategy::Container { place, .. } = container(true) else { panic!("not a container") };
        let alone = LaunchStrategy::Container { place, overlaps: false, route: None };
        for style in [LaunchStrategy::Plain, LaunchStrategy::Handover, LaunchStrategy::Relay, container(true), alone] {
            let text = style.to_json().to_string();
            assert_eq!(LaunchStrategy::from_json(&serde_json::from_str(&text).unwrap()), Some(style));
        }
        for value in [json!("else"), json!({}), json!(null)] {
            assert_eq!(LaunchStrategy::from_json(&value), None);
        }
    }

    #[test]
    fn only_those_that_share_a_socket_or_overlap_run_side_by_side() {
        assert!(LaunchStrategy::Handover.runs_beside(&LaunchStrategy::Handover));
        assert!(LaunchStrategy::Relay.runs_beside(&LaunchStrategy::Relay));
        assert!(container(true).runs_beside(&container(true)));
        for (a, b) in [
            (LaunchStrategy::Plain, LaunchStrategy::Plain),
            (LaunchStrategy::Handover, LaunchStrategy::Plain),
            (LaunchStrategy::Handover, LaunchStrategy::Relay),
            (LaunchStrategy::Relay, LaunchStrategy::Plain),
            (LaunchStrategy::Handover, container(true)),
            (container(true), container(false)),
            (container(false), container(false)),
        ] {
            assert!(!a.runs_beside(&b) && !b.runs_beside(&a), "{a:?} {b:?}");
        }
    }
}
