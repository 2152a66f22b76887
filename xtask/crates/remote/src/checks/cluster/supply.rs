//! How images get to the nodes, and which users the public ones run as.

use super::Subject;
use doctor::fix::Fix;
use doctor::{Finding, Scene};
use images::auth::Credentials;
use images::check_user;
use images::refusal::Kind;
use images::registry::Client;
use kube::object;
use kube::{Api, path};
use kubernetes::pull_secrets;
use kubernetes::pull_secrets::Found;
use model::container::{Platform, Registry};
use model::image::{ImagePin, Repository};
use model::name::ServiceName;
use model::system::Source;
use remote_tools::local_cluster;
use remote_tools::local_cluster::{LocalCluster, NodeNames};
use serde_json::Value;
use std::collections::BTreeMap;

/// A name that no image has.
const NO_TAG: &str = "doctor";

pub(super) fn way(subject: &Subject, scene: &Scene) -> Finding {
    let own = subject.needs.iter().flat_map(|needs| &needs.pods).find(|pod| pod.own);
    let Some(own) = own else { return Finding::skip("nothing is built here") };
    match &subject.environment.registry {
        Some(registry) => answers(registry, &own.service, scene),
        None => without_registry(subject, scene),
    }
}

fn answers(registry: &Registry, service: &str, scene: &Scene) -> Finding {
    let want = "answers";
    let Ok(repository) = format!("{registry}/{service}").parse::<Repository>() else {
        return Finding::fail("its name is malformed").found(registry.as_str());
    };
    let credentials = match Credentials::of_vars(&scene.vars, registry.host()) {
        Ok(credentials) => credentials,
        Err(fault) => return Finding::fail(fault.cause).found(registry.as_str()).fix(fault.hint.map(Fix::by_hand)),
    };
    match Client::new(&scene.proc, &scene.interrupts, credentials).digest(&repository, NO_TAG) {
        Ok(_) => Finding::pass(registry.as_str()),
        // The engine may be signed in, and trust what is not trusted here.
        Err(refusal) if matches!(refusal.kind, Kind::Denied | Kind::Untrusted) => {
            Finding::pass(registry.as_str()).detail(format!("it wants more than its name: {}", refusal.words))
        }
        Err(refusal) => Finding::fail(refusal.words)
            .found(format!("{registry} does not answer"))
            .fix([Fix::by_hand(format!("curl --head https://{}/v2/", registry.host()))]),
    }
    .want(want)
}

/// Clusters on this machine can be given images.
fn without_registry(subject: &Subject, scene: &Scene) -> Finding {
    let want = "a registry, or a cluster on this machine";
    let context = subject.environment.cluster.context.as_deref().unwrap_or_default();
    let api = || subject.answers.live(scene);
    let cluster = local_cluster::of_context(context).or_else(|| local_cluster::of_nodes(&nodes(&*api()?)));
    let name_one = |example: &str| {
        let file = format!("deploy/environments/{}.local.toml", subject.environment.name);
        Fix::by_hand(format!("name one that the cluster pulls from: `registry = \"{example}\"` in `{file}`"))
    };
    match cluster {
        Some(LocalCluster::SharesEngine) => Finding::pass("its node runs what docker has"),
        Some(LocalCluster::Made { maker, name, .. }) if scene.find(maker.as_str()).is_some() => {
            Finding::pass(format!("loaded into the nodes of `{name}` by {maker}"))
        }
        Some(LocalCluster::Made { maker, .. }) => {
            Finding::fail(format!("the cluster was made by {maker}, which could load images into it"))
                .found(format!("no registry, and no {maker}"))
                .fix([Fix::by_hand(format!("install {maker}")), name_one("HOST/PATH")])
        }
        None => {
            let hosted = api().and_then(|api| hosted(&api)).unwrap_or_else(|| "HOST".to_owned());
            Finding::fail("images that are built here cannot reach the nodes")
                .found("no registry")
                .fix([name_one(&format!("{hosted}/slipway"))])
        }
    }
    .want(want)
}

/// Without one of them no pod starts.
pub(super) fn pull_secrets(subject: &Subject, api: &Api) -> Finding {
    let environment = &subject.environment;
    let wanted = &environment.cluster.pull_secrets;
    let (mut causes, mut fixes) = (Vec::new(), Vec::new());
    for secret in wanted {
        for namespace in subject.needs.iter().map(|needs| &needs.namespace) {
            match pull_secrets::look(api, namespace, secret) {
                Ok(Found::There | Found::Elsewhere(_)) => {}
                Ok(found) => {
                    let fault = pull_secrets::fault(environment, namespace, secret, &found);
                    causes.push(fault.cause);
                    fixes.extend(fault.hint);
                }
                Err(refusal) => causes.push(kube::fault(&format!("look for `{secret}`"), &refusal).cause),
            }
        }
    }
    fixes.dedup();
    let names = wanted.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>().join(", ");
    let finding = match causes.is_empty() {
        true => Finding::pass(names),
        false => Finding::fail(causes.join("\n")).found("missing").fix(fixes.into_iter().map(Fix::by_hand)),
    };
    finding.want("Secrets of type kubernetes.io/dockerconfigjson")
}

fn nodes(api: &Api) -> Vec<NodeNames> {
    let nodes = api.list(&path::with_query(&path::NODE.everywhere(), &[("limit", "1")]), "").unwrap_or_default();
    nodes.iter().map(NodeNames::of).collect()
}

/// What a local cluster says of the registry beside it (KEP-1755).
fn hosted(api: &Api) -> Option<String> {
    let map = api.get(&path::CONFIG_MAP.at("kube-public", "local-registry-hosting")).ok()??;
    let text = object::text(&map, "/data/localRegistryHosting.v1").to_owned();
    let host = text.lines().find_map(|line| line.trim().strip_prefix("host:"))?;
    Some(host.trim().trim_matches('"').to_owned())
}

/// Root, or a name that only the image could resolve, is refused by every namespace of a deployment.
pub(super) fn users(scene: &Scene) -> Finding {
    let want = "a number other than root's";
    let Some(spec) = &scene.subject.spec else { return Finding::skip("the spec cannot be read") };
    let mut open: BTreeMap<&str, (&ImagePin, Vec<ServiceName>)> = BTreeMap::new();
    for service in spec.systems.iter().flat_map(|system| &system.services) {
        let Source::Image { image, .. } = &service.source else { continue };
        if let (true, Some(pin)) = (service.container.takes_user_of_image(), spec.images.get(image)) {
            open.entry(image).or_insert_with(|| (pin, Vec::new())).1.push(service.name.clone());
        }
    }
    if open.is_empty() {
        return Finding::pass("each service names one").want(want);
    }
    let (mut wrong, mut fixes, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (pin, services) in open.values() {
        match user(scene, pin) {
            Some(user) => {
                if let Err(fault) = check_user(pin, &user, services) {
                    wrong.push(fault.cause);
                    fixes.extend(fault.hint.map(Fix::by_hand));
                }
            }
            None => unknown.push(pin.to_string()),
        }
    }
    match (wrong.is_empty(), unknown.is_empty()) {
        (false, _) => Finding::fail(wrong.join("\n")).found("root, or a name").want(want).fix(fixes),
        (true, false) => Finding::warn(format!("cannot tell which users these run as: {}", unknown.join(", ")))
            .found("unknown")
            .want(want)
            .fix([Fix::by_hand("name one: `user = \"65532\"` in `[services.NAME.container]`")]),
        (true, true) => Finding::pass("each image names one").want(want),
    }
}

fn user(scene: &Scene, pin: &ImagePin) -> Option<String> {
    let wanted = scene.subject.environment.as_ref().and_then(|environment| environment.platforms.first().copied());
    let platform = wanted.or(Platform::of_architecture(std::env::consts::ARCH)).unwrap_or(Platform::LinuxAmd64);
    let reference = pin.digest.as_ref().map_or(pin.tag.as_str(), |digest| digest.as_str());
    let client = Client::new(&scene.proc, &scene.interrupts, None);
    let config: Value = client.config(&pin.repository, reference, platform).ok()??;
    Some(config["config"]["User"].as_str().unwrap_or_default().to_owned())
}
