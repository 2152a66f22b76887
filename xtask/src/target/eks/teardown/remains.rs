//! What can still be found of a deployment: in its cluster, on AWS, in Terraform's state. Nothing on this machine is needed
//! for it but the environment's file.

use super::look::{self, Scene, Seen};
use super::thing::Thing;
use super::{scope, systems};
use crate::cost;
use crate::error::Fault;
use crate::ledger::Entry;
use crate::proc::CommandLine;
use crate::spec;
use crate::spec::price::Prices;
use crate::target::eks::Eks;
use crate::target::{NOT_LOOKED_UP, Remains, Scope, Survivor, Target};
use anyhow::Result;

/// Everything of the scope that can still be found.
///
/// # Errors
/// When AWS cannot be asked: nothing is ever clean then.
pub(in crate::target::eks) fn remains(eks: &Eks, named: &Scope, keep_data: bool) -> Result<Remains> {
    let scope = scope::effective(eks, named, keep_data);
    let mut remains = inside(eks, &scope, keep_data)?;
    let seen = look(eks)?;
    let reading = Reading { eks, prices: spec::prices(&eks.deployment().root).map_err(Fault::from)? };
    if !scope.everything {
        let own = seen.things.iter().filter(|thing| systems::goes_with(eks, thing, &scope));
        remains.survivors.extend(own.map(|thing| reading.survivor(thing)));
        return Ok(remains);
    }
    for thing in &seen.things {
        let list = if thing.going.is_some() { &mut remains.kept } else { &mut remains.survivors };
        list.push(reading.survivor(thing));
    }
    remains.survivors.extend(seen.unknown.iter().map(|(about, line, words)| reading.unknown(about, line, words)));
    remains.survivors.extend(reading.state()?);
    Ok(remains)
}

/// What AWS has, the ledger's entries among it.
///
/// # Errors
/// When AWS cannot be asked.
fn look(eks: &Eks) -> Result<Seen> {
    let entries = eks.ledger.entries()?;
    look::all(&scene(eks, &entries))
}

/// What AWS has and Terraform may not know.
///
/// # Errors
/// When AWS cannot be asked.
pub(super) fn look_beside(eks: &Eks) -> Result<Seen> {
    let entries = eks.ledger.entries()?;
    look::beside(&scene(eks, &entries))
}

pub(super) fn scene<'a>(eks: &'a Eks, entries: &'a [Entry]) -> Scene<'a> {
    let environment = &eks.deployment().environment;
    Scene {
        aws: &eks.infra.aws,
        names: &eks.infra.names,
        entries,
        domain: environment.cluster.domain.as_ref().map(ToString::to_string),
        beside: false,
    }
}

/// What the cluster has. One that is not there has nothing; what is in one that does not answer goes with it, and it is
/// itself among what AWS has.
fn inside(eks: &Eks, scope: &Scope, keep_data: bool) -> Result<Remains> {
    if !scope::has_cluster(eks)? {
        return Ok(Remains::default());
    }
    match eks.core.remains(scope, keep_data) {
        Err(error) if scope.everything && scope::is_shut(&error) => Ok(Remains::default()),
        remains => remains,
    }
}

/// How much of what a service has said is told, in characters.
const LONGEST: usize = 200;

struct Reading<'a> {
    eks: &'a Eks,
    prices: Option<Prices>,
}

impl Reading<'_> {
    fn survivor(&self, thing: &Thing) -> Survivor {
        let region = self.eks.infra.names.region.as_str();
        let owner = systems::owner(self.eks, thing).map_or_else(|| self.id(), |system| system.to_string());
        Survivor {
            kind: thing.kind.to_owned(),
            id: thing.shown(),
            owner,
            monthly_usd: self
                .prices
                .as_ref()
                .and_then(|prices| cost::monthly(thing.kind, &thing.facts, prices, region)),
            remove: thing.line(self.eks.infra.aws.command()).to_string(),
        }
    }

    /// What could not be looked up may be there.
    fn unknown(&self, about: &str, line: &[&str], words: &str) -> Survivor {
        let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect();
        self.own(NOT_LOOKED_UP, format!("{about} ({words})"), &self.eks.infra.aws.command().args(line))
    }

    /// The state and its bucket. While something is in the state, Terraform still has it to remove.
    fn state(&self) -> Result<Vec<Survivor>> {
        let infra = &self.eks.infra;
        if !infra.bucket.is_there()? {
            return Ok(Vec::new());
        }
        let again = CommandLine::new("cargo").args(["xtask", "teardown", "--env"]);
        let again = again.arg(self.eks.deployment().environment.name.as_str());
        let mut found = Vec::new();
        let resources = infra.resources()?;
        if !resources.is_empty() {
            let id = format!("{} resources in `{}`", resources.len(), infra.bucket.name());
            found.push(self.own("terraform-state", id, &again));
        }
        // AWS has no line that removes all versions of everything in a bucket.
        found.push(self.own("state-bucket", infra.bucket.name(), &again));
        Ok(found)
    }

    fn own(&self, kind: &str, id: String, remove: &CommandLine) -> Survivor {
        Survivor { kind: kind.to_owned(), id, owner: self.id(), monthly_usd: None, remove: remove.to_string() }
    }

    fn id(&self) -> String {
        self.eks.infra.names.id.to_string()
    }
}
