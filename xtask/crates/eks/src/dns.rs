//! The names of public services: records in Route 53 where a zone is named, printed for other DNS hosts where not.

use super::alb_ingress::{self, AlbIngress};
use super::balancer::Balancer;

use anyhow::Result;
use aws::infra::dns;
use aws::infra::dns::{Record, RecordState, To};
use base::error::Fault;
use engine::plan::pace::every;
use engine::plan::runner::StepCx;
use kubernetes::Kubernetes;
use model::aws::ZoneId;
use model::name::SystemName;
use serde_json::json;
use std::time::Duration;

/// How long the name servers of a zone may take; AWS says a minute.
const WITHIN: Duration = Duration::from_secs(300);
/// How often they are asked.
const EVERY: Duration = Duration::from_secs(3);

/// A public name, and the load balancer that it is to lead to.
pub(super) struct Name<'b> {
    /// The system whose Ingress has it.
    pub(super) system: &'b SystemName,
    pub(super) host: String,
    pub(super) balancer: &'b Balancer,
}

/// Has these names lead to their load balancers, or says which records do.
///
/// # Errors
/// `record-taken` when somebody else has made one, or what AWS says.
pub(super) fn lead(provider: &AlbIngress, core: &Kubernetes, cx: &StepCx<'_>, names: &[Name<'_>]) -> Result<()> {
    let environment = &provider.infra.deployment.environment;
    match environment.aws.as_ref().and_then(|aws| aws.hosted_zone.as_ref()) {
        Some(zone) => point(provider, core, cx, zone, names),
        None => {
            for Name { host, balancer, .. } in names.iter().filter(|name| !leads_there(name)) {
                let record = format!("{host}. CNAME {}.", balancer.host);
                cx.news(format!("`{host}` needs this record at the DNS host of its domain: {record}"));
            }
            Ok(())
        }
    }
}

fn leads_there(name: &Name<'_>) -> bool {
    !alb_ingress::resolve(&name.host).is_disjoint(&alb_ingress::resolve(&name.balancer.host))
}

fn point(provider: &AlbIngress, core: &Kubernetes, cx: &StepCx<'_>, zone: &ZoneId, names: &[Name<'_>]) -> Result<()> {
    let aws = &provider.infra.aws;
    let mut wanted = Vec::new();
    for Name { system, host, balancer } in names {
        let to = To::Alias { host: balancer.host.clone(), zone: balancer.zone.clone() };
        let record = Record { name: host.clone(), to };
        let mut entry = record.entry(zone, Some(system.to_string()));
        entry.identity["facts"] = json!({"namespace": core.names.namespace(system)});
        let standing = dns::standing(aws, zone, &record);
        match standing.map_err(|refusal| aws::fault(&format!("look for the record `{host}`"), &refusal))? {
            RecordState::Same => provider.ledger.enter(&[entry])?,
            RecordState::Absent => wanted.push((record, entry)),
            RecordState::Other(there) => {
                let known = provider.ledger.entries()?;
                if !known.iter().any(|known| known.kind == entry.kind && known.id == entry.id) {
                    return Err(taken(zone, host, &there).into());
                }
                wanted.push((record, entry));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let (records, entries): (Vec<Record>, Vec<_>) = wanted.into_iter().unzip();
    provider.ledger.enter(&entries)?;
    let told: Vec<String> = records.iter().map(|record| format!("`{}`", record.name)).collect();
    let told = told.join(", ");
    cx.status(format!("pointing {told} to the load balancer"));
    let change = dns::upsert(aws, zone, &records);
    let change = change.map_err(|refusal| aws::fault(&format!("make the records of {told}"), &refusal))?;
    cx.status(format!("waiting for the name servers of zone {zone} to have {told}"));
    let ask = every(EVERY, || {
        let there = dns::is_in_sync(aws, &change).map_err(|refusal| aws::fault("wait for the records", &refusal))?;
        Ok(there.then_some(()))
    });
    cx.wait_for(WITHIN, ask, || {
        let cause = format!("the name servers of zone {zone} do not have {told} after {} s", WITHIN.as_secs());
        Fault::failed("record-late", cause).hint("run it again; Route 53 continues in the meantime")
    })
}

fn taken(zone: &ZoneId, host: &str, there: &str) -> Fault {
    let cause = format!("zone {zone} already has a record `{host}` that this deployment did not make: {there}");
    Fault::failed("record-taken", cause)
        .hint("remove it, or give the hosts of this deployment names of their own: `namespace_prefix`, `domain`")
}
