//! What a command is about: the systems, the environment, and which of the systems were named.

use crate::cli::EnvironmentArgs;
use crate::ctx::Ctx;
use crate::error::Fault;
use crate::home::Home;
use crate::spec::environment::Environment;
use crate::spec::name::{ServiceName, SystemName};
use crate::spec::system::{Service, System};
use crate::spec::{self, Spec};
use anyhow::Result;
use std::path::PathBuf;

/// The systems and the environment of one command.
#[derive(Debug, Clone)]
pub struct Deployment {
    pub root: PathBuf,
    pub spec: Spec,
    pub environment: Environment,
    /// The systems the command is about.
    pub scope: Scope,
    pub home: Home,
    pub consent: Consent,
}

/// What was agreed to on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consent {
    /// `--yes`: every question is answered.
    pub yes: bool,
    /// `--confirm NAME`: what would be lost with the deployment of this name may be.
    pub confirm: Option<String>,
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
        self.systems.contains(system)
    }
}

impl Deployment {
    /// Reads the spec and the environment.
    ///
    /// # Errors
    /// When a file is wrong, or the command line names what does not exist.
    pub fn load(ctx: &Ctx, environment: &EnvironmentArgs, systems: &[String]) -> Result<Self> {
        let loaded = spec::load(&ctx.root).map_err(Fault::from)?;
        let environment = spec::environment(&ctx.root, &environment.name, &environment.set).map_err(Fault::from)?;
        let scope = scope(&loaded, systems)?;
        let home = Home::new(&ctx.root, &environment.name);
        let consent = Consent::default();
        Ok(Self { root: ctx.root.clone(), spec: loaded, environment, scope, home, consent })
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
    /// When no system has it.
    pub fn service(&self, name: &str) -> Result<(&System, &Service)> {
        let mut all = self.spec.systems.iter().flat_map(|system| system.services.iter().map(move |s| (system, s)));
        all.find(|(_, service)| service.name.as_str() == name).ok_or_else(|| {
            let names = self.spec.systems.iter().flat_map(|system| &system.services).map(|s| s.name.as_str());
            unknown("service", name, names).into()
        })
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
            .ok_or_else(|| unknown("system", name, self.spec.systems.iter().map(|system| system.name.as_str())).into())
    }

    pub fn find_service(&self, name: &ServiceName) -> Option<&Service> {
        self.spec.systems.iter().flat_map(|system| &system.services).find(|service| service.name == *name)
    }
}

fn scope(spec: &Spec, named: &[String]) -> Result<Scope> {
    let all = || spec.systems.iter().map(|system| &system.name);
    if named.is_empty() {
        return Ok(Scope { systems: all().cloned().collect(), everything: true });
    }
    for name in named {
        if !all().any(|known| known.as_str() == name) {
            return Err(unknown("system", name, all().map(SystemName::as_str)).into());
        }
    }
    let systems = all().filter(|known| named.iter().any(|name| name == known.as_str())).cloned().collect();
    Ok(Scope { systems, everything: false })
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
