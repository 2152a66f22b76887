//! What a script does, one after the other: `podman build`, `podman push`, `helm upgrade --install --wait`.

use crate::measure::{command, once};
use crate::place::Engine;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A release with the values that the tool gave to it.
pub(crate) struct Release {
    pub(crate) system: String,
    pub(crate) namespace: String,
    pub(crate) values: Value,
}

pub(crate) struct Script<'e> {
    engine: &'e Engine,
    context: String,
    registry: String,
    /// The repository that is built.
    root: PathBuf,
    folder: PathBuf,
    bases: (String, String),
}

impl<'e> Script<'e> {
    pub(crate) fn new(engine: &'e Engine, context: &str, registry: &str, root: &Path) -> Self {
        let folder = crate::measure::scratch("bench-script");
        let base = |name: &str| engine.provide(name).unwrap_or_else(|why| panic!("{name}: {why}"));
        let bases = (base("builder"), base("base"));
        Self {
            engine,
            context: context.to_owned(),
            registry: registry.to_owned(),
            root: root.to_owned(),
            folder,
            bases,
        }
    }

    /// Builds all images once, so that later builds find their layers.
    pub(crate) fn build(&self, releases: &[Release], tag: &str) -> Duration {
        let started = Instant::now();
        for service in releases.iter().flat_map(crates) {
            self.image(&self.name(&service, tag), &service);
        }
        started.elapsed()
    }

    /// The whole sequence. Helm changes nothing when the tag is that of before.
    pub(crate) fn deploy(&self, releases: &[Release], tag: &str) -> Duration {
        let started = Instant::now();
        for release in releases {
            for service in crates(release) {
                let name = self.name(&service, tag);
                self.image(&name, &service);
                once(&mut self.engine.command(["push", "--quiet", &name]));
            }
        }
        for release in releases {
            self.upgrade(release, tag);
        }
        started.elapsed()
    }

    pub(crate) fn uninstall(&self, release: &Release) {
        let mut helm = command("helm");
        helm.args(["uninstall", &release.system, "--namespace", &release.namespace, "--kube-context", &self.context]);
        once(helm.args(["--wait", "--cascade", "foreground"]));
    }

    /// `epoch` as most have it, compiled in a container. The others only take in what the tool has compiled, which is less
    /// than a script would do: all of them would take a quarter of an hour.
    fn image(&self, name: &str, service: &str) {
        let (builder, base) = &self.bases;
        let (first, from, context) = match service {
            "epoch" => (
                format!(
                    "FROM {builder} AS build\nWORKDIR /src\nCOPY . .\nRUN cargo build --release --package epoch\n\n"
                ),
                "--from=build /src/target/release/epoch",
                self.root.clone(),
            ),
            other => (String::new(), other, self.root.join(".slipway/cluster/built/image")),
        };
        let dockerfile =
            format!("{first}FROM {base}\nCOPY {from} /service\nUSER 65532:65532\nENTRYPOINT [\"/service\"]\n");
        let file = self.folder.join(format!("{service}.Dockerfile"));
        fs::write(&file, dockerfile).expect("write a Dockerfile");
        let mut build = self.engine.command(["build", "--quiet", "--tag", name, "--file"]);
        once(build.arg(file).arg("--ignorefile").arg(self.ignored(service)).arg(context));
    }

    /// What no Dockerfile should copy.
    fn ignored(&self, service: &str) -> PathBuf {
        let file = self.folder.join("ignored");
        let others = format!("*\n!{service}\n");
        fs::write(&file, if service == "epoch" { ".slipway\ntarget\n" } else { &others })
            .expect("write what is ignored");
        file
    }

    fn name(&self, service: &str, tag: &str) -> String {
        format!("{}/{service}:{tag}", self.registry)
    }

    fn upgrade(&self, release: &Release, tag: &str) {
        let mut values = release.values.clone();
        for service in crates(release) {
            values["services"][&service]["image"] = Value::from(self.name(&service, tag));
        }
        let file = self.folder.join(format!("{}.json", release.system));
        fs::write(&file, values.to_string()).expect("write values");
        let mut helm = command("helm");
        helm.args(["upgrade", "--install", &release.system]).arg(self.root.join("helm/app")).arg("--values").arg(file);
        helm.args(["--namespace", &release.namespace, "--kube-context", &self.context]);
        once(helm.args(["--wait", "--timeout", "5m"]));
    }
}

/// The services of a release whose programs are crates of the repository: those of images are not built.
fn crates(release: &Release) -> Vec<String> {
    let services = release.values["services"].as_object();
    let names = services.into_iter().flatten().map(|(name, _)| name.clone());
    names
        .filter(|name| {
            ["epoch", "shortener", "invoice-app", "payment-provider", "producer", "consumer"].contains(&name.as_str())
        })
        .collect()
}
