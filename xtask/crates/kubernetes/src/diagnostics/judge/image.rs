//! Images that do not get to the node.

use super::super::evidence::{Container, Evidence, Expected};
use super::super::finding::Finding;
use kube::object::text;
use std::time::Duration;

/// How long a registry may be out of reach: the cluster tries again by itself.
const OUTAGE: Duration = Duration::from_secs(45);

/// Why a container's image cannot be pulled.
pub(super) fn unpulled(evidence: &Evidence, service: &Expected, container: Container<'_>) -> Option<Finding> {
    let image = text(container.spec, "/image");
    let said = text(container.status, "/state/waiting/message");
    let who = &service.name;
    match container.waits_for() {
        "InvalidImageName" => {
            let why = said
                .rsplit_once("couldn't parse image name")
                .map_or(said, |(_, why)| why.trim_start_matches([' ', ':']));
            let cause = format!("the image of `{who}` has an invalid name: {why}");
            Some(Finding::new("image-pull", cause).hint("correct it in `deploy/images.toml`"))
        }
        "ErrImageNeverPull" => {
            let cause = format!("the image `{image}` of `{who}` is not on the node, and must not be pulled");
            Some(Finding::new("image-pull", cause).hint("a `deploy` gives the nodes of a local cluster their images"))
        }
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            // Between attempts the message may not repeat why.
            let event = || {
                let events = evidence.events_of(container.pod);
                let about = |message: &&str| message.starts_with("Failed to pull image") && message.contains(image);
                events.iter().rev().map(|event| text(event, "/message")).find(about)
            };
            let said = if said.contains(": ") { said } else { event().unwrap_or(said) };
            let finding = judged(image, who.as_str(), said);
            // The next attempt has what this one lacked.
            Some(if lacks_pull_secrets(evidence, container) { finding.debounce(OUTAGE) } else { finding })
        }
        _ => None,
    }
}

/// Whether a node had not yet got what it signs in to the registry with when it tried: a new Secret takes a moment to reach
/// it, and it pulls without.
fn lacks_pull_secrets(evidence: &Evidence, container: Container<'_>) -> bool {
    let events = evidence.events_of(container.pod);
    events.iter().any(|event| text(event, "/reason") == "FailedToRetrieveImagePullSecret")
}

fn judged(image: &str, who: &str, said: &str) -> Finding {
    let why = essence(said);
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["no match for platform", "no matching manifest"]) {
        let cause = format!("the image `{image}` of `{who}` is not made for the node's platform: {why}");
        let hint = "a `build --push` builds for the platforms of the environment's nodes; a public image needs \
                    one that has them";
        return Finding::new("image-platform", cause).hint(hint);
    }
    if has(&[
        "no such host",
        "i/o timeout",
        "connection refused",
        "connection reset",
        "TLS handshake timeout",
        "EOF",
        "no route to host",
    ]) {
        let cause = format!("the node cannot reach the registry of `{image}`, which `{who}` runs: {why}");
        let hint = "the registry's name has to resolve on the nodes, not only here; check `registry`";
        return Finding::new("image-pull", cause).hint(hint).debounce(OUTAGE);
    }
    if has(&["HTTP response to HTTPS client", "x509:", "certificate"]) {
        let cause = format!("the node does not trust the registry of `{image}`, which `{who}` runs: {why}");
        return Finding::new("image-pull", cause).hint("the nodes' container runtime has to be told to trust it");
    }
    if has(&["unauthorized", "Unauthorized", "denied", "403 Forbidden", "authentication required", "no basic auth"]) {
        let cause = format!("the registry does not let the cluster pull `{image}`, which `{who}` runs: {why}");
        let hint = "give the nodes or the namespace's service account the right to pull, or make the image public";
        return Finding::new("image-pull", cause).hint(hint);
    }
    if has(&["not found", "manifest unknown", "NotFound", "does not exist"]) {
        let cause = format!("the image `{image}` of `{who}` is not in its registry: {why}");
        let hint =
            "a `build --push` puts this repository's images there; a public one is named in `deploy/images.toml`";
        return Finding::new("image-pull", cause).hint(hint);
    }
    let cause = format!("the image `{image}` of `{who}` cannot be pulled: {why}");
    Finding::new("image-pull", cause).debounce(OUTAGE)
}

/// What went wrong, without the chain of who tried.
fn essence(said: &str) -> &str {
    let mut rest = said;
    for step in ["failed to resolve reference ", "failed to do request: ", "failed to pull and unpack image "] {
        if let Some((_, behind)) = rest.split_once(step) {
            // The image's name is quoted behind it.
            rest = behind.split_once("\": ").filter(|_| behind.starts_with('"')).map_or(behind, |(_, why)| why);
        }
    }
    rest.trim_start_matches("rpc error: code = NotFound desc = ")
        .trim_start_matches("rpc error: code = Unknown desc = ")
}
