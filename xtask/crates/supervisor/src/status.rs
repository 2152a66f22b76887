//! What the supervisor says about its services.

use base::http::Via;
use model::name::ServiceName;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A service and its instances. At least one of them is there.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStatus {
    pub service: ServiceName,
    /// The instance that is meant to serve.
    pub current: Option<InstanceStatus>,
    /// One that may take its place.
    pub candidate: Option<InstanceStatus>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct InstanceStatus {
    /// Unique for the life of the supervisor; a restart keeps it.
    pub instance: u64,
    pub release: String,
    /// The running process; none between two starts.
    pub pid: Option<u32>,
    pub state: State,
    /// How often its process was started again.
    pub restarts: u64,
    /// When it came into its state.
    pub since: SystemTime,
    /// Why it failed or was last restarted.
    pub reason: Option<String>,
    pub last_exit: Option<Ending>,
    /// "GET /readyz: 503 not ready: redis unreachable"
    pub last_probe: Option<String>,
    /// Set when it was given up for not being ready in time: the other ports it listened on then.
    pub overdue: Option<Vec<u16>>,
    pub listen: SocketAddr,
    /// Where the probes of an instance with handover go, or those of a container to its shim, which has a socket.
    pub admin: Option<Via>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not ready yet: running, or about to be.
    Starting,
    Ready,
    /// Was ready, and is alive.
    Unready,
    /// A candidate that will not become ready, or a current one between two starts.
    Failed,
    /// On its way out.
    Stopping,
}

impl State {
    const ALL: [Self; 5] = [Self::Starting, Self::Ready, Self::Unready, Self::Failed, Self::Stopping];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Code(i32),
    Signal(i32),
}

impl Ending {
    pub(super) fn of(status: ExitStatus) -> Self {
        // A process that did not exit was ended by a signal; there is no third way.
        status.code().map_or_else(|| Self::Signal(status.signal().unwrap_or_default()), Self::Code)
    }

    fn to_json(self) -> Value {
        match self {
            Self::Code(code) => json!({"code": code}),
            Self::Signal(signal) => json!({"signal": signal}),
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        let number = |key: &str| i32::try_from(value[key].as_i64()?).ok();
        number("code").map(Self::Code).or_else(|| number("signal").map(Self::Signal))
    }
}

/// "exited with code 1", "was ended by SIGKILL"
impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was ended by {signal}"),
                Err(_) => write!(f, "was ended by signal {number}"),
            },
        }
    }
}

impl ServiceStatus {
    pub(super) fn to_json(&self) -> Value {
        let instance = |instance: &Option<InstanceStatus>| instance.as_ref().map(InstanceStatus::to_json);
        json!({
            "service": self.service.as_str(),
            "current": instance(&self.current), "candidate": instance(&self.candidate),
        })
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let instance = |key: &str| match &value[key] {
            Value::Null => Some(None),
            value => InstanceStatus::from_json(value).map(Some),
        };
        Some(Self {
            service: value["service"].as_str()?.parse().ok()?,
            current: instance("current")?,
            candidate: instance("candidate")?,
        })
    }
}

impl InstanceStatus {
    pub(super) fn to_json(&self) -> Value {
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        json!({
            "instance": self.instance, "release": self.release, "pid": self.pid, "state": self.state.as_str(),
            "restarts": self.restarts, "since_ms": super::launch::millis(since), "reason": self.reason,
            "last_exit": self.last_exit.map(Ending::to_json), "last_probe": self.last_probe,
            "overdue": self.overdue, "listen": self.listen.to_string(), "admin": self.admin.as_ref().map(Via::to_string),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
        Some(Self {
            instance: value["instance"].as_u64()?,
            release: text("release")?,
            pid: value["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
            state: State::parse(value["state"].as_str()?)?,
            restarts: value["restarts"].as_u64()?,
            since: UNIX_EPOCH + Duration::from_millis(value["since_ms"].as_u64()?),
            reason: text("reason"),
            last_exit: Ending::from_json(&value["last_exit"]),
            last_probe: text("last_probe"),
            overdue: value["overdue"].as_array().and_then(|ports| ports.iter().map(port).collect()),
            listen: value["listen"].as_str()?.parse().ok()?,
            admin: value["admin"].as_str().and_then(admin),
        })
    }
}

fn admin(text: &str) -> Option<Via> {
    if text.starts_with('/') { Some(Via::Socket(text.into())) } else { text.parse().ok().map(Via::Address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_wire() {
        let instance = InstanceStatus {
            instance: 3,
            release: "r1".to_owned(),
            pid: Some(4711),
            state: State::Unready,
            restarts: 2,
            since: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            reason: Some("exited with code 1".to_owned()),
            last_exit: Some(Ending::Signal(9)),
            last_probe: Some("GET /readyz: 503".to_owned()),
            overdue: Some(vec![41231]),
            listen: "127.0.0.1:1337".parse().unwrap(),
            admin: None,
        };
        let admins = [Some(Via::Socket("/tmp/x/socket".into())), "[::1]:7".parse().ok().map(Via::Address)];
        for (state, admin) in State::ALL.into_iter().zip(admins.into_iter().chain(std::iter::repeat(None))) {
            let current = Some(InstanceStatus { state, admin, ..instance.clone() });
            let status = ServiceStatus { service: "epoch".parse().unwrap(), current, candidate: None };
            let text = status.to_json().to_string();
            assert_eq!(ServiceStatus::from_json(&serde_json::from_str(&text).unwrap()), Some(status));
        }
    }

    #[test]
    fn an_ending_reads_as_a_sentence_part() {
        assert_eq!(Ending::Code(3).to_string(), "exited with code 3");
        assert_eq!(Ending::Signal(9).to_string(), "was ended by SIGKILL");
    }
}
