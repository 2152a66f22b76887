//! The values of every system in every environment that has a cluster, made from the real spec.

use kubernetes::sample_values;
use model::asset::Asset;
use model::job::{Job, When};
use model::secret::{Secret, SecretSource, Shape};
use model::system::TargetKind;
use model::{environment, environment_names};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

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
    samples.push(Sample { what: "a service with jobs".to_owned(), values: with_jobs() });
    samples.push(Sample { what: "a service that is given files".to_owned(), values: given() });
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

/// A system with a job before its release, and one by the clock.
pub(crate) fn with_jobs() -> Value {
    let mut spec = model::load(root()).unwrap();
    let environment = environment(root(), "cluster", &[]).unwrap();
    let system = spec.systems.iter_mut().find(|known| known.name.as_str() == "shortener").unwrap();
    let job = |name: &str, when| Job {
        name: name.parse().unwrap(),
        of: "shortener".parse().unwrap(),
        command: vec!["shortener".parse().unwrap(), name.parse().unwrap()],
        args: Vec::new(),
        needs: vec!["redis".parse().unwrap()],
        when,
        within: Duration::from_secs(90),
        targets: TargetKind::ALL.into(),
    };
    system.jobs = vec![job("migrate", When::Before), job("backup", When::Schedule("*/30 2 * * 7".parse().unwrap()))];
    sample_values(system, &environment).unwrap()
}

/// A system whose service is given files in every way.
pub(crate) fn given() -> Value {
    let mut spec = model::load(root()).unwrap();
    let environment = environment(root(), "cluster", &[]).unwrap();
    let system = spec.systems.iter_mut().find(|known| known.name.as_str() == "epoch").unwrap();
    let service = &mut system.services[0];
    let token = Secret { source: SecretSource::Generated(Shape::default()), system: None };
    service.secrets.insert("token".to_owned(), token);
    let file = |executable| json!({"digest": "0".repeat(64), "size": 1, "executable": executable});
    let folder = json!({"a/b": file(false), "run": file(true)});
    for (name, given) in [
        ("conf", json!({"from": "conf", "files": {"": file(false)}, "at": "/etc/app/app.conf"})),
        ("site", json!({"from": "site", "files": folder, "at": "/srv/site", "mode": "0400"})),
        ("beside", json!({"from": "site", "files": folder})),
        ("key", json!({"text": "${secret.token}", "at": "/etc/key", "mode": "0440"})),
        ("note", json!({"text": "port ${port}", "mode": "0644"})),
        ("plain", json!("as ever")),
    ] {
        service.files.insert(name.to_owned(), Asset::from_json(&given).unwrap());
    }
    sample_values(system, &environment).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
