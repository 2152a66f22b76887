//! Processes that run and do not answer as they should.

use super::super::evidence::{Container, Evidence, Expected};
use super::super::finding::Finding;
use super::table;
use kube::object::{list, name, text};
use std::collections::BTreeSet;
use std::time::Duration;

/// Why a running container is not ready.
pub(super) fn failed(evidence: &Evidence, service: &Expected, container: Container<'_>) -> Option<Finding> {
    if !container.is_running() || container.is_ready() {
        return None;
    }
    let said = answer(evidence, container)?;
    let found = judged(evidence, service, container, said, false).debounced(service.ready_within);
    if evidence.has_what_it_needs(service) {
        return Some(found);
    }
    // Its time begins once what it needs serves. Until then it is that which is to be judged.
    Some(found.debounce(Duration::MAX).of(None, format!("{} without what it needs", container.key())))
}

/// Why a container was ended by the cluster, when a probe was the reason.
pub(super) fn ended_it(evidence: &Evidence, service: &Expected, container: Container<'_>) -> Option<Finding> {
    let events = evidence.events_of(container.pod);
    let killed = |message: &str| {
        message.contains(&format!("Container {} failed", container.name()))
            && (message.contains("startup probe") || message.contains("liveness probe"))
    };
    let by =
        events.iter().rev().find(|event| text(event, "/reason") == "Killing" && killed(text(event, "/message")))?;
    let probe = if text(by, "/message").contains("startup probe") { "Startup" } else { "Liveness" };
    let of_probe = |message: &&str| message.starts_with(probe);
    let said = events.iter().rev().map(|event| text(event, "/message")).find(of_probe).unwrap_or(text(by, "/message"));
    let found = judged(evidence, service, container, said, true);
    let debounce = if container.ends() >= 2 { Duration::ZERO } else { service.ready_within };
    Some(found.debounced(debounce))
}

impl Finding {
    /// Who listens elsewhere may open its own port last, but hardly takes all the time that it may.
    fn debounced(self, debounce: Duration) -> Self {
        let debounce = if self.code == "wrong-port" { debounce / 3 } else { debounce };
        self.debounce(debounce)
    }
}

/// Words of a finding that nobody listens on a port, for which it is worth to look where they listen.
const UNHEARD: &str = "does not listen on its port";

pub(in super::super::super) fn is_unheard(finding: &Finding) -> bool {
    finding.code == "probe-failed" && finding.cause.contains(UNHEARD)
}

/// What the newest failed probe of a container got.
pub(in super::super) fn answer<'e>(evidence: &'e Evidence, container: Container<'e>) -> Option<&'e str> {
    let path = format!("spec.containers{{{}}}", container.name());
    let about = |event: &&&serde_json::Value| {
        let field = text(event, "/involvedObject/fieldPath");
        text(event, "/reason") == "Unhealthy" && (field == path || field.is_empty())
    };
    let events = evidence.events_of(container.pod);
    events.iter().rev().find(about).map(|event| text(event, "/message"))
}

/// `restarted`: the cluster has ended it for that.
fn judged(evidence: &Evidence, service: &Expected, container: Container<'_>, said: &str, restarted: bool) -> Finding {
    let who = &service.name;
    let (probe, got) = said.split_once(" probe failed: ").unwrap_or(("", said));
    let port = port(service, container);
    if let Some(port) = port.filter(|_| got.contains("connection refused")) {
        if let Some(found) = elsewhere(evidence, service, container) {
            return found;
        }
        let silent = evidence.sockets.contains_key(name(container.pod));
        let nowhere = if silent { ", nor on any other" } else { "" };
        let cause = format!("`{who}` runs and {UNHEARD} {port}{nowhere}");
        return Finding::new("probe-failed", cause).hint(longer(evidence, service));
    }
    let asked = asked(container, probe);
    let body = evidence.answers.get(name(container.pod)).filter(|body| !body.is_empty());
    let got = match got.split_once("statuscode: ") {
        Some((_, status)) => format!("answers {status}{}", body.map(|body| format!(": {body}")).unwrap_or_default()),
        None if got.contains("Client.Timeout") || got.contains("context deadline exceeded") => {
            "does not answer in time".to_owned()
        }
        None => format!("gets `{}`", got.trim()),
    };
    let is = match probe {
        "Liveness" if restarted => "was restarted because its liveness probe failed",
        "Startup" if restarted => "was restarted because it did not start in time",
        _ => "runs and is not ready",
    };
    Finding::new("probe-failed", format!("`{who}` {is}: {asked} {got}")).hint(longer(evidence, service))
}

fn longer(evidence: &Evidence, service: &Expected) -> String {
    let limit = humantime::format_duration(service.ready_within);
    format!(
        "its log says more; if it only takes longer than {limit}, raise `ready_within` in {}",
        table(evidence, service, "")
    )
}

/// The request of a probe, as one would type it.
fn asked(container: Container<'_>, probe: &str) -> String {
    let field = match probe {
        "Liveness" => "livenessProbe",
        "Startup" => "startupProbe",
        _ => "readinessProbe",
    };
    match text(&container.spec[field], "/httpGet/path") {
        "" => "its probe".to_owned(),
        path => format!("`GET {path}`"),
    }
}

/// The port that a container is declared to listen on, where it is to listen.
pub(in super::super) fn port(service: &Expected, container: Container<'_>) -> Option<u16> {
    let declared = list(container.spec, "/ports").first().and_then(|port| port["containerPort"].as_u64());
    declared.and_then(|port| u16::try_from(port).ok()).or(service.port)
}

/// It listens, but not where it should.
fn elsewhere(evidence: &Evidence, service: &Expected, container: Container<'_>) -> Option<Finding> {
    let who = &service.name;
    let sockets = evidence.sockets.get(name(container.pod))?;
    let port = port(service, container)?;
    if sockets.open.contains(&port) {
        return None;
    }
    if sockets.inside.contains(&port) {
        let cause =
            format!("`{who}` listens on port {port} of 127.0.0.1 alone, where nothing outside of its pod reaches it");
        return Some(
            Finding::new("wrong-port", cause).hint("it has to listen on every address, as `LISTEN_ADDRESS` says"),
        );
    }
    let all: BTreeSet<u16> = &sockets.open | &sockets.inside;
    if all.is_empty() {
        return None;
    }
    let ports: Vec<String> = all.iter().map(u16::to_string).collect();
    let (word, listed) = (if ports.len() == 1 { "port" } else { "ports" }, ports.join(", "));
    let cause = format!("nothing listens on port {port} of `{who}`, it listens on {word} {listed}");
    let hint =
        format!("set `port` in {} to where it listens, or have it listen on `PORT`", table(evidence, service, ""));
    Some(Finding::new("wrong-port", cause).hint(hint))
}
