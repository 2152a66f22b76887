//! What a command is about: the systems, the environment, and which of the systems were named.

use crate::commit;
use crate::home::Home;
use crate::ledger::{Entry, Ledger};
use crate::reconcile::{Desired, DesiredService, DesiredSystem, Entrance, Extent};
use crate::recorded_settings;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::redact;
use model::environment::{Environment, Ports, Setting};
use model::name::{ServiceName, SystemName};
use model::system::{Service, System};
use model::{Holder, Readable, Spec, SpecErrors};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which environment, and how its settings differ for this run.
#[derive(Debug, Clone)]
pub struct EnvironmentArgs {
    pub name: String,
    /// `KEY=VALUE`
    pub set: Vec<String>,
}

impl EnvironmentArgs {
    /// Reads the environment. What is secret in it is shown nowhere from then on.
    ///
    /// # Errors
    /// When a file is wrong, or the command line names what does not exist.
    pub fn read(&self, root: &Path) -> Result<Environment, SpecErrors> {
        let environment = model::environment(root, &self.name, &self.set)?;
        environment.origins.iter().for_each(Setting::learn);
        redact::keep_names([environment.name.as_str(), environment.deployment_id.as_str()]);
        Ok(environment)
    }
}

/// The systems and the environment of one command.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub root: PathBuf,
    /// As far as its files can be read.
    pub spec: Spec,
    /// What cannot be read of them.
    pub unreadable: Unreadable,
    pub environment: Environment,
    /// The systems the command is about.
    pub scope: Scope,
    pub home: Home,
    pub consent: Consent,
    /// What a person should know of it, a line each.
    pub notes: Vec<String>,
}

/// Files that something is wrong with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// The systems in them: they declare nothing, and undeclare nothing.
    pub systems: BTreeSet<SystemName>,
    pub errors: Option<SpecErrors>,
    /// What is wrong with the environment's files, in place of which its recorded settings are used.
    pub environment: Option<SpecErrors>,
}

/// What was agreed to on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consent {
    /// `--yes`: every question is answered.
    pub yes: bool,
    /// `--confirm NAME`: what would be lost with the deployment of this name may be.
    pub confirm: Option<String>,
    /// `--move-state SYSTEM`: these may keep their state elsewhere from now on.
    pub move_state: Vec<SystemName>,
}

/// Which systems a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub systems: Vec<SystemName>,
    /// No system was named, so what they share is included.
    pub everything: bool,
}

impl Scope {
    pub fn has(&self, system: &SystemName) -> bool {
        self.everything || self.systems.contains(system)
    }

    /// Whether something that was made for `system` is in it; what was made for none is when everything is.
    pub fn covers(&self, system: Option<&str>) -> bool {
        self.everything || system.is_some_and(|name| self.systems.iter().any(|system| system.as_str() == name))
    }

    pub fn extent(&self) -> Extent {
        if self.everything { Extent::Everything } else { Extent::Systems(self.systems.iter().cloned().collect()) }
    }
}

impl Deployment {
    /// Reads the spec and the environment, for what needs every file to be right.
    ///
    /// # Errors
    /// When a file is wrong, or the command line names what does not exist.
    pub fn load(ctx: &Ctx, environment: &EnvironmentArgs, systems: &[String]) -> Result<Self> {
        let mut loaded = model::load(&ctx.root).map_err(Fault::from)?;
        let scope = scope(&loaded, systems)?;
        let mut environment = environment.read(&ctx.root).map_err(Fault::from)?;
        tell_apart(ctx, &mut loaded, &mut environment, &BTreeSet::new())?;
        loaded.in_environment(&environment, true).map_err(Fault::from)?;
        check_platform(&loaded, &environment, &scope)?;
        let notes = commit::tell(ctx, &mut loaded, &scope)?;
        Ok(Self { notes, ..Self::with(ctx, environment, loaded, Unreadable::default(), scope) })
    }

    /// Reads them for what changes these systems alone: those have to be right, and what all share.
    ///
    /// # Errors
    /// When one of their files is wrong, any file where no system is named, or the command line names what does not exist.
    pub fn load_named(ctx: &Ctx, environment: &EnvironmentArgs, systems: &[String]) -> Result<Self> {
        let Readable { mut spec, unreadable, errors } = model::load_readable(&ctx.root);
        if let Some(errors) = &errors {
            let elsewhere = |system: &SystemName| !systems.iter().any(|name| name == system.as_str());
            let concerned = errors.iter().any(|error| error.system().is_none_or(|system| !elsewhere(&system)));
            if systems.is_empty() || concerned {
                return Err(Fault::from(errors.clone()).into());
            }
        }
        let scope = scope(&spec, systems)?;
        let mut environment = environment.read(&ctx.root).map_err(Fault::from)?;
        tell_apart(ctx, &mut spec, &mut environment, &unreadable)?;
        spec.in_environment(&environment, errors.is_none()).map_err(Fault::from)?;
        check_platform(&spec, &environment, &scope)?;
        let notes = commit::tell(ctx, &mut spec, &scope)?;
        let unreadable = Unreadable { systems: unreadable, errors, environment: None };
        Ok(Self { notes, ..Self::with(ctx, environment, spec, unreadable, scope) })
    }

    /// Reads them for what works from the records: whatever the files say, and also for systems that no file declares.
    /// Whether those are known, [`check_names`](crate::backend::check_names) tells.
    ///
    /// # Errors
    /// When the environment can neither be read nor is recorded, or the command line has what cannot be the name of a system.
    pub fn load_recorded(ctx: &Ctx, environment: &EnvironmentArgs, systems: &[String]) -> Result<Self> {
        let Readable { mut spec, unreadable, errors } = model::load_readable(&ctx.root);
        let named = systems.iter().map(|name| name.parse::<SystemName>());
        let named = named.collect::<Result<Vec<_>, _>>().map_err(|error| Fault::usage(error.to_string()))?;
        let all = || spec.systems.iter().map(|system| &system.name).chain(&unreadable).cloned().collect();
        let scope = Scope { everything: named.is_empty(), systems: if named.is_empty() { all() } else { named } };
        let mut found = recorded_settings::environment(&ctx.root, environment)?;
        tell_apart(ctx, &mut spec, &mut found.environment, &unreadable)?;
        // What it is now only concerns what begins.
        let _ = commit::tell(ctx, &mut spec, &scope);
        let misfit = spec.in_environment(&found.environment, errors.is_none() && found.wrong.is_none()).err();
        let unreadable = Unreadable { systems: unreadable, errors, environment: found.wrong.or(misfit) };
        Ok(Self::with(ctx, found.environment, spec, unreadable, scope))
    }

    fn with(ctx: &Ctx, environment: Environment, spec: Spec, unreadable: Unreadable, scope: Scope) -> Self {
        let home = Home::new(&ctx.root, &environment.name);
        let services = spec.systems.iter().flat_map(|system| &system.services).map(|service| service.name.local());
        redact::keep_names(services.chain(spec.systems.iter().map(|system| system.name.as_str())));
        let (consent, notes) = (Consent::default(), Vec::new());
        Self { root: ctx.root.clone(), spec, unreadable, environment, scope, home, consent, notes }
    }

    /// A command of this tool as a person would type it for what this command is about: the systems that were named, in
    /// this environment. "cargo xtask deploy epoch --set ports=free --env try".
    pub fn command(&self, verb: &str, flags: &[&str]) -> String {
        let named = self.scope.systems.iter().map(SystemName::as_str).filter(|_| !self.scope.everything);
        let words = std::iter::once(verb).chain(named).chain(flags.iter().copied());
        self.environment.command(&words.collect::<Vec<_>>().join(" "))
    }

    /// What the files ask for here. `entrances` says what each service is to have for itself.
    pub fn desired(&self, entrances: &dyn Fn(&Service) -> BTreeSet<Entrance>) -> Desired {
        let here = |service: &&Service| service.targets.contains(&self.environment.target);
        let service = |service: &Service| {
            let desired = DesiredService { entrances: entrances(service), was: service.was.clone() };
            (service.name.clone(), desired)
        };
        let system = |system: &System| {
            let services = system.services.iter().filter(here).map(service).collect();
            (system.name.clone(), DesiredSystem { services, was: system.was.clone() })
        };
        Desired {
            systems: self.spec.systems.iter().map(system).collect(),
            unreadable: self.unreadable.systems.clone(),
            moving: BTreeMap::new(),
        }
    }

    /// Whether the files declare a system; `None` where they cannot be read.
    pub fn declares_system(&self, name: &SystemName) -> Option<bool> {
        (!self.unreadable.systems.contains(name)).then(|| self.spec.systems.iter().any(|system| system.name == *name))
    }

    /// Whether the files declare a service of a system for this target; `None` where they cannot be read.
    pub fn declares(&self, system: &SystemName, service: &ServiceName) -> Option<bool> {
        let here = |known: &Service| known.name == *service && known.targets.contains(&self.environment.target);
        let found = self.spec.systems.iter().find(|known| known.name == *system);
        (!self.unreadable.systems.contains(system)).then(|| found.is_some_and(|known| known.services.iter().any(here)))
    }

    /// Whether a system may keep its state elsewhere from now on.
    pub fn moves_state(&self, system: &SystemName) -> bool {
        self.consent.move_state.contains(system)
    }

    /// The same with what was agreed to.
    pub fn agreed(self, yes: bool) -> Self {
        Self { consent: Consent { yes, ..self.consent }, ..self }
    }

    /// The systems the command is about, in the order of their names.
    pub fn systems(&self) -> impl Iterator<Item = &System> {
        self.spec.systems.iter().filter(|system| self.scope.has(&system.name))
    }

    /// A service by the name a user typed, with its system.
    ///
    /// # Errors
    /// When no system has it, or several have.
    pub fn service(&self, name: &str) -> Result<(&System, &Service)> {
        match self.spec.named(name).as_slice() {
            [only] => Ok(*only),
            [] => {
                let names = self.spec.systems.iter().flat_map(|system| &system.services).map(|s| s.name.local());
                Err(unknown("service", name, names).into())
            }
            several => Err(Fault::usage(model::ambiguous(name, several)).into()),
        }
    }

    /// A system by the name a user typed.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn system(&self, name: &str) -> Result<&System> {
        self.spec
            .systems
            .iter()
            .find(|system| system.name.as_str() == name)
            .ok_or_else(|| unknown_system(&self.spec, name, self.spec.systems.iter().map(|system| &system.name)).into())
    }

    pub fn find_service(&self, name: &ServiceName) -> Option<&Service> {
        self.spec.systems.iter().flat_map(|system| &system.services).find(|service| service.name == *name)
    }
}

/// Gives each service its name; what is recorded of the names on this machine is kept to.
fn tell_apart(
    ctx: &Ctx,
    spec: &mut Spec,
    environment: &mut Environment,
    unreadable: &BTreeSet<SystemName>,
) -> Result<()> {
    let ledger = Ledger::open(&Home::new(&ctx.root, &environment.name).ledger())?;
    let held: Vec<Holder> = ledger.entries().iter().filter_map(Entry::service).collect();
    spec.tell_apart(environment, unreadable, &held);
    Ok(())
}

/// What the target limits. Where each service has to have its own port, no two of them may declare the same.
fn check_platform(spec: &Spec, environment: &Environment, scope: &Scope) -> Result<()> {
    let named: &[SystemName] = if scope.everything { &[] } else { &scope.systems };
    spec.check_files(environment.target, named).map_err(Fault::from)?;
    spec.check_jobs(environment.target, named).map_err(Fault::from)?;
    spec.check_hosts(environment.target, named).map_err(Fault::from)?;
    match environment.ports {
        Ports::Declared => Ok(spec.check_ports(environment.target, named).map_err(Fault::from)?),
        Ports::Prefer | Ports::Free => Ok(()),
    }
}

fn scope(spec: &Spec, named: &[String]) -> Result<Scope> {
    let all = || spec.systems.iter().map(|system| &system.name);
    if named.is_empty() {
        return Ok(Scope { systems: all().cloned().collect(), everything: true });
    }
    for name in named {
        if !all().any(|known| known.as_str() == name) {
            return Err(unknown_system(spec, name, all()).into());
        }
    }
    let systems = all().filter(|known| named.iter().any(|name| name == known.as_str())).cloned().collect();
    Ok(Scope { systems, everything: false })
}

/// What to say of a name that no system has, though a service may.
pub(crate) fn unknown_system<'a>(spec: &Spec, name: &str, known: impl Iterator<Item = &'a SystemName>) -> Fault {
    let has_it = |system: &&System| system.services.iter().any(|service| service.name.local() == name);
    match spec.systems.iter().find(has_it) {
        Some(System { name: system, .. }) => Fault::usage(format!("`{name}` is a service of `{system}`, not a system"))
            .hint(format!("name the system: `{system}`")),
        None => unknown("system", name, known.map(SystemName::as_str)),
    }
}

/// "unknown system `epohc`; did you mean `epoch`?"
pub fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Fault {
    let known: Vec<&str> = known.collect();
    let close = known.iter().map(|other| (strsim::damerau_levenshtein(name, other), other));
    let meant = match close.min() {
        Some((distance, other)) if distance <= 1 + name.len() / 4 => format!("; did you mean `{other}`?"),
        _ => String::new(),
    };
    Fault::usage(format!("unknown {what} `{name}`{meant}")).hint(format!("there are: {}", known.join(", ")))
}
