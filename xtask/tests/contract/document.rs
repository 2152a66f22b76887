//! What tests of every target do with the files of a copy and with the documents that the program prints.

use crate::sandbox::Sandbox;
use serde_json::Value;
use std::path::Path;

/// Replaces a part of a file, which has to be there.
#[track_caller]
pub(crate) fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", path.display());
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// The document of a deploy that succeeds, and asks for nothing.
#[track_caller]
pub(crate) fn deploy(sandbox: &Sandbox, args: &[&str]) -> Value {
    sandbox.xtask([&["deploy", "--json"], args].concat()).success().json()
}

/// The entry of a step in the document of a run.
#[track_caller]
pub(crate) fn step<'v>(document: &'v Value, id: &str) -> &'v Value {
    let steps = document["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step `{id}` in {document:#}"))
}

/// The entry of a system in a document.
#[track_caller]
pub(crate) fn system<'v>(document: &'v Value, name: &str) -> &'v Value {
    let systems = document["systems"].as_array().unwrap();
    systems.iter().find(|system| system["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {document:#}"))
}

/// The journal of a run, record by record.
pub(crate) fn journal(sandbox: &Sandbox, document: &Value) -> Vec<Value> {
    let path = sandbox.home().join("runs").join(format!("{}.ndjson", document["run"].as_str().unwrap()));
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The programs that a run has started.
pub(crate) fn commands(sandbox: &Sandbox, document: &Value) -> Vec<Value> {
    journal(sandbox, document).into_iter().filter(|record| record["event"] == "command").collect()
}

/// The code of a new short link in the answer that made it.
#[track_caller]
pub(crate) fn code(made: &Value) -> String {
    made["code"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}
