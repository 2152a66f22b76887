//! What can still be found of a deployment: in its cluster, on AWS, in Terraform's state. Nothing on this machine is needed
//! for it but the environment's file.

use super::aws_resource::AwsResource;
use super::inventory::{self, Inventory, LookupContext, Reach};
use super::{scope, systems};
use aws::cost;
use base::error::Fault;
use base::proc::CommandLine;
use engine::ledger::Entry;

use crate::Eks;
use anyhow::Result;
use engine::backend::{NOT_LOOKED_UP, Remains, Survivor, Target};
use engine::deployment::Scope;
use model::price::Prices;

/// Everything of the scope that can still be found.
///
/// # Errors
/// When AWS cannot be asked: nothing is ever clean then.
pub(crate) fn remains(eks: &Eks, named: &Scope, keep_data: bool) -> Result<Remains> {
    let scope = scope::effective(eks, named, keep_data);
    let mut remains = inside(eks, &scope, keep_data)?;
    let seen = look(eks, if scope.everything { Reach::Everything } else { Reach::OfSystems })?;
    let reading = Reading { eks, prices: model::prices(&eks.deployment().root).map_err(Fault::from)? };
    remains.survivors.extend(seen.unknown.iter().map(|(about, line, words)| reading.unknown(about, line, words)));
    if !scope.everything {
        let own = seen.resources.iter().filter(|resource| systems::goes_with(eks, resource, &scope));
        remains.survivors.extend(own.map(|resource| reading.survivor(resource)));
        return Ok(remains);
    }
    for resource in &seen.resources {
        let list = if resource.going.is_some() { &mut remains.kept } else { &mut remains.survivors };
        list.push(reading.survivor(resource));
    }
    remains.survivors.extend(reading.state()?);
    Ok(remains)
}

/// What AWS has, as far as that is in reach; the ledger's entries among it.
///
/// # Errors
/// When AWS cannot be asked.
pub(super) fn look(eks: &Eks, reach: Reach) -> Result<Inventory> {
    let entries = eks.ledger.entries()?;
    inventory::look(&LookupContext { reach, ..context(eks, &entries) })
}

pub(super) fn context<'a>(eks: &'a Eks, entries: &'a [Entry]) -> LookupContext<'a> {
    let environment = &eks.deployment().environment;
    LookupContext {
        aws: &eks.infra.aws,
        names: &eks.infra.names,
        entries,
        domain: environment.cluster.domain.as_ref().map(ToString::to_string),
        reach: Reach::Everything,
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
    fn survivor(&self, resource: &AwsResource) -> Survivor {
        let region = self.eks.infra.names.region.as_str();
        let owner = systems::owner(self.eks, resource).map_or_else(|| self.id(), |system| system.to_string());
        Survivor {
            kind: resource.kind.to_owned(),
            id: resource.shown(),
            owner,
            bytes: None,
            monthly_usd: self
                .prices
                .as_ref()
                .and_then(|prices| cost::monthly(resource.kind, &resource.facts, prices, region)),
            remove: resource.line(self.eks.infra.aws.command()).to_string(),
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
        Survivor {
            kind: kind.to_owned(),
            id,
            owner: self.id(),
            bytes: None,
            monthly_usd: None,
            remove: remove.to_string(),
        }
    }

    fn id(&self) -> String {
        self.eks.infra.names.id.to_string()
    }
}
