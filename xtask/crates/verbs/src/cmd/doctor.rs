//! `doctor`: is this machine ready for an environment, and how to fix what is not.

use crate::Backends;
use crate::cli::DoctorArgs;
use crate::ui;
use crate::ui::Paint;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use doctor::{Report, Scene, Subject, mend, render};

/// # Errors
/// When the command line names what does not exist, a question meets nobody, or the run is interrupted.
pub fn run(args: &DoctorArgs, ctx: &Ctx, backends: &Backends) -> Result<Exit> {
    let scene = Scene::new(ctx, Subject::load(ctx, &args.environment)?);
    let mut report = doctor::examine(&scene, &doctor::all(&scene, backends.checks));
    interrupted(ctx)?;
    let mut broken = !scene.subject.errors.is_empty();
    let printer = Printer::new(args, ctx);
    if args.fix {
        let (remedies, by_hand) = mend::remedies(&report);
        printer.findings(&report)?;
        printer.advice(&by_hand);
        if args.mutation.dry_run {
            printer.rehearsal(&remedies)?;
        } else if mend::apply(ctx, &remedies, args.mutation.yes)? {
            let scene = Scene::new(ctx, Subject::load(ctx, &args.environment)?);
            doctor::again(&scene, doctor::all(&scene, backends.checks), &mut report);
            interrupted(ctx)?;
            broken = !scene.subject.errors.is_empty();
            ui::say("checked again:");
            printer.findings(&report)?;
        }
    } else {
        printer.findings(&report)?;
    }
    printer.end(&report)?;
    Ok(match (broken, report.ok()) {
        (true, _) => Exit::CouldNotRun,
        (false, true) => Exit::Done,
        (false, false) => Exit::Failed,
    })
}

/// An interrupted probe has found nothing, and its report would be wrong.
fn interrupted(ctx: &Ctx) -> Result<()> {
    match ctx.interrupts.first() {
        Some(signal) => Err(Fault::interrupted(signal).into()),
        None => Ok(()),
    }
}

/// Results in the form that was asked for: text as it comes, or one document at the end.
struct Printer<'a> {
    args: &'a DoctorArgs,
    paint: Paint,
}

impl<'a> Printer<'a> {
    fn new(args: &'a DoctorArgs, ctx: &Ctx) -> Self {
        Self { args, paint: Paint::of_result(ctx) }
    }

    fn findings(&self, report: &Report) -> Result<()> {
        if self.args.json.json {
            return Ok(());
        }
        ui::result(&render::findings(report, self.paint, self.args.verbose))
    }

    fn advice(&self, by_hand: &[String]) {
        if !by_hand.is_empty() {
            ui::say("for you to decide, not run here:");
        }
        for line in by_hand {
            ui::say(&format!("  {line}"));
        }
    }

    /// The commands that would be run; the document has them already.
    fn rehearsal(&self, remedies: &[mend::Remedy]) -> Result<()> {
        let commands = remedies.iter().flat_map(|remedy| &remedy.commands);
        let lines: Vec<_> = commands.map(|command| format!("would run: {command}")).collect();
        if self.args.json.json || lines.is_empty() { Ok(()) } else { ui::result(&lines.join("\n")) }
    }

    fn end(&self, report: &Report) -> Result<()> {
        if self.args.json.json {
            return ui::document(&report.to_json());
        }
        ui::result(&render::verdict(report, &self.args.environment.name, self.paint))
    }
}
