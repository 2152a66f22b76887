//! Which container publishes a port that is taken. The process that holds it is the engine's, which says nothing of whose
//! it is.

use super::Supervised;
use super::holder::deployment_in;
use super::runtime::Publisher;
use base::os;
use std::net::SocketAddr;
use tools::oci;
use tools::oci::{Container, Labels};

/// The label of a container with the folder that its deployment's state was in when it was made.
pub const HOME: &str = "dev.slipway.home";

/// The programs by which engines hold the ports of containers.
const HELPERS: [&str; 7] =
    ["conmon", "docker-proxy", "rootlessport", "slirp4netns", "pasta", "pasta.avx2", "com.docker.backend"];

/// What publishes an address, seen from a deployment in containers, which are ours by their labels. A supervisor that was
/// killed before it had recorded an edge leaves one.
pub fn at(core: &Supervised, address: SocketAddr, ours: impl Fn(&Labels) -> bool) -> Option<Publisher> {
    let container = container_at(core, address)?;
    Some(if ours(&container.labels) { Publisher::Ours } else { Publisher::Other(told(&container)) })
}

/// The same, seen from one that has none: engines take their time, and are asked only where the process is one of theirs.
pub(crate) fn of_others(core: &Supervised, address: SocketAddr, holder: Option<&os::Holder>) -> Option<Publisher> {
    let is_unseen = holder.is_none_or(|holder| holder.pid.is_none());
    let is_helper = holder.and_then(|holder| holder.command.as_deref()).is_some_and(is_helper);
    (is_unseen || is_helper).then(|| at(core, address, |_| false)).flatten()
}

fn is_helper(command: &str) -> bool {
    let program = command.split_whitespace().next().and_then(|program| program.rsplit('/').next());
    program.is_some_and(|program| HELPERS.contains(&program))
}

fn container_at(core: &Supervised, address: SocketAddr) -> Option<Container> {
    let engine = core.found_engine().ok()?.engine;
    let listed = oci::lines(&core.proc.read(&engine.containers_running()).ok()?);
    let publishes = |container: &Container| {
        let at = |at: &SocketAddr| {
            at.port() == address.port()
                && (at.ip() == address.ip() || at.ip().is_unspecified() || address.ip().is_unspecified())
        };
        container.published.values().flatten().any(at)
    };
    engine.containers(&core.proc, &listed).ok()?.into_iter().find(publishes)
}

fn told(container: &Container) -> String {
    let owner = container.labels.get(HOME).map(|home| format!(" of {}", deployment_in(home)));
    format!("the container `{}`{}", container.name, owner.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_an_engine_is_known_by_its_program() {
        assert!(is_helper("/usr/bin/conmon --api-version 1 -c 3f9"));
        assert!(is_helper("/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 80"));
        assert!(!is_helper("nc -l 80") && !is_helper("grep conmon"));
    }
}
