//! A container as data, and the arguments that start it.

use model::container::{Cpu, EngineKind, Memory, User};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tools::oci::Engine;

/// Where a port of a container is published on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish {
    pub at: SocketAddr,
    pub port: u16,
    pub udp: bool,
}

/// A container that is about to run, all but its name.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSpec {
    /// What is run: an image's ID, or a reference with its digest.
    pub image: String,
    pub labels: BTreeMap<String, String>,
    /// What it is attached to; where it is published, that goes through the first that is not internal. docker takes
    /// several only from version 25 on, and needs no more than one.
    pub networks: Vec<String>,
    /// The address it has in a network, where that must not change.
    pub fixed: BTreeMap<String, IpAddr>,
    /// Names by which others on the network find it, beside its own.
    pub aliases: Vec<String>,
    /// Others by name, where it need not ask anybody for their addresses.
    pub hosts: BTreeMap<String, IpAddr>,
    /// Where it is published on this machine, and which port of its own that is.
    pub publish: Vec<Publish>,
    /// Variables by name alone, whose values the client has in its own environment, so that no argument shows them; or
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    /// Whether it has the proxies of docker's configuration, for what it asks beyond its networks.
    pub proxied: bool,
    pub mounts: Vec<Mount>,
    pub user: Option<User>,
    /// Paths that are file systems in memory.
    pub writable: Vec<String>,
    pub memory: Memory,
    pub cpu: Cpu,
    pub low_ports: bool,
    pub writable_root: bool,
    /// Those that it has; all others are taken from it.
    pub capabilities: Vec<String>,
    /// What it starts with, in place of what its image does.
    pub entrypoint: Vec<String>,
    /// Arguments of the program.
    pub args: Vec<String>,
}

impl RunSpec {
    /// A container in one network that is given nothing else, and may do nothing more than any.
    pub fn bare(image: String, network: &str, labels: BTreeMap<String, String>) -> Self {
        Self {
            image,
            labels,
            networks: vec![network.to_owned()],
            fixed: BTreeMap::new(),
            aliases: Vec::new(),
            hosts: BTreeMap::new(),
            publish: Vec::new(),
            env: Vec::new(),
            proxied: false,
            mounts: Vec::new(),
            user: None,
            writable: Vec::new(),
            memory: Memory(0),
            cpu: Cpu(0),
            low_ports: false,
            writable_root: false,
            capabilities: Vec::new(),
            entrypoint: Vec::new(),
            args: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A named volume, writable; the user's own, where the engine can make it that.
    Volume { name: String, at: String, owned: bool },
    /// A file or folder of this machine, read-only.
    Bind { source: PathBuf, at: String },
}

/// Processes and threads of one container.
const PIDS: &str = "256";
/// What a writable path in memory may hold. It counts against the container's memory, too.
const WRITABLE: &str = "rw,noexec,nosuid,nodev,size=64m,mode=1777";
/// What docker's client gives containers of its configuration, in capitals and without.
pub const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY"];
const LOW_PORTS: &str = "net.ipv4.ip_unprivileged_port_start=0";

/// The hardware address that comes with an address that must not change, as docker derives it by itself.
///
/// Podman makes up another one for each container. Whoever misses the announcement of the next one goes on sending to what
/// is gone.
fn hardware(address: IpAddr) -> String {
    let [a, b, c, d] = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => address.octets().last_chunk().copied().unwrap_or_default(),
    };
    format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// What an engine is told to run.
pub trait Run {
    /// The arguments after the client's name that run this in the foreground as `name`.
    ///
    /// The client stays for as long as the container runs, hands on its output and passes signals to it. Nothing is
    /// fetched, the engine does not probe by itself, and the ended container is kept for whoever asks how it ended.
    fn run(&self, name: &str, spec: &RunSpec) -> Vec<String>;
}

impl Run for Engine {
    fn run(&self, name: &str, spec: &RunSpec) -> Vec<String> {
        Arguments { kind: self.kind }.run(name, spec)
    }
}

/// Those that an engine of this kind takes.
struct Arguments {
    kind: EngineKind,
}

impl Arguments {
    fn run(&self, name: &str, spec: &RunSpec) -> Vec<String> {
        let mut args = words(&["run", "--name", name, "--pull", "never", "--no-healthcheck"]);
        for (key, value) in &spec.labels {
            args.extend(words(&["--label", &format!("{key}={value}")]));
        }
        args.extend(self.networks(spec));
        for (name, address) in &spec.hosts {
            args.extend(words(&["--add-host", &format!("{name}:{address}")]));
        }
        for Publish { at: address, port, udp } in &spec.publish {
            // A socket address has brackets around an IPv6 address, as engines want it.
            args.extend(words(&["--publish", &format!("{address}:{port}{}", if *udp { "/udp" } else { "" })]));
        }
        for name in &spec.env {
            args.extend(words(&["--env", name]));
        }
        if !spec.proxied && self.kind == EngineKind::Docker {
            // The client gives every container those of its configuration that are not set to nothing.
            args.extend(
                PROXIES
                    .iter()
                    .flat_map(|name| [name.to_string(), name.to_lowercase()])
                    .flat_map(|name| [String::from("--env"), format!("{name}=")]),
            );
        }
        for mount in &spec.mounts {
            args.extend(self.mount(mount));
        }
        args.extend(self.confinement(spec));
        args.extend(self.own_log());
        // An engine takes one word; what follows it goes before the arguments.
        let (program, rest) =
            spec.entrypoint.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
        if let Some(program) = program {
            args.extend(words(&["--entrypoint", program]));
        }
        args.push(spec.image.clone());
        args.extend(rest.iter().chain(&spec.args).cloned());
        args
    }

    fn networks(&self, spec: &RunSpec) -> Vec<String> {
        let mut args = Vec::new();
        // Of several, docker would give the first alone the names that are an option of their own.
        let each = self.kind == EngineKind::Docker && spec.networks.len() > 1;
        for network in &spec.networks {
            let mut attached = match (spec.fixed.get(network), self.kind) {
                (None, _) => network.clone(),
                (Some(address), EngineKind::Podman) => format!("{network}:ip={address},mac={}", hardware(*address)),
                (Some(address), EngineKind::Docker) => format!("name={network},ip={address}"),
            };
            if each {
                let name = if attached.contains('=') { attached } else { format!("name={network}") };
                attached = spec.aliases.iter().fold(name, |all, alias| format!("{all},alias={alias}"));
            }
            args.extend([String::from("--network"), attached]);
        }
        for alias in spec.aliases.iter().filter(|_| !each) {
            args.extend(words(&["--network-alias", alias]));
        }
        args
    }

    fn mount(&self, mount: &Mount) -> [String; 2] {
        let (flag, value) = match mount {
            // docker leaves it with the owner that its folder has in the image, or root.
            Mount::Volume { name, at, owned: true } if self.kind == EngineKind::Podman => {
                ("--volume", format!("{name}:{at}:U"))
            }
            Mount::Volume { name, at, .. } => ("--volume", format!("{name}:{at}")),
            // A colon would end the path. What is between commas is quoted as in a table of values.
            Mount::Bind { source, at } if source.to_string_lossy().contains(':') => {
                let source = source.to_string_lossy().replace('"', "\"\"");
                // docker labels nothing for SELinux that is mounted like this.
                let label = if self.kind == EngineKind::Podman { ",relabel=shared" } else { "" };
                ("--mount", format!("type=bind,\"source={source}\",target={at},readonly{label}"))
            }
            // `z` lets containers read it where SELinux would keep them from it.
            Mount::Bind { source, at } => ("--volume", format!("{}:{at}:ro,z", source.display())),
        };
        [flag.to_owned(), value]
    }

    /// What the container may not do.
    fn confinement(&self, spec: &RunSpec) -> Vec<String> {
        let mut args = words(if spec.writable_root { &[] } else { &["--read-only"] });
        args.extend(words(&["--cap-drop", "all"]));
        for capability in &spec.capabilities {
            args.extend(words(&["--cap-add", capability]));
        }
        args.extend(words(&["--security-opt", "no-new-privileges"]));
        if self.kind == EngineKind::Podman {
            // Otherwise it makes some paths writable that nobody has named, and hands on the user's proxies.
            args.extend(words(&["--read-only-tmpfs=false", "--http-proxy=false"]));
        }
        if let Some(user) = spec.user {
            args.extend(words(&["--user", &user.to_string()]));
        }
        for path in &spec.writable {
            args.extend(words(&["--tmpfs", &format!("{path}:{WRITABLE}")]));
        }
        if spec.low_ports {
            args.extend(words(&["--sysctl", LOW_PORTS]));
        }
        let memory = format!("{}b", spec.memory.0);
        // The sum of memory and swap: no swap.
        args.extend(words(&["--memory", &memory, "--memory-swap", &memory]));
        args.extend(words(&["--cpus", &cores(spec.cpu), "--pids-limit", PIDS]));
        args
    }

    /// The engine's copy of the output, for those who look at the container by the engine's own means. The driver is
    /// named since not every one can be bounded.
    fn own_log(&self) -> Vec<String> {
        match self.kind {
            EngineKind::Docker => {
                words(&["--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=1"])
            }
            EngineKind::Podman => words(&["--log-driver", "k8s-file", "--log-opt", "max-size=10mb"]),
        }
    }
}

fn cores(cpu: Cpu) -> String {
    format!("{}.{:03}", cpu.0 / 1000, cpu.0 % 1000)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RunSpec {
        RunSpec {
            image: "sha256:0f".to_owned(),
            labels: BTreeMap::from([("slipway".to_owned(), "try".to_owned())]),
            networks: vec!["net".to_owned()],
            fixed: BTreeMap::new(),
            hosts: BTreeMap::new(),
            aliases: vec!["redis".to_owned()],
            publish: ["127.0.0.1:8000", "[::1]:8000"]
                .map(|at| Publish { at: at.parse().unwrap(), port: 80, udp: false })
                .into(),
            env: vec!["PORT".to_owned()],
            proxied: true,
            mounts: vec![
                Mount::Volume { name: "data".to_owned(), at: "/data".to_owned(), owned: false },
                Mount::Bind { source: PathBuf::from("/etc/edge"), at: "/conf".to_owned() },
            ],
            user: "999".parse().ok(),
            writable: vec!["/tmp".to_owned()],
            memory: Memory(64 << 20),
            cpu: Cpu(1250),
            low_ports: true,
            writable_root: false,
            capabilities: Vec::new(),
            entrypoint: Vec::new(),
            args: vec!["--verbose".to_owned()],
        }
    }

    fn run(kind: EngineKind, spec: &RunSpec) -> String {
        Engine { kind, program: kind.as_str().into() }.run("shop-1", spec).join(" ")
    }

    const BEGIN: &str = "run --name shop-1 --pull never --no-healthcheck --label slipway=try";
    const COMMON: &str = "--publish 127.0.0.1:8000:80 --publish [::1]:8000:80 --env PORT --volume data:/data \
        --volume /etc/edge:/conf:ro,z --read-only --cap-drop all --security-opt no-new-privileges";
    const LIMITS: &str = "--user 999:999 --tmpfs /tmp:rw,noexec,nosuid,nodev,size=64m,mode=1777 \
        --sysctl net.ipv4.ip_unprivileged_port_start=0 --memory 67108864b --memory-swap 67108864b --cpus 1.250 \
        --pids-limit 256";

    #[test]
    fn a_container_is_confined_and_stays_in_the_foreground() {
        let docker = "--log-driver json-file --log-opt max-size=10m --log-opt max-file=1 sha256:0f --verbose";
        assert_eq!(
            run(EngineKind::Docker, &spec()),
            format!("{BEGIN} --network net --network-alias redis {COMMON} {LIMITS} {docker}")
        );
        let own = "--read-only-tmpfs=false --http-proxy=false";
        let podman = "--log-driver k8s-file --log-opt max-size=10mb sha256:0f --verbose";
        assert_eq!(
            run(EngineKind::Podman, &spec()),
            format!("{BEGIN} --network net --network-alias redis {COMMON} {own} {LIMITS} {podman}")
        );
    }

    #[test]
    fn what_a_container_starts_with_is_one_word_before_its_image() {
        let entrypoint = vec!["/bin/sh".to_owned(), "-e".to_owned()];
        for kind in [EngineKind::Docker, EngineKind::Podman] {
            let line = run(kind, &RunSpec { entrypoint: entrypoint.clone(), ..spec() });
            assert!(line.ends_with(" --entrypoint /bin/sh sha256:0f -e --verbose"), "{line}");
        }
    }

    #[test]
    fn confinement_is_loosened_by_what_is_named_alone() {
        let capabilities = vec!["CHOWN".to_owned(), "SETUID".to_owned()];
        let line = run(EngineKind::Podman, &RunSpec { writable_root: true, capabilities, ..spec() });
        let wanted =
            "--cap-drop all --cap-add CHOWN --cap-add SETUID --security-opt no-new-privileges --read-only-tmpfs";
        assert!(line.contains(wanted) && !line.contains("--read-only "), "{line}");
    }

    #[test]
    fn what_asks_its_neighbours_alone_has_no_proxies() {
        let spec = RunSpec { proxied: false, ..spec() };
        let line = run(EngineKind::Docker, &spec);
        assert!(line.contains("--env HTTP_PROXY= --env http_proxy= --env HTTPS_PROXY= --env https_proxy="), "{line}");
        assert!(!run(EngineKind::Podman, &spec).contains("HTTP_PROXY"));
    }

    #[test]
    fn any_path_can_be_mounted() {
        let mount = Mount::Bind { source: PathBuf::from("/a:b, \"c\"/d"), at: "/x".to_owned() };
        let spec = RunSpec { mounts: vec![mount], ..spec() };
        let wanted = "--mount type=bind,\"source=/a:b, \"\"c\"\"/d\",target=/x,readonly";
        assert!(run(EngineKind::Docker, &spec).contains(&format!("{wanted} --read-only")));
        assert!(run(EngineKind::Podman, &spec).contains(&format!("{wanted},relabel=shared --read-only")));
    }

    #[test]
    fn addresses_that_must_not_change_are_named() {
        let address: IpAddr = "10.89.0.254".parse().unwrap();
        let fixed = BTreeMap::from([("net".to_owned(), address)]);
        let hosts = BTreeMap::from([("redis".to_owned(), address)]);
        let spec = RunSpec { fixed, hosts, ..spec() };
        assert!(
            run(EngineKind::Podman, &spec)
                .contains("--network net:ip=10.89.0.254,mac=02:42:0a:59:00:fe --network-alias redis")
        );
        assert!(run(EngineKind::Docker, &spec).contains("--network name=net,ip=10.89.0.254 --network-alias redis"));
        assert!(run(EngineKind::Podman, &spec).contains("--add-host redis:10.89.0.254"));
    }

    #[test]
    fn names_are_known_in_each_of_several_networks() {
        let fixed = BTreeMap::from([("net".to_owned(), "10.89.0.254".parse().unwrap())]);
        let spec = RunSpec { networks: ["out", "net"].map(str::to_owned).into(), fixed, ..spec() };
        let line = run(EngineKind::Docker, &spec);
        assert!(line.contains("--network name=out,alias=redis --network name=net,ip=10.89.0.254,alias=redis --pub"));
        assert!(run(EngineKind::Podman, &spec).contains("ac=02:42:0a:59:00:fe --network-alias redis --publish"));
    }

    #[test]
    fn what_is_not_asked_for_is_not_given() {
        let spec = RunSpec {
            user: None,
            publish: Vec::new(),
            mounts: Vec::new(),
            writable: Vec::new(),
            low_ports: false,
            ..spec()
        };
        let line = run(EngineKind::Docker, &spec);
        for given in ["--user", "--publish", "--volume", "--tmpfs", "--sysctl"] {
            assert!(!line.contains(given), "{line}");
        }
    }
}
