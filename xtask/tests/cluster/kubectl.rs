//! Questions to the cluster, asked apart from the program under test.

use super::sandbox::Run;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// The cluster that tests may use.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) context: String,
    pub(crate) registry: String,
}

impl Cluster {
    pub(crate) fn find() -> Result<Self, String> {
        let var = |name: &str| std::env::var(name).map_err(|_| format!("`{name}` is not set"));
        let cluster = Self { context: var("XTASK_E2E_CONTEXT")?, registry: var("XTASK_E2E_REGISTRY")? };
        let version = cluster.run(["version", "--output=json"]);
        if version.code() == 0 { Ok(cluster) } else { Err(format!("the cluster does not answer: {}", version.stderr)) }
    }

    fn command<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = Command::new("kubectl");
        command.args(["--context", &self.context]).args(args).stdin(Stdio::null());
        command
    }

    pub(crate) fn run<const N: usize>(&self, args: [&str; N]) -> Run {
        Run::of(&mut self.command(args))
    }

    /// What a command that has to succeed prints as JSON.
    #[track_caller]
    pub(crate) fn json<const N: usize>(&self, args: [&str; N]) -> Value {
        let mut command = self.command(args);
        Run::of(command.arg("--output=json")).success().json()
    }

    /// The objects of a kind in a namespace.
    #[track_caller]
    pub(crate) fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        self.json(["get", kind, "--namespace", namespace])["items"].as_array().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn apply(&self, object: &Value) {
        let mut command = self.command(["apply", "--filename=-"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{object:#}");
    }
}

/// A text somewhere in an object.
pub(crate) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
