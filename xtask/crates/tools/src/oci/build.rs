//! Building an image, as the arguments that do it.

use super::{Engine, Labels};
use base::proc::CommandLine;
use model::container::{EngineKind, Platform};
use std::path::{Path, PathBuf};

/// An image that is about to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec<'a> {
    pub dockerfile: &'a Path,
    pub context: &'a Path,
    /// The stage that it ends in, if not the last.
    pub stage: Option<&'a str>,
    pub platform: Platform,
    pub arguments: Vec<(&'a str, String)>,
    /// Files with what instructions may mount as secrets, by name.
    pub secrets: Vec<(&'a str, PathBuf)>,
    pub labels: Labels,
    /// The time that everything made carries, in seconds since 1970: the same sources then give the same layers.
    pub time: Option<u64>,
    /// Whether what is run in it may reach the network.
    pub network: bool,
    /// Whether podman keeps what it has built for the next build. docker's builder decides by itself.
    pub layers: bool,
    pub tag: &'a str,
    /// The file that the image's ID is written to.
    pub id: &'a Path,
}

impl Engine {
    /// Nothing is fetched where the images that it begins with are here. podman's own format has no health check, and it is
    /// told which ignore file counts, since it does not look beside the Dockerfile.
    pub fn build(&self, spec: &BuildSpec<'_>) -> CommandLine {
        let mut line = self.command().arg("build").arg("--file").arg(spec.dockerfile);
        line = spec.stage.map_or(line.clone(), |stage| line.args(["--target", stage]));
        line = line.args(["--platform", spec.platform.as_str()]);
        for (name, value) in &spec.arguments {
            line = line.arg("--build-arg").arg(format!("{name}={value}"));
        }
        for (name, file) in &spec.secrets {
            line = line.arg("--secret").arg(format!("id={name},src={}", file.display()));
        }
        for (key, value) in &spec.labels {
            line = line.arg("--label").arg(format!("{key}={value}"));
        }
        if !spec.network {
            line = line.args(["--network", "none"]);
        }
        line = match self.kind {
            EngineKind::Podman => {
                let ignore = spec.dockerfile.with_extension("dockerignore");
                let pull = if spec.layers { "--pull=missing" } else { "--pull=never" };
                let line = line.args(["--format", "docker", pull]).arg(format!("--layers={}", spec.layers));
                let line = if spec.layers { line.arg("--ignorefile").arg(ignore) } else { line };
                spec.time.map_or(line.clone(), |time| line.arg("--timestamp").arg(time.to_string()))
            }
            EngineKind::Docker => {
                let line = line.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
                spec.time.map_or(line.clone(), |time| line.env("SOURCE_DATE_EPOCH", time.to_string()))
            }
        };
        line.arg("--iidfile").arg(spec.id).args(["--tag", spec.tag]).arg(spec.context)
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
        let podman = engine(EngineKind::Podman).build(&spec());
        let own = "--format docker '--pull=never' '--layers=false' --timestamp 1700000000";
        assert_eq!(podman.to_string(), format!("podman {common} {own} {end}"));
        let docker = engine(EngineKind::Docker).build(&spec());
        assert_eq!(docker.to_string(), format!("docker {common} {end}"));
        assert!(docker.env.contains(&("SOURCE_DATE_EPOCH".into(), Some("1700000000".into()))));
        let online = engine(EngineKind::Docker).build(&BuildSpec { network: true, time: None, ..spec() });
        assert!(!online.to_string().contains("--network") && online.env.len() == 1);
    }
}
