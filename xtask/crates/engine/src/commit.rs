//! Asks git which commit is checked out, for the services that are told it. Nobody else waits for git.

use crate::deployment::Scope;
use anyhow::Result;
use base::ctx::Ctx;
use base::error::Fault;
use base::proc::CommandLine;
use model::Spec;

/// Writes the commit into the spec: its whole hash, with `-dirty` when a file that git knows differs from it, wherever that
/// is in the repository. Gives back what to say of it in this scope.
///
/// # Errors
/// When git does not know it.
pub(crate) fn tell(ctx: &Ctx, spec: &mut Spec, scope: &Scope) -> Result<Vec<String>> {
    let note = |(_, service, built): &(_, _, bool)| {
        let again = if *built { "builds its image again" } else { "starts it again" };
        format!("warning: `{service}` is told `${{git.commit}}`, so each commit {again}")
    };
    let told = spec.told_commit();
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let notes: Vec<String> = told.iter().filter(|(system, ..)| scope.has(system)).map(note).collect();
    let describe = ["describe", "--always", "--no-abbrev", "--dirty", "--exclude=*"];
    let line = CommandLine::new("git").arg("-C").arg(&ctx.root).env("GIT_OPTIONAL_LOCKS", "0").args(describe);
    match ctx.proc.read(&line) {
        Ok(asked) => spec.tell_commit(asked.trim()),
        // Of other systems it does not matter.
        Err(_) if notes.is_empty() => {}
        Err(error) => {
            let cause = format!("git does not tell which commit is checked out: {error:#}");
            let hint = "commit something, or leave `${git.commit}` out";
            return Err(Fault::could_not_run("no-commit", cause).hint(hint).into());
        }
    }
    Ok(notes)
}
