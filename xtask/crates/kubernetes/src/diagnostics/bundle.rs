//! Diagnostics on disk: `diagnostics/RUN-SYSTEM/` in the deployment's folder, for people and for what reads the journal.

use super::codes;
use super::evidence::{Evidence, Log};
use super::finding::Finding;
use anyhow::{Context, Result};
use base::files;
use base::redact::Redactor;
use kube::object::{name, namespace, text};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How many bundles are kept, the newest.
const KEPT: usize = 20;

/// Writes the bundle of a system and takes away the oldest of those that are too many.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(
    folder: &Path,
    called: &str,
    evidence: &Evidence,
    findings: &[Finding],
    redactor: &Redactor,
) -> Result<PathBuf> {
    let bundle = free(folder, called);
    let all = |objects: &[&[Value]]| -> Value {
        objects.iter().flat_map(|objects| objects.iter()).map(|object| redactor.object(object)).collect()
    };
    let workloads = [
        &*evidence.deployments,
        &evidence.stateful_sets,
        &evidence.replica_sets,
        &evidence.claims,
        &evidence.quotas,
        &evidence.others,
    ];
    let content = |findings: &[Finding]| redactor.document(&findings.iter().map(finding).collect());
    for (file, content) in [
        ("findings.json", content(findings)),
        ("events.json", all(&[&evidence.events])),
        ("pods.json", all(&[&evidence.pods])),
        ("workloads.json", all(&workloads)),
        ("nodes.json", evidence.nodes.iter().map(node).collect()),
    ] {
        files::write_json(&bundle.join(file), &content)?;
    }
    for ((pod, container), Log { current, previous }) in &evidence.logs {
        for (log, suffix) in [(current, ""), (previous, "-previous")].into_iter().filter(|(log, _)| !log.is_empty()) {
            files::write_private(&bundle.join("logs").join(format!("{pod}-{container}{suffix}.log")), log.as_bytes())?;
        }
    }
    files::write_private(&bundle.join("summary.txt"), redactor.foreign(&summary(evidence, findings)).as_bytes())?;
    prune(folder)?;
    Ok(bundle)
}

/// Going back after a failure may fail as well: the first bundle of a run is the one that tells why.
fn free(folder: &Path, called: &str) -> PathBuf {
    let numbered = (2..).map(|number| folder.join(format!("{called}-{number}")));
    let mut names = std::iter::once(folder.join(called)).chain(numbered);
    names.find(|path| !path.exists()).unwrap_or_else(|| folder.join(called))
}

fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code, "cause": finding.cause, "hint": finding.hint,
        "service": finding.service.as_ref().map(ToString::to_string), "check": codes::check(finding.code),
    })
}

fn node(node: &super::evidence::Node) -> Value {
    json!({
        "name": node.name, "ready": node.is_ready, "takes_pods": node.takes_pods, "cpu_millis": node.cpu,
        "memory_bytes": node.memory, "cpu_millis_requested": node.cpu_taken, "memory_bytes_requested": node.memory_taken,
    })
}

/// What a person reads first.
fn summary(evidence: &Evidence, findings: &[Finding]) -> String {
    let mut out = String::new();
    for (number, finding) in (1..).zip(findings) {
        let _ = writeln!(out, "{number}. {}: {}", finding.code, finding.cause);
        if !finding.hint.is_empty() {
            let _ = writeln!(out, "   {}", finding.hint);
        }
    }
    if findings.is_empty() {
        out.push_str("Nothing was found to be wrong with the pods.\n");
    }
    out.push_str("\nPods\n");
    for pod in &evidence.pods {
        let state = super::judge::state(evidence, pod).unwrap_or_else(|| format!("pod {}: ready", name(pod)));
        let restarts: u64 = evidence.containers(pod).iter().map(super::evidence::Container::ends).sum();
        let newest =
            if evidence.newest().any(|other| name(other) == name(pod)) { "" } else { ", of an earlier release" };
        let _ = writeln!(out, "  {state}, ended {restarts} times{newest}");
    }
    out.push_str("\nManifests\n");
    for object in evidence.workloads().chain(&evidence.others).chain(&evidence.claims) {
        let _ = writeln!(out, "  {} {}/{}", text(object, "/kind"), namespace(object), name(object));
    }
    out.push_str("\nWarnings\n");
    for event in evidence.events.iter().filter(|event| event["type"] == "Warning") {
        let (when, about) = (super::evidence::when(event), text(event, "/involvedObject/name"));
        let _ = writeln!(out, "  {when} {about} {}: {}", text(event, "/reason"), text(event, "/message"));
    }
    out
}

/// Names begin with the time of their run, so that the oldest come first.
fn prune(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("read `{}`", folder.display()))?;
    let mut bundles: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    bundles.sort();
    let old = bundles.len().saturating_sub(KEPT);
    bundles[..old].iter().try_for_each(|path| files::remove(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of a test's own, removed with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-diagnostics-{name}-{}", std::process::id()));
            files::remove(&path).unwrap();
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = files::remove(&self.0);
        }
    }

    #[test]
    fn a_bundle_has_all_that_was_found_and_no_secret() {
        let folder = Folder::new("all");
        let mut evidence = Evidence {
            pods: vec![json!({"metadata": {"name": "a-1"}, "spec": {"env": [{"name": "A", "value": "s3cret!!"}]}})],
            ..Evidence::default()
        };
        let key = ("a-1".to_owned(), "a".to_owned());
        evidence.logs.insert(key, Log { current: "now".to_owned(), previous: "before".to_owned() });
        let findings = [Finding::new("crash", "`a` crashed: exit code 3").hint("look")];
        let mut redactor = Redactor::new();
        redactor.learn("s3cret!!");
        let path = write(&folder.0, "1-a", &evidence, &findings, &redactor).unwrap();
        let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap();
        assert!(read("findings.json").contains("exit code 3"));
        assert!(!read("pods.json").contains("s3cret!!"));
        assert_eq!((read("logs/a-1-a.log"), read("logs/a-1-a-previous.log")), ("now".to_owned(), "before".to_owned()));
        assert!(read("summary.txt").starts_with("1. crash: `a` crashed: exit code 3\n   look\n"));
        let second = write(&folder.0, "1-a", &evidence, &[], &redactor).unwrap();
        assert_eq!(second, folder.0.join("1-a-2"));
        assert!(read("findings.json").contains("exit code 3"));
    }

    #[test]
    fn the_newest_bundles_are_kept() {
        let folder = Folder::new("newest");
        for number in 0..KEPT + 3 {
            write(&folder.0, &format!("{number:03}-a"), &Evidence::default(), &[], &Redactor::default()).unwrap();
        }
        let mut left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!((left.len(), left[0].to_str()), (KEPT, Some("003-a")));
    }
}
