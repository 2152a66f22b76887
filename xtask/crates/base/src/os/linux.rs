//! What `/proc` says. Fields are those of proc(5).

use super::{Holder, Process, ProcessId, Row};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(super) fn process(pid: u32) -> Option<Row> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, &boot()?)
}

pub(super) fn processes() -> Vec<Row> {
    let Some(boot) = boot() else { return Vec::new() };
    let stat = |pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    pids().into_iter().filter_map(|pid| parse_stat(&stat(pid)?, &boot)).collect()
}

/// The number of this boot. A container shares its host's, and sees its own process numbers.
fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// The signals that this process ignores, each a bit.
pub(super) fn ignored() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// `PID (NAME) STATE PPID PGRP … STARTTIME …`, where the name may hold anything, parentheses included.
fn parse_stat(text: &str, boot: &str) -> Option<Row> {
    let (pid, rest) = text.split_once(' ')?;
    let (_, rest) = rest.rsplit_once(") ")?;
    // The state, field 3 of the line, is the first of these.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let id = ProcessId { pid: pid.parse().ok()?, started: format!("{boot}:{}", field(22)?) };
    Some(Row {
        id,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        // The first thread of a process that was killed ends before others do, which still hold its files and locks.
        zombie: matches!(field(3)?, "Z" | "X" | "x") && field(20)?.parse::<u32>().ok()? <= 1,
        suspended: matches!(field(3)?, "T" | "t"),
    })
}

/// A listening socket of `/proc/net/tcp` or `tcp6`.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    ip: IpAddr,
    port: u16,
    inode: u64,
    uid: u32,
}

fn sockets() -> Vec<Socket> {
    let table = |name: &str| parse_tcp(&fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default());
    table("tcp").into_iter().chain(table("tcp6")).collect()
}

/// The listening sockets of a table: `sl local remote st queues timer retransmit uid timeout inode …`, in hexadecimal.
fn parse_tcp(text: &str) -> Vec<Socket> {
    const LISTEN: &str = "0A";
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (ip, port) = fields.get(1)?.rsplit_once(':')?;
        (*fields.get(3)? == LISTEN).then_some(())?;
        Some(Socket {
            ip: parse_ip(ip)?,
            port: u16::from_str_radix(port, 16).ok()?,
            uid: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    };
    text.lines().filter_map(socket).collect()
}

/// Groups of four bytes, each as a number of this machine.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let group = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(IpAddr::from(group(0)?)),
        32 => {
            let groups = [group(0)?, group(8)?, group(16)?, group(24)?];
            Some(IpAddr::from(<[u8; 16]>::try_from(groups.concat()).ok()?))
        }
        _ => None,
    }
}

/// The sockets a process has open. Empty for processes of others.
fn socket_inodes(pid: u32) -> BTreeSet<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let inode = |entry: fs::DirEntry| parse_socket_link(fs::read_link(entry.path()).ok()?.to_str()?);
    entries.filter_map(inode).collect()
}

fn parse_socket_link(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

pub(super) fn port_holder(address: SocketAddr) -> Option<Holder> {
    let sockets: Vec<Socket> = sockets().into_iter().filter(|socket| socket.port == address.port()).collect();
    let there = |socket: &&Socket| socket.ip == address.ip() || socket.ip.is_unspecified();
    let sockets: Vec<&Socket> = match sockets.iter().any(|socket| there(&socket)) {
        true => sockets.iter().filter(there).collect(),
        false => sockets.iter().collect(),
    };
    let uid = sockets.first()?.uid;
    let holds = |pid: &u32| {
        let open = socket_inodes(*pid);
        sockets.iter().any(|socket| open.contains(&socket.inode))
    };
    let pid = pids().into_iter().find(holds);
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = user_name(&passwd, uid).unwrap_or_else(|| format!("user {uid}"));
    Some(Holder { pid, command: pid.and_then(command), user: Some(user) })
}

pub(super) fn ports_of(family: &BTreeSet<u32>) -> BTreeSet<u16> {
    let ports: BTreeMap<u64, u16> = sockets().into_iter().map(|socket| (socket.inode, socket.port)).collect();
    let open = family.iter().flat_map(|pid| socket_inodes(*pid));
    open.filter_map(|inode| ports.get(&inode).copied()).collect()
}

/// The name of a user in passwd(5), which lacks those of a directory service.
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(user)
}

fn command(pid: u32) -> Option<String> {
    let text = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).ok()?).replace('\0', " ");
    let text = text.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// A folder that cannot be asked about keeps nothing from being run.
pub(super) fn runs_programs(folder: &Path) -> bool {
    !statvfs(folder).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOEXEC))
}

pub(super) fn processes_with_env(name: &str, value: &str) -> Vec<Process> {
    let wanted = format!("{name}={value}");
    let Ok(ourselves) = fs::metadata("/proc/self") else { return Vec::new() };
    let ours = |pid: &u32| {
        *pid != std::process::id()
            && fs::metadata(format!("/proc/{pid}")).is_ok_and(|process| process.uid() == ourselves.uid())
    };
    let marked = |pid: &u32| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| has_variable(&env, &wanted));
    let found = |pid: u32| {
        let row = process(pid).filter(|row| !row.zombie)?;
        Some(Process { id: row.id, command: command(pid).unwrap_or_default() })
    };
    pids().into_iter().filter(ours).filter(marked).filter_map(found).collect()
}

fn has_variable(environ: &[u8], wanted: &str) -> bool {
    environ.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    const STAT: &str = "4711 (a) b (c) S 1 4710 4710 0 -1 4194560 2345 0 0 0 12 3 0 0 20 0 4 0 98765 1234 567 \
                        18446744073709551615 1 1 0 0 0 0 0 4096 17642 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0";

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let row = parse_stat(STAT, "boot").unwrap();
        assert_eq!(row.id, ProcessId { pid: 4711, started: "boot:98765".to_owned() });
        assert_eq!((row.parent, row.group, row.zombie), (1, 4710, false));
        let is_zombie = |threads: &str| {
            let stat = STAT.replace(") S ", ") Z ").replace(" 20 0 4 0 ", &format!(" 20 0 {threads} 0 "));
            parse_stat(&stat, "boot").unwrap().zombie
        };
        assert!(is_zombie("1") && !is_zombie("4"), "it has ended once all of its threads have");
        assert_eq!(parse_stat("4711 (cut", "boot"), None);
    }

    #[test]
    fn only_listening_sockets_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:0539 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 68034 1 0 100\n\
            \x20  1: 0100007F:0539 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 68035 1 0 20\n";
        assert_eq!(parse_tcp(table), [Socket { ip: [127, 0, 0, 1].into(), port: 1337, inode: 68034, uid: 1000 }]);
        let table6 = "   0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A \
            00000000:00000000 00:00000000 00000000     0        0 20001 1 0 100 0 0 10 0";
        assert_eq!(parse_tcp(table6), [Socket { ip: Ipv6Addr::UNSPECIFIED.into(), port: 8000, inode: 20001, uid: 0 }]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_of_both_kinds_are_read() {
        assert_eq!(parse_ip("0100007F"), Some([127, 0, 0, 1].into()));
        assert_eq!(parse_ip("00000000000000000000000001000000"), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(parse_ip("01"), None);
    }

    #[test]
    fn a_socket_link_names_its_inode() {
        assert_eq!(parse_socket_link("socket:[68034]"), Some(68034));
        assert_eq!(parse_socket_link("pipe:[68034]"), None);
    }

    #[test]
    fn a_user_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(user_name(passwd, 1), None);
    }

    #[test]
    fn a_variable_is_matched_whole() {
        let environ = b"PATH=/bin\0SLIPWAY_DEPLOYMENT=local-1\0A=SLIPWAY_DEPLOYMENT=local-2\0";
        assert!(has_variable(environ, "SLIPWAY_DEPLOYMENT=local-1"));
        assert!(!has_variable(environ, "SLIPWAY_DEPLOYMENT=local"));
        assert!(!has_variable(environ, "SLIPWAY_DEPLOYMENT=local-2"));
    }
}
