//! Images for the nodes of a cluster on this machine, which pull from no registry: the engine writes each into an archive
//! of its own, and the cluster's maker gives that to the nodes.
//!
//! Limits: minikube says that it has done so when it has not; it is asked afterwards. Nobody is asked about kind and k3d,
//! whose word counts.

use super::nodes::Nodes;
use crate::Kubernetes;
use anyhow::{Context, Result};
use base::error::Fault;
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use images::{Built, Images};
use model::container::EngineKind;
use model::name::ServiceName;
use remote_tools::local_cluster::{LocalCluster, Maker};
use remote_tools::{k3d, kind, minikube};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tools::oci::{Engine, candidates};

pub(super) fn step_id(service: &ServiceName) -> StepId {
    Action::new("load").of(&service)
}

/// What gives images to one cluster, shared by the steps of a run.
pub(super) struct Loads {
    core: Arc<Kubernetes>,
    images: Arc<Images>,
    nodes: Arc<Nodes>,
    pub(super) cluster: LocalCluster,
}

impl Loads {
    pub(super) fn new(core: &Arc<Kubernetes>, images: &Arc<Images>, nodes: &Arc<Nodes>, cluster: LocalCluster) -> Self {
        Self { core: Arc::clone(core), images: Arc::clone(images), nodes: Arc::clone(nodes), cluster }
    }

    /// The step that has the image of a service on the nodes: `load:SERVICE`.
    pub(super) fn step(self: &Arc<Self>, service: &ServiceName) -> Option<Step> {
        let wanted = self.images.wanted().iter().find(|wanted| wanted.service == *service)?;
        let kind = candidates(self.core.deployment.environment.engine).first().copied().unwrap_or(EngineKind::Docker);
        let preview = match lines(
            &self.cluster,
            &Engine::as_typed(kind),
            &self.images.reference(wanted),
            &self.archive(&service.apart()),
        ) {
            Some(lines) => lines.into_iter().map(Preview::Run).collect(),
            None => vec![Preview::Do(format!("nothing: {} runs what {kind} has", self.cluster))],
        };
        Some(Step {
            id: step_id(service),
            title: format!("load the image of `{service}` into {}", self.cluster),
            system: Some(wanted.system.to_string()),
            needs: vec![self.images.step_of(wanted)],
            holds: self.holds(),
            preview,
            work: Box::new(LoadWork { loads: Arc::clone(self), service: service.clone() }),
        })
    }

    pub(super) fn holds(&self) -> Holds {
        match self.cluster {
            // It gives images through a container of its own, of which there can be one.
            LocalCluster::Made { maker: Maker::K3d, .. } => Holds::Lock("k3d"),
            _ => Holds::Nothing,
        }
    }

    /// Gives the nodes an image that the engine has; `name` is that of its archive.
    ///
    /// # Errors
    /// When the engine or the cluster's maker refuses.
    pub(super) fn give(&self, cx: &StepCx<'_>, engine: &Engine, reference: &str, name: &str) -> Result<()> {
        let archive = self.archive(name);
        let Some([save, load]) = lines(&self.cluster, engine, reference, &archive) else { return Ok(()) };
        let folder = archive.parent().unwrap_or(&archive);
        std::fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display()))?;
        // docker writes over an earlier archive; podman refuses to.
        let _ = std::fs::remove_file(&archive);
        cx.status("writes it into an archive");
        let given = cx.run(&save).and_then(|()| {
            cx.status(format!("gives it to {}", self.cluster));
            cx.run(&load)
        });
        let _ = std::fs::remove_file(&archive);
        let _ = std::fs::remove_dir(folder);
        given?;
        self.arrived(cx, reference)
    }

    fn arrived(&self, cx: &StepCx<'_>, reference: &str) -> Result<()> {
        let LocalCluster::Made { maker: Maker::Minikube, name, .. } = &self.cluster else { return Ok(()) };
        let images = cx.proc.read(&minikube::images(name))?;
        if images.lines().any(|line| line.trim() == reference) {
            return Ok(());
        }
        let cause = format!("minikube loaded `{reference}` but does not have it");
        Err(Fault::failed("image-load", cause).hint(format!("see `{}`", minikube::images(name))).into())
    }

    /// docker's alone is shared with the clusters that come with it.
    pub(super) fn shared(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        if self.cluster != LocalCluster::SharesEngine {
            return Ok(None);
        }
        let kind = self.core.engine.get(cx.proc)?.engine.kind;
        if kind == EngineKind::Docker {
            return Ok(Some("its node runs what docker has".to_owned()));
        }
        let context = self.core.deployment.environment.cluster.context.as_deref().unwrap_or_default();
        let cause =
            format!("the cluster of context `{context}` runs what docker has, and images are built with {kind}");
        Err(Fault::could_not_run("no-registry", cause)
            .hint("build with docker: `--set engine=docker`; or name a registry: `--set registry=HOST/PATH`")
            .into())
    }

    fn archive(&self, name: &str) -> PathBuf {
        self.core.deployment.home.dir().join("archives").join(format!("{name}.tar"))
    }
}

/// The lines that write the archive and hand it on; `None` where the nodes have what the engine has.
fn lines(cluster: &LocalCluster, engine: &Engine, reference: &str, archive: &Path) -> Option<[CommandLine; 2]> {
    let LocalCluster::Made { maker, name, provider } = cluster else { return None };
    let load = match maker {
        Maker::Kind => {
            // A cluster whose nodes do not say it was most likely made with the engine that builds for it.
            let podman = [*provider, Some(engine.kind)].into_iter().flatten().next() == Some(EngineKind::Podman);
            kind::load(name, podman.then_some(EngineKind::Podman), archive)
        }
        Maker::K3d => k3d::load(name, archive),
        Maker::Minikube => minikube::load(name, archive),
    };
    Some([engine.save(reference, archive), load])
}

struct LoadWork {
    loads: Arc<Loads>,
    service: ServiceName,
}

impl LoadWork {
    fn built(&self) -> Result<Built> {
        let built = self.loads.images.built(&self.service);
        built.with_context(|| format!("there is no image of `{}` to load into the cluster", self.service))
    }
}

impl Work for LoadWork {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        if let Some(shared) = self.loads.shared(cx)? {
            return Ok(Some(shared));
        }
        let built = self.built()?;
        Ok(self.loads.nodes.have(&built.reference).then(|| format!("the nodes have {}", built.key)))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let built = self.built()?;
        let engine = self.loads.core.engine.get(cx.proc)?.engine;
        self.loads.give(cx, &engine, &built.reference, &self.service.apart())?;
        Ok(Outcome::DoneWith(built.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(maker: Maker, provider: Option<EngineKind>, engine: EngineKind) -> (String, bool) {
        let cluster = LocalCluster::Made { maker, name: "shop".to_owned(), provider };
        let lines =
            lines(&cluster, &Engine::as_typed(engine), "localhost/slipway/epoch:k", Path::new("/a.tar")).unwrap();
        let podman = lines[1].env.contains(&("KIND_EXPERIMENTAL_PROVIDER".into(), Some("podman".into())));
        (lines.map(|line| line.to_string()).join("; "), podman)
    }

    #[test]
    fn each_maker_is_given_one_image_in_one_archive() {
        let docker = "docker save --output /a.tar localhost/slipway/epoch:k";
        let podman = "podman save --format docker-archive --output /a.tar localhost/slipway/epoch:k";
        let kind = "kind load image-archive --name shop /a.tar";
        let (d, p) = (EngineKind::Docker, EngineKind::Podman);
        assert_eq!(typed(Maker::Kind, None, d), (format!("{docker}; {kind}"), false));
        assert_eq!(typed(Maker::Kind, None, p), (format!("{podman}; {kind}"), true));
        assert_eq!(typed(Maker::Kind, Some(d), p), (format!("{podman}; {kind}"), false));
        assert_eq!(typed(Maker::Kind, Some(p), d), (format!("{docker}; {kind}"), true));
        let k3d = format!("{docker}; k3d image import --cluster shop /a.tar");
        assert_eq!(typed(Maker::K3d, None, d), (k3d, false));
        let minikube = format!("{docker}; minikube --profile shop image load /a.tar");
        assert_eq!(typed(Maker::Minikube, None, d), (minikube, false));
        let shared = lines(&LocalCluster::SharesEngine, &Engine::as_typed(d), "x:y", Path::new("/a.tar"));
        assert_eq!(shared, None);
    }
}
