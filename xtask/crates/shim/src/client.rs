//! What a shim asks of its engine about the one container it has.
//!
//! Every question has a process group of its own and a limit: the signal that ends a service must not end the questions
//! that follow it, and an engine that hangs must not keep a shim.

use base::proc::{CommandLine, Finished, Proc};
use model::container::Memory;
use serde_json::Value;
use std::time::Duration;
use tools::oci::{Container, Engine, Image};

/// For what an engine answers at once unless the machine is very busy.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) struct Client {
    proc: Proc,
    pub(super) engine: Engine,
    /// The container's name.
    pub(super) name: String,
}

/// What matters of a container when it has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Detail {
    /// The program that it was to run.
    pub(super) command: String,
    /// By the name it was asked for.
    pub(super) image: String,
    pub(super) memory: Option<Memory>,
}

impl Client {
    pub(super) fn new(proc: Proc, engine: Engine, name: String) -> Self {
        Self { proc, engine, name }
    }

    /// The container, if it is there and the engine answers.
    pub(super) fn inspect(&self) -> Option<(Container, Detail)> {
        let answer = self.ask(&self.engine.container_inspect(&[&self.name]), TIMEOUT)?;
        let container = Container::parse(&answer.stdout).into_iter().next()?;
        Some((container, Detail::parse(&answer.stdout)?))
    }

    /// Ends the container at once and removes it. Whether that went well shows where it is looked for next.
    pub(super) fn remove(&self) {
        let _ = self.ask(&self.engine.container_remove(&self.name), TIMEOUT);
    }

    /// Has a proxy read its files again.
    pub(super) fn hang_up(&self) -> bool {
        let command = self.engine.command().args(["kill", "--signal", "HUP", &self.name]);
        self.ask(&command, TIMEOUT).is_some_and(|answer| answer.success)
    }

    /// Runs a command in the container. `None` when it takes longer than `limit` or cannot be run.
    pub(super) fn exec(&self, command: &[String], limit: Duration) -> Option<Finished> {
        self.ask(&self.engine.exec(&self.name, command), limit)
    }

    /// The command that an image names itself.
    pub(super) fn own_command(&self, image: &str) -> Option<Vec<String>> {
        let answer = self.ask(&self.engine.image_inspect(&[image]), TIMEOUT)?;
        let image = Image::parse(&answer.stdout).into_iter().next()?;
        Some(image.entrypoint.into_iter().chain(image.command).collect())
    }

    fn ask(&self, command: &CommandLine, limit: Duration) -> Option<Finished> {
        self.proc.ask(command, limit).ok().flatten()
    }
}

impl Detail {
    /// Reads the answer to [`Engine::container_inspect`].
    fn parse(stdout: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(stdout).ok()?;
        let container = document.get(0)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(Self {
            command: text(&container["Path"]),
            image: text(&container["Config"]["Image"]),
            memory: container["HostConfig"]["Memory"].as_u64().filter(|bytes| *bytes > 0).map(Memory),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_details_of_a_container_are_read() {
        let answer = r#"[{"Path": "/nope", "Config": {"Image": "busybox:1.37"}, "HostConfig": {"Memory": 67108864}}]"#;
        let memory = "64Mi".parse().ok();
        let wanted = Detail { command: "/nope".to_owned(), image: "busybox:1.37".to_owned(), memory };
        assert_eq!(Detail::parse(answer), Some(wanted));
        assert_eq!(Detail::parse("[]"), None);
        assert_eq!(Detail::parse(r#"[{"HostConfig": {"Memory": 0}}]"#).unwrap().memory, None);
    }
}
