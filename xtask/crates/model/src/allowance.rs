//! What loosens a container's confinement, and why.

use super::decode::Table;
use super::error::find;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// What a container may do that others may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// It runs as whatever user its image names, root among them.
    pub root: bool,
    /// It may write anywhere in its root file system.
    pub writable_root: bool,
    /// As Linux calls them, without `CAP_`.
    pub capabilities: BTreeSet<String>,
    /// For those who read a plan.
    pub why: String,
}

/// The Pod Security Standard that a container fits
/// (kubernetes.io/docs/concepts/security/pod-security-standards), the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityLevel {
    Restricted,
    Baseline,
    Privileged,
}

impl SecurityLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
            Self::Privileged => "privileged",
        }
    }
}

/// The one that the strictest standard leaves to those who ask for it.
const RESTRICTED: [&str; 1] = ["NET_BIND_SERVICE"];
/// Those that engines give every container unless told otherwise.
const BASELINE: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// All others (capabilities(7)).
const OTHERS: [&str; 28] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_ADMIN",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

impl Allowance {
    /// The strictest standard under which a cluster takes it.
    pub fn level(&self) -> SecurityLevel {
        let within = |known: &[&str]| self.capabilities.iter().all(|capability| known.contains(&capability.as_str()));
        if !within(&BASELINE) {
            SecurityLevel::Privileged
        } else if self.root || !within(&RESTRICTED) {
            SecurityLevel::Baseline
        } else {
            SecurityLevel::Restricted
        }
    }

    /// For state that outlives a run. Why something is allowed changes nothing of what runs.
    pub fn to_json(&self) -> Value {
        json!({"root": self.root, "writable_root": self.writable_root, "capabilities": self.capabilities})
    }

    /// `None` when the value was not made by [`Allowance::to_json`].
    pub fn from_json(value: &Value) -> Option<Self> {
        let names = value["capabilities"].as_array()?.iter();
        Some(Self {
            root: value["root"].as_bool()?,
            writable_root: value["writable_root"].as_bool()?,
            capabilities: names.map(|name| Some(name.as_str()?.to_owned())).collect::<Option<_>>()?,
            why: String::new(),
        })
    }
}

/// "run as root, use CHOWN and SETUID: its entrypoint …"
impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.root.then(|| "run as root".to_owned());
        let writes = self.writable_root.then(|| "write to its root file system".to_owned());
        let names: Vec<&str> = self.capabilities.iter().map(String::as_str).collect();
        let uses = (!names.is_empty()).then(|| format!("use {}", names.join(", ")));
        let all: Vec<String> = [root, writes, uses].into_iter().flatten().collect();
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        write!(f, "{}{why}", all.join("; "))
    }
}

/// Reads `allow` of a container.
pub(super) fn read(container: &Table<'_>) -> Option<Allowance> {
    let value = container.optional("allow")?;
    value.table(|table| {
        let boolean = |key| table.optional(key).and_then(|value| value.boolean()).unwrap_or_default();
        let (root, writable_root) = (boolean("root"), boolean("writable_root"));
        let listed = table.optional("capabilities").and_then(|value| value.list());
        let known = BASELINE.into_iter().chain(OTHERS);
        let check = |name: &str| find(name, "capability", "valid values", known.clone());
        let capabilities = listed.into_iter().flatten().filter_map(|value| value.checked(&check)).collect();
        let why = table.required("why").and_then(|value| value.sentence());
        let allowance = Allowance { root, writable_root, capabilities, why: why? };
        if !root && !writable_root && allowance.capabilities.is_empty() {
            value.report("allows nothing: it needs `root`, `writable_root` or `capabilities`");
        }
        Some(allowance)
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(root: bool, capabilities: &[&str]) -> Allowance {
        let capabilities = capabilities.iter().map(|name| (*name).to_owned()).collect();
        Allowance { root, writable_root: true, capabilities, why: "so".to_owned() }
    }

    #[test]
    fn a_namespace_is_loosened_only_as_far_as_needed() {
        for (root, capabilities, level) in [
            (false, &[][..], "restricted"),
            (false, &["NET_BIND_SERVICE"], "restricted"),
            (true, &[], "baseline"),
            (false, &["CHOWN"], "baseline"),
            (true, &["CHOWN", "NET_ADMIN"], "privileged"),
        ] {
            assert_eq!(allow(root, capabilities).level().as_str(), level, "{root} {capabilities:?}");
        }
    }

    #[test]
    fn what_is_allowed_is_said_with_its_reason() {
        let said = allow(true, &["SETUID", "CHOWN"]).to_string();
        assert_eq!(said, "run as root; write to its root file system; use CHOWN, SETUID: so");
        let kept = Allowance::from_json(&allow(true, &["CHOWN"]).to_json()).unwrap();
        assert_eq!(kept, Allowance { why: String::new(), ..allow(true, &["CHOWN"]) });
    }
}
