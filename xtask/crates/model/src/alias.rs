//! Reads the further names that a service has in its system's network, and checks that each name is for one service.

use super::decode::{At, Table};
use super::name::ServiceName;
use super::references::Roster;
use super::service_file::DraftService;
use std::collections::BTreeMap;

/// A further name, and where it is said.
pub(super) type Alias<'d> = (ServiceName, At<'d>);

pub(super) fn read<'d>(table: &Table<'d>) -> Vec<Alias<'d>> {
    let values = table.optional("aliases").and_then(|value| value.list());
    values.into_iter().flatten().filter_map(|value| Some((value.parse()?, value.at))).collect()
}

/// Reports each name that another service has, or that is said twice.
pub(super) fn check(drafts: &[DraftService<'_>], roster: &Roster<'_>) {
    let mut first: BTreeMap<&ServiceName, &ServiceName> = BTreeMap::new();
    for draft in drafts {
        for (alias, at) in &draft.aliases {
            if draft.service.port.is_none() {
                at.report("a service without `port` is reached by no name");
            }
            if alias.system().is_some() {
                at.report(format!("`{alias}` is not a name that a network can have"));
            } else if roster.contains_key(alias.as_str()) {
                at.report(format!("`{alias}` is the name of a service already"));
            } else if let Some(of) = first.insert(alias, &draft.service.name) {
                at.report(format!("`{alias}` is a name of `{of}` already"));
            }
        }
    }
}
