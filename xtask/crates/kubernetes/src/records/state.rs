//! Where services keep their state: in a volume of their own, or in another service. It is decided once, and never changes
//! because a replica was added.

use model::name::ServiceName;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Where a service keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum StatePlace {
    /// In its own volume.
    Own,
    /// In this service of the same system.
    Service(ServiceName),
    /// In what the platform has in the place of this service.
    Managed(ServiceName),
}

impl StatePlace {
    fn to_json(&self) -> Value {
        match self {
            Self::Own => json!("own"),
            Self::Service(service) => json!({"service": service.as_str()}),
            Self::Managed(service) => json!({"managed": service.as_str()}),
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        let named = |key: &str| value[key].as_str()?.parse().ok();
        match value.as_str() {
            Some("own") => Some(Self::Own),
            _ => named("service").map(Self::Service).or_else(|| named("managed").map(Self::Managed)),
        }
    }
}

/// "a volume of its own", "`redis`"
impl fmt::Display for StatePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("a volume of its own"),
            Self::Service(service) => write!(f, "`{service}`"),
            Self::Managed(service) => write!(f, "what the platform has in the place of `{service}`"),
        }
    }
}

pub(super) fn parse(document: &Value) -> BTreeMap<ServiceName, StatePlace> {
    let places = document.as_object().into_iter().flatten();
    places.filter_map(|(name, value)| Some((name.parse().ok()?, StatePlace::from_json(value)?))).collect()
}

pub(super) fn document(places: &BTreeMap<ServiceName, StatePlace>) -> Value {
    let places: Map<_, _> = places.iter().map(|(name, place)| (name.to_string(), place.to_json())).collect();
    Value::Object(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_document() {
        let redis: ServiceName = "redis".parse().unwrap();
        let all = [StatePlace::Own, StatePlace::Service(redis.clone()), StatePlace::Managed(redis)];
        let names = ["a", "b", "c"].map(|name| name.parse::<ServiceName>().unwrap());
        let places: BTreeMap<_, _> = names.into_iter().zip(all).collect();
        assert_eq!(parse(&document(&places)), places);
        assert!(parse(&json!({"a": 1, "B": "own"})).is_empty());
    }
}
