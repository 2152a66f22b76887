//! Puts the steps of a deploy together: what all systems share, then what each contributes.

use super::auto_rollback::Changes;
use super::ports::{PortsWork, SystemPortsWork};
use super::recipe::Recipe;
use super::runtime::{Blocked, BuildErrors, Planned};
use super::start::StartWork;
use super::succession::Succession;
use super::supervise::SupervisorWork;
use super::verify::AppliedSystem;
use super::{Supervised, addresses, jobs};
use anyhow::Result;
use base::error::Fault;
use base::text::counted;
use engine::job::step_id;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use engine::reconcile::{Changes as Compared, UnitId};
use engine::release::{VerifyWork, unchecked};
use model::environment::Ports;
use model::name::{ServiceName, SystemName};
use model::system::{Service, System};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The step after which every port is known to be free or ours.
pub const PORTS: Action = Action::new("ports");
/// The step after which a supervisor runs.
pub const SUPERVISOR: Action = Action::new("supervisor");

/// What starts and checks take turns for, each among themselves.
const STARTS: &str = "starts";
const CHECKS: &str = "checks";

/// Puts the steps of a deploy together.
pub(super) struct Steps<'a> {
    core: &'a Arc<Supervised>,
    errors: BuildErrors,
    services: BTreeMap<SystemName, Vec<Service>>,
    steps: Vec<Step>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(core: &'a Arc<Supervised>, errors: BuildErrors) -> Self {
        Self { core, errors, services: BTreeMap::new(), steps: Vec::new() }
    }

    pub(super) fn add_system(&mut self, system: &System, planned: Vec<Planned>, verify: bool, compared: &Compared) {
        self.add(system, planned, verify, compared, true);
    }

    /// `provided`: in a deploy, not in a rollback.
    fn add(&mut self, system: &System, planned: Vec<Planned>, verify: bool, compared: &Compared, provided: bool) {
        let recipes: Vec<Recipe> = planned.iter().map(|planned| planned.recipe.clone()).collect();
        let own_ports = self.add_own_ports(system);
        let mut prerequisites = self.core.runtime.prerequisites(self.core, system, &recipes, provided);
        prerequisites.iter_mut().for_each(|step| step.needs.extend(own_ports.clone()));
        let prerequisite_ids: Vec<StepId> = prerequisites.iter().map(|step| step.id.clone()).collect();
        self.steps.extend(prerequisites);
        let changes = Changes::default();
        // What has no program here was refused before; a revision that has none is gone back to without.
        let jobs = jobs::planned(self.core, system, &planned).unwrap_or_default();
        let before = |service: &ServiceName| -> Vec<StepId> {
            let waits = jobs.iter().filter(|planned| provided && system.waits(service, &planned.job));
            waits.map(|planned| step_id(&system.name, &planned.job.name)).collect()
        };
        let shared = [PORTS, SUPERVISOR].map(StepId::new).into_iter();
        let shared: Vec<StepId> = shared.chain(own_ports.clone()).chain(prerequisite_ids).collect();
        for Planned { service, recipe, needs } in planned {
            let started = |need: &&ServiceName| recipes.iter().any(|recipe| recipe.service == **need);
            let needed = service.needs.iter().filter(started).map(start_id);
            let needs = shared.iter().cloned().chain(needs).chain(needed).chain(before(&service.name)).collect();
            let unit = UnitId::new(&system.name, &service.name);
            let succession = Succession::of(compared, &unit);
            self.add_start(system, &service, recipe, needs, (&changes, succession));
        }
        let starts: Vec<ServiceName> = recipes.iter().map(|recipe| recipe.service.clone()).collect();
        let order = jobs::Order { shared, starts: &starts, proof: Action::new("smoke").of(&system.name) };
        let jobs = jobs::steps(self.core, system, &jobs, &order, (&changes, provided));
        self.add_proof(system, recipes, changes, verify, &jobs);
        self.steps.extend(jobs);
    }

    /// Where each service has to have its declared port, a system that cannot fails alone.
    fn add_own_ports(&mut self, system: &System) -> Option<StepId> {
        if self.core.deployment.environment.ports != Ports::Declared {
            return None;
        }
        let id = PORTS.of(&system.name);
        let work = SystemPortsWork { core: Arc::clone(self.core), system: system.name.clone() };
        let title = format!("check that the ports of `{}` are free", system.name);
        let preview = vec![Preview::Do("fails where somebody else has one".to_owned())];
        self.push(id.clone(), title, Some(system), vec![StepId::new(PORTS)], preview, work);
        Some(id)
    }

    /// The steps that start exactly these recipes; what they name is kept already. The number of checks that prove them.
    ///
    /// # Errors
    /// When nothing is known any more of a service that they start.
    pub(super) fn add_recipes(&mut self, system: &System, recipes: Vec<Recipe>, compared: &Compared) -> Result<usize> {
        let mut planned = Vec::new();
        for recipe in recipes {
            let service = self.core.service(&recipe.service).cloned().ok_or_else(|| {
                let cause =
                    format!("the earlier revision has `{}`, of which nothing is known any more", recipe.service);
                Fault::failed("service-forgotten", cause).hint("declare it again, and deploy")
            })?;
            planned.push(Planned { service, recipe, needs: Vec::new() });
        }
        let services: Vec<Service> = planned.iter().map(|planned| planned.service.clone()).collect();
        let starts = |name: &ServiceName| services.iter().any(|service| service.name == *name);
        // What is asked of a service that the revision does not have, nobody can answer.
        let smoke = system.smoke.iter().filter(|check| starts(&check.service)).cloned().collect();
        let denied = system.denied.iter().filter(|denied| starts(&denied.to)).cloned().collect();
        let system = System { services, smoke, denied, ..system.clone() };
        let checks = system.smoke.len();
        self.core.reshaped().push(system.clone());
        self.add(&system, planned, true, compared, false);
        Ok(checks)
    }

    fn add_start(
        &mut self,
        system: &System,
        service: &Service,
        recipe: Recipe,
        needs: Vec<StepId>,
        (changes, succession): (&Changes, Succession),
    ) {
        self.services.entry(system.name.clone()).or_default().push(service.clone());
        self.core.plan_entries(self.core.runtime.entries(self.core, &recipe, &system.name));
        let unit = UnitId::new(&system.name, &service.name);
        let mut preview = vec![Preview::Do(self.core.runtime.preview(self.core, &recipe))];
        preview.extend(succession.preview(self.core, &unit).into_iter().map(Preview::Do));
        let work = StartWork {
            core: Arc::clone(self.core),
            recipe,
            system: system.name.clone(),
            errors: Arc::clone(&self.errors),
            changes: changes.clone(),
            succession,
        };
        let title = format!("start `{}` and wait until it is ready", service.name);
        self.push(start_id(&service.name), title, Some(system), needs, preview, work);
        self.hold(STARTS);
    }

    fn add_proof(&mut self, system: &System, recipes: Vec<Recipe>, changes: Changes, verify: bool, jobs: &[Step]) {
        let proof = Action::new("smoke").of(&system.name);
        let starts = recipes.iter().map(|recipe| start_id(&recipe.service));
        let ran = jobs.iter().filter(|job| !job.needs.contains(&proof)).map(|job| job.id.clone());
        let needs = starts.chain(ran).collect();
        let checks = system.smoke.iter().map(|check| format!("{}: {}", check.service, check.name));
        let none = system.smoke.is_empty().then(|| unchecked(&system.name));
        let preview = checks.chain(none).map(Preview::Do).collect();
        let applied = AppliedSystem { core: Arc::clone(self.core), system: system.clone(), recipes, changes, verify };
        let title = format!("check `{}` against its smoke contract", system.name);
        self.push(proof, title, Some(system), needs, preview, VerifyWork(applied));
        self.hold(CHECKS);
    }

    /// Systems that fail before anything of them is touched.
    pub(super) fn add_blocked(&mut self, blocked: Vec<Blocked>) {
        for Blocked { system, fault, .. } in blocked {
            let title = format!("check that `{system}` has what it keeps its state in");
            let id = Action::new("state").of(&system);
            let preview = vec![Preview::Do(format!("fails: {}", fault.cause))];
            let (needs, holds, system) = (Vec::new(), Holds::Nothing, Some(system.to_string()));
            self.steps.push(Step { id, title, system, needs, holds, preview, work: Box::new(BlockedWork { fault }) });
        }
    }

    /// The step that was added last is one of those that take turns.
    fn hold(&mut self, place: &'static str) {
        if let Some(step) = self.steps.last_mut() {
            step.holds = Holds::Place(place);
        }
    }

    fn push(
        &mut self,
        id: StepId,
        title: String,
        system: Option<&System>,
        needs: Vec<StepId>,
        preview: Vec<Preview>,
        work: impl Work + 'static,
    ) {
        let system = system.map(|system| system.name.to_string());
        self.steps.push(Step { id, title, system, needs, holds: Holds::Nothing, preview, work: Box::new(work) });
    }

    /// Adds what all systems share, and what makes the things that are started.
    pub(super) fn finish(mut self, making: Vec<Step>) -> Vec<Step> {
        if self.services.is_empty() {
            return self.steps;
        }
        let mut services = std::mem::take(&mut self.services);
        for services in services.values_mut() {
            *services = services.iter().flat_map(addresses::each_port).collect();
            services.retain(|service| self.core.runtime.takes_port(service));
        }
        let count = services.values().map(Vec::len).sum();
        let title = match self.core.deployment.environment.ports {
            Ports::Declared => "check that the ports are free",
            Ports::Prefer | Ports::Free => "choose ports that are free",
        };
        let preview = vec![Preview::Do(format!("of {}", counted(count, "service", "services")))];
        let ports = PortsWork { core: Arc::clone(self.core), services };
        self.push(StepId::new(PORTS), title.to_owned(), None, vec![], preview, ports);
        let supervisor = SupervisorWork { core: Arc::clone(self.core) };
        let preview = vec![Preview::Do(format!("in the background, for `{}`", self.core.deployment.environment.name))];
        let title = "start the supervisor".to_owned();
        self.push(StepId::new(SUPERVISOR), title, None, vec![StepId::new(PORTS)], preview, supervisor);
        self.steps.extend(making);
        // Shared steps go first, where a reader of the plan expects them.
        self.steps.sort_by_key(|step| step.system.is_some());
        self.steps
    }
}

struct BlockedWork {
    fault: Fault,
}

impl Work for BlockedWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        Err(self.fault.clone().into())
    }
}

pub(super) fn start_id(service: &ServiceName) -> StepId {
    Action::new("start").of(&service)
}
