//! The same with containers of a real engine, where there is one.

use crate::scratch::{Scratch, await_candidate, await_current, eventually, service, status};
use base::os;
use base::proc::{Children, CommandLine, Proc};
use base::signal::Interrupts;
use model::container::{Cpu, EngineKind};
use nix::sys::signal::Signal;
use shim::{Mount, Run, RunSpec};
use skip::Missing;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use supervisor::container::{NAME, Place, Reach};
use supervisor::{LaunchSpec, LaunchStrategy, State};
use tools::oci::{Engine, Found, Labels, detect, lines, remove};

/// A public image with a shell and a web server.
pub(crate) const BUSYBOX: &str = "docker.io/library/busybox:1.37";
const KEY: &str = "slipway-test";
/// Serves the files of `/www`, and ends once those that were asked for are sent.
pub(crate) const SERVE: &str = "busybox httpd -f -p $PORT -h /www & server=$!; \
    trap 'kill $server; wait $server; sleep 2; exit 0' TERM; wait $server";
pub(crate) const PORT: u16 = 8000;

pub(crate) fn proc() -> Proc {
    Proc::new(Children::default(), Interrupts::default(), std::env::var_os("PATH").unwrap())
}

/// A network of its own on a real engine, with nothing left of it afterwards.
pub(crate) struct Stage {
    pub(crate) scratch: Scratch,
    pub(crate) engine: Engine,
    pub(crate) id: String,
}

impl Stage {
    /// On an engine that has or can fetch these images and whose containers are reached by their address, if there is one.
    pub(crate) fn new(name: &str, images: &[&str]) -> skip::Found<Self> {
        let found = usable(images).map_err(|reason| Missing::unless_required(reason, "XTASK_REQUIRE_ENGINE"))?;
        let scratch = Scratch::new(name);
        let id = scratch.dir.file_name().unwrap().to_str().unwrap().to_owned();
        let stage = Self { scratch, engine: found.engine, id };
        stage.run(&stage.engine.network_create(&stage.id, &stage.labels(), false));
        Ok(stage)
    }

    pub(crate) fn labels(&self) -> Labels {
        Labels::from([(KEY.to_owned(), self.id.clone())])
    }

    pub(crate) fn run(&self, command: &CommandLine) -> String {
        proc().read(command).unwrap()
    }

    /// By identity.
    pub(crate) fn containers(&self) -> Vec<String> {
        lines(&self.run(&self.engine.containers_with_label((KEY, &self.id))))
    }

    /// A folder with these files, readable for every user.
    pub(crate) fn folder(&self, name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let folder = self.scratch.dir.join(name);
        for (file, text) in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            open(&path, 0o755);
            open(path.parent().unwrap(), 0o755);
        }
        std::fs::create_dir_all(&folder).unwrap();
        open(&folder, 0o755);
        folder
    }

    pub(crate) fn run_spec(&self, image: &str) -> RunSpec {
        RunSpec {
            image: image.to_owned(),
            labels: self.labels(),
            networks: vec![self.id.clone()],
            fixed: BTreeMap::new(),
            hosts: BTreeMap::new(),
            aliases: Vec::new(),
            publish: Vec::new(),
            env: vec!["PORT".to_owned()],
            mounts: Vec::new(),
            user: "65532".parse().ok(),
            writable: Vec::new(),
            memory: "64Mi".parse().unwrap(),
            cpu: Cpu(1000),
            low_ports: false,
            writable_root: false,
            capabilities: Vec::new(),
            entrypoint: Vec::new(),
            proxied: true,
            args: Vec::new(),
        }
    }

    /// A version that runs this; only a container that runs `SERVE` becomes ready.
    pub(crate) fn spec(&self, version: &str, run: &RunSpec) -> LaunchSpec {
        let mut spec = self.scratch.spec(version);
        for name in ["PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST"] {
            spec.env.extend(std::env::var(name).map(|value| (name.to_owned(), value)));
        }
        spec.env.insert("PORT".to_owned(), PORT.to_string());
        let place = Place {
            engine: self.engine.kind,
            prefix: self.id.clone(),
            network: self.id.clone(),
            port: PORT,
            reach: Reach::Address,
            relays: Vec::new(),
        };
        LaunchSpec {
            program: self.engine.program.clone(),
            args: self.engine.run(NAME, run),
            style: LaunchStrategy::Container { place, overlaps: true, route: None },
            probe_every: Duration::from_millis(200),
            ready_within: Duration::from_secs(30),
            ..spec
        }
    }

    fn shell(&self, script: &str, mounts: Vec<Mount>) -> RunSpec {
        RunSpec { args: ["sh", "-c", script].map(str::to_owned).to_vec(), mounts, ..self.run_spec(BUSYBOX) }
    }

    /// A version of a web server, and the folder of its files.
    pub(crate) fn server(&self, version: &str, files: &[(&str, &str)]) -> (LaunchSpec, std::path::PathBuf) {
        let folder = self.folder(version, files);
        let mount = Mount::Bind { source: folder.clone(), at: "/www".to_owned() };
        (self.spec(version, &self.shell(SERVE, vec![mount])), folder)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What the supervisor would only now remove must not meet what is removed here.
        for process in self.scratch.processes() {
            os::signal(&process.id, Signal::SIGKILL);
            os::wait_gone(&process.id, Instant::now() + Duration::from_secs(10));
        }
        for container in self.containers() {
            let _ = remove(&proc(), &self.engine.container_remove(&container));
        }
        let _ = remove(&proc(), &self.engine.network_remove(&self.id));
    }
}

fn open(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn usable(images: &[&str]) -> Result<Found, String> {
    let candidates = [EngineKind::Podman, EngineKind::Docker].map(|kind| detect(&proc(), Some(kind)));
    let reaches = |found: &Found| found.facts.reaches_containers();
    let found =
        candidates.into_iter().flatten().find(reaches).ok_or("no engine whose containers have addresses here")?;
    let platform = found.facts.platform.ok_or("the engine's platform is none of ours")?;
    for image in images {
        let here = found.engine.image(&proc(), image).is_ok_and(|image| image.is_some());
        if !here && proc().read(&found.engine.pull(image, platform)).is_err() {
            return Err(format!("the engine neither has nor gets `{image}`"));
        }
    }
    Ok(found)
}

#[test]
fn a_container_is_started_restarted_and_removed() {
    let stage = skip::unless!(Stage::new("real", &[BUSYBOX]));
    let client = stage.scratch.supervisor();
    let (spec, files) = stage.server("v1", &[("readyz", "ready"), ("livez", "alive")]);
    let started = Instant::now();
    let number = stage.scratch.deploy(&client, &spec);
    eprintln!("from start to promotion: {:?}", started.elapsed());
    let current = status(&client).current.unwrap();
    assert_eq!(current.last_probe.as_deref(), Some("GET /readyz: 200"));
    let name = format!("{}-{number}", stage.id);
    let first = stage.containers();
    assert_eq!(first.len(), 1);

    stage.run(&stage.engine.command().args(["kill", "--signal", "KILL", &name]));
    let back = await_current(&client, |current| current.restarts == 1 && current.state == State::Ready);
    let reason = back.reason.unwrap();
    assert_eq!(reason, "was ended by SIGKILL, which usually means out of memory; it may have 64Mi");
    let second = stage.containers();
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");

    std::fs::rename(files.join("livez"), files.join("dead")).unwrap();
    let resting = await_current(&client, |current| current.restarts == 2);
    std::fs::rename(files.join("dead"), files.join("livez")).unwrap();
    let reason = resting.reason.unwrap();
    assert!(reason.starts_with("3 liveness probes failed: GET /livez: 404"), "{reason}");
    await_current(&client, |current| current.state == State::Ready);

    client.stop(&service()).unwrap();
    assert_eq!(stage.containers(), [""; 0]);
    // podman's monitor tidies up for a moment after its client has ended.
    eventually("only the supervisor is left", || (stage.scratch.processes().len() == 1).then_some(()));
}

fn failure(stage: &Stage, spec: &LaunchSpec) -> String {
    let client = stage.scratch.supervisor();
    let number = client.start(spec).unwrap();
    let reason = await_candidate(&client, State::Failed).reason.unwrap();
    client.discard(&service(), number).unwrap();
    assert_eq!(stage.containers(), [""; 0]);
    reason
}

#[test]
fn why_a_container_does_not_run_is_said() {
    let stage = skip::unless!(Stage::new("words", &[BUSYBOX]));
    let run = RunSpec { args: vec!["/nope".to_owned()], ..stage.run_spec(BUSYBOX) };
    let missing = format!("the command `/nope` does not exist in the image `{BUSYBOX}`, whose own command is `");
    let reason = failure(&stage, &stage.spec("v1", &run));
    assert!(reason.starts_with(&missing), "{reason}");

    let run = RunSpec { args: vec!["/bin".to_owned()], ..stage.run_spec(BUSYBOX) };
    let reason = failure(&stage, &stage.spec("v1", &run));
    let denied = format!("the command `/bin` of the image `{BUSYBOX}` cannot be run: ");
    assert!(reason.starts_with(&denied), "{reason}");

    let lost = format!("{}-lost", stage.id);
    let run = RunSpec { networks: vec![lost.clone()], ..stage.run_spec(BUSYBOX) };
    let reason = failure(&stage, &stage.spec("v1", &run));
    assert!(reason.starts_with("the engine cannot ") && reason.contains(&lost), "{reason}");

    let run = stage.shell("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", Vec::new());
    let reason = failure(&stage, &stage.spec("v1", &run));
    assert!(reason.starts_with("was ended by ") && reason.contains("64Mi"), "{reason}");

    assert_eq!(failure(&stage, &stage.spec("v1", &stage.shell("exit 127", Vec::new()))), "exited with code 127");
}

#[test]
fn a_container_that_listens_on_another_port_says_on_which() {
    let stage = skip::unless!(Stage::new("ports", &[BUSYBOX]));
    let (mut spec, _) = stage.server("v1", &[("readyz", "ready")]);
    spec.env.insert("PORT".to_owned(), "8123".to_owned());
    let reason = failure(&stage, &LaunchSpec { ready_within: Duration::from_secs(3), ..spec });
    assert!(reason.starts_with("not ready within 3 s: GET /readyz: connect to "), "{reason}");
    assert!(reason.ends_with(": connection refused; declared 8000, but listens on 8123"), "{reason}");
}

#[test]
fn a_container_that_does_not_end_is_removed() {
    let stage = skip::unless!(Stage::new("stubborn", &[BUSYBOX]));
    let (spec, _) = stage.server("v1", &[("readyz", "ready"), ("livez", "alive")]);
    let ignoring = "trap '' TERM; busybox httpd -f -p $PORT -h /www".to_owned();
    let args = spec.args.into_iter().map(|arg| if arg == SERVE { ignoring.clone() } else { arg }).collect();
    let spec = LaunchSpec { args, stop_within: Duration::from_secs(1), ..spec };
    let client = stage.scratch.supervisor();
    stage.scratch.deploy(&client, &spec);
    let started = Instant::now();
    client.stop(&service()).unwrap();
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(6), "{took:?}");
    assert_eq!(stage.containers(), [""; 0]);
}

#[test]
fn the_next_supervisor_leaves_no_container_of_a_killed_one() {
    let stage = skip::unless!(Stage::new("orphan", &[BUSYBOX]));
    let (spec, _) = stage.server("v1", &[("readyz", "ready"), ("livez", "alive")]);
    let client = stage.scratch.supervisor();
    stage.scratch.deploy(&client, &spec);
    stage.scratch.kill(&client);
    assert_eq!(stage.containers().len(), 1, "it serves on");
    assert_eq!(stage.scratch.ensure().orphans.len(), 1);
    assert_eq!(stage.containers(), [""; 0]);
}
