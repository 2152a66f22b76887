//! What a release of a system is to be, before it is one: which services, how many, with which variables and files.
//! Everything that depends on the spec and the environment is decided here; the chart only writes it down.

use super::platform::ServiceBindings;
use super::public_url;
use super::records::StatePlace;
use model::asset::{self, Asset};
use model::cluster::{Cluster, NameServer};
use model::environment::{Environment, is_secret};
use model::job::Job;
use model::name::{ServiceName, SystemName};
use model::system::{Piece, Presence, Reference, Service, System, TargetKind, Template};
use model::volume::{self, Volumes};
use std::collections::{BTreeMap, BTreeSet};

const LISTEN_ADDRESS: &str = "LISTEN_ADDRESS";

/// A service as it is to run.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadSpec {
    pub service: Service,
    pub replicas: u32,
    /// It keeps what it stores in a volume, and is one alone.
    pub stores: bool,
    /// The volumes that those are.
    pub volumes: Volumes,
    /// Where it keeps its state; `None` for one that has none.
    pub(super) state: Option<StatePlace>,
    /// Its variables, `PORT` and `LISTEN_ADDRESS` among them; those that need no secret.
    pub env: BTreeMap<String, String>,
    pub(super) args: Vec<String>,
    /// The address that it listens on.
    pub(super) listen: String,
    /// Its plain files that need no secret, by name; it finds them all in one folder.
    pub(super) files: BTreeMap<String, String>,
    /// The texts among its other files that need none.
    pub(super) placed: BTreeMap<String, String>,
    /// Variables and files that need secrets, to be filled in when those are known, and variables that are secrets.
    pub(super) secret_env: BTreeMap<String, Template>,
    /// Those of the variables that the environment sets, and that are no secrets of ours.
    pub(super) given: BTreeSet<String>,
    pub(super) secret_files: BTreeMap<String, Template>,
}

/// The services of a system that run in the cluster, in an order in which each comes after those it needs; or why the
/// system cannot.
pub fn parts(system: &System, environment: &Environment, target: TargetKind) -> Result<Vec<WorkloadSpec>, String> {
    let cluster = &environment.cluster;
    let here = |service: &&Service| service.targets.contains(&target) && !environment.manages(service);
    let candidates = system.services.iter().filter(here);
    let replicated = |name: &ServiceName| {
        let needing = system.services.iter().filter(|service| service.needs.contains(name));
        needing.into_iter().any(|service| wanted_replicas(service, cluster) > 1)
    };
    let present: Vec<&Service> = candidates
        .filter(|service| service.presence != Presence::WhenReplicated || replicated(&service.name))
        .collect();
    if let Some(reason) = present.iter().find_map(|service| service.lacks_secret(target)) {
        return Err(reason);
    }
    let tells = |service: &&&Service| service.public && service.tells_public_url();
    if let Some(service) = present.iter().find(tells).filter(|_| target == TargetKind::Eks && cluster.domain.is_none())
    {
        let name = &service.name;
        return Err(format!("`{name}` is told its `${{public_url}}`, which takes a `domain` on `{target}`"));
    }
    if let Some(reason) = system.cannot_share(target, cluster.domain.is_some()) {
        return Err(reason);
    }
    let names: BTreeSet<&ServiceName> = present.iter().map(|service| &service.name).collect();
    let missing = present.iter().flat_map(|service| service.needs.iter().map(move |need| (service, need)));
    for (service, need) in missing {
        let optional = system.services.iter().any(|other| {
            let absent = !other.targets.contains(&target) || environment.manages(other);
            other.name == *need && (other.presence != Presence::Always || absent)
        });
        if !names.contains(need) && !optional {
            return Err(format!("`{}` needs `{need}`, which is not for `{target}`", service.name));
        }
    }
    if let Some(reason) = present.iter().find_map(|service| service.without_file(target)) {
        return Err(reason);
    }
    let managed: Vec<&Service> = system.services.iter().filter(|service| environment.manages(service)).collect();
    let there = There { present: &present, managed: &managed };
    Ok(present.iter().map(|service| part(service, &there, environment)).collect())
}

fn wanted_replicas(service: &Service, cluster: &Cluster) -> u32 {
    service.replicas.unwrap_or(cluster.replicas)
}

/// What services of a system find beside them.
struct There<'a> {
    present: &'a [&'a Service],
    /// What the platform has in the place of others.
    managed: &'a [&'a Service],
}

impl There<'_> {
    fn any(&self, wanted: impl Fn(&Service) -> bool) -> bool {
        self.present.iter().chain(self.managed).any(|service| wanted(service))
    }
}

fn part(service: &Service, there: &There<'_>, environment: &Environment) -> WorkloadSpec {
    let is_there = |name: &ServiceName| there.any(|other| other.name == *name);
    let env: BTreeMap<&String, &Template> = service
        .env
        .iter()
        .filter(|(_, template)| {
            template.references().all(|reference| match reference {
                Reference::Provided { service, .. } => is_there(service),
                _ => true,
            })
        })
        .collect();
    // A store of its own is what a service falls back to where the one that several could share is absent.
    let shared = |need: &&ServiceName| there.any(|other| other.name == **need && other.presence != Presence::Always);
    // One with volumes has them in any case.
    let is_bound = !service.container.volumes.is_empty();
    let shared = service.needs.iter().find(shared).filter(|_| !is_bound);
    let templates = env.values().copied().chain(&service.args).chain(asset::texts(&service.files));
    let uses_data = templates.flat_map(Template::references).any(|reference| *reference == Reference::Data);
    let has_state = uses_data || is_bound;
    let stores = shared.is_none() && has_state;
    let place = match shared {
        None => StatePlace::Own,
        Some(name) if there.managed.iter().any(|other| other.name == *name) => StatePlace::Managed(name.clone()),
        Some(name) => StatePlace::Service(name.clone()),
    };
    let listen = environment.cluster.listen.to_string();
    let filler = Filler { listen: &listen, service, present: there.present };
    let mut part = WorkloadSpec {
        replicas: if stores { 1 } else { wanted_replicas(service, &environment.cluster) },
        stores,
        volumes: if stores {
            volume::all(&service.container, uses_data.then(|| service.data()))
        } else {
            Volumes::new()
        },
        state: has_state.then_some(place),
        env: BTreeMap::new(),
        listen: String::new(),
        args: service.args.iter().map(|template| filler.fill(template, &|_, _| None).unwrap_or_default()).collect(),
        files: BTreeMap::new(),
        placed: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        given: BTreeSet::new(),
        secret_files: BTreeMap::new(),
        service: service.clone(),
    };
    for (name, template) in env {
        if !stores && template.references().any(|reference| *reference == Reference::Data) {
            continue;
        }
        match filler.fill(template, &|_, _| None) {
            Some(text) => part.env.insert(name.clone(), text).map(drop),
            None => part.secret_env.insert(name.clone(), template.clone()).map(drop),
        };
    }
    for (name, asset) in &service.files {
        let Some(template) = asset.text() else { continue };
        match filler.fill(template, &|_, _| None) {
            Some(text) if asset.is_plain() => part.files.insert(name.clone(), text).map(drop),
            Some(text) => part.placed.insert(name.clone(), text).map(drop),
            None => part.secret_files.insert(name.clone(), template.clone()).map(drop),
        };
    }
    part.give(environment.env_of(&service.name));
    if let Some(port) = service.port {
        part.tell("PORT", port.to_string());
        part.tell(LISTEN_ADDRESS, listen.clone());
    }
    part.listen = listen;
    part
}

impl WorkloadSpec {
    /// Has it a variable of the target's, unless its system sets that itself.
    fn tell(&mut self, name: &str, value: String) {
        if !self.secret_env.contains_key(name) {
            self.env.entry(name.to_owned()).or_insert(value);
        }
    }

    /// Takes what the environment sets, in the place of what the system says. What is secret is for nobody to read who can
    /// look at a workload, or at its manifest.
    fn give(&mut self, env: BTreeMap<String, String>) {
        for (name, value) in env {
            self.env.remove(&name);
            self.secret_env.remove(&name);
            if is_secret(&name, &value) {
                self.given.insert(name.clone());
                self.secret_env.insert(name, Template(vec![Piece::Text(value)]));
            } else {
                self.env.insert(name, value);
            }
        }
    }

    /// Its plain files that need secrets.
    pub(super) fn plain_secret_files(&self) -> Vec<String> {
        let is_plain = |name: &&String| self.service.files.get(*name).is_some_and(Asset::is_plain);
        self.secret_files.keys().filter(is_plain).cloned().collect()
    }

    /// Whether its program is a crate of this repository.
    pub(super) fn is_own(&self) -> bool {
        self.service.is_own()
    }

    /// The secrets that it takes, as `(SERVICE, SECRET)`: its own and those of what it needs. Of a service in whose place
    /// the platform has something it is what that provides.
    pub(super) fn secrets(&self, present: &[WorkloadSpec]) -> BTreeSet<(ServiceName, String)> {
        let services: Vec<&Service> = present.iter().map(|part| &part.service).collect();
        let filler = Filler { listen: self.listen(), service: &self.service, present: &services };
        let wanted = std::cell::RefCell::new(BTreeSet::new());
        for template in self.secret_env.values().chain(self.secret_files.values()) {
            filler.fill(template, &|service, name| {
                wanted.borrow_mut().insert((service.clone(), name.to_owned()));
                Some(String::new())
            });
        }
        wanted.into_inner()
    }

    /// A text with its secrets filled in by `secret`; `None` when one is not known.
    pub(super) fn filled(
        &self,
        template: &Template,
        present: &[WorkloadSpec],
        secret: &dyn Fn(&ServiceName, &str) -> Option<String>,
    ) -> Option<String> {
        let services: Vec<&Service> = present.iter().map(|part| &part.service).collect();
        Filler { listen: self.listen(), service: &self.service, present: &services }.fill(template, secret)
    }

    fn listen(&self) -> &str {
        &self.listen
    }
}

/// Fills in templates as they are in a cluster, where services find each other by name.
struct Filler<'a> {
    listen: &'a str,
    service: &'a Service,
    present: &'a [&'a Service],
}

impl Filler<'_> {
    fn fill(&self, template: &Template, secret: &dyn Fn(&ServiceName, &str) -> Option<String>) -> Option<String> {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => Some(text.clone()),
            Piece::Reference(reference) => self.reference(reference, secret),
        };
        template.0.iter().map(piece).collect()
    }

    fn reference(
        &self,
        reference: &Reference,
        secret: &dyn Fn(&ServiceName, &str) -> Option<String>,
    ) -> Option<String> {
        match reference {
            Reference::Address => Some(self.listen.to_owned()),
            Reference::Host => Some(self.service.name.to_string()),
            Reference::Port => Some(self.service.port?.to_string()),
            Reference::FurtherPort(name) => Some(self.service.ports.get(name)?.port.to_string()),
            Reference::PublicUrl => Some(public_url::unknown(self.service)),
            Reference::Data => Some(self.service.data().to_owned()),
            Reference::Commit => None,
            Reference::Secret(name) => secret(&self.service.name, name),
            Reference::File(name) => Some(self.service.files.get(name)?.in_container(name)),
            Reference::Provided { service, name } => {
                let Some(provider) = self.present.iter().find(|other| other.name == *service) else {
                    // What the platform has in its place is known only once that is there, and may let one in.
                    return secret(service, name);
                };
                let template = provider.provides.get(name)?;
                Filler { service: provider, ..*self }.fill(template, secret)
            }
        }
    }
}

/// What a release refers to that is known only in the course of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageRef {
    /// What the cluster pulls, or has been given: `REGISTRY/SERVICE@sha256:…`. Before it is known what `--dry-run` shows.
    pub(super) reference: String,
    /// The content key, or the tag of a public image: what people see.
    pub(super) version: String,
}

/// The Secret of a service that needs one. Its name ends in a digest of what is in it, so that it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretRef {
    pub(super) name: String,
    /// Variables, each under the key `env.NAME`.
    pub(super) env: Vec<String>,
    /// Files, each under the key `file.NAME`.
    pub(super) files: Vec<String>,
}

/// How public services are reached from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Its class; empty where an annotation says it.
    pub class: String,
    /// The namespace that the ingress controller's pods are in; empty where requests do not come from pods.
    pub from_namespace: String,
    /// The networks that requests come from otherwise.
    pub from_cidrs: Vec<String>,
    /// Behind the name of a service, for its host: `.172.31.77.1.sslip.io`, `.localhost`, `.shop.example.com`. Without
    /// one each service is reached by the name of its own load balancer.
    pub host_suffix: Option<String>,
    /// Annotations of every Ingress.
    pub annotations: BTreeMap<String, String>,
    /// How long a replica that is to end goes on answering, where that is longer than usual: until whoever sends it
    /// requests has heard of its end.
    pub drain_seconds: Option<u64>,
}

/// All that the values of a release are made from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReleaseSpec {
    pub(super) system: SystemName,
    pub(super) namespace: String,
    pub(super) deployment_id: String,
    /// Before the name of each public host.
    pub(super) host_prefix: String,
    pub(super) parts: Vec<WorkloadSpec>,
    pub(super) jobs: Vec<Job>,
    pub(super) images: BTreeMap<ServiceName, ImageRef>,
    pub(super) secrets: BTreeMap<ServiceName, SecretRef>,
    /// What the platform gives them.
    pub(super) grants: BTreeMap<ServiceName, ServiceBindings>,
    /// What the Ingresses of public services carry, each its own.
    pub(super) annotations: BTreeMap<ServiceName, BTreeMap<String, String>>,
    /// `None` when no service of the system is public.
    pub(super) exposure: Option<Exposure>,
    pub(super) storage_class: Option<String>,
    /// Who answers for names, besides what the chart knows.
    pub(super) dns: Vec<NameServer>,
    /// The Secrets in its namespace that nodes sign in to registries with.
    pub(super) pull_secrets: Vec<String>,
}

impl ReleaseSpec {
    pub(super) fn public(&self) -> Vec<ServiceName> {
        self.parts.iter().filter(|part| part.service.public).map(|part| part.service.name.clone()).collect()
    }

    /// The host of a public service, where it has one of its own.
    pub(super) fn host(&self, service: &ServiceName) -> Option<String> {
        let exposure = self.exposure.as_ref()?;
        let part = self.parts.iter().find(|part| part.service.name == *service);
        let name = part.map_or(service, |part| &part.service.public_name.name);
        Some(format!("{}{name}{}", self.host_prefix, exposure.host_suffix.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parts_of(system: &str, set: &[&str]) -> Vec<WorkloadSpec> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        let environment = model::environment(root, "aws", &set).unwrap();
        let spec = model::load(root).unwrap();
        let system = spec.systems.iter().find(|known| known.name.as_str() == system).unwrap();
        parts(system, &environment, environment.target).unwrap()
    }

    #[test]
    fn what_is_secret_in_an_environment_is_no_plain_variable() {
        let set = ["env.LOG=debug", "env.DB_PASS=hunter2", "env.UPSTREAM=http://u:p@h/", "env.REDIS_URL=redis://h/"];
        let all = parts_of("shortener", &[&set[..], &["services.shortener.env.STRIPE_KEY=k"]].concat());
        let of = |name: &str| all.iter().find(|part| part.service.name.as_str() == name).unwrap();
        let shortener = of("shortener");
        assert_eq!((shortener.env["LOG"].as_str(), shortener.env["REDIS_URL"].as_str()), ("debug", "redis://h/"));
        let secret: Vec<_> = shortener.secret_env.keys().map(String::as_str).collect();
        assert_eq!(secret, ["DB_PASS", "STRIPE_KEY", "UPSTREAM"]);
        assert!(secret.iter().all(|name| !shortener.env.contains_key(*name) && shortener.given.contains(*name)));
        assert!(shortener.secrets(&all).is_empty());
        assert!(!of("redis").secret_env.contains_key("STRIPE_KEY"));
        // What the system says itself of a secret is not the environment's.
        assert!(parts_of("shortener", &[])[0].given.is_empty());
    }

    #[test]
    fn what_the_platform_has_in_the_place_of_a_service_is_shared_as_that_is() {
        let own = parts_of("shortener", &[]);
        let managed = parts_of("shortener", &["terraform.cache=true"]);
        assert_eq!(own.len(), 2);
        let [shortener] = managed.as_slice() else { panic!("{managed:#?}") };
        let beside = own.iter().find(|part| part.service.name == shortener.service.name).unwrap();
        assert_eq!((shortener.replicas, shortener.stores), (beside.replicas, false));
        assert_eq!((&shortener.env, &shortener.secret_env), (&beside.env, &beside.secret_env));
        let asked = |part: &WorkloadSpec, all: &[WorkloadSpec]| {
            part.secrets(all).into_iter().map(|(of, name)| format!("{of}.{name}"))
        };
        assert_eq!(asked(beside, &own).collect::<Vec<_>>(), ["redis.password"]);
        assert_eq!(asked(shortener, &managed).collect::<Vec<_>>(), ["redis.url"]);
        let url = shortener.filled(&shortener.secret_env["REDIS_URL"], &managed, &|_, _| Some("rediss://a".to_owned()));
        assert_eq!(url.as_deref(), Some("rediss://a"));
    }
}
