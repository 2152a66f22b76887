//! `report`: one self-contained page of a run, drawn from its journal.

use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use base::redact;
use engine::home::Home;
use engine::recorded_settings;
use report::record::Run;
use std::path::{Path, PathBuf};
use verbs::cli::ReportArgs;
use verbs::ui;

/// What the name of a journal's file ends in.
const JOURNAL: &str = "ndjson";

/// # Errors
/// When there is no such run, its journal cannot be read, or the page not be written.
pub(crate) fn run(args: &ReportArgs, ctx: &Ctx) -> Result<Exit> {
    let name = &args.environment.name;
    let journal = match journal_of(args, ctx)? {
        Some(journal) => journal,
        None => {
            let hint = "a run is recorded by every command that changes something, such as `deploy`; a `teardown` removes \
                        the runs";
            return Err(Fault::could_not_run("no-runs", format!("environment `{name}` has no runs")).hint(hint).into());
        }
    };
    // A journal of an earlier version may have what this one would not have written.
    let _ = recorded_settings::environment(&ctx.root, &args.environment);
    let page = redact::text(&report::page(&Run::read(&journal)?));
    let path = args.out.clone().unwrap_or_else(|| journal.with_extension("html"));
    std::fs::write(&path, page).with_context(|| format!("write `{}`", path.display()))?;
    ui::result(&path.display().to_string())?;
    Ok(Exit::Done)
}

/// The journal that is asked for. The spec is not read: what is wrong with it may be why a run failed.
fn journal_of(args: &ReportArgs, ctx: &Ctx) -> Result<Option<PathBuf>> {
    let name = &args.environment.name;
    let home = name.parse().ok().map(|name| Home::new(&ctx.root, &name)).filter(Home::exists);
    let Some(home) = home else {
        // It may be that there is no such environment.
        args.environment.read(&ctx.root).map_err(Fault::from)?;
        return Ok(None);
    };
    let journals = journals(&home.runs());
    if journals.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = journals.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let chosen = choose(&names, args.run.as_deref(), name)?.to_owned();
    Ok(Some(home.runs().join(format!("{chosen}.{JOURNAL}"))))
}

/// The journals of an environment, the oldest first: their names begin with their time.
fn journals(runs: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(runs) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut journals: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == JOURNAL)).collect();
    journals.sort();
    journals
}

/// The run that a person means: the newest, or the one whose name is or begins with what was typed.
fn choose<'n>(names: &[&'n str], wanted: Option<&str>, environment: &str) -> Result<&'n str, Fault> {
    let Some(wanted) = wanted else {
        return names.last().copied().ok_or_else(|| Fault::usage(format!("environment `{environment}` has no runs")));
    };
    if let Some(exact) = names.iter().find(|name| **name == wanted) {
        return Ok(exact);
    }
    let newest_first = |names: &mut dyn Iterator<Item = &&'n str>| {
        let mut names: Vec<&str> = names.copied().collect();
        names.reverse();
        names.join(", ")
    };
    let mut begin = names.iter().filter(|name| name.starts_with(wanted));
    match (begin.next(), begin.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Fault::usage(format!("environment `{environment}` has no run `{wanted}`"))
            .hint(format!("there are: {}", newest_first(&mut names.iter())))),
        (Some(_), Some(_)) => {
            let several = newest_first(&mut names.iter().filter(|name| name.starts_with(wanted)));
            Err(Fault::usage(format!("several runs begin with `{wanted}`")).hint(format!("they are: {several}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["20261120T081344Z-7", "20261121T081344Z-4", "20261121T081344Z-47"];

    fn choose(wanted: Option<&str>) -> Result<&'static str, Fault> {
        super::choose(&NAMES, wanted, "try")
    }

    #[test]
    fn a_run_is_the_newest_or_what_its_name_begins_with() {
        assert_eq!(choose(None), Ok(NAMES[2]));
        assert_eq!(choose(Some("20261120")), Ok(NAMES[0]));
        assert_eq!(choose(Some(NAMES[1])), Ok(NAMES[1]), "though another one begins with it");
    }

    #[test]
    fn a_name_that_is_none_or_several_is_refused_with_those_there_are() {
        let none = choose(Some("2025")).unwrap_err();
        assert_eq!(none.cause, "environment `try` has no run `2025`");
        assert_eq!(
            none.hint.as_deref(),
            Some("there are: 20261121T081344Z-47, 20261121T081344Z-4, 20261120T081344Z-7")
        );
        let several = choose(Some("20261121")).unwrap_err();
        assert_eq!(several.hint.as_deref(), Some("they are: 20261121T081344Z-47, 20261121T081344Z-4"));
    }
}
