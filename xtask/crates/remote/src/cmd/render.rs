//! `render`: plain manifests of an environment, for those who deploy by GitOps.

mod folder;

use self::folder::{Folder, Kept};
use crate::targets;
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::table;
use engine::deployment::Deployment;
use engine::rendering::{Place, Rendering};
use remote_tools::git;
use std::path::Path;
use verbs::cli::RenderArgs;
use verbs::ui;

/// What the first line of every file has that this command makes.
/// # Errors
/// When the environment is in no cluster, something that its manifests need to say is not set, or the folder holds what
/// somebody else has made.
pub(crate) fn run(args: &RenderArgs, ctx: &Ctx) -> Result<Exit> {
    let deployment = Deployment::load(ctx, &args.environment, &args.systems.systems)?;
    let environment = deployment.environment.clone();
    let scope = deployment.scope.clone();
    let folder = args.out.join(environment.name.as_str());
    let place = place(ctx, &args.out, environment.name.as_str())?;
    let Some(rendering) = targets::of(deployment, ctx)?.render(ctx, &place)? else {
        let cause = format!("environment `{}` is in no cluster, so it has no manifests", environment.name);
        let hint = "name one that is: cargo xtask render --env cluster --out DIR";
        return Err(Fault::usage(cause).hint(hint).into());
    };
    let kept = if scope.everything { Kept::Nothing } else { Kept::AllBut(&scope.systems) };
    Folder::at(&folder).write(&rendering.files, &kept)?;
    for note in &rendering.assumed {
        ui::say(&format!("note: {note}"));
    }
    for system in &rendering.skipped {
        ui::say(&format!("- {} skipped: {}", system.name, system.reason));
    }
    ui::result(&text(&rendering, &folder))?;
    Ok(Exit::Done)
}

fn text(rendering: &Rendering, folder: &Path) -> String {
    let mut rows = vec![["SYSTEM", "NAMESPACE", "OBJECTS", "FOLDER"].map(str::to_owned).to_vec()];
    for system in &rendering.systems {
        rows.push(vec![
            system.name.clone(),
            system.namespace.clone(),
            system.objects.to_string(),
            folder.join(&system.name).display().to_string(),
        ]);
    }
    table::layout(&rows)
}

/// Where the folder is in which repository, as its own git says.
fn place(ctx: &Ctx, out: &Path, environment: &str) -> Result<Place> {
    std::fs::create_dir_all(out).with_context(|| format!("make `{}`", out.display()))?;
    let nowhere = Place { repository: None, folder: environment.to_owned() };
    if ctx.proc.find("git").is_none() {
        return Ok(nowhere);
    }
    let said = |line| -> Result<Option<String>> {
        let finished = ctx.proc.try_read(&line)?;
        Ok(finished.success.then(|| finished.stdout.trim_end_matches('\n').to_owned()))
    };
    let Some(prefix) = said(git::prefix(out))? else { return Ok(nowhere) };
    let repository = said(git::origin(out))?.as_deref().and_then(git::public_address);
    Ok(Place { repository, folder: format!("{prefix}{environment}") })
}
