//! kubectl: which contexts there are, and one of them on its own.
//!
//! Everything else is asked over `kubectl proxy`, see [`kube`].

use base::proc::CommandLine;
use std::net::SocketAddr;
use std::path::Path;

/// kubectl as its user has set it up, for questions about that alone.
fn ambient() -> CommandLine {
    // Preferences that a user may have given to its commands must not change what it prints.
    CommandLine::new("kubectl").env("KUBERC", "off")
}

/// Prints the name of each context, a line each.
pub fn contexts() -> CommandLine {
    ambient().args(["config", "get-contexts", "-o", "name"])
}

/// Prints a kubeconfig as JSON that has this context alone, with the contents of the files it refers to.
pub fn view(context: &str) -> CommandLine {
    ambient().args(["config", "view", "--raw", "--minify", "--flatten", "-o", "json", "--context"]).arg(context)
}

/// Prints the name of the current context; it ends with a failure where there is none.
pub fn current() -> CommandLine {
    ambient().args(["config", "current-context"])
}

/// Makes a context the current one; without a name none is.
pub fn use_context(context: &str) -> CommandLine {
    match context {
        "" => ambient().args(["config", "unset", "current-context"]),
        context => ambient().args(["config", "use-context", context]),
    }
}

/// kubectl with the user's own kubeconfig and this context, up to the verb.
pub fn named(context: &str) -> CommandLine {
    ambient().arg("--context").arg(context)
}

/// kubectl with this kubeconfig and context, up to the verb.
pub fn within(kubeconfig: &Path, context: &str) -> CommandLine {
    ambient().env_remove("KUBECONFIG").arg("--kubeconfig").arg(kubeconfig).arg("--context").arg(context)
}

/// Listens on a free port of this machine for one port of a pod. `kubectl` is the line up to the verb.
pub fn port_forward(kubectl: CommandLine, namespace: &str, pod: &str, port: u16) -> CommandLine {
    let to = kubectl.args(["port-forward", "--namespace", namespace, "--address", "127.0.0.1"]);
    to.arg(format!("pod/{pod}")).arg(format!(":{port}"))
}

/// Where a port forward listens, from the line that says so: `Forwarding from 127.0.0.1:43017 -> 8082`.
pub fn forwarded(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("Forwarding from ")?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_forwarded_from_any_free_one() {
        let line = port_forward(CommandLine::new("kubectl"), "shop", "web-1", 80);
        let expected = "kubectl port-forward --namespace shop --address 127.0.0.1 pod/web-1 :80";
        assert_eq!(line.to_string(), expected);
        let said = forwarded("Forwarding from 127.0.0.1:43017 -> 80");
        assert_eq!(said, Some(SocketAddr::from(([127, 0, 0, 1], 43017))));
        assert_eq!(forwarded("error: unable to forward"), None);
    }

    #[test]
    fn a_context_is_always_named() {
        let line = within(Path::new("/x/kubeconfig"), "kind-a");
        assert_eq!(line.to_string(), "kubectl --kubeconfig /x/kubeconfig --context kind-a");
        assert!(line.env.contains(&("KUBECONFIG".into(), None)));
        let line = view("kind-a").to_string();
        assert_eq!(line, "kubectl config view --raw --minify --flatten -o json --context kind-a");
    }
}
