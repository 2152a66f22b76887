//! The class of ingress that public services are given to, and the namespace of the controller behind it, from which they
//! take connections.

use anyhow::Result;
use base::error::Fault;
use kube::object;
use kube::{Api, path};
use model::cluster::Cluster;
use serde_json::Value;
use std::collections::BTreeSet;

/// Set on the class that Ingresses without one belong to
/// (kubernetes.io/docs/concepts/services-networking/ingress/#default-ingress-class).
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// A class of ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) name: String,
    /// `traefik.io/ingress-controller`
    pub(super) controller: String,
    pub(super) is_default: bool,
}

/// What the pods of a controller are called: how its class begins, and the values that its usual ways to install it give
/// to one of [`LABELS`]. Of those that end connections elsewhere (Contour's are Envoy's) it is these pods.
const CONTROLLERS: [(&str, &[&str]); 7] = [
    ("traefik.io/ingress-controller", &["traefik"]),
    ("k8s.io/ingress-nginx", &["ingress-nginx", "nginx-ingress-microk8s"]),
    ("nginx.org/ingress-controller", &["nginx-ingress"]),
    ("haproxy.org/ingress-controller", &["kubernetes-ingress", "haproxy-ingress"]),
    ("haproxy-ingress.github.io/controller", &["haproxy-ingress"]),
    ("projectcontour.io/", &["envoy"]),
    ("istio.io/ingress-controller", &["istio-ingressgateway"]),
];

/// The labels that say what a pod is, the conventional one first.
const LABELS: [&str; 5] = ["app.kubernetes.io/name", "app", "k8s-app", "run", "name"];

/// The class that the environment names, or the cluster's own choice.
///
/// # Errors
/// `no-ingress-class`
pub(super) fn class(api: &Api, cluster: &Cluster) -> Result<Class> {
    let wanted = cluster.ingress_class.as_deref();
    let listed = api.list(&path::INGRESS_CLASS.everywhere(), "");
    let classes = match listed {
        Ok(classes) => classes.iter().map(read).collect(),
        // Who may not look has to say it all.
        Err(refusal) if refusal.status == 403 && wanted.is_some() => Vec::new(),
        Err(refusal) => return Err(kube::fault("look up the ingress class", &refusal).into()),
    };
    Ok(choose(wanted, classes)?)
}

fn read(class: &Value) -> Class {
    Class {
        name: object::name(class).to_owned(),
        controller: object::text(class, "/spec/controller").to_owned(),
        is_default: object::annotation(class, DEFAULT) == "true",
    }
}

fn choose(wanted: Option<&str>, classes: Vec<Class>) -> Result<Class, Fault> {
    let names: Vec<_> = classes.iter().map(|class| format!("`{}`", class.name)).collect();
    let names = names.join(", ");
    let refuse = |cause: &str, hint: &str| Err(Fault::failed("no-ingress-class", cause).hint(hint));
    if let Some(wanted) = wanted {
        let found = classes.iter().find(|class| class.name == wanted).cloned();
        return match found {
            Some(class) => Ok(class),
            None if classes.is_empty() => {
                Ok(Class { name: wanted.to_owned(), controller: String::new(), is_default: false })
            }
            None => refuse(
                &format!("the cluster has no ingress class `{wanted}`"),
                &format!("set `ingress_class` to one that it has: {names}"),
            ),
        };
    }
    let defaults: Vec<_> = classes.iter().filter(|class| class.is_default).collect();
    match (defaults.as_slice(), classes.as_slice()) {
        ([class], _) => Ok((*class).clone()),
        ([], [class]) => Ok(class.clone()),
        (_, []) => refuse(
            "the cluster has no ingress class, so nothing answers for public services",
            "install an ingress controller, such as Traefik: \
             helm install traefik traefik --repo https://traefik.github.io/charts --namespace traefik --create-namespace",
        ),
        ([], _) => refuse(
            &format!("the cluster has several ingress classes and no default: {names}"),
            "set `ingress_class` to one of them",
        ),
        _ => refuse(
            &format!("the cluster has several default ingress classes among {names}"),
            "set `ingress_class` to one of them",
        ),
    }
}

/// The namespace of the controller's pods.
///
/// # Errors
/// `ingress-controller-unknown`
pub(super) fn namespace(api: &Api, cluster: &Cluster, class: &Class) -> Result<String> {
    if let Some(named) = &cluster.ingress_namespace {
        return Ok(named.clone());
    }
    let values = usual_names(&class.controller);
    let mut found = BTreeSet::new();
    for label in LABELS.iter().filter(|_| !values.is_empty()) {
        let selector = format!("{label} in ({})", values.join(","));
        let pods = api.list(&path::POD.everywhere(), &selector);
        let pods = pods.map_err(|refusal| unknown(class, &format!("cannot look for its pods: {}", refusal.message)))?;
        found.extend(pods.iter().filter(|pod| !is_over(pod)).map(|pod| object::namespace(pod).to_owned()));
        if !found.is_empty() {
            break;
        }
    }
    let mut names = found.into_iter();
    match (names.next(), names.next()) {
        (Some(only), None) => Ok(only),
        (Some(one), Some(other)) => {
            Err(unknown(class, &format!("pods of its kind are in `{one}` and in `{other}`")).into())
        }
        (None, _) if values.is_empty() => Err(unknown(class, "it is not one of those known here").into()),
        (None, _) => Err(unknown(class, &format!("no pod is labelled as {} is", values.join(" or "))).into()),
    }
}

fn is_over(pod: &Value) -> bool {
    matches!(object::text(pod, "/status/phase"), "Succeeded" | "Failed")
}

fn usual_names(controller: &str) -> &'static [&'static str] {
    let known = CONTROLLERS.iter().find(|(begin, _)| controller.starts_with(begin));
    known.map_or(&[], |(_, names)| *names)
}

fn unknown(class: &Class, why: &str) -> Fault {
    let controller = match class.controller.as_str() {
        "" => "a controller that is not known".to_owned(),
        name => format!("`{name}`"),
    };
    let cause = format!("cannot tell where {controller} of the class `{}` runs: {why}", class.name);
    Fault::failed("ingress-controller-unknown", cause)
        .hint("set `ingress_namespace` to the namespace of its pods: public services take connections from there alone")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, is_default: bool) -> Class {
        Class { name: name.to_owned(), controller: String::new(), is_default }
    }

    fn chosen(wanted: Option<&str>, classes: &[(&str, bool)]) -> Result<String, String> {
        let classes = classes.iter().map(|(name, is_default)| class(name, *is_default)).collect();
        choose(wanted, classes).map(|class| class.name).map_err(|fault| fault.cause)
    }

    #[test]
    fn a_class_is_what_was_set_or_the_default_or_the_only_one() {
        assert_eq!(chosen(Some("b"), &[("a", true), ("b", false)]), Ok("b".to_owned()));
        assert_eq!(chosen(None, &[("a", false), ("b", true)]), Ok("b".to_owned()));
        assert_eq!(chosen(None, &[("a", false)]), Ok("a".to_owned()));
        // Who may not look must be believed.
        assert_eq!(chosen(Some("b"), &[]), Ok("b".to_owned()));
    }

    #[test]
    fn a_choice_that_cannot_be_made_says_between_what() {
        assert_eq!(chosen(Some("c"), &[("a", true)]), Err("the cluster has no ingress class `c`".to_owned()));
        let several = "the cluster has several ingress classes and no default: `a`, `b`";
        assert_eq!(chosen(None, &[("a", false), ("b", false)]), Err(several.to_owned()));
        assert!(chosen(None, &[("a", true), ("b", true)]).unwrap_err().contains("several default ingress classes"));
        assert!(chosen(None, &[]).unwrap_err().contains("no ingress class"));
    }

    #[test]
    fn controllers_are_known_by_how_their_classes_begin() {
        assert_eq!(usual_names("traefik.io/ingress-controller"), ["traefik"]);
        assert_eq!(usual_names("haproxy.org/ingress-controller/haproxy"), ["kubernetes-ingress", "haproxy-ingress"]);
        assert!(usual_names("example.com/other").is_empty());
    }
}
