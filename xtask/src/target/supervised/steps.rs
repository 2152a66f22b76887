//! Puts the steps of a deploy together: what all systems share, then what each contributes.

use super::Supervised;
use super::back::Changes;
use super::ports::PortsWork;
use super::prove::ProveWork;
use super::recipe::Recipe;
use super::runtime::{BuildErrors, Planned};
use super::start::StartWork;
use super::supervise::SupervisorWork;
use crate::plan::{Holds, Preview, Step, StepId, Work};
use crate::spec::name::ServiceName;
use crate::spec::system::{Service, System};
use crate::ui::counted;
use std::sync::Arc;

/// The step after which every port is known to be free or ours.
pub(in crate::target) const PORTS: &str = "ports";
/// The step after which a supervisor runs.
pub(in crate::target) const SUPERVISOR: &str = "supervisor";

/// Puts the steps of a deploy together.
pub(super) struct Steps<'a> {
    core: &'a Arc<Supervised>,
    errors: BuildErrors,
    services: Vec<Service>,
    steps: Vec<Step>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(core: &'a Arc<Supervised>, errors: BuildErrors) -> Self {
        Self { core, errors, services: Vec::new(), steps: Vec::new() }
    }

    pub(super) fn add_system(&mut self, system: &System, planned: Vec<Planned>, verify: bool) {
        self.add(system, planned, verify, true);
    }

    fn add(&mut self, system: &System, planned: Vec<Planned>, verify: bool, provided: bool) {
        let recipes: Vec<Recipe> = planned.iter().map(|planned| planned.recipe.clone()).collect();
        let ground = self.core.runtime.ground(self.core, system, &recipes, provided);
        let ground_ids: Vec<StepId> = ground.iter().map(|step| step.id.clone()).collect();
        self.steps.extend(ground);
        let changes = Changes::default();
        for Planned { service, recipe, needs } in planned {
            let started = |need: &&ServiceName| recipes.iter().any(|recipe| recipe.service == **need);
            let before = service.needs.iter().filter(started).map(start_id);
            let shared = [PORTS, SUPERVISOR].map(StepId::new);
            let needs = shared.into_iter().chain(needs).chain(ground_ids.iter().cloned()).chain(before).collect();
            self.add_start(system, &service, recipe, needs, &changes);
        }
        self.add_proof(system, recipes, changes, verify);
    }

    /// The steps that start exactly these recipes; what they name is kept already.
    pub(super) fn add_recipes(&mut self, system: &System, recipes: Vec<Recipe>) {
        let find = |recipe: Recipe| {
            let service = self.core.deployment.find_service(&recipe.service)?.clone();
            Some(Planned { service, recipe, needs: Vec::new() })
        };
        let planned = recipes.into_iter().filter_map(find).collect();
        self.add(system, planned, true, false);
    }

    fn add_start(&mut self, system: &System, service: &Service, recipe: Recipe, needs: Vec<StepId>, changes: &Changes) {
        self.services.push(service.clone());
        let preview = Preview::Do(self.core.runtime.preview(self.core, &recipe));
        let work = StartWork {
            core: Arc::clone(self.core),
            recipe,
            system: system.name.clone(),
            errors: Arc::clone(&self.errors),
            changes: changes.clone(),
        };
        let title = format!("start `{}` and wait until it is ready", service.name);
        self.push(start_id(&service.name), title, Some(system), needs, vec![preview], work);
    }

    fn add_proof(&mut self, system: &System, recipes: Vec<Recipe>, changes: Changes, verify: bool) {
        let needs = recipes.iter().map(|recipe| start_id(&recipe.service)).collect();
        let preview = system.smoke.iter().map(|check| Preview::Do(format!("{}: {}", check.service, check.name)));
        let preview = preview.collect();
        let work = ProveWork { core: Arc::clone(self.core), system: system.clone(), recipes, changes, verify };
        let title = format!("check `{}` against its smoke contract", system.name);
        self.push(StepId::new(format!("smoke:{}", system.name)), title, Some(system), needs, preview, work);
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
        let takes_port = |service: &&Service| self.core.runtime.takes_port(service);
        let services: Vec<_> = self.services.iter().filter(takes_port).map(|service| service.name.clone()).collect();
        let preview = vec![Preview::Do(format!("of {}", counted(services.len(), "service", "services")))];
        let ports = PortsWork { core: Arc::clone(self.core), services };
        self.push(StepId::new(PORTS), "check that the ports are free".to_owned(), None, vec![], preview, ports);
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

fn start_id(service: &ServiceName) -> StepId {
    StepId::new(format!("start:{service}"))
}
