//! Reads the jobs of a system, and checks what they say of its services.

use super::decode::{At, Table, Value};
use super::error::find;
use super::job::{Job, When};
use super::name::{JobName, ServiceName};
use super::order::in_order;
use super::references::{self, Roster};
use super::service_file::{DraftService, PlacedTemplate, Role, read_needs, read_targets, read_template};
use super::system::{Piece, Service, Source, System, TargetKind, Template};
use std::path::Path;
use std::time::Duration;

const WHEN: [(&str, When); 3] = [("before", When::Before), ("after", When::After), ("asked", When::Asked)];
/// How long a job may take unless it says otherwise.
const WITHIN: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// What a service is made of, which a job has from one.
const OF_SERVICES: [&str; 4] = ["image", "dockerfile", "crate", "build"];

/// A job, and where it is said.
pub(super) struct DraftJob<'d> {
    pub(super) job: Job,
    pub(super) at: At<'d>,
}

/// Reads the table `jobs` of a system's file.
pub(super) fn read<'d>(
    table: &Table<'d>,
    drafts: &[DraftService<'d>],
    roster: &Roster<'_>,
    root: &Path,
) -> Vec<DraftJob<'d>> {
    let entries = table.optional("jobs").and_then(|value| value.entries());
    let mut jobs = Vec::new();
    for (text, value) in entries.into_iter().flatten() {
        let name = text.parse::<JobName>().map_err(|error| value.report(error)).ok();
        if roster.contains_key(text) {
            value.report(format!("a service is called `{text}`, too, and both are named by that"));
        }
        let read = value.table(|table| read_job(name?, table, drafts, roster, root));
        jobs.extend(read.flatten());
    }
    jobs
}

fn read_job<'d>(
    name: JobName,
    table: &Table<'d>,
    drafts: &[DraftService<'d>],
    roster: &Roster<'_>,
    root: &Path,
) -> Option<DraftJob<'d>> {
    for value in OF_SERVICES.iter().filter_map(|key| table.misplaced(key)) {
        value.report("a job runs what a service is made of; name that service in `of`");
    }
    let of = table.required("of").and_then(|value| {
        let of: ServiceName = value.parse()?;
        let known = find(of.as_str(), "service", "services of this system", roster.keys().copied());
        known.map_err(|message| value.report(message)).ok().map(|()| of)
    });
    let mut templates = Vec::new();
    let (command_at, command) = read_words(table, "command", &mut templates);
    let (_, args) = read_words(table, "args", &mut templates);
    if command.is_empty() && args.is_empty() && table.optional("command").is_none() {
        table.missing("key `command`, such as `[\"sqlx\", \"migrate\", \"run\"]`");
    }
    let (needs, needs_at) = read_needs(table);
    for (need, at) in needs.iter().zip(&needs_at) {
        let known = find(need.as_str(), "service", "services of this system", roster.keys().copied());
        known.unwrap_or_else(|message| at.report(message));
    }
    let says_needs = table.optional("needs").is_some();
    let when = read_when(table);
    let within = table.optional("within").and_then(|value| value.duration(Duration::from_secs(1)..=LONGEST));
    let targets = table.optional("targets").and_then(|value| read_targets(&value));
    let of = of?;
    let draft = drafts.iter().find(|draft| draft.service.name == of)?;
    let needs = if says_needs { needs } else { draft.service.needs.clone() };
    check_program(&draft.service, &command, command_at.as_ref());
    let told = draft.service.needs.iter().chain(&needs).cloned().collect();
    let told = Service { needs: told, ..draft.service.clone() };
    templates.iter().for_each(|placed| references::check_template(&told, placed, roster, root));
    let targets = targets.unwrap_or_else(|| TargetKind::ALL.into_iter().collect());
    let within = within.unwrap_or(WITHIN);
    Some(DraftJob { job: Job { name, of, command, args, needs, when: when?, within, targets }, at: table.at.clone() })
}

fn read_words<'d>(
    table: &Table<'d>,
    key: &'static str,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> (Option<Value<'d>>, Vec<Template>) {
    let value = table.optional(key);
    let words = value.as_ref().and_then(|value| {
        let words = value.list()?;
        if words.is_empty() && key == "command" {
            value.report("names no program: a list of words such as `[\"sqlx\", \"migrate\", \"run\"]`");
        }
        Some(words)
    });
    let read = words.into_iter().flatten().filter_map(|word| read_template(word, Role::Argument, templates)).collect();
    (value, read)
}

fn read_when(table: &Table<'_>) -> Option<When> {
    match (table.optional("when"), table.optional("schedule")) {
        (Some(when), None) => when.choice(&WHEN),
        (None, Some(schedule)) => schedule.parse().map(When::Schedule),
        (Some(_), Some(schedule)) => {
            schedule.report("a job has `when` or `schedule`, not both; one with a schedule runs when it is asked, too");
            None
        }
        (None, None) => {
            table.missing("`when` (`before`, `after` or `asked`) or `schedule`, such as `\"0 2 * * *\"`");
            None
        }
    }
}

/// The first word is a program. The image of a crate has none but its own.
fn check_program(service: &Service, command: &[Template], at: Option<&Value<'_>>) {
    let (Some(first), Some(at)) = (command.first(), at) else { return };
    let program = match &first.0[..] {
        [Piece::Text(program)] => program,
        _ => return at.report("the first word is the name or path of a program, without references"),
    };
    if let Source::Crate(name) = &service.source
        && program != name
    {
        at.report(format!(
            "`{}` is a crate, and its image has no program but its own: the first word is `{name}`",
            service.name
        ));
    }
}

/// Jobs that wait for one another, by what each says that it needs, would never run.
pub(super) fn check_order(system: &System, drafts: &[DraftJob<'_>]) {
    let name = |job: &Job| job.name.as_str().parse::<ServiceName>().ok();
    let mut all: Vec<(ServiceName, Vec<ServiceName>)> = Vec::new();
    for service in &system.services {
        let before = system.jobs.iter().filter(|job| system.waits(&service.name, job)).filter_map(name);
        all.push((service.name.clone(), service.needs.iter().cloned().chain(before).collect()));
    }
    all.extend(system.jobs.iter().filter_map(|job| Some((name(job)?, job.needs.clone()))));
    let needs: Vec<_> = all.iter().map(|(name, needs)| (name, needs.as_slice())).collect();
    let Err(cycle) = in_order(&needs) else { return };
    // One among services alone is told of where those are.
    let among = |draft: &&DraftJob<'_>| cycle.iter().any(|name| name.as_str() == draft.job.name.as_str());
    if let Some(draft) = drafts.iter().find(among) {
        let names: Vec<String> = cycle.iter().map(|name| format!("`{name}`")).collect();
        draft.at.report(format!("a cycle of needs: {}", names.join(" → ")));
    }
}
