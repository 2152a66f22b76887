//! Sending images to a registry, one by one and as one for several platforms, and fetching them from there as the same
//! user.

use base::proc::CommandLine;
use model::container::{EngineKind, Platform};
use model::image::Digest;
use std::path::Path;
use tools::oci::Engine;

/// How a registry is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access<'a> {
    /// Credentials: for podman a file, for docker the folder of one. Without, the engine's own count.
    pub(crate) auth: Option<&'a Path>,
    /// The registry is on this machine, where plain HTTP will do.
    pub(crate) here: bool,
}

/// What an engine is told of a registry.
pub(crate) trait Push {
    /// For podman, [`Push::pushed`] reads the digest from the file.
    fn push(&self, reference: &str, access: Access<'_>, digest: &Path) -> CommandLine;
    /// The digest of what a push or [`Push::index_push`] has sent.
    fn pushed(&self, stdout: &str, digest: &Path) -> Option<Digest>;
    /// [`Engine::pull`] from a registry that wants to know who asks.
    fn pull_as(&self, reference: &str, platform: Platform, access: Access<'_>) -> CommandLine;
    /// Puts images that a registry has into one for several platforms, whose name in the engine is the one that it is
    /// to have in the registry. An earlier one of this name must be gone.
    fn index_create(&self, index: &str, images: &[String], access: Access<'_>) -> Vec<CommandLine>;
    /// Its images are not sent along: the registry has them.
    fn index_push(&self, index: &str, access: Access<'_>, digest: &Path) -> CommandLine;
    /// Removes it from the engine, where it is of no use once a registry has it.
    fn index_remove(&self, index: &str, access: Access<'_>) -> CommandLine;
}

impl Push for Engine {
    fn push(&self, reference: &str, access: Access<'_>, digest: &Path) -> CommandLine {
        match self.kind {
            EngineKind::Docker => docker(self, access).args(["push", reference]),
            EngineKind::Podman => {
                let line = podman(self.command().arg("push"), access);
                line.arg("--digestfile").arg(digest).arg(reference)
            }
        }
    }

    fn pushed(&self, stdout: &str, digest: &Path) -> Option<Digest> {
        match self.kind {
            // "KEY: digest: sha256:... size: 528", and of a list the digest alone.
            EngineKind::Docker => {
                stdout.lines().rev().find_map(|line| line.split_whitespace().find_map(|word| word.parse().ok()))
            }
            EngineKind::Podman => std::fs::read_to_string(digest).ok()?.trim().parse().ok(),
        }
    }

    fn pull_as(&self, reference: &str, platform: Platform, access: Access<'_>) -> CommandLine {
        let pull = ["pull", "--quiet", "--platform", platform.as_str()];
        match self.kind {
            EngineKind::Docker => docker(self, access).args(pull).arg(reference),
            EngineKind::Podman => podman(self.command().args(pull), access).arg(reference),
        }
    }

    fn index_create(&self, index: &str, images: &[String], access: Access<'_>) -> Vec<CommandLine> {
        match self.kind {
            EngineKind::Docker => {
                let create = docker(self, access).args(["manifest", "create", "--amend"]);
                vec![insecure(create, access).arg(index).args(images)]
            }
            EngineKind::Podman => {
                let create = self.command().args(["manifest", "create", index]);
                let add = |image: &String| {
                    let add = podman(self.command().args(["manifest", "add"]), access);
                    add.arg(index).arg(format!("docker://{image}"))
                };
                std::iter::once(create).chain(images.iter().map(add)).collect()
            }
        }
    }

    fn index_push(&self, index: &str, access: Access<'_>, digest: &Path) -> CommandLine {
        match self.kind {
            EngineKind::Docker => {
                insecure(docker(self, access).args(["manifest", "push", "--purge"]), access).arg(index)
            }
            EngineKind::Podman => {
                let push = podman(self.command().args(["manifest", "push", "--all=false", "--format", "v2s2"]), access);
                push.arg("--digestfile").arg(digest).arg(index).arg(format!("docker://{index}"))
            }
        }
    }

    fn index_remove(&self, index: &str, access: Access<'_>) -> CommandLine {
        match self.kind {
            EngineKind::Docker => docker(self, access).args(["manifest", "rm", index]),
            EngineKind::Podman => self.command().args(["manifest", "rm", index]),
        }
    }
}

/// The folder comes before the command. Lists for several platforms are kept in it, too.
fn docker(engine: &Engine, access: Access<'_>) -> CommandLine {
    match access.auth {
        Some(folder) => engine.command().arg("--config").arg(folder),
        None => engine.command(),
    }
}

/// Its engine goes over to plain HTTP by itself when it may; what the client sends on its own does not.
fn insecure(line: CommandLine, access: Access<'_>) -> CommandLine {
    if access.here { line.arg("--insecure") } else { line }
}

fn podman(line: CommandLine, access: Access<'_>) -> CommandLine {
    let line = match access.auth {
        Some(file) => line.arg("--authfile").arg(file),
        None => line,
    };
    if access.here { line.arg("--tls-verify=false") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kind: EngineKind, access: Access<'_>) -> Vec<String> {
        let engine = Engine { kind, program: kind.as_str().into() };
        let images = ["h/x@sha256:a".to_owned(), "h/x@sha256:b".to_owned()];
        let digest = Path::new("/d");
        let mut lines = vec![
            engine.push("h/x:k", access, digest),
            engine.pull_as("h/x:k", Platform::LinuxAmd64, access),
            engine.index_push("h/x:i", access, digest),
            engine.index_remove("h/x:i", access),
        ];
        lines.extend(engine.index_create("h/x:i", &images, access));
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_each_engine_is_told() {
        let open = Access { auth: None, here: false };
        let podman = [
            "podman push --digestfile /d h/x:k",
            "podman pull --quiet --platform linux/amd64 h/x:k",
            "podman manifest push '--all=false' --format v2s2 --digestfile /d h/x:i docker://h/x:i",
            "podman manifest rm h/x:i",
            "podman manifest create h/x:i",
            "podman manifest add h/x:i docker://h/x@sha256:a",
            "podman manifest add h/x:i docker://h/x@sha256:b",
        ];
        assert_eq!(lines(EngineKind::Podman, open), podman);
        let docker = [
            "docker push h/x:k",
            "docker pull --quiet --platform linux/amd64 h/x:k",
            "docker manifest push --purge h/x:i",
            "docker manifest rm h/x:i",
            "docker manifest create --amend h/x:i h/x@sha256:a h/x@sha256:b",
        ];
        assert_eq!(lines(EngineKind::Docker, open), docker);
    }

    #[test]
    fn credentials_and_plain_http_are_said_in_each_engines_way() {
        let access = Access { auth: Some(Path::new("/a")), here: true };
        let podman = lines(EngineKind::Podman, access);
        assert_eq!(podman[0], "podman push --authfile /a '--tls-verify=false' --digestfile /d h/x:k");
        assert_eq!(podman[5], "podman manifest add --authfile /a '--tls-verify=false' h/x:i docker://h/x@sha256:a");
        let docker = lines(EngineKind::Docker, access);
        assert_eq!(docker[0], "docker --config /a push h/x:k");
        assert_eq!(docker[2], "docker --config /a manifest push --purge --insecure h/x:i");
    }

    #[test]
    fn the_digest_is_where_each_engine_leaves_it() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let engine = |kind| Engine { kind, program: "x".into() };
        let said =
            format!("The push refers to repository [h/x]\n5f70bf18a086: Pushed\nk: digest: {digest} size: 528\n");
        let of = |kind, said: &str| engine(kind).pushed(said, Path::new("/nowhere")).map(|digest| digest.to_string());
        assert_eq!(of(EngineKind::Docker, &said).as_deref(), Some(digest.as_str()));
        assert_eq!(of(EngineKind::Docker, &format!("{digest}\n")).as_deref(), Some(digest.as_str()));
        assert_eq!(of(EngineKind::Docker, "k: Pushed"), None);
        assert_eq!(of(EngineKind::Podman, &said), None);
    }
}
