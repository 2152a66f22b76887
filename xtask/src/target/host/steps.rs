//! Puts the steps of a deploy together: what all systems share, then what each contributes.

use super::Host;
use super::back::Changes;
use super::build::{BuildErrors, BuildWork, Wanted};
use super::install::InstallWork;
use super::ports::PortsWork;
use super::prove::ProveWork;
use super::provision::Provision;
use super::recipe::Recipe;
use super::start::StartWork;
use super::supervise::SupervisorWork;
use crate::ctx::Ctx;
use crate::plan::{Holds, Preview, Step, StepId, Work};
use crate::proc::CommandLine;
use crate::spec::name::ServiceName;
use crate::spec::system::{Service, Source, System};
use crate::tools::cargo;
use crate::tools::python::{Runner, Script};
use crate::ui::counted;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Only one cargo at a time can have the build directory.
const CARGO_LOCK: &str = "cargo";

/// Puts the steps of a deploy together.
pub(super) struct Steps<'a> {
    host: &'a Arc<Host>,
    ctx: &'a Ctx,
    pub(super) wanted: Vec<Wanted>,
    errors: BuildErrors,
    services: Vec<ServiceName>,
    steps: Vec<Step>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(host: &'a Arc<Host>, ctx: &'a Ctx, wanted: Vec<Wanted>) -> Self {
        Self { host, ctx, wanted, errors: BuildErrors::default(), services: Vec::new(), steps: Vec::new() }
    }

    pub(super) fn add_system(&mut self, system: &System, found: &BTreeMap<ServiceName, Provision>, verify: bool) {
        let present: Vec<ServiceName> = found.keys().cloned().collect();
        let mut recipes = Vec::new();
        let changes = Changes::default();
        for service in &system.services {
            let Some(provision) = found.get(&service.name) else { continue };
            let Some(program) = self.host.program(&service.name, provision, &self.wanted) else { continue };
            if let Provision::Python { runner, script } = provision {
                self.add_install(system, service, runner, script);
            }
            let recipe = Recipe::new(service, program, &self.host.deployment.environment, &present);
            let mut needs: Vec<StepId> = vec![StepId::new("ports"), StepId::new("supervisor")];
            match provision {
                Provision::Built { .. } => needs.push(StepId::new("build")),
                Provision::Python { .. } => needs.push(StepId::new(format!("install:{}", service.name))),
                Provision::Native(_) | Provision::External(_) => {}
            }
            self.add_start(system, service, recipe.clone(), needs, found, &changes);
            recipes.push(recipe);
        }
        self.add_proof(system, recipes, verify);
    }

    /// The steps that start exactly these recipes; their binaries are kept already.
    pub(super) fn add_recipes(&mut self, system: &System, recipes: Vec<Recipe>) {
        let found: BTreeMap<ServiceName, Provision> =
            recipes.iter().map(|recipe| (recipe.service.clone(), Provision::Native(recipe.program.clone()))).collect();
        let changes = Changes::default();
        for recipe in &recipes {
            let Some(service) = self.host.deployment.find_service(&recipe.service).cloned() else { continue };
            let needs = vec![StepId::new("ports"), StepId::new("supervisor")];
            self.add_start(system, &service, recipe.clone(), needs, &found, &changes);
        }
        self.add_proof(system, recipes, true);
    }

    fn add_start(
        &mut self,
        system: &System,
        service: &Service,
        recipe: Recipe,
        mut needs: Vec<StepId>,
        found: &BTreeMap<ServiceName, Provision>,
        changes: &Changes,
    ) {
        let started = |need: &&ServiceName| !matches!(found.get(*need), None | Some(Provision::External(_)));
        needs.extend(service.needs.iter().filter(started).map(start_id));
        self.services.push(service.name.clone());
        let preview = self.preview_start(&recipe);
        let work = StartWork {
            host: Arc::clone(self.host),
            recipe,
            system: system.name.clone(),
            errors: Arc::clone(&self.errors),
            changes: changes.clone(),
        };
        let title = format!("start `{}` and wait until it is ready", service.name);
        self.push(start_id(&service.name), title, Some(system), needs, vec![preview], work);
    }

    fn preview_start(&self, recipe: &Recipe) -> Preview {
        let (program, prefix) = recipe.invocation(self.host.home());
        let args = prefix.into_iter().chain(recipe.args.iter().map(ToString::to_string));
        let shown = program.strip_prefix(&self.host.deployment.root).unwrap_or(&program);
        let address = self.host.addresses().ok().and_then(|all| all.get(&recipe.service).copied());
        let address = address.map_or_else(|| "<free port>".to_owned(), |address| address.to_string());
        Preview::Do(format!("under the supervisor, on {address}: {}", CommandLine::new(shown).args(args)))
    }

    fn add_install(&mut self, system: &System, service: &Service, runner: &Runner, script: &Script) {
        let enable = match &service.source {
            Source::Image { host: Some(host), .. } => host.enable.clone(),
            _ => String::new(),
        };
        let preview = runner.install(script).into_iter().map(Preview::Run).collect();
        let work = InstallWork { host: Arc::clone(self.host), runner: runner.clone(), script: script.clone(), enable };
        let id = StepId::new(format!("install:{}", service.name));
        let title = format!("install {}", script.requirement);
        self.push(id, title, Some(system), vec![StepId::new("ports")], preview, work);
    }

    fn add_proof(&mut self, system: &System, recipes: Vec<Recipe>, verify: bool) {
        let needs = recipes.iter().map(|recipe| start_id(&recipe.service)).collect();
        let preview = system.smoke.iter().map(|check| Preview::Do(format!("{}: {}", check.service, check.name)));
        let preview = preview.collect();
        let work = ProveWork { host: Arc::clone(self.host), system: system.clone(), recipes, verify };
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

    /// Adds what all systems share.
    pub(super) fn finish(mut self) -> Vec<Step> {
        if self.services.is_empty() {
            return self.steps;
        }
        let ports = PortsWork { host: Arc::clone(self.host), services: self.services.clone() };
        let preview = vec![Preview::Do(format!("of {}", counted(self.services.len(), "service", "services")))];
        self.push(StepId::new("ports"), "check that the ports are free".to_owned(), None, vec![], preview, ports);
        let supervisor = SupervisorWork { host: Arc::clone(self.host) };
        let preview = vec![Preview::Do(format!("in the background, for `{}`", self.host.deployment.environment.name))];
        let title = "start the supervisor".to_owned();
        self.push(StepId::new("supervisor"), title, None, vec![StepId::new("ports")], preview, supervisor);
        if !self.wanted.is_empty() {
            let work = BuildWork {
                host: Arc::clone(self.host),
                errors: Arc::clone(&self.errors),
                cargo: cargo::command(&self.ctx.vars, &self.host.deployment.root),
                wanted: std::mem::take(&mut self.wanted),
            };
            let title = format!("build {} with cargo", counted(work.wanted.len(), "service", "services"));
            let preview = work.preview();
            self.push(StepId::new("build"), title, None, vec![StepId::new("ports")], preview, work);
            if let Some(build) = self.steps.last_mut() {
                build.holds = Holds::Lock(CARGO_LOCK);
            }
        }
        // Shared steps go first, where a reader of the plan expects them.
        self.steps.sort_by_key(|step| step.system.is_some());
        self.steps
    }
}

fn start_id(service: &ServiceName) -> StepId {
    StepId::new(format!("start:{service}"))
}
