//! Building an image, as the arguments that do it.

use super::{Engine, Labels};
use base::proc::CommandLine;
use model::container::{EngineKind, Platform};
use std::path::Path;

/// An image that is about to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec<'a> {
    pub dockerfile: &'a Path,
    pub context: &'a Path,
    /// The stage that it ends in.
    pub stage: &'a str,
    pub platform: Platform,
    pub arguments: Vec<(&'a str, String)>,
    pub labels: Labels,
    /// The time that everything made carries, in seconds since 1970: the same sources then give the same layers.
    pub time: Option<u64>,
    /// Whether what is run in it may reach the network.
    pub network: bool,
    pub tag: &'a str,
    /// The file that the image's ID is written to.
    pub id: &'a Path,
}

impl Engine {
    /// Nothing is fetched: the images that it begins with have to be here.
    ///
    /// podman keeps no stage of it; what is worth keeping is in cache mounts. Its own format has no health check.
    pub fn build(&self, spec: &BuildSpec<'_>) -> CommandLine {
        let mut line = self.command().arg("build").arg("--file").arg(spec.dockerfile);
        line = line.args(["--target", spec.stage, "--platform", spec.platform.as_str()]);
        for (name, value) in &spec.arguments {
            line = line.arg("--build-arg").arg(format!("{name}={value}"));
        }
        for (key, value) in &spec.labels {
            line = line.arg("--label").arg(format!("{key}={value}"));
        }
        if !spec.network {
            line = line.args(["--network", "none"]);
        }
        line = match self.kind {
            EngineKind::Podman => {
                let line = line.args(["--format", "docker", "--pull=never", "--layers=false"]);
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
    use std::path::PathBuf;

    fn spec() -> BuildSpec<'static> {
        BuildSpec {
            dockerfile: Path::new("app/Dockerfile"),
            context: Path::new("/c"),
            stage: "host",
            platform: Platform::LinuxAmd64,
            arguments: vec![("BASE", "base:1".to_owned()), ("PORT", "80".to_owned())],
            labels: Labels::from([("a".to_owned(), "b c".to_owned())]),
            time: Some(1_700_000_000),
            network: false,
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
                      --build-arg 'PORT=80' --label 'a=b c' --network none";
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
