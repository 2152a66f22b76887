//! On which ports a container listens, without anything that its image would need to have.

use std::collections::BTreeSet;
use tools::oci::Container;

/// The tables of sockets that a process sees, below `/proc/PID` or `/proc`.
pub(super) const TABLES: [&str; 2] = ["net/tcp", "net/tcp6"];

/// The port that a container is declared to listen on, and those on which it does.
///
/// Where it listens as declared, its other ports are nobody's concern.
pub(super) fn elsewhere(declared: u16, listening: BTreeSet<u16>) -> BTreeSet<u16> {
    // One that has no port misses none.
    if declared == 0 || listening.contains(&declared) { BTreeSet::new() } else { listening }
}

/// What the tables of the container's first process say. `None` where that process is on another machine than this.
pub fn tables(container: &Container) -> Option<String> {
    let process = format!("/proc/{}", container.pid?);
    // On another machine the number is somebody else's. A container's own files are mounted from a folder that has its
    // number, and so is the group that limits it.
    let shows =
        |file: &str| std::fs::read_to_string(format!("{process}/{file}")).is_ok_and(|t| t.contains(&container.id));
    if !shows("mountinfo") && !shows("cgroup") {
        return None;
    }
    let table = |table: &&str| std::fs::read_to_string(format!("{process}/{table}")).ok();
    Some(TABLES.iter().filter_map(table).collect())
}

/// What listens in a network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sockets {
    /// On some address that others can reach.
    pub open: BTreeSet<u16>,
    /// On loopback alone, where nobody else reaches it.
    pub inside: BTreeSet<u16>,
}

/// The listening ports of tables as `/proc/net/tcp` has them, on whichever address.
pub(super) fn listening(tables: &str) -> BTreeSet<u16> {
    let Sockets { open, inside } = sockets(tables);
    &open | &inside
}

/// What tables as `/proc/net/tcp` has them say: `sl local remote st …`, in hexadecimal.
pub fn sockets(tables: &str) -> Sockets {
    const LISTEN: &str = "0A";
    // docker answers the container's own questions for names on a port of this address, 127.0.0.11.
    const NAMES: &str = "0B00007F";
    let socket = |line| -> Option<(bool, u16)> {
        let mut fields = str::split_whitespace(line);
        let (address, port) = fields.nth(1)?.rsplit_once(':')?;
        (fields.nth(1)? == LISTEN && address != NAMES).then_some(())?;
        Some((is_loopback(address), u16::from_str_radix(port, 16).ok()?))
    };
    let mut sockets = Sockets::default();
    for (inside, port) in tables.lines().filter_map(socket) {
        if inside { &mut sockets.inside } else { &mut sockets.open }.insert(port);
    }
    sockets.inside = &sockets.inside - &sockets.open;
    sockets
}

/// `127.0.0.0/8` and `::1`, each word of them with its bytes in the order of a small-endian machine.
fn is_loopback(address: &str) -> bool {
    match address.len() {
        8 => address.ends_with("7F"),
        _ => address == "00000000000000000000000001000000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 00000000:0539 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 68034 1 0 100\n\
        \x20  1: 0B00007F:A1B2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 68035 1 0 100\n\
        \x20  2: 0300590A:0539 0200590A:C350 01 00000000:00000000 00:00000000 00000000  1000        0 68036 1 0 20\n\
        \x20  0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 \
        00:00000000 00000000     0        0 20001 1 0 100 0 0 10 0\n";

    #[test]
    fn only_what_listens_counts_and_not_the_engine_s_own() {
        assert_eq!(listening(SAMPLE), BTreeSet::from([1337, 8000]));
    }

    #[test]
    fn what_is_on_loopback_alone_is_told_apart() {
        let line = |local: &str| format!("   0: {local} 00000000:0000 0A 00000000:00000000\n");
        let tables = [line("0100007F:1F40"), line("0100007F:1F41"), line("00000000:1F41")].concat()
            + &line("00000000000000000000000001000000:1F42");
        let inside = BTreeSet::from([8000, 8002]);
        assert_eq!(sockets(&tables), Sockets { open: BTreeSet::from([8001]), inside });
    }

    #[test]
    fn who_listens_as_declared_listens_nowhere_else() {
        assert_eq!(elsewhere(80, listening(SAMPLE)), BTreeSet::from([1337, 8000]));
        assert_eq!(elsewhere(8000, listening(SAMPLE)), BTreeSet::new());
    }

    #[test]
    fn a_process_that_is_not_the_container_s_is_not_taken_for_it() {
        let answer = r#"[{"Id": "6b2a-none", "Name": "a-1", "Image": "85792c96", "State": {"Running": true}}]"#;
        let mut container = Container::parse(answer).into_iter().next().unwrap();
        container.pid = Some(std::process::id());
        assert_eq!(tables(&container), None);
    }
}
