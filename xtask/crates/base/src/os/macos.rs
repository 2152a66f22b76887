//! What `ps`, `sysctl` and `lsof` print on macOS. Each parser is a function of the text alone.

use super::{ProcessId, Row};
use std::collections::BTreeSet;

/// The columns that [`parse_table`] reads.
const COLUMNS: &str = "pid=,ppid=,pgid=,stat=,lstart=";

#[cfg(target_os = "macos")]
use super::question::answer;
#[cfg(target_os = "macos")]
use super::{Holder, Process};
#[cfg(target_os = "macos")]
use std::net::SocketAddr;
#[cfg(target_os = "macos")]
use std::path::Path;

#[cfg(target_os = "macos")]
pub(super) fn process(pid: u32) -> Option<Row> {
    let text = answer(&["ps", "-o", COLUMNS, "-p", &pid.to_string()])?;
    parse_table(&text, &boot()?).into_iter().next()
}

#[cfg(target_os = "macos")]
pub(super) fn processes() -> Vec<Row> {
    let table = || Some(parse_table(&answer(&["ps", "-axo", COLUMNS])?, &boot()?));
    table().unwrap_or_default()
}

/// Nothing that comes with the system tells.
#[cfg(target_os = "macos")]
pub(super) fn ignored() -> Option<u64> {
    None
}

/// The number of this boot. `kern.boottime` would not do: it moves whenever the clock is set.
#[cfg(target_os = "macos")]
fn boot() -> Option<String> {
    answer(&["sysctl", "-n", "kern.bootsessionuuid"]).map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(target_os = "macos")]
pub(super) fn port_holder(address: SocketAddr) -> Option<Holder> {
    let port = address.port();
    let holder = |which: String| {
        let listening = parse_lsof(&answer(&["lsof", "-nP", &which, "-sTCP:LISTEN", "-FpcLn"])?);
        listening.into_iter().find(|process| process.ports.contains(&port))
    };
    let holder = holder(format!("-iTCP@{address}")).or_else(|| holder(format!("-iTCP:{port}")))?;
    // `lsof` cuts the name of a program; `ps` has the whole command line.
    let line = answer(&["ps", "-ww", "-o", "command=", "-p", &holder.pid.to_string()]);
    let command = line.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).or(holder.command);
    Some(Holder { pid: Some(holder.pid), command, user: holder.user })
}

#[cfg(target_os = "macos")]
pub(super) fn ports_of(family: &BTreeSet<u32>) -> BTreeSet<u16> {
    let text = answer(&["lsof", "-nP", "-iTCP", "-sTCP:LISTEN", "-FpcLn"]).unwrap_or_default();
    let ours = parse_lsof(&text).into_iter().filter(|process| family.contains(&process.pid));
    ours.flat_map(|process| process.ports).collect()
}

#[cfg(target_os = "macos")]
pub(super) fn processes_with_env(name: &str, value: &str) -> Vec<Process> {
    let text = answer(&["ps", "eww", "-xo", "pid=,command="]).unwrap_or_default();
    let found = |(pid, command)| {
        let row = process(pid).filter(|row| !row.zombie && pid != std::process::id())?;
        Some(Process { id: row.id, command })
    };
    parse_environments(&text, name, value).into_iter().filter_map(found).collect()
}

#[cfg(target_os = "macos")]
pub(super) fn runs_programs(folder: &Path) -> bool {
    let found = || Some((answer(&["df", "-P", folder.to_str()?])?, answer(&["mount"])?));
    found().is_none_or(|(df, mounts)| !parse_noexec(&df, &mounts))
}

/// Whether the mount point that ends the last line of `df -P` stands in `mount` as one that runs no programs:
/// `/dev/disk4s1 on /Volumes/USB (msdos, local, nodev, nosuid, noexec)`.
fn parse_noexec(df: &str, mounts: &str) -> bool {
    let Some((_, point)) = df.lines().last().and_then(|line| line.split_once("% ")) else { return false };
    let at = format!(" on {} (", point.trim());
    let options = mounts.lines().find_map(|line| line.split_once(&at)).map(|(_, options)| options);
    options.is_some_and(|options| options.trim_end_matches(')').split(", ").any(|option| option == "noexec"))
}

/// `PID PPID PGID STAT LSTART`, where the last is five words: `Tue Nov 14 22:13:20 2023`.
fn parse_table(text: &str, boot: &str) -> Vec<Row> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [pid, parent, group, stat, started @ ..] = fields.as_slice() else { return None };
        (started.len() == 5).then_some(())?;
        Some(Row {
            id: ProcessId { pid: pid.parse().ok()?, started: format!("{boot}:{}", started.join(" ")) },
            parent: parent.parse().ok()?,
            group: group.parse().ok()?,
            zombie: stat.starts_with('Z'),
            suspended: stat.starts_with('T'),
        })
    };
    text.lines().filter_map(row).collect()
}

/// A process of `lsof -F`, with the ports it listens on.
#[derive(Debug, PartialEq, Eq)]
struct Listening {
    pid: u32,
    command: Option<String>,
    user: Option<String>,
    ports: BTreeSet<u16>,
}

/// One field a line, its kind the first letter: `p` starts a process, `c` is its name, `L` its user, `n` an address.
fn parse_lsof(text: &str) -> Vec<Listening> {
    let mut list: Vec<Listening> = Vec::new();
    for line in text.lines() {
        let Some((kind, value)) = line.split_at_checked(1) else { continue };
        match (kind, list.last_mut()) {
            ("p", _) => {
                let Ok(pid) = value.parse() else { continue };
                list.push(Listening { pid, command: None, user: None, ports: BTreeSet::new() });
            }
            ("c", Some(process)) => process.command = Some(value.to_owned()),
            ("L", Some(process)) => process.user = Some(value.to_owned()),
            ("n", Some(process)) => {
                process.ports.extend(value.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()));
            }
            _ => {}
        }
    }
    list
}

/// The processes whose line `PID COMMAND ARGUMENTS ENVIRONMENT` has the variable, and that line's command.
///
/// Nothing separates arguments from variables, so an argument that looks like the variable would match as well.
fn parse_environments(text: &str, name: &str, value: &str) -> Vec<(u32, String)> {
    let wanted = format!(" {name}={value}");
    let found = |line: &str| {
        let (pid, rest) = line.trim_start().split_once(' ')?;
        let matches = |(at, _): (usize, &str)| {
            let after = &rest[at + wanted.len()..];
            after.is_empty() || after.starts_with(' ')
        };
        rest.match_indices(&wanted).any(matches).then_some(())?;
        // The first word that has the form of a variable ends the command.
        let is_variable = |word: &str| {
            let name = word.split_once('=').map_or("", |(name, _)| name);
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        };
        let command: Vec<&str> = rest.split(' ').take_while(|word| !is_variable(word)).collect();
        Some((pid.parse().ok()?, command.join(" ").trim().to_owned()))
    };
    text.lines().filter_map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_table_is_read() {
        assert_eq!(COLUMNS.split(',').count(), 5);
        let text = "    1     0     1 Ss   Mon Nov 13 08:00:01 2023\n\
                    \x20 501   500   501 S+   Tue Nov 14 22:13:20 2023\n\
                    \x20 502   501   501 Z    Tue Nov 14 22:13:21 2023\n";
        let rows = parse_table(text, "BOOT");
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1].id, ProcessId { pid: 501, started: "BOOT:Tue Nov 14 22:13:20 2023".to_owned() });
        assert_eq!((rows[1].parent, rows[1].group, rows[1].zombie), (500, 501, false));
        assert!(rows[2].zombie);
        assert_eq!(parse_table("", "BOOT"), []);
    }

    #[test]
    fn listening_processes_are_read() {
        let text = "p644\ncControlCenter\nLalice\nf9\nn*:5000\nf10\nn[::]:5000\nf11\nn*:7000\n\
                    p4711\ncredis-server\nLalice\nf6\nn127.0.0.1:6379\n";
        let list = parse_lsof(text);
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].ports, BTreeSet::from([5000, 7000]));
        assert_eq!(list[1].pid, 4711);
        assert_eq!(list[1].command.as_deref(), Some("redis-server"));
        assert_eq!(list[1].user.as_deref(), Some("alice"));
        assert_eq!(list[1].ports, BTreeSet::from([6379]));
    }

    #[test]
    fn a_mount_that_runs_no_programs_is_known() {
        let df = |point: &str| {
            format!("Filesystem 512-blocks Used Available Capacity  Mounted on\n/dev/disk4s1 3 2 1 67%    {point}\n")
        };
        let mounts = "/dev/disk3s1 on / (apfs, local, journaled)\n\
                      /dev/disk4s1 on /Volumes/My USB (msdos, local, nodev, nosuid, noexec)\n";
        assert!(parse_noexec(&df("/Volumes/My USB"), mounts));
        assert!(!parse_noexec(&df("/"), mounts) && !parse_noexec("", mounts));
    }

    #[test]
    fn a_process_is_found_by_its_environment() {
        let text = "  501 /x/epoch serve PATH=/usr/bin SLIPWAY_DEPLOYMENT=local-1 HOME=/Users/alice\n\
                    \x20 502 /x/epoch PATH=/usr/bin SLIPWAY_DEPLOYMENT=local-12\n\
                    \x20 503 /x/epoch PATH=/usr/bin SLIPWAY_DEPLOYMENT=local-1\n\
                    \x20 504 -zsh\n";
        let found = parse_environments(text, "SLIPWAY_DEPLOYMENT", "local-1");
        assert_eq!(found, [(501, "/x/epoch serve".to_owned()), (503, "/x/epoch".to_owned())]);
    }
}
