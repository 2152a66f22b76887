//! What brings an engine to answer that is installed and does not.

use base::proc::CommandLine;
use model::container::EngineKind;
use std::fmt;
use std::path::Path;

/// A command that may help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    pub command: CommandLine,
    pub by: By,
}

/// Who may run a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Anyone,
    Root,
    /// A person who has judged what it means.
    Person,
}

/// As one would type it.
impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            By::Root => write!(f, "sudo {}", self.command),
            By::Anyone | By::Person => self.command.fmt(f),
        }
    }
}

/// What follows from an engine's words. `has` tells which programs are here.
pub fn mend(kind: EngineKind, words: &str, has: &dyn Fn(&str) -> bool) -> Mend {
    // The program may be there where another one keeps the services, as in containers.
    let systemd = has("systemctl") && Path::new("/run/systemd/system").is_dir();
    on(cfg!(target_os = "macos"), systemd, kind, words)
}

fn on(mac: bool, systemd: bool, kind: EngineKind, words: &str) -> Mend {
    let words = words.to_lowercase();
    let says = |part: &str| words.contains(part);
    let (by, argv): (By, &[&str]) = match kind {
        // Members of the group are as good as root, which a person should know.
        EngineKind::Docker if says("permission denied") => (By::Person, &["sudo", "usermod", "-aG", "docker", "YOU"]),
        EngineKind::Docker if ["tcp://", "ssh://", "context"].into_iter().any(says) => {
            (By::Person, &["docker", "context", "ls"])
        }
        EngineKind::Docker if mac => (By::Anyone, &["open", "-a", "Docker"]),
        EngineKind::Docker if systemd => (By::Root, &["systemctl", "start", "docker"]),
        EngineKind::Docker => (By::Person, &["sudo", "dockerd"]),
        EngineKind::Podman if mac && says("no such file") => (By::Anyone, &["podman", "machine", "init", "--now"]),
        EngineKind::Podman if mac => (By::Anyone, &["podman", "machine", "start"]),
        EngineKind::Podman => (By::Person, &["podman", "info"]),
    };
    let (program, args) = argv.split_first().unwrap_or((&"", &[]));
    Mend { command: CommandLine::new(program).args(args), by }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the clients really say.
    #[test]
    fn what_to_type_follows_from_what_the_engine_said() {
        let down = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
        let forbidden = "permission denied while trying to connect to the Docker daemon socket at \
            unix:///var/run/docker.sock: Get \"http://%2Fvar%2Frun%2Fdocker.sock/v1.50/info\": dial unix \
            /var/run/docker.sock: connect: permission denied";
        let elsewhere = "Cannot connect to the Docker daemon at tcp://10.0.0.7:2376. Is the docker daemon running?";
        let no_machine = "unable to connect to Podman socket: failed to connect: dial unix \
            /var/folders/x/podman/podman.sock: connect: no such file or directory";
        let stopped = "unable to connect to Podman socket: failed to connect: dial tcp 127.0.0.1:52000: connect: \
            connection refused";
        let (docker, podman) = (EngineKind::Docker, EngineKind::Podman);
        for (mac, kind, words, line) in [
            (false, docker, down, "sudo systemctl start docker"),
            (true, docker, down, "open -a Docker"),
            (false, docker, forbidden, "sudo usermod -aG docker YOU"),
            (false, docker, elsewhere, "docker context ls"),
            (true, podman, no_machine, "podman machine init --now"),
            (true, podman, stopped, "podman machine start"),
            (false, podman, "cannot clone: Operation not permitted", "podman info"),
        ] {
            assert_eq!(on(mac, true, kind, words).to_string(), line, "{words}");
        }
        assert_eq!(on(false, false, docker, down).to_string(), "sudo dockerd");
    }
}
