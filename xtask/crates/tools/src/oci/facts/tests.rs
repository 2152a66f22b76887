//! What engines really print of themselves, without what nobody reads.

use super::*;

const PODMAN: &str = r#"{
  "host": {
    "arch": "amd64", "buildahVersion": "1.28.2", "cgroupManager": "cgroupfs", "cgroupVersion": "v1",
    "cgroupControllers": ["cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "pids"],
    "distribution": {"distribution": "debian", "version": "12", "codename": "bookworm"},
    "hostname": "box", "kernel": "6.1.0", "networkBackend": "netavark", "os": "linux",
    "serviceIsRemote": false,
    "security": {"apparmorEnabled": false, "rootless": false, "seccompEnabled": true, "selinuxEnabled": false}
  },
  "store": {
    "graphDriverName": "overlay", "graphRoot": "/var/lib/containers/storage",
    "graphRootAllocated": 270553174016, "graphRootUsed": 15052464128
  },
  "registries": {"search": ["docker.io"]},
  "version": {"APIVersion": "4.3.1", "Version": "4.3.1", "OsArch": "linux/amd64", "Os": "linux"}
}"#;

const DOCKER: &str = r#"{"ID":"OGC4:FOYD","Containers":0,"Driver":"overlay2","MemoryLimit":true,"SwapLimit":true,
  "CpuCfsPeriod":true,"CpuCfsQuota":true,"PidsLimit":true,"CgroupDriver":"cgroupfs","CgroupVersion":"1",
  "KernelVersion":"6.1.0","OperatingSystem":"Debian GNU/Linux 12 (bookworm)","OSType":"linux",
  "Architecture":"x86_64","DockerRootDir":"/var/lib/docker","Name":"box","ServerVersion":"20.10.24+dfsg1",
  "SecurityOptions":["name=seccomp,profile=default"],"Warnings":null,
  "ClientInfo":{"Debug":false,"Version":"28.2.2","Context":"default","Plugins":[],"Warnings":null}}"#;

/// The client's answer for an engine that does not run; the reason is in its other output.
const DOCKER_DOWN: &str = r#"{"ID":"","Containers":0,"ServerVersion":"","SecurityOptions":null,"Architecture":"",
  "ClientInfo":{"Debug":false,"Version":"28.2.2","Context":"default","Plugins":[],"Warnings":null}}"#;

fn answer(stdout: &str, stderr: &str) -> Finished {
    Finished {
        success: stderr.is_empty(),
        status: "exit status: 1".to_owned(),
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    }
}

fn read(stdout: &str) -> (EngineKind, Facts) {
    let here = Here { hostname: "box".to_owned(), kernel: "6.1.0".to_owned() };
    let engine = Engine { kind: EngineKind::Docker, program: PathBuf::from("docker") };
    engine.facts(&answer(stdout, ""), &here).unwrap()
}

fn refusal(stdout: &str, stderr: &str) -> String {
    let engine = Engine { kind: EngineKind::Docker, program: PathBuf::from("docker") };
    engine.facts(&answer(stdout, stderr), &Here::look()).unwrap_err()
}

#[test]
fn podman_is_known_by_its_answer_even_when_it_is_called_docker() {
    let (kind, facts) = read(PODMAN);
    assert_eq!(kind, EngineKind::Podman);
    let wanted = Facts {
        version: Version::new(4, 3, 1),
        rootless: false,
        remote: false,
        cgroups: 1,
        unlimited: Vec::new(),
        platform: Some(Platform::LinuxAmd64),
        storage: PathBuf::from("/var/lib/containers/storage"),
        identity: "/var/lib/containers/storage".to_owned(),
        free: Some(270_553_174_016 - 15_052_464_128),
        cache_mounts: true,
        builder: "buildah 1.28.2".to_owned(),
    };
    assert_eq!(facts, wanted);
    assert!(facts.reaches_containers());
}

#[test]
fn docker_without_buildx_has_no_cache_mounts() {
    let (kind, facts) = read(DOCKER);
    assert_eq!(kind, EngineKind::Docker);
    let wanted = Facts {
        version: Version::new(20, 10, 24),
        rootless: false,
        remote: false,
        cgroups: 1,
        unlimited: Vec::new(),
        platform: Some(Platform::LinuxAmd64),
        storage: PathBuf::from("/var/lib/docker"),
        identity: "OGC4:FOYD".to_owned(),
        free: None,
        cache_mounts: false,
        builder: "docker's builder of old".to_owned(),
    };
    assert_eq!(facts, wanted);
    let plugin = r#""Plugins":[{"SchemaVersion":"0.1.0","Vendor":"Docker Inc.","Version":"v0.24.0","Name":"buildx"}]"#;
    let (_, facts) = read(&DOCKER.replace(r#""Plugins":[]"#, plugin));
    assert_eq!((facts.cache_mounts, facts.builder.as_str()), (true, "buildx 0.24.0"));
    let (_, facts) = read(&DOCKER.replace("28.2.2", "20.10.24+dfsg1"));
    assert_eq!((facts.cache_mounts, facts.builder.as_str()), (true, "BuildKit of docker 20.10.24"));
}

#[test]
fn an_engine_without_root_cannot_be_reached_by_address_and_may_lack_limits() {
    let rootless = r#""name=seccomp,profile=builtin","name=rootless","name=cgroupns""#;
    let docker = DOCKER.replace(r#""name=seccomp,profile=default""#, rootless);
    let (_, facts) = read(&docker.replace(r#""PidsLimit":true"#, r#""PidsLimit":false"#));
    assert!(facts.rootless && !facts.reaches_containers());
    assert_eq!(facts.unlimited, ["pids"]);
    // With cgroup v2, a user has the controllers that systemd delegates: often not `cpu`.
    let controllers = r#"["cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "pids"]"#;
    let podman = PODMAN.replace(controllers, r#"["memory", "pids"]"#).replace(r#""v1""#, r#""v2""#);
    let (_, facts) = read(&podman.replace(r#""rootless": false"#, r#""rootless": true"#));
    assert_eq!((facts.rootless, facts.cgroups, facts.unlimited.as_slice()), (true, 2, &["cpu"][..]));
}

#[test]
fn a_virtual_machine_has_a_name_and_a_kernel_of_its_own() {
    let desktop = DOCKER.replace(r#""Name":"box""#, r#""Name":"docker-desktop""#);
    let desktop = desktop.replace("Debian GNU/Linux 12 (bookworm)", "Docker Desktop").replace("x86_64", "aarch64");
    let (_, facts) = read(&desktop);
    assert!(facts.remote && !facts.reaches_containers());
    assert_eq!(facts.platform, Some(Platform::LinuxArm64));
    assert!(read(&DOCKER.replace("6.1.0", "6.10.14-linuxkit")).1.remote);
    assert!(read(&PODMAN.replace(r#""serviceIsRemote": false"#, r#""serviceIsRemote": true"#)).1.remote);
}

#[test]
fn an_engine_for_other_containers_has_no_platform() {
    assert_eq!(read(&DOCKER.replace(r#""OSType":"linux""#, r#""OSType":"windows""#)).1.platform, None);
    assert_eq!(read(&PODMAN.replace(r#""arch": "amd64""#, r#""arch": "s390x""#)).1.platform, None);
}

#[test]
fn an_engine_that_is_down_is_quoted() {
    let words = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    assert_eq!(refusal(DOCKER_DOWN, &format!("{words}\n")), words);
    // Before version 28 the document had it.
    let within = DOCKER_DOWN.replace(r#""ID":"""#, &format!(r#""ID":"","ServerErrors":["{words}"]"#));
    assert_eq!(refusal(&within, ""), words);
    let podman = "Cannot connect to Podman. Please verify your connection to the Linux system using `podman system \
                  connection list`\nError: unable to connect to Podman socket: connection refused\n";
    assert_eq!(refusal("", podman), "unable to connect to Podman socket: connection refused");
    assert_eq!(refusal("", ""), "it ended with exit status: 1 and said nothing");
}
