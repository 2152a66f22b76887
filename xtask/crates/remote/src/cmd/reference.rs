//! `reference`: writes the reference and the schemas of the spec's files, or says whether they are what would be written.

use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use std::io::ErrorKind;
use std::path::Path;
use verbs::cli::MadeArgs;
use verbs::ui;

/// # Errors
/// When reader and texts differ, a file cannot be written, or one is stale and was only to be checked.
pub(crate) fn run(args: &MadeArgs, ctx: &Ctx) -> Result<Exit> {
    if args.check {
        check(&ctx.root)?;
        ui::result("the reference is fresh")?;
        return Ok(Exit::Done);
    }
    for (path, text) in reference::files(&ctx.root)? {
        let fresh = found(&ctx.root, path)?.as_ref() == Some(&text);
        if !fresh {
            let to = ctx.root.join(path);
            let made = to.parent().map(std::fs::create_dir_all).transpose();
            made.and_then(|_| std::fs::write(&to, text)).with_context(|| format!("write `{path}`"))?;
        }
        ui::result(&format!("{path} {}", if fresh { "unchanged" } else { "written" }))?;
    }
    Ok(Exit::Done)
}

/// Whether the files are what would be written.
///
/// # Errors
/// When one is not, or reader and texts differ.
pub(super) fn check(root: &Path) -> Result<()> {
    for (path, text) in reference::files(root)? {
        let cause = match found(root, path)? {
            Some(found) if found == text => continue,
            Some(_) => format!("`{path}` does not say what the reader of `deploy/` knows now"),
            None => format!("`{path}` is missing"),
        };
        return Err(Fault::failed("reference-stale", cause).hint("cargo xtask reference").into());
    }
    Ok(())
}

fn found(root: &Path, path: &str) -> Result<Option<String>> {
    match std::fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read `{path}`")),
    }
}
