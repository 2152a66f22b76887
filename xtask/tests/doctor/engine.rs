//! Engines in all sorts of conditions, as `doctor` sees them for an environment that needs one.

use super::outcome;
use super::program::program;
use super::scratch::{Doctor, Scratch};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CONTAINERS: &[&str] = &["--env", "containers", "--json"];
const DOWN: &str = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";

/// A machine that has no engine, and an environment that needs one.
fn machine() -> Scratch {
    // It is built before anything is measured, and with the tools that are really here.
    let _ = program();
    let scratch = Scratch::new();
    scratch.write("deploy/environments/containers.toml", "target = \"containers\"\nports = \"free\"\n");
    scratch.write("deploy/images.toml", "redis = \"docker.io/library/redis:7.4\"\n");
    scratch
}

fn podman_info() -> Value {
    json!({
        "host": {
            "arch": "arm64", "buildahVersion": "1.41.5", "cgroupVersion": "v2", "serviceIsRemote": true,
            "cgroupControllers": ["cpuset", "cpu", "io", "memory", "pids"], "hostname": "machine", "kernel": "6.1.0",
            "security": {"rootless": true},
        },
        "store": {"graphRoot": "/home/core/images", "graphRootAllocated": 90_u64 << 30, "graphRootUsed": 10_u64 << 30},
        "version": {"Version": "5.6.2"},
    })
}

fn docker_info(name: &str) -> Value {
    json!({
        "ServerVersion": "28.5.1", "Name": name, "KernelVersion": "6.1.0", "OSType": "linux", "CgroupVersion": "2",
        "Architecture": "x86_64", "DockerRootDir": "/var/lib/docker", "SecurityOptions": ["name=seccomp"],
        "MemoryLimit": true, "CpuCfsQuota": true, "PidsLimit": true,
        "ClientInfo": {"Version": "28.5.1", "Plugins": [{"Name": "buildx", "Version": "v0.29.1"}]},
    })
}

/// An engine that says this of itself, and notes that it was asked.
fn answers(scratch: &Scratch, program: &str, version: &str, info: &Value) {
    let body = format!(
        "echo \"$1\" >> \"$here/{program}.log\"\ncase $1 in\n--version) echo '{program} version {version}' ;;\n\
        info) echo '{info}' ;;\nesac"
    );
    scratch.script(program, &body);
}

/// An engine whose client gives these as the last words.
fn refuses(scratch: &Scratch, program: &str, words: &str) {
    let body = format!(
        "case $1 in\n--version) echo '{program} version 28.5.1' ;;\n*) echo '{{\"ServerVersion\":\"\"}}'; echo '{words}' >&2; \
        exit 1 ;;\nesac"
    );
    scratch.script(program, &body);
}

fn found(doctor: &Doctor, id: &str) -> (String, String) {
    let check = doctor.check(id);
    (check["outcome"].as_str().unwrap().to_owned(), check["found"].as_str().unwrap_or_default().to_owned())
}

fn is(outcome: &str, found: &str) -> (String, String) {
    (outcome.to_owned(), found.to_owned())
}

#[test]
fn a_machine_with_podman_alone_is_fine_and_podman_is_asked_once() {
    let scratch = machine();
    answers(&scratch, "podman", "5.6.2", &podman_info());
    let doctor = scratch.doctor(CONTAINERS);
    assert_eq!(doctor.code(), 0, "{:#}", doctor.document());
    for (id, finding) in [
        ("tool.engine", is("pass", "podman 5.6.2")),
        ("engine.docker", is("skip", "")),
        ("engine.podman", is("pass", "5.6.2 answers")),
        ("engine.running", is("pass", "podman 5.6.2")),
        ("engine.platform", is("pass", "linux/arm64")),
        ("engine.cgroups", is("pass", "cgroup v2, rootless")),
        ("engine.disk", is("pass", "80.0 GiB")),
        ("engine.mode", is("pass", "on another machine, or a virtual one")),
        ("engine.builder", is("pass", "buildah 1.41.5")),
        ("images.pins", is("warn", "1 of 1 without")),
    ] {
        assert_eq!(found(&doctor, id), finding, "{id}");
    }
    let asked = scratch.trace("podman.log").unwrap();
    assert_eq!(asked.lines().filter(|word| *word == "info").count(), 1, "{asked}");
}

#[test]
fn an_environment_that_needs_no_engine_asks_none() {
    let scratch = machine();
    answers(&scratch, "podman", "5.6.2", &podman_info());
    let document = scratch.doctor(&["--json"]).document();
    let of_engines = |check: &&Value| check["id"].as_str().unwrap().starts_with("engine.");
    assert_eq!(document["checks"].as_array().unwrap().iter().find(of_engines), None);
    assert_eq!(scratch.trace("podman.log"), None);
}

#[test]
fn docker_is_used_where_it_answers() {
    let scratch = machine();
    answers(&scratch, "podman", "5.6.2", &podman_info());
    answers(&scratch, "docker", "28.5.1", &docker_info("machine"));
    let doctor = scratch.doctor(CONTAINERS);
    assert_eq!(found(&doctor, "engine.running"), is("pass", "docker 28.5.1"));
    assert_eq!(found(&doctor, "engine.builder"), is("pass", "buildx 0.29.1"));
    assert_eq!(outcome(&doctor, "engine.disk"), "skip", "nobody here can see another machine's disk");
    refuses(&scratch, "docker", DOWN);
    let doctor = scratch.doctor(CONTAINERS);
    assert_eq!((found(&doctor, "engine.running"), doctor.code()), (is("pass", "podman 5.6.2"), 0));
    let docker = doctor.check("engine.docker");
    assert!(docker["outcome"] == "skip" && docker["detail"].as_str().unwrap().ends_with(DOWN), "{docker:#}");
}

#[test]
fn an_engine_that_is_down_is_one_failure_with_its_words_and_a_mend() {
    let scratch = machine();
    refuses(&scratch, "docker", DOWN);
    let doctor = scratch.doctor(CONTAINERS);
    let running = doctor.check("engine.running");
    assert_eq!((&running["outcome"], doctor.code()), (&json!("fail"), 1));
    assert!(running["detail"].as_str().unwrap().starts_with(&format!("`docker` is installed, but: {DOWN}")));
    assert_eq!(running["fix"].as_array().unwrap().len(), 1, "{running:#}");
    for child in ["platform", "cgroups", "disk", "mode", "builder"] {
        assert_eq!(outcome(&doctor, &format!("engine.{child}")), "skip");
    }
    assert_eq!(doctor.document()["summary"]["fail"], 1);
    refuses(&scratch, "docker", "permission denied while trying to connect to the Docker daemon socket");
    let fix = scratch.doctor(CONTAINERS).check("engine.running")["fix"].clone();
    assert_eq!(fix, json!(["sudo usermod -aG docker YOU"]));
}

#[test]
fn the_engine_that_the_environment_names_has_to_be_there() {
    let scratch = machine();
    answers(&scratch, "podman", "5.6.2", &podman_info());
    scratch.script("apt-get", "exit 1");
    let set = |engine| scratch.doctor(&[CONTAINERS, &["--set", engine]].concat());
    let doctor = set("engine=docker");
    let running = doctor.check("engine.running");
    assert_eq!((&running["outcome"], &running["want"], doctor.code()), (&json!("fail"), &json!("docker"), 1));
    assert!(running["fix"][0].as_str().unwrap().ends_with("apt-get install --yes docker.io"), "{running:#}");
    assert_eq!(doctor.check("engine.podman")["detail"], "`containers` uses `docker`");
    assert_eq!(set("engine=podman").code(), 0);
}

#[test]
fn an_engine_older_than_its_client_may_be_too_old() {
    let scratch = machine();
    let mut info = docker_info("machine");
    info["ServerVersion"] = json!("19.3.15");
    answers(&scratch, "docker", "28.5.1", &info);
    let doctor = scratch.doctor(CONTAINERS);
    assert_eq!(outcome(&doctor, "tool.engine"), "pass");
    assert_eq!(found(&doctor, "engine.running"), is("fail", "docker 19.3.15"));
}

#[test]
fn limits_that_cannot_be_kept_are_told_with_what_that_means() {
    let scratch = machine();
    let mut info = podman_info();
    info["host"]["cgroupControllers"] = json!(["memory", "pids"]);
    answers(&scratch, "podman", "5.6.2", &info);
    let cgroups = scratch.doctor(CONTAINERS).check("engine.cgroups");
    assert_eq!((&cgroups["outcome"], &cgroups["found"]), (&json!("fail"), &json!("cgroup v2, rootless")));
    assert!(cgroups["detail"].as_str().unwrap().contains("cannot limit cpu, so no service"), "{cgroups:#}");
    assert!(cgroups["fix"][0].as_str().unwrap().contains("Delegate=cpu"));
    info["host"]["cgroupVersion"] = json!("v1");
    info["host"]["cgroupControllers"] = json!([]);
    answers(&scratch, "podman", "5.6.2", &info);
    let doctor = scratch.doctor(CONTAINERS);
    let cgroups = doctor.check("engine.cgroups");
    assert_eq!((&cgroups["outcome"], doctor.code()), (&json!("warn"), 0));
    assert!(cgroups["detail"].as_str().unwrap().contains("cannot limit memory and cpu and pids: a service"));
}

#[test]
fn an_engine_of_another_platform_or_without_room_fails() {
    let scratch = machine();
    let mut info = podman_info();
    info["host"]["arch"] = json!("s390x");
    info["store"]["graphRootUsed"] = json!(89_u64 << 30);
    answers(&scratch, "podman", "5.6.2", &info);
    let doctor = scratch.doctor(CONTAINERS);
    assert_eq!(outcome(&doctor, "engine.platform"), "fail");
    assert_eq!(found(&doctor, "engine.disk"), is("fail", "1.0 GiB"));
    answers(&scratch, "podman", "5.6.2", &podman_info());
    scratch.write(
        "deploy/environments/containers.toml",
        "target = \"containers\"\nports = \"free\"\nplatforms = \"linux/amd64\"\n",
    );
    let platform = scratch.doctor(CONTAINERS).check("engine.platform");
    assert_eq!((&platform["outcome"], &platform["want"]), (&json!("fail"), &json!("linux/amd64")));
}

#[test]
fn an_engine_that_hangs_keeps_no_other_from_being_used() {
    let scratch = machine();
    scratch.script("docker", "case $1 in --version) echo 'Docker version 28.5.1' ;; *) exec /bin/sleep 60 ;; esac");
    answers(&scratch, "podman", "5.6.2", &podman_info());
    let started = Instant::now();
    let doctor = scratch.doctor(CONTAINERS);
    assert!(started.elapsed() < Duration::from_secs(40));
    assert_eq!((found(&doctor, "engine.running"), doctor.code()), (is("pass", "podman 5.6.2"), 0));
    assert!(doctor.check("engine.docker")["detail"].as_str().unwrap().contains("no answer within 15 s"));
}

#[test]
fn a_tag_with_a_digest_is_pinned() {
    let scratch = machine();
    answers(&scratch, "podman", "5.6.2", &podman_info());
    let pins = scratch.doctor(CONTAINERS).check("images.pins");
    assert_eq!(pins["fix"], json!(["cargo xtask build --update-pins"]));
    assert!(pins["detail"].as_str().unwrap().contains("docker.io/library/redis:7.4"));
    let digest = "0f".repeat(32);
    scratch.write("deploy/images.toml", &format!("redis = \"docker.io/library/redis:7.4@sha256:{digest}\"\n"));
    assert_eq!(found(&scratch.doctor(CONTAINERS), "images.pins"), is("pass", "1 images"));
}

#[test]
fn the_podman_of_this_machine_is_understood() {
    skip::unless!(skip::program(&["podman"], "XTASK_REQUIRE_ENGINE"));
    let scratch = machine();
    scratch.link("podman");
    let doctor = scratch.doctor(CONTAINERS);
    let running = doctor.check("engine.running");
    // Whether it can run here is not ours to say; what it says of it is quoted.
    match running["outcome"].as_str() {
        Some("pass") => assert!(running["found"].as_str().unwrap().starts_with("podman ")),
        _ => assert!(running["detail"].as_str().unwrap().contains("`podman` is installed, but: "), "{running:#}"),
    }
}
