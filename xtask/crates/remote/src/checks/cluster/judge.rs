//! What the cluster's own facts mean for an environment.

use super::Subject;
use base::error::Fault;
use doctor::fix::Fix;
use doctor::{Finding, Scene};
use kube::Api;
use kube::object;
use kube::path::SERVICE;
use kubernetes::exposure;
use kubernetes::facts::Facts;
use model::container::Platform;
use model::version::Version;

/// The first that lets a container sleep before it ends without a shell (KEP-3960).
const OLDEST: (u64, u64) = (1, 30);

pub(super) fn context(subject: &Subject, scene: &Scene) -> Finding {
    let environment = &subject.environment;
    let want = "named by the environment, and in kubeconfig";
    let file = format!("deploy/environments/{}.local.toml", environment.name);
    let up = || Fix::by_hand(environment.command("cluster up"));
    let contexts = match subject.answers.contexts(scene) {
        Ok(contexts) => contexts,
        Err(why) => return Finding::fail(format!("kubeconfig cannot be read: {why}")).want(want),
    };
    let some = if contexts.is_empty() { "no contexts".to_owned() } else { contexts.join(", ") };
    match &environment.cluster.context {
        None => Finding::fail(format!("the current context is never used by default; kubeconfig has: {some}"))
            .found("not named")
            .want(want)
            .fix([Fix::by_hand(format!("put `context = \"NAME\"` into `{file}`")), up()]),
        Some(context) if !contexts.contains(context) => Finding::fail(format!("kubeconfig has: {some}"))
            .found(format!("`{context}`, which kubeconfig does not have"))
            .want(want)
            .fix([Fix::by_hand(format!("correct `context` in `{file}`")), up()]),
        Some(context) => Finding::pass(context).want(want),
    }
}

pub(super) fn reachable(subject: &Subject, scene: &Scene) -> Finding {
    let want = "answers";
    let context = subject.environment.cluster.context.as_deref().unwrap_or("NAME");
    match subject.answers.version(scene) {
        Ok(version) => Finding::pass(version["gitVersion"].as_str().unwrap_or("answers")).want(want),
        Err(Fault { code, cause, hint, .. }) => {
            let look = match code {
                "cluster-credentials" => {
                    format!("sign in again; `kubectl --context {context} auth whoami` shows whether it helped")
                }
                _ => format!("kubectl --context {context} cluster-info"),
            };
            Finding::fail(cause).found("does not answer").want(want).fix([Fix::by_hand(hint.unwrap_or(look))])
        }
    }
}

/// In a cluster whose addresses are those of IPv6, nobody reaches what listens on those of IPv4.
pub(super) fn family(subject: &Subject, api: &Api) -> Finding {
    let families = match api.get(&SERVICE.at("default", "kubernetes")) {
        Ok(Some(service)) => object::list(&service, "/spec/ipFamilies").to_vec(),
        _ => Vec::new(),
    };
    let Some(first) = families.first().and_then(|family| family.as_str()) else {
        return Finding::skip("its Services name no family of addresses");
    };
    if first == "IPv4" || subject.environment.cluster.listen.is_ipv6() {
        return Finding::pass(first);
    }
    let file = format!("deploy/environments/{}.local.toml", subject.environment.name);
    Finding::fail("services listen on 0.0.0.0, where nobody would reach them")
        .found(first)
        .want("an address of IPv4, or `listen = \"::\"`")
        .fix([Fix::by_hand(format!("put `listen = \"::\"` into `{file}`"))])
}

pub(super) fn version(subject: &Subject, scene: &Scene) -> Finding {
    let version = subject.answers.version(scene).ok();
    let version = version.as_ref().and_then(|version| version["gitVersion"].as_str()).and_then(Version::find);
    let Some(version) = version else { return Finding::skip("it does not say its version") };
    let finding = match (version.major(), version.minor()) >= OLDEST {
        true => Finding::pass(""),
        false => Finding::fail("it cannot delay a container's end until its requests are finished (`preStop.sleep`)")
            .fix([Fix::by_hand("update the cluster")]),
    };
    finding.found(version.to_string()).want(format!(">={}.{}", OLDEST.0, OLDEST.1))
}

/// Source: kubernetes.io/releases/version-skew-policy.
pub(super) fn skew(subject: &Subject, scene: &Scene) -> Finding {
    let server = subject.answers.version(scene).ok();
    let server = server.as_ref().and_then(|version| version["gitVersion"].as_str()).and_then(Version::find);
    let client = doctor::question::ask_version("kubectl", scene);
    match (client, server) {
        (Some(client), Some(server)) => judge_skew(client, server),
        _ => Finding::skip("one of the two does not say its version"),
    }
}

fn judge_skew(client: Version, server: Version) -> Finding {
    let (near, want) = (client.minor().abs_diff(server.minor()) <= 1, "one minor version apart at most");
    let finding = match near && client.major() == server.major() {
        true => Finding::pass(""),
        false => Finding::warn("kubectl is only tested with servers one minor version away")
            .fix([Fix::by_hand("install a kubectl of the cluster's version: https://kubernetes.io/docs/tasks/tools/")]),
    };
    finding.found(format!("{client} for {server}")).want(want)
}

pub(super) fn platform(subject: &Subject, facts: &Facts) -> Finding {
    let names = |platforms: &[Platform]| platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    let (wanted, nodes) = (&subject.environment.platforms, &facts.platforms);
    if nodes.is_empty() {
        return Finding::skip("you may not list nodes, or none of them is linux/amd64 or linux/arm64");
    }
    let missing: Vec<Platform> = nodes.iter().filter(|node| !wanted.contains(node)).copied().collect();
    let set = || Fix::by_hand(format!("add {} to `platforms` of `{}`", names(&missing), subject.environment.name));
    let finding = match (wanted.is_empty(), missing.len()) {
        // Images are then for what the nodes are.
        (true, _) | (_, 0) => Finding::pass(""),
        (_, some) if some == nodes.len() => Finding::fail("no node runs what is built").fix([set()]),
        _ => Finding::warn(format!("nodes that are {} cannot run what is built", names(&missing))).fix([set()]),
    };
    let want = if wanted.is_empty() { names(&Platform::ALL) } else { names(wanted) };
    finding.found(names(nodes)).want(want)
}

pub(super) fn ingress(subject: &Subject, api: &Api) -> Finding {
    let want = "a class, and its controller";
    if !subject.needs.iter().flat_map(|needs| &needs.pods).any(|pod| pod.public) {
        return Finding::skip("no service is public");
    }
    match exposure::entrance(api, &subject.environment.cluster) {
        Ok((class, namespace)) => Finding::pass(format!("class {class}, from namespace {namespace}")).want(want),
        Err(error) => {
            let fault = Fault::of(&error);
            Finding::fail(fault.cause).want(want).fix(fault.hint.map(Fix::by_hand))
        }
    }
}

pub(super) fn storage(subject: &Subject, facts: &Facts) -> Finding {
    let pods = subject.needs.iter().flat_map(|needs| &needs.pods);
    let stores: Vec<&str> = pods.filter(|pod| pod.stores).map(|pod| pod.service.as_str()).collect();
    if stores.is_empty() {
        return Finding::skip("no service stores anything");
    }
    let classes = facts.storage_classes.join(", ");
    let detail = format!("{} store data in a volume", stores.join(", "));
    let set = |what: &str| {
        Fix::by_hand(format!(
            "{what}: `storage_class = \"NAME\"` in `deploy/environments/{}.local.toml`",
            subject.environment.name
        ))
    };
    let some =
        if classes.is_empty() { "the cluster has none".to_owned() } else { format!("the cluster has: {classes}") };
    match &subject.environment.cluster.storage_class {
        Some(named) if facts.storage_classes.contains(named) => Finding::pass(named),
        Some(named) => {
            Finding::fail(format!("{detail}; {some}")).found(format!("no class `{named}`")).fix([set("name another")])
        }
        None if facts.has_default_storage => Finding::pass(facts.storage_classes.first().map_or("", String::as_str)),
        None if classes.is_empty() => {
            let page = "https://github.com/rancher/local-path-provisioner";
            Finding::fail(detail)
                .found("no class")
                .fix([Fix::by_hand(format!("install a provisioner, such as {page}"))])
        }
        None => Finding::fail(format!("{detail}; {some}")).found("no default class").fix([set("name one")]),
    }
    .want("one for the volumes")
}

pub(super) fn metrics(subject: &Subject, facts: &Facts) -> Finding {
    let pods = subject.needs.iter().flat_map(|needs| &needs.pods);
    let scaled: Vec<&str> = pods.filter(|pod| pod.scales).map(|pod| pod.service.as_str()).collect();
    let want = "metrics.k8s.io";
    match (scaled.is_empty(), facts.has_metrics) {
        (_, true) => Finding::pass("measured").want(want),
        (true, false) => Finding::skip("no service is scaled"),
        (false, false) => {
            Finding::warn(format!("{} will not be scaled", scaled.join(", "))).found("not measured").want(want).fix([
                Fix::by_hand("install metrics-server: https://github.com/kubernetes-sigs/metrics-server#installation"),
            ])
        }
    }
}
