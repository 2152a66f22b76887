//! From a changed line to the new container that serves: `deploy` compiles, builds the image, replaces the container and
//! proves it. Beside an engine that only builds the image, of the usual Dockerfile.

use crate::measure::{median, millis};
use crate::place::Copy;
use crate::usual::Usual;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const RUNS: usize = 5;
const SOURCE: &str = "app/epoch/src/main.rs";
/// A text in it that ends up in the binary.
const TEXT: &str = "\"the clock is set before 1970";

pub(crate) fn run(usual: &Usual) {
    let Some(engine) = usual.engine.with(&["base", "edge"]) else { return };
    let copy = Copy::new("containers", engine);
    let mut changes = 0;
    let mut last = Value::Null;
    // The first one has nothing to replace yet; it only warms caches.
    let time = median(RUNS, || {
        changes += 1;
        change(&copy.root, changes);
        let (took, document) = deploy(&copy);
        last = document;
        took
    });
    println!("  a changed line of `epoch` to its new container serving, and proven {}", millis(time));
    println!("  the longest steps of the last: {}", longest(&last));
    usual.beside(time);
}

fn change(root: &Path, number: usize) {
    let path = root.join(SOURCE);
    let text = fs::read_to_string(&path).expect("read a source");
    assert!(text.contains(TEXT), "{SOURCE} has no line with {TEXT}");
    fs::write(&path, text.replacen(TEXT, &format!("{TEXT}, {number}"), 1)).expect("write a source");
}

fn deploy(copy: &Copy) -> (Duration, Value) {
    let started = Instant::now();
    let document = copy.document(&["deploy", "epoch"]);
    let took = started.elapsed();
    let built = steps(&document).any(|(id, step)| id == "image:epoch" && step["result"] == "done");
    assert!(built && document["result"] == "deployed", "no new container: {document:#}");
    (took, document)
}

fn steps(document: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let steps = document["steps"].as_array().into_iter().flatten();
    steps.filter_map(|step| Some((step["id"].as_str()?, step)))
}

fn longest(document: &Value) -> String {
    let seconds = |(id, step): (&str, &Value)| Some((step["seconds"].as_f64()?, id.to_owned()));
    let mut steps: Vec<(f64, String)> = steps(document).filter_map(seconds).collect();
    steps.sort_by(|a, b| b.0.total_cmp(&a.0));
    let steps = steps.iter().take(4).map(|(seconds, id)| format!("{id} {seconds:.1} s"));
    steps.collect::<Vec<_>>().join(", ")
}
