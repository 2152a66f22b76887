//! The TCP ports on which anything listens in this network namespace: in a container, those of the container.
//!
//! Linux tells it in `/proc/net`, which needs neither a tool nor a privilege. Other systems tell nothing here.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The state of a socket that listens: `TCP_LISTEN` in the kernel's `include/net/tcp_states.h`.
const LISTEN: &str = "0A";

/// Where docker puts its own name server into every container. That is no port of the service.
const DOCKER_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The ports that are listened on; `None` where the system does not tell.
pub(crate) fn ports() -> Option<BTreeSet<u16>> {
    tables().map(|tables| listed(&tables))
}

/// The tables of sockets as the kernel has them, one behind the other; `None` where the system has none. Whoever looks
/// into a container from outside takes them from there.
pub(crate) fn tables() -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).ok());
    // A kernel without IPv6 has one of them alone.
    tables.into_iter().flatten().reduce(|all, more| all + &more)
}

/// The ports of the listening sockets in a table as `/proc/net/tcp` or `/proc/net/tcp6` holds it.
fn listed(table: &str) -> BTreeSet<u16> {
    table.lines().filter_map(listening).collect()
}

/// The port of a line `SL: ADDRESS:PORT REMOTE:PORT STATE …`, all in hexadecimal, if its socket listens.
fn listening(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    let listens = fields.nth(1)? == LISTEN && !is_docker_dns(address);
    listens.then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

/// An IPv4 address stands there as the number that its bytes are in memory.
fn is_docker_dns(address: &str) -> bool {
    let number = u32::from_str_radix(address, 16);
    number.is_ok_and(|number| Ipv4Addr::from(number.to_ne_bytes()) == DOCKER_DNS)
}

#[cfg(test)]
mod tests {
    use super::{DOCKER_DNS, listed};

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    const REST: &str = "00000000:00000000 00:00000000 00000000 65532        0 4026 1 0000000000000000 100 0 0 10 0\n";

    fn table(lines: &[&str]) -> String {
        let lines = lines.iter().zip(0..).map(|(line, number)| format!("{number:>4}: {line} {REST}"));
        HEAD.to_owned() + &lines.collect::<String>()
    }

    fn ports(lines: &[&str]) -> Vec<u16> {
        listed(&table(lines)).into_iter().collect()
    }

    #[test]
    fn sockets_that_listen_are_listed_once_and_no_others() {
        let lines = [
            "00000000:1F90 00000000:0000 0A",
            "0100007F:0539 00000000:0000 0A",
            "0100007F:1F90 00000000:0000 0A",
            // A connection, and one that waits for its end.
            "0100007F:A1B2 0100007F:0539 01",
            "0100007F:A1B3 0100007F:0539 06",
        ];
        assert_eq!(ports(&lines), [1337, 8080]);
    }

    #[test]
    fn ipv6_is_read_too() {
        let lines = [
            "00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A",
            "00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 01",
        ];
        assert_eq!(ports(&lines), [80]);
    }

    #[test]
    fn the_name_server_that_docker_puts_into_a_container_is_left_out() {
        let line = |address: [u8; 4]| format!("{:08X}:9C41 00000000:0000 0A", u32::from_ne_bytes(address));
        assert!(ports(&[&line(DOCKER_DNS.octets())]).is_empty());
        assert_eq!(ports(&[&line([127, 0, 0, 1])]), [40001]);
    }

    #[test]
    fn what_is_no_table_holds_no_port() {
        for text in ["", HEAD, "0: x", "0: 0:0 0:0", "0: 00000000:XYZ 0:0 0A", "0: 00000000:12345 0:0 0A", "\0\n:::"] {
            assert!(listed(text).is_empty(), "{text:?}");
        }
    }
}
