//! What is said while a release comes up: how it is, and what happened, each thing once.

use super::super::diagnostics::evidence::{Container, Evidence, Expected, is_complete, wanted};
use super::super::diagnostics::judge;
use kube::object::{number, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// Warnings that are told in other words, or happen to every program that starts.
const EXPECTED: [&str; 4] = ["BackOff", "Unhealthy", "Failed", "FailedCreate"];
/// So many misses are no start any more.
const MISSES: u64 = 5;
/// How much of a message is told.
const WORDS: usize = 300;

/// Remembers what was told.
#[derive(Default)]
pub(super) struct Teller {
    told: BTreeSet<String>,
    status: String,
    /// The services of which no pod was ready yet when they were looked at: that one is will be news.
    awaited: BTreeSet<String>,
}

impl Teller {
    /// How the release is, unless that was said last.
    pub(super) fn status(&mut self, evidence: &Evidence) -> Option<String> {
        let now = status(evidence);
        if now.is_empty() || now == self.status {
            return None;
        }
        self.status.clone_from(&now);
        Some(now)
    }

    /// What has happened since the last look.
    pub(super) fn news(&mut self, evidence: &Evidence) -> Vec<String> {
        let mut happened = happened(evidence);
        for service in &evidence.services {
            let who = &service.name;
            let is_ready = evidence.ready_of(who) > 0;
            if is_ready && self.awaited.contains(who.as_str()) {
                happened
                    .push(Happened { key: format!("{who} ready"), text: format!("`{who}`: its first pod is ready") });
            } else if !is_ready && evidence.pods_of(who).next().is_some() {
                self.awaited.insert(who.to_string());
            }
        }
        happened.retain(|happened| self.told.insert(happened.key.clone()));
        happened.into_iter().map(|happened| happened.text).collect()
    }
}

struct Happened {
    /// What makes it the same as another.
    key: String,
    text: String,
}

fn status(evidence: &Evidence) -> String {
    let service = |service: &Expected| {
        let who = &service.name;
        let Some(workload) = evidence.workload(who) else { return Some(format!("{who} is not there yet")) };
        if is_complete(workload) {
            return None;
        }
        let (want, ready) = (wanted(workload), evidence.ready_of(who));
        let pod = evidence.pods_of(who).find_map(|pod| judge::state(evidence, pod));
        let pod = match pod {
            Some(pod) => format!(", {pod}"),
            None if number(workload, "/status/replicas") > want => ", earlier pods are going".to_owned(),
            None => String::new(),
        };
        Some(format!("{who} {ready}/{want} ready{pod}"))
    };
    evidence.services.iter().filter_map(service).collect::<Vec<_>>().join("; ")
}

fn happened(evidence: &Evidence) -> Vec<Happened> {
    let mut all = Vec::new();
    for service in &evidence.services {
        let who = service.name.as_str();
        let mut add = |key: String, text: String| {
            all.push(Happened { key: format!("{who} {key}"), text: format!("`{who}`: {text}") });
        };
        for pod in evidence.pods_of(&service.name) {
            for event in evidence.events_of(pod) {
                if let Some((key, text)) = event_news(event) {
                    add(key, text);
                }
            }
            for container in evidence.containers(pod) {
                if let Some(text) = ended(container) {
                    add(format!("{} ended {}", container.key(), container.ends()), text);
                }
            }
        }
    }
    all
}

/// How a process ended that is started again.
fn ended(container: Container<'_>) -> Option<String> {
    let ended = container.ended()?;
    if container.status["ready"] == true || text(ended, "/reason") == "Completed" {
        return None;
    }
    let code = number(ended, "/exitCode");
    let why = match text(ended, "/reason") {
        "" | "Error" => format!("exit code {code}"),
        reason => format!("{reason}, exit code {code}"),
    };
    Some(format!("{} has ended {} ({why})", container.key(), times(container.ends())))
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// What an event of a pod tells, and what makes it the same as another pod's.
fn event_news(event: &Value) -> Option<(String, String)> {
    let (reason, message) = (text(event, "/reason"), text(event, "/message"));
    if reason == "Pulled" {
        let (image, rest) = message.strip_prefix("Successfully pulled image ")?.split_once("\" in ")?;
        let took = rest.split(' ').next().unwrap_or_default();
        return Some((image.to_owned(), format!("its image was pulled in {took}")));
    }
    if text(event, "/type") != "Warning" {
        return None;
    }
    let is_told = match reason {
        "Failed" => message.starts_with("Failed to pull image"),
        "Unhealthy" => number(event, "/count") >= MISSES,
        other => !EXPECTED.contains(&other),
    };
    let cut = message.char_indices().nth(WORDS).map_or(message.to_owned(), |(end, _)| format!("{}…", &message[..end]));
    let key = if reason == "Unhealthy" {
        reason.to_owned()
    } else {
        format!("{reason} {}", message.replace(text(event, "/involvedObject/name"), ""))
    };
    is_told.then(|| (key, format!("{reason}: {cut}")))
}

#[cfg(test)]
mod tests {
    use super::super::super::diagnostics::tests::recorded;
    use super::*;

    #[test]
    fn the_status_names_what_a_pod_waits_for() {
        let status = |name: &str| super::status(&recorded(name));
        assert_eq!(status("config"), "config 0/1 ready, pod config-844c959b48-c5hdr: CreateContainerConfigError");
        assert_eq!(status("memory"), "memory 0/1 ready, pod memory-64c56d8c88-djkgl: Unschedulable");
        assert_eq!(status("wrong-port"), "wrong-port 0/1 ready, pod wrong-port-6cc98bc76f-m4g4k: running, not ready");
        assert_eq!(status("fine"), "");
    }

    #[test]
    fn what_happened_is_told_once() {
        let mut teller = Teller::default();
        let crash = recorded("crash");
        let news = teller.news(&crash);
        assert!(news.iter().any(|line| line.contains("has ended") && line.contains("exit code 3")), "{news:?}");
        assert!(teller.news(&crash).is_empty());
        assert!(teller.status(&crash).is_some() && teller.status(&crash).is_none());
    }

    #[test]
    fn a_pulled_image_and_the_first_ready_pod_are_news() {
        let ready = "`fine`: its first pod is ready".to_owned();
        let fine = recorded("fine");
        let mut before = fine.clone();
        for condition in before.pods.iter_mut().filter_map(|pod| pod["status"]["conditions"].as_array_mut()).flatten() {
            condition["status"] = "False".into();
        }
        let mut teller = Teller::default();
        let news = teller.news(&before);
        assert!(news.iter().any(|line| line.starts_with("`fine`: its image was pulled in ")), "{news:?}");
        assert!(!news.contains(&ready));
        assert_eq!(teller.news(&fine), std::slice::from_ref(&ready));
        // Those that were ready before are none.
        assert!(!Teller::default().news(&fine).contains(&ready));
    }
}
