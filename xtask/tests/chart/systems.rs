//! The values of every system in every environment that has a cluster, made from the real spec.

use kubernetes::sample_values;
use model::system::TargetKind;
use model::{environment, environment_names};
use serde_json::Value;
use std::path::Path;

/// What a chart is given.
pub(crate) struct Sample {
    /// For people.
    pub(crate) what: String,
    pub(crate) values: Value,
}

/// With one replica and with several, which makes a difference to who stores what.
pub(crate) fn samples() -> Vec<Sample> {
    let spec = model::load(root()).unwrap();
    let names = environment_names(root()).unwrap();
    let sets = [1, 2].map(|replicas| format!("replicas={replicas}"));
    let all = names.iter().flat_map(|name| sets.iter().map(move |set| (name, set)));
    let mut samples = Vec::new();
    for (name, set) in all {
        // Those of other targets do not know the setting.
        let Ok(environment) = environment(root(), name.as_str(), std::slice::from_ref(set)) else { continue };
        if ![TargetKind::Kubernetes, TargetKind::Eks].contains(&environment.target) {
            continue;
        }
        for system in &spec.systems {
            let what = format!("{} in {name} with {set}", system.name);
            let values = sample_values(system, &environment).unwrap_or_else(|error| panic!("{what}: {error}"));
            samples.push(Sample { what, values });
        }
    }
    assert!(samples.len() >= 10, "{}", samples.len());
    samples
}

/// One system in the environment `cluster`, with so many replicas.
pub(crate) fn sample(system: &str, replicas: u32) -> Value {
    let spec = model::load(root()).unwrap();
    let environment = environment(root(), "cluster", &[format!("replicas={replicas}")]).unwrap();
    let system = spec.systems.iter().find(|known| known.name.as_str() == system).unwrap();
    sample_values(system, &environment).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
