//! The container engine that answers, and scratch copies of the repository that are deployed with it under names of
//! their own.

use crate::measure::{command, root};
use base::proc::{Children, Proc};
use base::signal::Interrupts;
use model::public_images;
use serde_json::Value;
use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tools::oci::detect;

/// Looked for once, by the first benchmark that needs it.
#[derive(Default)]
pub(crate) struct Lazy(OnceCell<Result<Engine, String>>);

/// docker or podman.
pub(crate) struct Engine {
    pub(crate) kind: String,
    program: PathBuf,
}

impl Lazy {
    /// The engine, once it has the images with these names in `deploy/images.toml`. `None` is said, with the reason.
    pub(crate) fn with(&self, images: &[&str]) -> Option<&Engine> {
        let engine = self.0.get_or_init(Engine::find).as_ref().map_err(Clone::clone);
        let provided = engine.and_then(|engine| {
            images.iter().try_for_each(|name| engine.provide(name).map(|_| ()))?;
            Ok(engine)
        });
        provided.map_err(|why| println!("  skipped: {why}")).ok()
    }
}

impl Engine {
    fn find() -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let proc = Proc::new(Children::default(), Interrupts::default(), path);
        let found = detect(&proc, None).map_err(|error| format!("{error:#}").replace('\n', "; "))?;
        Ok(Self { kind: found.engine.kind.to_string(), program: found.engine.program })
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = command(&self.program);
        command.args(args);
        command
    }

    /// The reference of the image with this name in `deploy/images.toml`, which is fetched unless it is there.
    pub(crate) fn provide(&self, name: &str) -> Result<String, String> {
        let images = public_images(root()).map_err(|errors| errors.to_string())?;
        let pin = images.get(name).ok_or_else(|| format!("`deploy/images.toml` has no image `{name}`"))?;
        let reference = pin.pull_reference();
        if !self.has(&reference) {
            let pulled = said(&mut self.command(["pull", "--quiet", &reference]));
            pulled.map_err(|why| format!("the image `{name}`, {reference}, cannot be had: {why}"))?;
        }
        Ok(reference)
    }

    pub(crate) fn has(&self, image: &str) -> bool {
        self.command(["image", "inspect", image]).status().is_ok_and(|status| status.success())
    }
}

/// Runs a program; the error is the last thing that it said.
pub(crate) fn said(command: &mut Command) -> Result<(), String> {
    let output = command.stderr(Stdio::piped()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    if output.status.success() { Ok(()) } else { Err(last.trim().trim_start_matches("Error: ").to_owned()) }
}

/// A name that no other checkout on this machine gives to anything of its engine, and that stays the same, so that the
/// next run finds what a killed one has left.
pub(crate) fn unique(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    root().hash(&mut hasher);
    format!("bench-{:08x}-{name}", hasher.finish() & 0xffff_ffff)
}

/// A copy of the repository one of whose environments is its own. What was made of it goes with it.
pub(crate) struct Copy {
    pub(crate) root: PathBuf,
    environment: &'static str,
}

impl Copy {
    /// One for containers.
    pub(crate) fn new(name: &str, engine: &Engine) -> Self {
        let (id, kind) = (unique(name), &engine.kind);
        let settings =
            format!("deployment_id = \"{id}\"\nregistry = \"localhost/{id}\"\nports = \"free\"\nengine = \"{kind}\"\n");
        Self::of(name, "containers", &settings)
    }

    /// One whose environment has these settings.
    pub(crate) fn of(name: &str, environment: &'static str, settings: &str) -> Self {
        let copy = Self { root: root().join("target/scratch").join(format!("bench-{name}")), environment };
        if copy.root.is_dir() {
            copy.tear_down();
        }
        remote_tools::scratch::copy_repository(root(), &copy.root).expect("copy the repository");
        let file = copy.root.join(format!("deploy/environments/{environment}.local.toml"));
        fs::write(file, settings).expect("write the settings of an environment");
        copy
    }

    /// `cargo xtask` in the copy, spelled out so that it is this checkout's tool. The copy's would have to be compiled,
    /// and be in its place afterwards.
    pub(crate) fn cargo_xtask(&self, args: &[&str]) -> Command {
        let mut command = command("cargo");
        command.args([
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--profile",
            "xtask",
            "--target",
            "host-tuple",
            "--manifest-path",
        ]);
        command.arg(root().join("Cargo.toml")).arg("--").args(args);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", root().join("target"));
        command
    }

    /// The document that a command prints in the copy's environment.
    pub(crate) fn document(&self, args: &[&str]) -> Value {
        self.try_document(args).unwrap_or_else(|| panic!("{args:?} prints no document"))
    }

    fn try_document(&self, args: &[&str]) -> Option<Value> {
        let mut command = self.cargo_xtask(args);
        let output = command.args(["--json", "--env", self.environment]).stdout(Stdio::piped()).output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    pub(crate) fn tear_down(&self) -> bool {
        self.try_document(&["teardown", "--yes"]).is_some_and(|receipt| receipt["result"] == "clean")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if self.tear_down() {
            let _ = fs::remove_dir_all(&self.root);
        } else {
            println!("  `cargo xtask teardown --env {}` failed in {}", self.environment, self.root.display());
        }
    }
}
