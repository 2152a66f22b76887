//! A tiny repository of two services, built in a moment, and the engines that build its images.

use base::proc::{Children, Proc};
use base::signal::Interrupts;
use engine::ledger::Ledger;
use model::container::EngineKind;
use serde_json::Value;
use skip::Missing;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tools::oci::{Found, Image, detect, remove};

const BASE: &str = "gcr.io/distroless/cc-debian12:nonroot";
const BUILDER: &str = "docker.io/library/rust:1-bookworm";
/// An image of somebody else.
pub(crate) const STRANGER: &str = "docker.io/library/busybox:1.37";

const ROOT: &str = r#"[workspace]
members = ["app/*"]
resolver = "3"
[workspace.dependencies]
shared = { path = "app/shared" }
[profile.image]
inherits = "release"
opt-level = 0
strip = true
"#;

/// Says a word, that it is well, or that it finds itself by name, which takes the C library's own modules.
const SERVICE: &str = r#"fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("healthcheck") => println!("well"),
        Some("resolve") => {
            use std::net::ToSocketAddrs;
            println!("{}", ("localhost", 80).to_socket_addrs().unwrap().next().unwrap().ip());
        }
        Some("write") => std::fs::write("/data/x", "x").unwrap(),
        _ => println!("{}", shared::WORD),
    }
}
"#;

const LOCK: &str = r#"version = 4

[[package]]
name = "one"
version = "0.0.0"
dependencies = ["shared", "tests-alone"]

[[package]]
name = "shared"
version = "0.0.0"

[[package]]
name = "tests-alone"
version = "0.0.0"

[[package]]
name = "two"
version = "0.0.0"
"#;

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

pub(crate) fn proc() -> Proc {
    Proc::new(Children::default(), Interrupts::default(), std::env::var_os("PATH").unwrap())
}

/// The engines here that have or can fetch an image, at least one.
pub(crate) fn engines_with(image: &str) -> skip::Found<Vec<Found>> {
    static ANSWERING: OnceLock<Vec<Found>> = OnceLock::new();
    let answering = ANSWERING.get_or_init(|| {
        let answers = |kind| detect(&proc(), Some(kind)).ok().filter(|found| found.engine.kind == kind);
        [EngineKind::Docker, EngineKind::Podman].into_iter().filter_map(answers).collect()
    });
    let has = |found: &&Found| {
        found.facts.platform.is_some_and(|platform| {
            let here = found.engine.image(&proc(), image).is_ok_and(|image| image.is_some());
            here || proc().read(&found.engine.pull(image, platform)).is_ok()
        })
    };
    let engines: Vec<Found> = answering.iter().filter(has).cloned().collect();
    some(engines, &format!("no engine answers and has `{image}`"))
}

fn some(engines: Vec<Found>, reason: &str) -> skip::Found<Vec<Found>> {
    if engines.is_empty() {
        return Err(Missing::unless_required(reason, "XTASK_REQUIRE_ENGINE"));
    }
    Ok(engines)
}

pub(crate) fn engines() -> skip::Found<Vec<Found>> {
    engines_with(BASE)
}

/// The engines that can build inside a container.
pub(crate) fn building_engines() -> skip::Found<Vec<Found>> {
    let engines = engines_with(BUILDER)?.into_iter().filter(|found| found.facts.cache_mounts).collect();
    some(engines, "no engine here keeps a cache between builds inside a container")
}

pub(crate) fn podman() -> skip::Found<Found> {
    let podman = engines()?.into_iter().find(|found| found.engine.kind == EngineKind::Podman);
    podman.ok_or_else(|| Missing::new("podman does not answer"))
}

/// A repository with the services `one`, which uses the crate `shared`, and `two`, which does not. It goes when this
/// goes, and with it all images that were made of it.
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    registry: String,
    found: Option<Found>,
    /// Of the next commands.
    path: OsString,
}

impl Place {
    /// Without an engine: none can be found.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("images-{id}"));
        let place = Self { root, registry: format!("localhost/e2e-{id}"), found: None, path: OsString::new() };
        let _ = fs::remove_dir_all(&place.root);
        place.write("Cargo.toml", ROOT);
        place.write("Cargo.lock", LOCK);
        place.package("one", "[dependencies]\nshared.workspace = true\n[dev-dependencies]\ntests-alone = { path = \"../tests-alone\" }\n");
        place.package("two", "[[bin]]\nname = \"second\"\npath = \"src/main.rs\"\n");
        for library in ["shared", "tests-alone"] {
            place.package(library, "");
            place.write(&format!("app/{library}/src/lib.rs"), "pub const WORD: &str = \"hello\";\n");
            place.remove(&format!("app/{library}/src/main.rs"));
        }
        place.write("app/two/src/main.rs", &SERVICE.replace("shared::WORD", "\"two\""));
        place.write("app/Dockerfile", &fs::read_to_string(checkout().join("app/Dockerfile")).unwrap());
        let services = "description = \"d\"\n[services.one]\ncrate = \"one\"\nport = 1001\npublic = true\n\
            [services.two]\ncrate = \"two\"\nport = 1002\npublic = true\n";
        place.write("deploy/systems/both.toml", services);
        place.write("deploy/environments/local.toml", "target = \"host\"\n");
        place.write("deploy/images.toml", &format!("base = \"{BASE}\"\nbuilder = \"{BUILDER}\"\n"));
        place
    }

    /// With this engine and no other.
    pub(crate) fn on(found: &Found) -> Self {
        let mut place = Self::new();
        place.found = Some(found.clone());
        place.path = std::env::var_os("PATH").unwrap();
        place
    }

    fn package(&self, name: &str, dependencies: &str) {
        let head = format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
        self.write(&format!("app/{name}/Cargo.toml"), &format!("{head}{dependencies}"));
        self.write(&format!("app/{name}/src/main.rs"), SERVICE);
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.root.join(path)).unwrap();
        assert!(text.contains(from), "`{path}` has no `{from}`");
        self.write(path, &text.replacen(from, to, 1));
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.root.join(path)).unwrap();
    }

    /// From now on no engine can be found.
    pub(crate) fn without_engine(&mut self) {
        self.path = OsString::new();
    }

    /// `build` with these arguments.
    pub(crate) fn build(&self, args: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO_", "XTASK_", "RUSTFLAGS"].iter().any(|start| text.starts_with(start)) && text != "CARGO_HOME" {
                command.env_remove(&name);
            }
        }
        // The compiler beside the cargo that runs this test is found without a search path.
        let cargo = Path::new(env!("CARGO"));
        command.env("CARGO", cargo).env("RUSTC", cargo.with_file_name("rustc")).env("PATH", &self.path);
        command.current_dir(&self.root).stdin(Stdio::null()).arg("build").args(args);
        command.args(["--set", &format!("registry={}", self.registry)]);
        if let Some(found) = &self.found {
            command.args(["--set", &format!("engine={}", found.engine.kind)]);
        }
        let output = command.output().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What `build --json` says, by service.
    #[track_caller]
    pub(crate) fn images(&self, args: &[&str]) -> BTreeMap<String, Value> {
        let run = self.build(&[&["--json"], args].concat()).exits(0);
        let document: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        assert_eq!(document["schema"], 1);
        let images = document["images"].as_array().unwrap().iter();
        images.map(|image| (image["service"].as_str().unwrap().to_owned(), image.clone())).collect()
    }

    /// The keys of both services, without an engine being asked.
    #[track_caller]
    pub(crate) fn keys(&self, args: &[&str]) -> (String, String) {
        let images = self.images(&[&["--dry-run"], args].concat());
        let key = |service: &str| images[service]["key"].as_str().unwrap().to_owned();
        (key("one"), key("two"))
    }

    /// An image as the engine has it.
    pub(crate) fn image(&self, reference: &str) -> Option<Image> {
        self.found.as_ref().unwrap().engine.image(&proc(), reference).unwrap()
    }

    /// What the engine says of an image, as it says it.
    pub(crate) fn inspect(&self, reference: &str) -> Value {
        let answer = proc().read(&self.found.as_ref().unwrap().engine.image_inspect(&[reference])).unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()[0].clone()
    }

    /// What a container of an image says, with nothing that it could write to but its memory.
    #[track_caller]
    pub(crate) fn run(&self, image: &str, args: &[&str]) -> String {
        let command = self.found.as_ref().unwrap().engine.command();
        let command = command.args(["run", "--rm", "--pull", "never", "--read-only", "--network", "none", image]);
        proc().read(&command.args(args)).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// An image without any library, by its name. It has to be removed again.
    pub(crate) fn bare_image(&self) -> String {
        let folder = self.root.join("target/bare");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
        let name = self.name("bare", "1");
        self.engine(&["build", "--tag", &name, folder.to_str().unwrap()]);
        name
    }

    pub(crate) fn engine(&self, words: &[&str]) -> String {
        proc().read(&self.found.as_ref().unwrap().engine.command().args(words)).unwrap()
    }

    pub(crate) fn name(&self, service: &str, tag: &str) -> String {
        format!("{}/{service}:{tag}", self.registry)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(found) = &self.found {
            let ledger = Ledger::open(&self.root.join(".slipway/local/ledger.json")).unwrap();
            let left: Vec<_> = ledger.entries().iter().filter(|entry| entry.kind == "container").collect();
            for entry in ledger.entries().iter().filter(|entry| entry.kind == builds::cleanup::IMAGE) {
                let _ = remove(&proc(), &found.engine.image_remove(&entry.id));
            }
            for entry in left {
                assert!(found.engine.container(&proc(), &entry.id).unwrap().is_none(), "{entry:?} is still there");
            }
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) -> &Self {
        for word in words {
            let all = format!("{}{}", self.stdout, self.stderr);
            assert!(all.contains(word), "no `{word}` in:\n{all}");
        }
        self
    }
}
