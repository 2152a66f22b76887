//! The conversation with a supervisor: one line of JSON each way per connection, on a socket of its owner's.

use super::job::{JobSpec, JobStatus};
use super::launch::LaunchSpec;
use super::status::ServiceStatus;
use model::name::{JobName, ServiceName, SystemName};
use serde_json::{Value, json};

/// Changes with everything here that an older supervisor or client would misunderstand.
pub(super) const PROTOCOL: u64 = 2;
/// What a supervisor says to what it cannot read.
pub(super) const UNREADABLE: &str = "not a request of this version";
/// The longest line either side reads, in bytes.
pub(super) const LONGEST_LINE: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    /// Of these services, or of all when none is named. An older supervisor tells of all in any case.
    Status(Vec<ServiceName>),
    Start(Box<LaunchSpec>),
    Promote {
        service: ServiceName,
        instance: u64,
    },
    Discard {
        service: ServiceName,
        instance: u64,
    },
    Stop(ServiceName),
    /// Ends these services one after the other, then all others, then the supervisor.
    Shutdown(Vec<ServiceName>),
    /// Runs a job by the clock from now on.
    Schedule(Box<JobSpec>),
    /// Forgets a job, or all of a system.
    Unschedule {
        system: SystemName,
        job: Option<JobName>,
    },
    /// The jobs that are run by the clock.
    Jobs,
}

impl Request {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Status(services) => json!({"request": "status", "services": names(services)}),
            Self::Start(spec) => json!({"request": "start", "launch": spec.to_json()}),
            Self::Promote { service, instance } => {
                json!({"request": "promote", "service": service.as_str(), "instance": instance})
            }
            Self::Discard { service, instance } => {
                json!({"request": "discard", "service": service.as_str(), "instance": instance})
            }
            Self::Stop(service) => json!({"request": "stop", "service": service.as_str()}),
            Self::Shutdown(order) => json!({"request": "shutdown", "order": names(order)}),
            Self::Schedule(spec) => json!({"request": "schedule", "spec": spec.to_json()}),
            Self::Unschedule { system, job } => json!({
                "request": "unschedule", "system": system.as_str(), "job": job.as_ref().map(JobName::as_str),
            }),
            Self::Jobs => json!({"request": "jobs"}),
        }
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let name = |value: &Value| value.as_str()?.parse::<ServiceName>().ok();
        let service = || name(&value["service"]);
        let instance = || value["instance"].as_u64();
        let names = |value: &Value| value.as_array()?.iter().map(name).collect::<Option<_>>();
        Some(match value["request"].as_str()? {
            // An older client names none.
            "status" if value["services"].is_null() => Self::Status(Vec::new()),
            "status" => Self::Status(names(&value["services"])?),
            "start" => Self::Start(Box::new(LaunchSpec::from_json(&value["launch"])?)),
            "promote" => Self::Promote { service: service()?, instance: instance()? },
            "discard" => Self::Discard { service: service()?, instance: instance()? },
            "stop" => Self::Stop(service()?),
            "shutdown" => Self::Shutdown(names(&value["order"])?),
            "schedule" => Self::Schedule(Box::new(JobSpec::from_json(&value["spec"])?)),
            "unschedule" => {
                let job = value["job"].as_str().map(str::parse).transpose().ok()?;
                Self::Unschedule { system: value["system"].as_str()?.parse().ok()?, job }
            }
            "jobs" => Self::Jobs,
            _ => return None,
        })
    }
}

fn names(services: &[ServiceName]) -> Vec<&str> {
    services.iter().map(ServiceName::as_str).collect()
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    Done,
    Started(u64),
    Status(Vec<ServiceStatus>),
    Jobs(Vec<JobStatus>),
    Refused(String),
}

impl Reply {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Done => json!({"ok": true}),
            Self::Started(instance) => json!({"ok": true, "instance": instance}),
            Self::Status(services) => {
                json!({"ok": true, "services": services.iter().map(ServiceStatus::to_json).collect::<Vec<_>>()})
            }
            Self::Jobs(jobs) => json!({"ok": true, "jobs": jobs.iter().map(JobStatus::to_json).collect::<Vec<_>>()}),
            Self::Refused(error) => json!({"ok": false, "error": error}),
        }
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        if !value["ok"].as_bool()? {
            return Some(Self::Refused(value["error"].as_str()?.to_owned()));
        }
        if let Some(instance) = value["instance"].as_u64() {
            return Some(Self::Started(instance));
        }
        if let Some(jobs) = value["jobs"].as_array() {
            return jobs.iter().map(JobStatus::from_json).collect::<Option<_>>().map(Self::Jobs);
        }
        match value["services"].as_array() {
            Some(list) => list.iter().map(ServiceStatus::from_json).collect::<Option<_>>().map(Self::Status),
            None => Some(Self::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::launch::tests::example;
    use super::*;

    #[test]
    fn requests_survive_the_wire() {
        let service: ServiceName = "epoch".parse().unwrap();
        for request in [
            Request::Status(Vec::new()),
            Request::Status(vec![service.clone()]),
            Request::Start(Box::new(example())),
            Request::Promote { service: service.clone(), instance: 7 },
            Request::Discard { service: service.clone(), instance: 8 },
            Request::Stop(service.clone()),
            Request::Shutdown(vec![service]),
        ] {
            assert_eq!(Request::from_json(&request.to_json()), Some(request));
        }
        assert_eq!(Request::from_json(&json!({"request": "status"})), Some(Request::Status(Vec::new())));
        assert_eq!(Request::from_json(&json!({"request": "reboot"})), None);
        assert_eq!(Request::from_json(&json!({"request": "promote", "service": "epoch"})), None);
    }

    #[test]
    fn replies_survive_the_wire() {
        for reply in
            [Reply::Done, Reply::Started(3), Reply::Status(Vec::new()), Reply::Refused("not the candidate".to_owned())]
        {
            assert_eq!(Reply::from_json(&reply.to_json()), Some(reply));
        }
    }
}
