//! On which ports a pod listens. Images without a shell cannot tell; a container beside theirs can, as it shares the
//! pod's network: an ephemeral one with a service of this repository, whose program knows how to.

use super::super::{Kubernetes, names};
use super::evidence::{Container, Evidence};
use super::gather::Source;
use base::error::Fault;
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use kube::object::{is_going, label, list, name, text};
use kube::path;
use model::system::Source as Program;
use serde_json::{Value, json};
use shim::ports::{Sockets, sockets};
use std::time::Duration;

/// How long a command in the container may take.
const EXEC: Duration = Duration::from_secs(8);
/// How long a container beside it may take to come and end.
const BESIDE: Duration = Duration::from_secs(20);
/// The program in images of this repository.
const PROGRAM: &str = "/service";
/// The names of containers that looked before begin with it.
const NAME: &str = "sockets";

/// What listens in a container's pod, as far as that can be found out.
pub(super) fn look(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    source: &Source<'_>,
    evidence: &Evidence,
    container: Container<'_>,
) -> Option<Sockets> {
    let from_within = || {
        let kubectl = core.access.kubectl().ok()?;
        let command = exec(kubectl, source.namespace, name(container.pod), container.name());
        // `cat` fails where there is no IPv6, and has told about the rest.
        cx.proc.ask(&command, EXEC).ok()?.map(|finished| finished.stdout)
    };
    let is_table = |text: &String| text.contains("local_address");
    let tables =
        from_within().filter(is_table).or_else(|| beside(core, cx, source, evidence, container).filter(is_table));
    tables.map(|tables| sockets(&tables))
}

fn exec(kubectl: CommandLine, namespace: &str, pod: &str, container: &str) -> CommandLine {
    let what = ["cat", "/proc/net/tcp", "/proc/net/tcp6"];
    kubectl.args(["exec", "--namespace", namespace, pod, "--container", container, "--"]).args(what)
}

/// Runs a container beside that of the pod and returns what it said.
fn beside(
    core: &Kubernetes,
    cx: &StepCx<'_>,
    source: &Source<'_>,
    evidence: &Evidence,
    container: Container<'_>,
) -> Option<String> {
    let image = image(core, source, evidence, container.pod)?;
    let pod = path::POD.at(source.namespace, name(container.pod));
    let mut all = list(container.pod, "/spec/ephemeralContainers").to_vec();
    let called = format!("{NAME}-{}", all.len() + 1);
    all.push(ephemeral(&called, &image));
    let patch = json!({"spec": {"ephemeralContainers": all}});
    source.api.merge(&format!("{pod}/ephemeralcontainers"), &patch).ok()?;
    let ended = || {
        let Ok(Some(pod)) = source.api.get(&pod) else { return Ok(None) };
        let status =
            list(&pod, "/status/ephemeralContainerStatuses").iter().find(|status| status["name"] == called.as_str());
        Ok(status.is_some_and(|status| status.pointer("/state/terminated").is_some()).then_some(()))
    };
    let late = || Fault::failed("not-ready", "the container that looks for sockets did not end");
    cx.wait_for(BESIDE, ended, late).ok()?;
    source.api.text(&path::with_query(&format!("{pod}/log"), &[("container", &called)])).ok()
}

/// It may do nothing, which is all that the strictest security standard lets through.
fn ephemeral(called: &str, image: &str) -> Value {
    json!({
        "name": called, "image": image, "command": [PROGRAM, "sockets"], "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

/// An image of this repository that runs somewhere in the deployment: the pod's own, one of its system, any other.
fn image(core: &Kubernetes, source: &Source<'_>, evidence: &Evidence, pod: &Value) -> Option<String> {
    let services = || core.deployment.spec.systems.iter().flat_map(|system| &system.services);
    let is_own = |pod: &Value| {
        let service = label(pod, names::SERVICE);
        services().any(|own| own.name.as_str() == service && matches!(own.source, Program::Crate(_)))
    };
    let of = |pod: &Value| {
        let runs = text(pod, "/status/phase") == "Running" && !is_going(pod);
        (is_own(pod) && runs)
            .then(|| text(pod, "/spec/containers/0/image").to_owned())
            .filter(|image| !image.is_empty())
    };
    let near = std::iter::once(pod).chain(&evidence.pods).find_map(of);
    near.or_else(|| source.api.list(&path::POD.everywhere(), &core.names.selector()).ok()?.iter().find_map(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_asked_by_name() {
        let line = exec(CommandLine::new("kubectl"), "shop", "web-1", "web").to_string();
        assert_eq!(line, "kubectl exec --namespace shop web-1 --container web -- cat /proc/net/tcp /proc/net/tcp6");
    }
}
