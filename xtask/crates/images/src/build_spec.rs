//! Building an image, as the arguments that do it.

use base::proc::CommandLine;
use model::container::{EngineKind, Platform};
use std::path::{Path, PathBuf};
use tools::oci::{Engine, Labels};

/// An image that is about to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildSpec<'a> {
    pub(crate) dockerfile: &'a Path,
    pub(crate) context: &'a Path,
    /// The stage that it ends in, if not the last.
    pub(crate) stage: Option<&'a str>,
    pub(crate) platform: Platform,
    pub(crate) arguments: Vec<(&'a str, String)>,
    /// Files with what instructions may mount as secrets, by name.
    pub(crate) secrets: Vec<(&'a str, PathBuf)>,
    pub(crate) labels: Labels,
    /// The time that everything made carries, in seconds since 1970: the same sources then give the same layers.
    pub(crate) time: Option<u64>,
    /// Whether what is run in it may reach the network.
    pub(crate) network: bool,
    /// Whether podman keeps what it has built for the next build. docker's builder decides by itself.
    pub(crate) layers: bool,
    pub(crate) tag: &'a str,
    /// The file that the image's ID is written to.
    pub(crate) id: &'a Path,
}

impl BuildSpec<'_> {
    /// Nothing is fetched where the images that it begins with are here. podman's own format has no health check, and it is
    /// told which ignore file counts, since it does not look beside the Dockerfile.
    pub(crate) fn line(&self, engine: &Engine) -> CommandLine {
        let mut line = engine.command().arg("build").arg("--file").arg(self.dockerfile);
        line = self.stage.map_or(line.clone(), |stage| line.args(["--target", stage]));
        line = line.args(["--platform", self.platform.as_str()]);
        for (name, value) in &self.arguments {
            line = line.arg("--build-arg").arg(format!("{name}={value}"));
        }
        for (name, file) in &self.secrets {
            line = line.arg("--secret").arg(format!("id={name},src={}", file.display()));
        }
        for (key, value) in &self.labels {
            line = line.arg("--label").arg(format!("{key}={value}"));
        }
        if !self.network {
            line = line.args(["--network", "none"]);
        }
        line = match engine.kind {
            EngineKind::Podman => {
                let ignore = self.dockerfile.with_extension("dockerignore");
                let pull = if self.layers { "--pull=missing" } else { "--pull=never" };
                let line = line.args(["--format", "docker", pull]).arg(format!("--layers={}", self.layers));
                let line = if self.layers { line.arg("--ignorefile").arg(ignore) } else { line };
                self.time.map_or(line.clone(), |time| line.arg("--timestamp").arg(time.to_string()))
            }
            EngineKind::Docker => {
                let line = line.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
                self.time.map_or(line.clone(), |time| line.env("SOURCE_DATE_EPOCH", time.to_string()))
            }
        };
        line.arg("--iidfile").arg(self.id).args(["--tag", self.tag]).arg(self.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> BuildSpec<'static> {
        BuildSpec {
            dockerfile: Path::new("app/Dockerfile"),
            context: Path::new("/c"),
            stage: Some("host"),
            platform: Platform::LinuxAmd64,
            arguments: vec![("BASE", "base:1".to_owned()), ("PORT", "80".to_owned())],
            secrets: vec![("token", PathBuf::from("/s/token"))],
            labels: Labels::from([("a".to_owned(), "b c".to_owned())]),
            time: Some(1_700_000_000),
            network: false,
            layers: false,
            tag: "localhost/x/y:key",
            id: Path::new("/id"),
        }
    }

    fn engine(kind: EngineKind) -> Engine {
        Engine { kind, program: PathBuf::from(kind.as_str()) }
    }

    #[test]
    fn what_each_engine_is_given() {
        let common = "build --file app/Dockerfile --target host --platform linux/amd64 --build-arg 'BASE=base:1' \
                      --build-arg 'PORT=80' --secret 'id=token,src=/s/token' --label 'a=b c' --network none";
        let end = "--iidfile /id --tag localhost/x/y:key /c";
        let podman = spec().line(&engine(EngineKind::Podman));
        let own = "--format docker '--pull=never' '--layers=false' --timestamp 1700000000";
        assert_eq!(podman.to_string(), format!("podman {common} {own} {end}"));
        let docker = spec().line(&engine(EngineKind::Docker));
        assert_eq!(docker.to_string(), format!("docker {common} {end}"));
        assert!(docker.env.contains(&("SOURCE_DATE_EPOCH".into(), Some("1700000000".into()))));
        let online = BuildSpec { network: true, time: None, ..spec() }.line(&engine(EngineKind::Docker));
        assert!(!online.to_string().contains("--network") && online.env.len() == 1);
    }
}
