//! The other command lines: what is asked of an engine, and what it makes and removes.
//!
//! Each is what both engines take. Lists print one ID or name a line, for [`super::lines`].

use super::Engine;
use base::proc::CommandLine;
use model::container::{EngineKind, Platform};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// What everything of a deployment carries.
pub type Labels = BTreeMap<String, String>;

/// A label as a filter: its key and its value.
pub type Label<'a> = (&'a str, &'a str);

impl Engine {
    fn line(&self, args: &[&str]) -> CommandLine {
        self.command().args(args)
    }

    fn list(&self, args: &[&str], (key, value): Label<'_>) -> CommandLine {
        self.line(args).arg("--filter").arg(format!("label={key}={value}"))
    }
}

/// Images.
impl Engine {
    /// For [`super::Image::parse`].
    pub fn image_inspect<S: AsRef<str>>(&self, references: &[S]) -> CommandLine {
        self.line(&["image", "inspect"]).args(references.iter().map(AsRef::as_ref))
    }

    pub fn pull(&self, reference: &str, platform: Platform) -> CommandLine {
        self.line(&["pull", "--quiet", "--platform", platform.as_str(), reference])
    }

    pub fn tag(&self, image: &str, name: &str) -> CommandLine {
        self.line(&["tag", image, name])
    }

    /// What is kept of builds under a label, and is part of no image that has a name.
    pub fn layers(&self, label: &str) -> CommandLine {
        self.command()
            .args(["images", "--quiet", "--filter", "dangling=true", "--filter"])
            .arg(format!("label={label}"))
    }

    pub fn layers_remove(&self, label: &str) -> CommandLine {
        self.command().args(["image", "prune", "--force", "--filter"]).arg(format!("label={label}"))
    }

    /// Removes a name, or an image with the last of its names, and what of it nobody else needs and has no name.
    pub fn image_remove(&self, reference: &str) -> CommandLine {
        self.line(&["image", "rm", reference])
    }

    /// Writes one image into an archive, in the form that both engines and all makers of clusters read. Of several, podman
    /// would write the first under all names.
    pub fn save(&self, reference: &str, archive: &Path) -> CommandLine {
        let save = self.line(&["save"]);
        let save = if self.kind == EngineKind::Podman { save.args(["--format", "docker-archive"]) } else { save };
        save.arg("--output").arg(archive).arg(reference)
    }

    /// The containers that were made from an image, running or not.
    pub fn containers_of_image(&self, image: &str) -> CommandLine {
        self.line(&["ps", "--all", "--quiet", "--filter", &format!("ancestor={image}")])
    }
}

/// Networks and volumes.
impl Engine {
    /// Networks of docker cannot reach each other. Those of podman can: `isolate` only parts those that all have it, and
    /// not reliably while others come and go (netavark 1.4); an internal one is out of reach for every other.
    pub fn network_create(&self, name: &str, labels: &Labels, internal: bool) -> CommandLine {
        let create = self.line(&["network", "create"]).args(label_args(labels));
        let create = if internal { create.arg("--internal") } else { create };
        match self.kind {
            EngineKind::Docker => create.arg(name),
            EngineKind::Podman => create.args(["--opt", "isolate=true", name]),
        }
    }

    /// For [`super::Named::parse`].
    pub fn network_inspect(&self, name: &str) -> CommandLine {
        self.line(&["network", "inspect", name])
    }

    pub fn network_remove(&self, name: &str) -> CommandLine {
        self.line(&["network", "rm", name])
    }

    pub fn networks_with_label(&self, label: Label<'_>) -> CommandLine {
        self.list(&["network", "ls", "--format", "{{.Name}}"], label)
    }

    pub fn volume_create(&self, name: &str, labels: &Labels) -> CommandLine {
        self.line(&["volume", "create"]).args(label_args(labels)).arg(name)
    }

    /// For [`super::Named::parse`].
    pub fn volume_inspect(&self, name: &str) -> CommandLine {
        self.line(&["volume", "inspect", name])
    }

    pub fn volume_remove(&self, name: &str) -> CommandLine {
        self.line(&["volume", "rm", name])
    }

    pub fn volumes_with_label(&self, label: Label<'_>) -> CommandLine {
        self.list(&["volume", "ls", "--format", "{{.Name}}"], label)
    }
}

/// Containers.
impl Engine {
    /// Those that run, whoever has made them.
    pub fn containers_running(&self) -> CommandLine {
        self.line(&["ps", "--quiet", "--no-trunc"])
    }

    /// Running or not.
    pub fn containers_with_label(&self, label: Label<'_>) -> CommandLine {
        self.list(&["ps", "--all", "--quiet", "--no-trunc"], label)
    }

    /// For [`super::Container::parse`].
    pub fn container_inspect<S: AsRef<str>>(&self, names: &[S]) -> CommandLine {
        self.line(&["container", "inspect"]).args(names.iter().map(AsRef::as_ref))
    }

    /// A container that never runs, to copy files out of its image.
    pub fn create(&self, name: &str, labels: &Labels, image: &str) -> CommandLine {
        let create = self.line(&["create", "--name", name, "--pull", "never"]).args(label_args(labels));
        // Without any command an image that has none is refused.
        create.args([image, "/none"])
    }

    /// Copies a file or folder out of a container, running or not.
    pub fn copy_out(&self, container: &str, path: &str, to: &Path) -> CommandLine {
        self.line(&["cp", &format!("{container}:{path}")]).arg(to)
    }

    pub fn exec<S: AsRef<str>>(&self, container: &str, argv: &[S]) -> CommandLine {
        self.line(&["exec", container]).args(argv.iter().map(AsRef::as_ref))
    }

    /// What it has said.
    pub fn logs(&self, container: &str) -> CommandLine {
        self.line(&["logs", container])
    }

    /// Ends it with SIGTERM, and kills it after so many seconds.
    pub fn stop(&self, container: &str, seconds: u64) -> CommandLine {
        self.line(&["stop", "-t", &seconds.to_string(), container])
    }

    /// Kills and removes it, with the volumes that only it knows. One that is not there is no failure.
    pub fn container_remove(&self, container: &str) -> CommandLine {
        let remove = self.line(&["rm", "--force", "--volumes"]);
        match self.kind {
            EngineKind::Docker => remove.arg(container),
            // docker kills at once, podman after ten seconds.
            EngineKind::Podman => remove.args(["--time", "0", container]),
        }
    }
}

fn label_args(labels: &Labels) -> Vec<OsString> {
    labels.iter().flat_map(|(key, value)| ["--label".into(), format!("{key}={value}").into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kind: EngineKind) -> Vec<String> {
        let engine = Engine { kind, program: kind.as_str().into() };
        let labels = Labels::from([("slipway".to_owned(), "a b".to_owned())]);
        let label = ("slipway", "try");
        [
            engine.info(),
            engine.image_inspect(&["a", "b"]),
            engine.pull("docker.io/library/redis:7.4", Platform::LinuxArm64),
            engine.tag("sha256:0f", "localhost/slipway/epoch:k"),
            engine.image_remove("localhost/slipway/epoch:k"),
            engine.containers_of_image("i"),
            engine.network_create("n", &labels, false),
            engine.network_inspect("n"),
            engine.network_remove("n"),
            engine.networks_with_label(label),
            engine.volume_create("v", &labels),
            engine.volume_inspect("v"),
            engine.volume_remove("v"),
            engine.volumes_with_label(label),
            engine.containers_running(),
            engine.containers_with_label(label),
            engine.container_inspect(&["c"]),
            engine.create("c", &labels, "i"),
            engine.copy_out("c", "/a", Path::new("b")),
            engine.exec("c", &["/app", "health"]),
            engine.logs("c"),
            engine.stop("c", 5),
            engine.container_remove("c"),
        ]
        .map(|line| line.to_string())
        .into()
    }

    #[test]
    fn both_engines_are_told_the_same_but_for_networks_and_removal() {
        let docker = lines(EngineKind::Docker);
        let wanted = "docker info --format '{{json .}}'
docker image inspect a b
docker pull --quiet --platform linux/arm64 docker.io/library/redis:7.4
docker tag sha256:0f localhost/slipway/epoch:k
docker image rm localhost/slipway/epoch:k
docker ps --all --quiet --filter 'ancestor=i'
docker network create --label 'slipway=a b' n
docker network inspect n
docker network rm n
docker network ls --format '{{.Name}}' --filter 'label=slipway=try'
docker volume create --label 'slipway=a b' v
docker volume inspect v
docker volume rm v
docker volume ls --format '{{.Name}}' --filter 'label=slipway=try'
docker ps --quiet --no-trunc
docker ps --all --quiet --no-trunc --filter 'label=slipway=try'
docker container inspect c
docker create --name c --pull never --label 'slipway=a b' i /none
docker cp c:/a b
docker exec c /app health
docker logs c
docker stop -t 5 c
docker rm --force --volumes c";
        assert_eq!(docker.join("\n"), wanted);
        let differ: Vec<String> = lines(EngineKind::Podman)
            .into_iter()
            .zip(docker)
            .filter(|(podman, docker)| podman.trim_start_matches("podman") != docker.trim_start_matches("docker"))
            .map(|(podman, _)| podman)
            .collect();
        assert_eq!(
            differ,
            [
                "podman network create --label 'slipway=a b' --opt 'isolate=true' n",
                "podman rm --force --volumes --time 0 c"
            ]
        );
    }
}
