//! `build`: container images of services whose sources have changed. What is current is known without an engine.

use super::update_pins;
use verbs::cmd::dry_run::Rehearsal;
use verbs::cmd::execute::{Execution, execute_here};

use crate::targets;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::table;
use engine::deployment::Deployment;
use engine::home::Home;
use engine::journal::StepResult;
use engine::ledger::Ledger;
use engine::plan::Plan;
use images::{BuildLocation, Built, DesiredImage, Enter, Images, Pushes};
use model::name::ServiceName;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use tools::oci::Lazy;
use verbs::cli::BuildArgs;
use verbs::ui;

/// # Errors
/// When nothing could be tried; a step that failed is reported and in the exit code.
pub(crate) fn run(args: &BuildArgs, ctx: &Ctx) -> Result<Exit> {
    if args.update_pins {
        return update_pins::run(args.json.json, ctx);
    }
    let deployment = Deployment::load(ctx, &args.environment, &args.systems.systems)?;
    deployment.notes.iter().for_each(|note| ui::say(note));
    let (deployment, owner) = targets::for_images(deployment, ctx, args.push)?;
    let environment = deployment.environment.clone();
    let engine = Arc::new(Lazy::new(environment.engine));
    let enter = enter(&deployment.home);
    let images = Images::new(&deployment, ctx, &built(&deployment), Arc::clone(&engine), enter)?;
    let orders: Vec<Order> = images.wanted().iter().map(|wanted| Order::new(&images, wanted)).collect();
    let mut steps = images.steps(Vec::new());
    let pushes = if args.push { Some(Pushes::new(&images, ctx, owner)?) } else { None };
    steps.extend(pushes.iter().flat_map(Pushes::steps));
    let plan = Plan::new(steps)?;
    if args.mutation.dry_run && !args.json.json {
        print_why(args, &orders)?;
        return Rehearsal { environment: &environment, plan: &plan, skipped: &[] }.print(false);
    }
    if args.mutation.dry_run || !(images.builds() || args.push) {
        return report(args, &images, &orders, None);
    }
    if let Some(fault) = engine::secrets::fault(&images.missing_secrets(|_| true), &environment, "build") {
        return Err(fault.into());
    }
    if !args.json.json {
        print_why(args, &orders)?;
    }
    if images.builds() && images.wanted().iter().any(|wanted| wanted.location == BuildLocation::Host) {
        preflight(args, ctx)?;
    }
    engine.get(&ctx.proc)?;
    let execution = execute_here(ctx, &deployment.home, "build", environment.name.as_str(), plan)?;
    report(args, &images, &orders, Some(&execution))
}

/// The services of these systems that are built here.
fn built(deployment: &Deployment) -> Vec<ServiceName> {
    let services = deployment.systems().flat_map(|system| &system.services);
    services.filter(|service| service.is_built()).map(|service| service.name.clone()).collect()
}

/// Enters what is made into the ledger, which is read once the lease is held.
fn enter(home: &Home) -> Enter {
    let (path, ledger) = (home.ledger(), Mutex::new(None));
    Arc::new(move |entry| {
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.is_none() {
            *ledger = Some(Ledger::open(&path)?);
        }
        ledger.as_mut().map_or(Ok(()), |ledger: &mut Ledger| ledger.enter(entry))
    })
}

fn preflight(args: &BuildArgs, ctx: &Ctx) -> Result<()> {
    let scene = doctor::Scene::new(ctx, doctor::Subject::load(ctx, &args.environment)?);
    let failed = doctor::preflight(&scene, crate::checks::EXTRA);
    if failed.is_empty() { Ok(()) } else { Err(doctor::fault(&args.environment.name, &failed).into()) }
}

/// An image as it was wanted before anything was done.
struct Order<'a> {
    wanted: &'a DesiredImage,
    reference: String,
    current: bool,
    why: Vec<String>,
}

impl<'a> Order<'a> {
    fn new(images: &Images, wanted: &'a DesiredImage) -> Self {
        let why = images.why(wanted);
        Self { wanted, reference: images.reference(wanted), current: why.is_empty(), why }
    }
}

/// What became of an order.
struct Outcome<'a> {
    order: &'a Order<'a>,
    built: Option<Built>,
    result: Option<&'static str>,
    seconds: f64,
}

impl<'a> Outcome<'a> {
    fn new(images: &Images, order: &'a Order<'a>, execution: Option<&Execution>) -> Self {
        let built = images.built_for(order.wanted);
        let step = images.step_of(order.wanted);
        let ends = || execution.into_iter().flat_map(|execution| &execution.ends);
        let ends_of = |id: &str| ends().find(|(step, _)| step.as_str() == id).map(|(_, end)| end);
        let (made, sent) = (ends_of(step.as_str()), ends_of(&step.as_str().replacen("image:", "push:", 1)));
        let result = match made {
            Some(made) => Some(match (made.result, sent.map(|sent| sent.result)) {
                (_, Some(StepResult::Done)) => "pushed",
                (_, Some(StepResult::Failed | StepResult::Skipped | StepResult::Cancelled)) => "failed",
                (StepResult::Done, _) => "built",
                (StepResult::Unchanged, _) => "cached",
                _ => "failed",
            }),
            None => order.current.then_some("cached"),
        };
        let built = built.filter(|_| made.is_none_or(|made| made.failure.is_none()));
        let seconds = [made, sent].into_iter().flatten().map(|end| end.seconds).sum();
        Self { order, built, result, seconds }
    }

    fn document(&self) -> Value {
        let built = self.built.as_ref();
        let (wanted, order) = (self.order.wanted, self.order);
        json!({
            "service": wanted.service.shown(),
            "image": built.map_or(&order.reference, |built| &built.reference),
            "platform": wanted.platform.as_str(),
            "id": built.map(|built| &built.id),
            "digest": built.and_then(|built| built.digest.as_ref()),
            "key": built.map_or_else(|| wanted.key(), |built| built.key.clone()),
            "result": self.result, "why": order.why,
            "way": built.map_or(&wanted.why_location, |built| &built.location),
            "seconds": self.seconds,
        })
    }

    fn row(&self) -> Vec<String> {
        let (wanted, built) = (self.order.wanted, self.built.as_ref());
        let word = match self.result {
            Some("cached") => "is current",
            Some(word) => word,
            None => "would be built",
        };
        let way = built.map_or(&wanted.why_location, |built| &built.location);
        let reference = built.map_or(&self.order.reference, |built| &built.reference);
        vec![wanted.service.to_string(), word.to_owned(), reference.clone(), way.clone()]
    }
}

/// Prints what there is now, and what failed.
fn report(args: &BuildArgs, images: &Images, orders: &[Order<'_>], execution: Option<&Execution>) -> Result<Exit> {
    let outcomes: Vec<_> = orders.iter().map(|order| Outcome::new(images, order, execution)).collect();
    if args.json.json {
        let failure = execution.and_then(Execution::failure).map(
            |(id, fault): (_, &Fault)| json!({"step": id.as_str(), "code": fault.code, "cause": fault.cause, "hint": fault.hint}),
        );
        let documents: Vec<Value> = outcomes.iter().map(Outcome::document).collect();
        ui::document(&json!({"schema": 1, "images": documents, "failure": failure}))?;
    } else if outcomes.is_empty() {
        ui::result("nothing is built here: these systems run public images alone")?;
    } else if args.why && execution.is_none() {
        print_why(args, orders)?;
    } else {
        let rows: Vec<Vec<String>> = outcomes.iter().map(Outcome::row).collect();
        ui::result(table::layout(&rows).trim_end())?;
    }
    let Some(execution) = execution else { return Ok(Exit::Done) };
    execution.print_failures();
    Ok(execution.exit())
}

/// For each image what changed since it was built last, when that was asked for.
fn print_why(args: &BuildArgs, orders: &[Order<'_>]) -> Result<()> {
    if !args.why {
        return Ok(());
    }
    let mut lines = Vec::new();
    for order in orders {
        lines.push(format!("{}, {}", order.wanted.service, order.wanted.platform));
        match order.current {
            true => lines.push("  nothing: it is current".to_owned()),
            false => lines.extend(order.why.iter().map(|why| format!("  {why}"))),
        }
    }
    ui::result(&lines.join("\n"))
}
