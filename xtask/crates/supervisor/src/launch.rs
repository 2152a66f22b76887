//! What the supervisor is told about a service that it is to run.
//!
//! The environment may hold secrets. A specification therefore travels only over its owner's socket and stays in
//! memory: no state file and no log has it, and its debug form leaves the values out.

use super::launch_strategy::LaunchStrategy;
use crate::container::{Place, ShimSpec};
use model::name::ServiceName;
use model::system::Probe;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How a service is run, watched and ended.
#[derive(Clone, PartialEq)]
pub struct LaunchSpec {
    pub service: ServiceName,
    /// What version this is, in words of the caller's own.
    pub release: String,
    /// What is run; for a container the engine's client.
    pub program: PathBuf,
    /// For a container those that run it in the foreground, with [`container::NAME`](crate::container::NAME) in the
    /// place of its name.
    pub args: Vec<String>,
    pub dir: PathBuf,
    /// The whole environment of the process; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Where its output is appended.
    pub log: PathBuf,
    /// The address the service answers on. Nothing is bound or asked there for a container, and for a worker it is
    /// [`NOWHERE`].
    pub listen: SocketAddr,
    pub style: LaunchStrategy,
    pub ready: Probe,
    pub live: Probe,
    /// How long it may take from start to ready.
    pub ready_within: Duration,
    /// How long it may take from SIGTERM to its end.
    pub stop_within: Duration,
    /// How often a running instance is probed.
    pub probe_every: Duration,
    /// How long after `ready_within` a candidate waits for its promotion before it is given up: whoever started it
    /// is gone.
    pub promote_within: Duration,
}

/// Stands for the address of what listens nowhere.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl LaunchSpec {
    /// The usual pause between two probes of a running instance.
    pub const PROBE_EVERY: Duration = Duration::from_secs(1);
    /// The usual limit for a candidate that nobody promotes.
    pub const PROMOTE_WITHIN: Duration = Duration::from_secs(60);

    /// Where a probe reaches `listen` from this machine.
    pub fn local_address(&self) -> SocketAddr {
        let mut address = self.listen;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        address
    }

    /// Whether instances of these two may run at the same time. One address is passed on; two that overlap cannot both be
    /// listened on.
    pub(super) fn runs_beside(&self, other: &Self) -> bool {
        let apart = self.listen == other.listen || !overlap(self.listen, other.listen);
        self.style.runs_beside(&other.style) && apart
    }

    /// The port that it is declared to listen on, as seen from where it runs.
    pub(super) fn declared_port(&self) -> u16 {
        match &self.style {
            LaunchStrategy::Plain | LaunchStrategy::Handover | LaunchStrategy::Relay | LaunchStrategy::Worker => {
                self.listen.port()
            }
            LaunchStrategy::Container { place, .. } => place.port,
        }
    }

    /// What the shim of a container at this place is told.
    pub(super) fn shim(&self, place: Place) -> ShimSpec {
        ShimSpec {
            program: self.program.clone(),
            args: self.args.clone(),
            place,
            ready: self.ready.clone(),
            live: self.live.clone(),
            stop_within: self.stop_within,
        }
    }

    /// How long after SIGTERM the process is killed. A shim forces its container by itself, and then has to clean up.
    pub(super) fn kill_after(&self) -> Duration {
        const CLEAN_UP: Duration = Duration::from_secs(5);
        match self.style {
            LaunchStrategy::Plain | LaunchStrategy::Handover | LaunchStrategy::Relay | LaunchStrategy::Worker => {
                self.stop_within
            }
            LaunchStrategy::Container { .. } => self.stop_within.saturating_add(CLEAN_UP),
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "service": self.service.as_str(), "release": self.release, "program": self.program.to_string_lossy(),
            "args": self.args, "dir": self.dir.to_string_lossy(), "env": self.env, "log": self.log.to_string_lossy(),
            "listen": self.listen.to_string(), "style": self.style.to_json(),
            "ready": self.ready.to_json(), "live": self.live.to_json(),
            "ready_within_ms": millis(self.ready_within), "stop_within_ms": millis(self.stop_within),
            "probe_every_ms": millis(self.probe_every), "promote_within_ms": millis(self.promote_within),
        })
    }

    /// `None` when the value was not made by [`LaunchSpec::to_json`].
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let duration = |key: &str| value[key].as_u64().map(Duration::from_millis);
        let args = value["args"].as_array()?.iter().map(|arg| arg.as_str().map(str::to_owned));
        let env = value["env"].as_object()?.iter();
        Some(Self {
            service: value["service"].as_str()?.parse().ok()?,
            release: text("release")?,
            program: text("program")?.into(),
            args: args.collect::<Option<_>>()?,
            dir: text("dir")?.into(),
            env: env.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect::<Option<_>>()?,
            log: text("log")?.into(),
            listen: value["listen"].as_str()?.parse().ok()?,
            style: LaunchStrategy::from_json(&value["style"])?,
            ready: Probe::from_json(&value["ready"])?,
            live: Probe::from_json(&value["live"])?,
            ready_within: duration("ready_within_ms")?,
            stop_within: duration("stop_within_ms")?,
            probe_every: duration("probe_every_ms")?,
            promote_within: duration("promote_within_ms")?,
        })
    }
}

impl fmt::Debug for LaunchSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaunchSpec")
            .field("service", &self.service)
            .field("release", &self.release)
            .field("program", &self.program)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Whether a socket on one of these addresses keeps the other from being listened on: a wildcard stands for every address
/// of its family, and that of IPv6 for those of IPv4, too.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers =
        |wide: IpAddr, narrow: IpAddr| wide == narrow || wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
    one.port() == other.port() && (covers(one.ip(), other.ip()) || covers(other.ip(), one.ip()))
}

/// Whole milliseconds, which is as fine as anything here is told.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn example() -> LaunchSpec {
        LaunchSpec {
            service: "epoch".parse().unwrap(),
            release: "r1".to_owned(),
            program: "/x/epoch".into(),
            args: vec!["serve".to_owned()],
            dir: "/x".into(),
            env: BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]),
            log: "/x/epoch.log".into(),
            listen: "0.0.0.0:1337".parse().unwrap(),
            style: LaunchStrategy::Handover,
            ready: Probe::Http { path: "/readyz".to_owned() },
            live: Probe::Tcp { send: Some("PING\r\n".to_owned()), expect: None },
            ready_within: Duration::from_secs(10),
            stop_within: Duration::from_millis(1500),
            probe_every: LaunchSpec::PROBE_EVERY,
            promote_within: LaunchSpec::PROMOTE_WITHIN,
        }
    }

    #[test]
    fn a_specification_survives_the_wire() {
        let spec = example();
        let text = spec.to_json().to_string();
        assert_eq!(LaunchSpec::from_json(&serde_json::from_str(&text).unwrap()), Some(spec));
        assert_eq!(LaunchSpec::from_json(&json!({"service": "epoch"})), None);
    }

    #[test]
    fn a_secret_does_not_show_in_the_debug_form() {
        let text = format!("{:?}", example());
        assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn versions_on_overlapping_addresses_follow_one_another() {
        let on = |listen: &str| LaunchSpec { listen: listen.parse().unwrap(), ..example() };
        let beside = |one: &str, other: &str| on(one).runs_beside(&on(other));
        for (one, other) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "0.0.0.0:81"),
            ("0.0.0.0:80", "[::1]:80"),
        ] {
            assert!(beside(one, other) && beside(other, one), "{one} {other}");
        }
        for (one, other) in [("127.0.0.1:80", "0.0.0.0:80"), ("127.0.0.1:80", "[::]:80"), ("[::1]:80", "[::]:80")] {
            assert!(!beside(one, other) && !beside(other, one), "{one} {other}");
        }
    }

    #[test]
    fn a_wildcard_address_is_probed_on_loopback() {
        assert_eq!(example().local_address().to_string(), "127.0.0.1:1337");
        let six = LaunchSpec { listen: "[::]:80".parse().unwrap(), ..example() };
        assert_eq!(six.local_address().to_string(), "[::1]:80");
    }
}
