//! `diagram`: draws the architecture into its page, or says whether the page is what would be drawn.

use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use diagram::PAGE;
use std::io::ErrorKind;
use std::path::Path;
use verbs::cli::MadeArgs;
use verbs::ui;

/// # Errors
/// When what is drawn cannot be read, the page cannot be written, or it is stale and was only to be checked.
pub(crate) fn run(args: &MadeArgs, ctx: &Ctx) -> Result<Exit> {
    if args.check {
        check(&ctx.root)?;
        ui::result(&format!("{PAGE} is fresh"))?;
        return Ok(Exit::Done);
    }
    let page = diagram::page(&ctx.root)?;
    if found(&ctx.root)?.as_ref() == Some(&page) {
        ui::result(&format!("{PAGE} unchanged"))?;
        return Ok(Exit::Done);
    }
    let path = ctx.root.join(PAGE);
    path.parent().map(std::fs::create_dir_all).transpose().with_context(|| format!("make the folder of `{PAGE}`"))?;
    std::fs::write(&path, page).with_context(|| format!("write `{PAGE}`"))?;
    ui::result(&format!("{PAGE} written"))?;
    Ok(Exit::Done)
}

/// Whether the page is what would be drawn.
///
/// # Errors
/// When it is not, or what is drawn cannot be read.
pub(super) fn check(root: &Path) -> Result<()> {
    let page = diagram::page(root)?;
    let cause = match found(root)? {
        Some(found) if found == page => return Ok(()),
        Some(_) => format!("`{PAGE}` does not show what `deploy/systems/` and `terraform/` have now"),
        None => format!("`{PAGE}` is missing"),
    };
    Err(Fault::failed("diagram-stale", cause).hint("cargo xtask diagram").into())
}

fn found(root: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(root.join(PAGE)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read `{PAGE}`")),
    }
}
