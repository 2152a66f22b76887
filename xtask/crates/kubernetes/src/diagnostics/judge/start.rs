//! Containers that are not even made: variables and files that are not there, users that may not be.

use super::super::evidence::{Container, Expected};
use super::super::finding::Finding;
use kube::object::text;
use std::time::Duration;

/// What a release refers to may be made a moment later.
const SOON: Duration = Duration::from_secs(3);
/// What the node may get over by itself.
const AGAIN: Duration = Duration::from_secs(20);

/// Why the node does not make the container.
pub(super) fn refused(service: &Expected, container: Container<'_>) -> Option<Finding> {
    let said = text(container.status, "/state/waiting/message");
    let who = &service.name;
    match container.waits_for() {
        "CreateContainerConfigError" if said.contains("runAsNonRoot") => {
            let why = said.split_once(" (pod:").map_or(said, |(why, _)| why);
            let cause = format!("`{who}` may not run as the user of its image: {why}");
            let hint = format!("set the image's numeric user: `user = \"UID:GID\"` in `[services.{who}.container]`");
            Some(Finding::new("image-user", cause).hint(hint))
        }
        "CreateContainerConfigError" => {
            let cause = format!("`{who}` refers to a missing Secret, ConfigMap or key: {said}");
            Some(Finding::new("config-missing", cause).hint(absent()).debounce(SOON))
        }
        "CreateContainerError" | "RunContainerError" => Some(unmade(who.as_str(), said)),
        _ => None,
    }
}

/// What the runtime could not make a process of.
pub(super) fn unmade(who: &str, said: &str) -> Finding {
    let why = said.rsplit_once("OCI runtime create failed: ").map_or(said, |(_, why)| why);
    let why = why.trim_start_matches("runc create failed: ").trim_start_matches("unable to start container process: ");
    let why = why.trim_end_matches(": unknown");
    if said.contains("exec format error") {
        return foreign(who);
    }
    let cause = format!("`{who}` cannot be started: {why}");
    // A program that is not in the image will not come.
    let definite = ["no such file or directory", "permission denied", "executable file not found", "is a directory"];
    let debounce = if definite.iter().any(|word| said.contains(word)) { Duration::ZERO } else { AGAIN };
    Finding::new("crash", cause)
        .hint(format!("`command` in `[services.{who}.container]` is what it starts"))
        .debounce(debounce)
}

/// A program for other processors than the node's.
pub(super) fn foreign(who: &str) -> Finding {
    let cause = format!("the image of `{who}` is made for another platform than its node: exec format error");
    let hint = "a `build --push` builds for the platforms of the environment's nodes; a public image needs one \
                that has them";
    Finding::new("image-platform", cause).hint(hint)
}

pub(super) fn absent() -> &'static str {
    "a `deploy --verify` makes again what was removed by hand"
}
