//! What checks are given: this machine, the repository, and the environment they judge for.

use anyhow::Result;
use base::ctx::{Ctx, Vars};
use base::error::Fault;
use base::files;
use base::proc::{CommandLine, Finished, Proc};
use base::signal::Interrupts;
use engine::deployment::EnvironmentArgs;
use engine::home::Home;
use model::environment::Environment;
use model::name::{ServiceName, SystemName};
use model::port;
use model::secret::SecretSource;
use model::system::{Service, TargetKind};
use model::tool::Tool;
use model::{Spec, SpecErrors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use supervisor::{Client, Connection, ServiceStatus, orphans};

/// What is judged: the repository's own files, as far as they could be read.
pub struct Subject {
    pub tools: Vec<Tool>,
    pub environment: Option<Environment>,
    pub spec: Option<Spec>,
    /// What is wrong with the files; when there is none, all of the above is there.
    pub errors: Vec<SpecErrors>,
}

impl Subject {
    /// Reads the repository's files. What is wrong with them is kept, since much can be said of the machine anyway.
    ///
    /// # Errors
    /// When the command line names an environment or a setting that does not exist.
    pub fn load(ctx: &Ctx, environment: &EnvironmentArgs) -> Result<Self> {
        let mut errors = Vec::new();
        let environment = match environment.read(&ctx.root) {
            Err(wrong) if wrong.is_usage() => return Err(Fault::from(wrong).into()),
            environment => keep(environment, &mut errors),
        };
        let mut spec = keep(model::load(&ctx.root), &mut errors);
        if let (Some(spec), Some(environment)) = (&mut spec, &environment) {
            keep(spec.in_environment(environment, true), &mut errors);
        }
        let tools = keep(model::tools(&ctx.root), &mut errors).unwrap_or_default();
        Ok(Self { tools, environment, spec, errors })
    }

    pub fn target(&self) -> Option<TargetKind> {
        self.environment.as_ref().map(|environment| environment.target)
    }

    /// The secrets that services use here and that are not made.
    pub fn given_secrets(&self) -> GivenSecrets<'_> {
        let Some(target) = self.target() else { return BTreeMap::new() };
        let mut given = BTreeMap::new();
        for system in self.spec.iter().flat_map(|spec| &spec.systems) {
            for service in system.services.iter().filter(|service| service.targets.contains(&target)) {
                let used = service.used_secrets().into_iter().filter(|(_, secret)| secret.source.is_given());
                given.extend(used.map(|(name, secret)| ((&system.name, service.secret_key(name)), &secret.source)));
            }
        }
        given
    }
}

fn keep<T>(loaded: Result<T, SpecErrors>, errors: &mut Vec<SpecErrors>) -> Option<T> {
    loaded.map_err(|wrong| errors.push(wrong)).ok()
}

/// Where each comes from, by its system and what it is kept under.
pub type GivenSecrets<'s> = BTreeMap<(&'s SystemName, String), &'s SecretSource>;

/// Owns all it has, so that a check that hangs can be left behind.
pub struct Scene {
    pub root: PathBuf,
    pub vars: Vars,
    /// Whether system packages can be installed without becoming somebody else.
    pub is_root: bool,
    pub subject: Subject,
    pub interrupts: Interrupts,
    pub proc: Proc,
    own_ports: OnceLock<BTreeSet<u16>>,
    own_processes: OnceLock<BTreeSet<u32>>,
}

impl Scene {
    pub fn new(ctx: &Ctx, subject: Subject) -> Arc<Self> {
        Arc::new(Self {
            root: ctx.root.clone(),
            vars: ctx.vars.clone(),
            is_root: base::os::is_root(),
            subject,
            interrupts: ctx.interrupts.clone(),
            proc: Proc::new(ctx.proc.children().clone(), ctx.interrupts.clone(), ctx.vars.path()),
            own_ports: OnceLock::new(),
            own_processes: OnceLock::new(),
        })
    }

    /// Where the environment's state is kept.
    pub fn home(&self) -> Option<Home> {
        self.subject.environment.as_ref().map(|environment| Home::new(&self.root, &environment.name))
    }

    /// The ports that the environment's own services hold. Asked once for all checks.
    pub fn own_ports(&self) -> &BTreeSet<u16> {
        self.own_ports.get_or_init(|| {
            let Some(home) = self.home() else { return BTreeSet::new() };
            let ports: BTreeSet<u16> = match Client::connect(home.dir()) {
                // Its silence is reported by the supervisor's own check.
                Connection::Live(client) => {
                    let services = client.status().unwrap_or_default();
                    listening(&services).into_iter().chain(self.further_ports(&home, &services)).collect()
                }
                Connection::Foreign(_) | Connection::Absent => {
                    orphans(home.dir()).iter().map(|orphan| orphan.listen.port()).collect()
                }
            };
            // Containers listen in networks of their own; what they hold of this machine's ports is what is published.
            if ports.is_empty() || !self.runs_containers() { ports } else { self.published(&home) }
        })
    }

    /// The ports that what runs has: those that were kept for it, or else the declared ones.
    fn further_ports(&self, home: &Home, running: &[ServiceStatus]) -> Vec<u16> {
        let kept = files::read_json(&home.ports()).ok().flatten().unwrap_or_default();
        let runs = |service: &&Service| {
            running.iter().any(|status| status.service == service.name && status.current.is_some())
        };
        let kept = |name: &ServiceName| {
            let entry = &kept[name.as_str()];
            entry.as_u64().or(entry["port"].as_u64()).and_then(|port| u16::try_from(port).ok())
        };
        let systems = self.subject.spec.iter().flat_map(|spec| &spec.systems);
        let services = systems.flat_map(|system| &system.services).filter(runs);
        services.flat_map(port::each).filter_map(|one| kept(&one.name).or(one.host_port)).collect()
    }

    /// Whether a process is one of the environment's own, also of what it is just starting.
    pub fn is_own_process(&self, pid: u32) -> bool {
        let find = || self.home().map(|home| supervisor::processes(home.dir())).unwrap_or_default();
        self.own_processes.get_or_init(find).contains(&pid)
    }

    fn runs_containers(&self) -> bool {
        self.subject.environment.as_ref().is_some_and(|environment| environment.target == TargetKind::Containers)
    }

    fn published(&self, home: &Home) -> BTreeSet<u16> {
        let systems = self.subject.spec.iter().flat_map(|spec| &spec.systems);
        let published = systems.filter_map(|system| files::read_json(&home.published(&system.name)).ok().flatten());
        let address = |address: &Value| Some(address.as_str()?.parse::<SocketAddr>().ok()?.port());
        published
            .filter_map(|all| Some(all.as_object()?.values().filter_map(address).collect::<Vec<_>>()))
            .flatten()
            .collect()
    }

    pub fn find(&self, program: &str) -> Option<PathBuf> {
        self.proc.find(program)
    }

    /// Asks a program; the error is a sentence part that says what went wrong. `share` divides the deadline among
    /// programs that are asked one after the other.
    pub fn ask(&self, command: &CommandLine, share: u32) -> Result<Finished, String> {
        self.ask_within(command, super::DEADLINE / share)
    }

    /// The same of one that may take as long as this.
    ///
    /// # Errors
    /// A sentence part that says what went wrong.
    pub fn ask_within(&self, command: &CommandLine, within: Duration) -> Result<Finished, String> {
        match self.proc.ask(command, within) {
            Ok(Some(finished)) => Ok(finished),
            Ok(None) => Err(format!("`{}` gave no answer within {} s", command.name(), within.as_secs_f32())),
            Err(error) => Err(format!("{error:#}")),
        }
    }
}

fn listening(services: &[ServiceStatus]) -> BTreeSet<u16> {
    let current = services.iter().filter_map(|service| service.current.as_ref());
    current.map(|instance| instance.listen.port()).collect()
}
