//! Reads the file of one system, and checks all that needs no other file.

use super::alias;
use super::asset_file::AssetAt;
use super::decode::{At, Table, Value};
use super::job_file;
use super::name::{JobName, ServiceName, SystemName};
use super::order::in_order;
use super::public_name;
use super::references::{self, Roster};
use super::secret::{Secret, SecretSource};
use super::secret_file;
use super::service_file::{self, DraftService, Known};
use super::smoke_file::{ForeignOrigin, read_checks, read_denied};
use super::system::{Source, System};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

/// Words that mean something else where a service could be named.
const RESERVED: [&str; 7] = ["file", "git", "port", "public_url", "secret", "outside", "other-services"];

/// A system, and where what the checks across files look at is said.
pub(super) struct Draft<'d> {
    pub(super) system: System,
    /// All names, those of services that could not be read too.
    pub(super) declared: Vec<(ServiceName, At<'d>)>,
    /// The ports of a machine that services take, further ones with their name.
    pub(super) host_ports: Vec<(ServiceName, Option<String>, At<'d>)>,
    pub(super) foreign: Vec<ForeignOrigin<'d>>,
    pub(super) files: Vec<(ServiceName, AssetAt<'d>)>,
    pub(super) jobs: Vec<(JobName, At<'d>)>,
}

/// Reads the whole of a file as the system `name`.
pub(super) fn read<'d>(name: &SystemName, root: &Value<'d>, known: &Known) -> Option<Draft<'d>> {
    root.table(|table| read_table(name, table, known))
}

fn read_table<'d>(name: &SystemName, table: &Table<'d>, known: &Known) -> Draft<'d> {
    let description = table.required("description").and_then(|value| value.sentence());
    let mut declared = Vec::new();
    let mut drafts = Vec::new();
    let secrets = secret_file::read(table, Some(name));
    let entries = table.required("services").and_then(|value| value.entries());
    for (text, value) in entries.into_iter().flatten() {
        if let Some(service) = read_name(text, &value) {
            drafts.extend(service_file::read(&service, &value, known));
            declared.push((service, value.at));
        }
    }
    drafts.iter_mut().for_each(|draft| share(&secrets, draft));
    let mut roster: Roster<'_> = declared.iter().map(|(name, _)| (name.as_str(), None)).collect();
    for draft in &drafts {
        roster.insert(draft.service.name.as_str(), Some(&draft.service));
    }
    for draft in &drafts {
        check_was(draft, &roster);
        check_needs(draft, &roster);
        references::check(draft, &roster, &known.root);
        check_build(draft);
    }
    alias::check(&drafts, &roster);
    public_name::check(&drafts);
    let jobs = job_file::read(table, &drafts, &roster, &known.root);
    let mut foreign = Vec::new();
    let smoke = table.optional("smoke").map(|value| read_checks(&value, &roster));
    let denied = table.optional("denied").map(|value| read_denied(&value, &roster, &mut foreign));
    let was = table.optional("was").map(|value| read_was(&value, name));
    let order = order(&drafts);
    let place = |draft: &DraftService<'d>| {
        let name = draft.service.name.clone();
        draft.ports_at.clone().into_iter().map(move |(port, at)| (name.clone(), port, at))
    };
    let host_ports = drafts.iter().flat_map(place).collect();
    let placed = |draft: &DraftService<'d>| {
        let name = draft.service.name.clone();
        draft.files_at.clone().into_iter().map(move |at| (name.clone(), at))
    };
    let files = drafts.iter().flat_map(placed).collect();
    let services = order.into_iter().map(|index| drafts[index].service.clone()).collect();
    let mut system = System {
        name: name.clone(),
        description: description.unwrap_or_default(),
        services,
        jobs: jobs.iter().map(|draft| draft.job.clone()).collect(),
        smoke: smoke.unwrap_or_default(),
        denied: denied.unwrap_or_default(),
        was: was.unwrap_or_default(),
    };
    system.settle_public_names(None);
    job_file::check_order(&system, &jobs);
    let jobs = jobs.into_iter().map(|draft| (draft.job.name, draft.at)).collect();
    Draft { system, declared, host_ports, foreign, files, jobs }
}

/// Gives a service the secrets of its system.
fn share(secrets: &BTreeMap<String, Secret>, draft: &mut DraftService<'_>) {
    for (name, secret) in secrets {
        if draft.service.secrets.insert(name.clone(), secret.clone()).is_some() {
            draft
                .at
                .report(format!("has a secret `{name}`, and so has the whole system; give one of them another name"));
        }
    }
}

fn read_name(text: &str, value: &Value<'_>) -> Option<ServiceName> {
    if RESERVED.contains(&text) {
        value.report(format!("`{text}` means something else where a service can be named"));
        return None;
    }
    ServiceName::check_local(text).and_then(|()| text.parse()).map_err(|error| value.report(error)).ok()
}

/// Earlier names of what is called `name` now.
pub(super) fn read_was<T: Ord + FromStr<Err: Display> + AsRef<str>>(value: &Value<'_>, name: &T) -> BTreeSet<T> {
    let mut was = BTreeSet::new();
    for value in value.list().into_iter().flatten() {
        let Some(earlier) = value.parse::<T>() else { continue };
        if earlier == *name {
            value.report(format!("`{}` is its name still", earlier.as_ref()));
        }
        was.insert(earlier);
    }
    was
}

fn check_was(draft: &DraftService<'_>, roster: &Roster<'_>) {
    for earlier in draft.service.was.iter().filter(|earlier| roster.contains_key(earlier.as_str())) {
        draft.at.report(format!("it `was` `{earlier}`, and a service of that name is declared beside it"));
    }
}

/// A build has what whoever starts it has.
fn check_build(draft: &DraftService<'_>) {
    let Source::Dockerfile { build, .. } = &draft.service.source else { return };
    for name in &build.secrets {
        let source = draft.service.secrets.get(name).map(|secret| &secret.source);
        if let Some(source @ (SecretSource::Generated(_) | SecretSource::Aws(_))) = source {
            draft.at.report(format!(
                "its build takes the secret `{name}`, which is {source}; it may be from `env` or `file`"
            ));
        }
    }
}

fn check_needs(draft: &DraftService<'_>, roster: &Roster<'_>) {
    for (need, at) in draft.service.needs.iter().zip(&draft.needs_at) {
        let names = roster.keys().copied();
        let known = super::error::find(need.as_str(), "service", "services of this system", names);
        if let Err(message) = known {
            at.report(message);
        }
    }
}

/// The order to start services in, as indices; without one, the cycle is reported and it is that of the file.
fn order(drafts: &[DraftService<'_>]) -> Vec<usize> {
    let needs: Vec<_> = drafts.iter().map(|draft| (&draft.service.name, draft.service.needs.as_slice())).collect();
    in_order(&needs).unwrap_or_else(|cycle| {
        let first = drafts.iter().find(|draft| cycle.first() == Some(&draft.service.name));
        let names: Vec<String> = cycle.iter().map(|name| format!("`{name}`")).collect();
        let at = first.map(|draft| draft.needs_at.first().unwrap_or(&draft.at));
        if let Some(at) = at {
            at.report(format!("a cycle of needs: {}", names.join(" → ")));
        }
        (0..drafts.len()).collect()
    })
}
