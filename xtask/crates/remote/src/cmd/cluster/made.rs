//! The cluster that an environment has on this machine: who makes it, under which name, and the note of it, without which
//! nothing is ever removed.

use anyhow::Result;
use base::error::Fault;
use base::files;
use base::proc::{CommandLine, Proc};
use model::container::EngineKind;
use model::environment::Environment;
use remote_tools::local_cluster;
use remote_tools::local_cluster::{LocalCluster, Maker};
use remote_tools::{k3d, kind, minikube};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Where the ingress is on loopback, unless something else listens there.
const PORTS: std::ops::Range<u16> = 8088..8108;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) maker: Maker,
    pub(super) name: String,
    /// What its node runs in.
    pub(super) engine: EngineKind,
    /// Where its ingress answers on loopback.
    pub(super) port: u16,
    /// It was made to the end.
    pub(super) whole: bool,
    /// The context that is to be the current one again, since making the cluster changes it: empty where none was, `None`
    /// once it is so. A killed run leaves it for the next one.
    pub(super) context_before: Option<String>,
}

impl Made {
    /// A cluster that is to be made.
    pub(super) fn new(maker: Maker, name: String, engine: EngineKind) -> Result<Self, Fault> {
        let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let port = PORTS.into_iter().find(is_free).ok_or_else(|| {
            let cause = format!("none of the ports {} to {} is free for its ingress", PORTS.start, PORTS.end - 1);
            Fault::could_not_run("port-in-use", cause)
        })?;
        Ok(Self { maker, name, engine, port, whole: false, context_before: None })
    }

    pub(super) fn context(&self) -> String {
        self.maker.context(&self.name)
    }

    /// What leads an environment to it.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("context", self.context()), ("ingress_address", format!("127.0.0.1:{}", self.port))]
    }

    fn provider(&self) -> Option<EngineKind> {
        (self.engine == EngineKind::Podman).then_some(self.engine)
    }

    pub(super) fn create(&self) -> CommandLine {
        match self.maker {
            Maker::Kind => kind::create(&self.name, self.provider(), self.port),
            Maker::K3d => k3d::create(&self.name, self.port),
            Maker::Minikube => minikube::start(&self.name, self.engine, self.port),
        }
    }

    /// Starts one that is there and does not run, as after a restart of the machine.
    pub(super) fn start(&self) -> CommandLine {
        match self.maker {
            Maker::Kind => CommandLine::new(self.engine.as_str()).args(["start", &kind::node(&self.name)]),
            Maker::K3d => k3d::start(&self.name),
            Maker::Minikube => self.create(),
        }
    }

    pub(super) fn delete(&self) -> CommandLine {
        match self.maker {
            Maker::Kind => kind::delete(&self.name, self.provider()),
            Maker::K3d => k3d::delete(&self.name),
            Maker::Minikube => minikube::delete(&self.name),
        }
    }

    /// Whether its maker has a cluster of this name, whole or not.
    pub(super) fn exists(&self, proc: &Proc) -> Result<bool> {
        let names = match self.maker {
            Maker::Kind => {
                proc.read(&kind::clusters(self.provider()))?.lines().map(|line| line.trim().to_owned()).collect()
            }
            Maker::K3d => k3d::names(&proc.read(&k3d::clusters())?),
            Maker::Minikube => minikube::names(&proc.try_read(&minikube::profiles())?.stdout),
        };
        Ok(names.contains(&self.name))
    }
}

/// The maker and the name that the environment's context stands for; `None` where it names none.
///
/// # Errors
/// When it names a cluster that none of them makes.
pub(super) fn named(environment: &Environment) -> Result<Option<(Maker, String)>, Fault> {
    let Some(context) = environment.cluster.context.as_deref() else { return Ok(None) };
    match local_cluster::of_context(context) {
        Some(LocalCluster::Made { maker, name, .. }) => Ok(Some((maker, name))),
        _ => {
            let cause = format!(
                "environment `{}` names the context `{context}`, which is no cluster of kind, k3d or minikube",
                environment.name
            );
            let hint = format!(
                "take `context` out of `deploy/environments/{}.local.toml`, or use an environment of its own",
                environment.name
            );
            Err(Fault::could_not_run("context-named", cause).hint(hint))
        }
    }
}

/// `slipway` for the environment that commands assume, `slipway-NAME` for others.
pub(super) fn name(environment: &Environment) -> String {
    match environment.name.as_str() {
        "cluster" => "slipway".to_owned(),
        name => format!("slipway-{name}"),
    }
}

/// Beside the environment's own folder, which a teardown removes.
fn note(root: &Path, environment: &Environment) -> PathBuf {
    root.join(".slipway").join(format!("{}.cluster.json", environment.name))
}

pub(super) fn noted(root: &Path, environment: &Environment) -> Result<Option<Made>> {
    Ok(files::read_json(&note(root, environment))?.as_ref().and_then(from_json))
}

/// # Errors
/// When it cannot be written; the cluster must then not be made.
pub(super) fn write_note(root: &Path, environment: &Environment, made: &Made) -> Result<()> {
    files::write_json(&note(root, environment), &to_json(made))
}

/// # Errors
/// When it cannot be removed.
pub(super) fn forget(root: &Path, environment: &Environment) -> Result<()> {
    files::remove(&note(root, environment))
}

fn to_json(made: &Made) -> Value {
    let Made { maker, name, engine, port, whole, context_before } = made;
    json!({
        "maker": maker.as_str(), "name": name, "engine": engine.as_str(), "port": port, "whole": whole,
        "context_before": context_before,
    })
}

fn from_json(value: &Value) -> Option<Made> {
    let maker = value["maker"].as_str()?;
    Some(Made {
        maker: Maker::ALL.into_iter().find(|known| known.as_str() == maker)?,
        name: value["name"].as_str()?.to_owned(),
        engine: value["engine"].as_str()?.parse().ok()?,
        port: u16::try_from(value["port"].as_u64()?).ok()?,
        whole: value["whole"].as_bool()?,
        context_before: value["context_before"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(maker: Maker, engine: EngineKind) -> Made {
        Made { maker, name: "slipway".to_owned(), engine, port: 8088, whole: true, context_before: None }
    }

    #[test]
    fn a_note_says_it_all() {
        for maker in Maker::ALL {
            for context_before in [None, Some(String::new()), Some("prod".to_owned())] {
                let made = Made { context_before, ..made(maker, EngineKind::Podman) };
                assert_eq!(from_json(&to_json(&made)), Some(made));
            }
        }
        assert_eq!(from_json(&json!({})), None);
    }

    /// The clients that are installed take these lines: they refuse a flag or a configuration that they do not know
    /// before they look for an engine, of which none is to be found here.
    #[test]
    fn real_clients_take_what_they_are_told() {
        use base::ctx::Vars;
        use base::proc::Children;
        use base::signal::Interrupts;
        let proc = Proc::new(Children::default(), Interrupts::default(), Vars::of_process().path());
        for maker in Maker::ALL {
            if maker == Maker::Minikube || proc.find(maker.as_str()).is_none() {
                eprintln!("skipped: {maker} is not on PATH, or would look for an engine by other means");
                continue;
            }
            let made = Made { name: "slipway-no-such".to_owned(), ..made(maker, EngineKind::Docker) };
            for line in
                [made.create(), made.delete(), made.start()].into_iter().filter(|line| line.name() == maker.as_str())
            {
                let line = line.env("DOCKER_HOST", "unix:///nowhere.sock").env("KUBECONFIG", "/nowhere/config");
                let line = line.env("KIND_EXPERIMENTAL_PROVIDER", "docker");
                let said = proc.try_read(&line).unwrap().stderr;
                for refusal in
                    ["unknown flag", "unknown command", "unable to decode config", "accepts", "unknown shorthand"]
                {
                    assert!(!said.contains(refusal), "{line}: {said}");
                }
            }
        }
    }

    #[test]
    fn one_that_does_not_run_is_started() {
        let start = |maker, engine| made(maker, engine).start().to_string();
        assert_eq!(start(Maker::Kind, EngineKind::Podman), "podman start slipway-control-plane");
        assert_eq!(start(Maker::K3d, EngineKind::Docker), "k3d cluster start slipway --wait --timeout 5m");
        assert!(start(Maker::Minikube, EngineKind::Docker).starts_with("minikube --profile slipway start"));
    }
}
