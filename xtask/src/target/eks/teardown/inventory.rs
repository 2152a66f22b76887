//! The steps before anything is removed: the ledger takes in what AWS has now and Terraform does not know, and protection
//! from deletion is taken away.

use super::services::{CERTIFICATE, ISSUER};
use super::thing::{Thing, text};
use super::{balancers, ec2, front_gate, records, remains, systems};
use crate::aws::fault;
use crate::ledger::Entry;
use crate::plan::runner::StepCx;
use crate::plan::{Outcome, Work};
use crate::target::Scope;
use crate::target::eks::Eks;
use crate::ui;
use anyhow::Result;
use serde_json::json;
use std::sync::Arc;

/// What may be there without Terraform's knowledge.
const NOTED: [&str; 8] = [
    balancers::BALANCER,
    balancers::TARGETS,
    balancers::SECURITY,
    ec2::VOLUME,
    ec2::INTERFACE,
    records::RECORD,
    CERTIFICATE,
    "log-group",
];

pub(super) struct LedgerWork {
    pub(super) eks: Arc<Eks>,
}

impl Work for LedgerWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn act(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        cx.status("asking AWS what it has of the deployment");
        let seen = remains::look_beside(&self.eks)?;
        let entries = entries(&seen.things);
        let count = ui::counted(entries.len(), "thing", "things");
        // Those that it knows already keep what is known of them.
        let known = self.eks.ledger.entries()?;
        let is_known = |entry: &Entry| known.iter().any(|other| (&other.kind, &other.id) == (&entry.kind, &entry.id));
        let new: Vec<Entry> = entries.into_iter().filter(|entry| !is_known(entry)).collect();
        if !new.is_empty() {
            self.eks.ledger.enter(&new)?;
        }
        Ok(Outcome::DoneWith(format!("AWS has {count} that Terraform does not know")))
    }
}

/// What the ledger has to know of what was seen, with the issuer by which whatever trusts the cluster is found later.
fn entries(things: &[Thing]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = things.iter().filter(|thing| NOTED.contains(&thing.kind)).map(Thing::entry).collect();
    let issuers = things.iter().filter(|thing| thing.kind == "cluster").map(|thing| text(&thing.facts, "issuer"));
    entries.extend(issuers.filter(|issuer| !issuer.is_empty()).map(|issuer| Entry {
        kind: ISSUER.to_owned(),
        id: issuer.to_owned(),
        system: None,
        identity: json!({}),
    }));
    entries
}

pub(super) struct ProtectionWork {
    pub(super) eks: Arc<Eks>,
    pub(super) scope: Scope,
}

impl ProtectionWork {
    fn protected(&self) -> Result<Vec<Thing>> {
        let entries = self.eks.ledger.entries()?;
        let scene = remains::scene(&self.eks, &entries);
        let found = balancers::balancers(&scene).map_err(|refusal| fault("look for load balancers", &refusal))?;
        let mut protected = Vec::new();
        for thing in found.into_iter().filter(|thing| thing.kind == balancers::BALANCER) {
            let goes = self.scope.everything || systems::goes_with(&self.eks, &thing, &self.scope);
            if goes && front_gate::is_protected(&self.eks.infra.aws, &thing)? {
                protected.push(thing);
            }
        }
        Ok(protected)
    }
}

impl Work for ProtectionWork {
    fn already(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.protected()?.is_empty().then(|| "none is protected".to_owned()))
    }

    fn act(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let protected = self.protected()?;
        for thing in &protected {
            front_gate::unprotect(&self.eks.infra.aws, thing)?;
        }
        Ok(Outcome::DoneWith(super::gate::named(&protected)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_takes_in_what_terraform_does_not_know() {
        let cluster = Thing::new("cluster", "slipway-a", &[]).with(json!({"issuer": "https://oidc/id/1"}));
        let things = [cluster, Thing::new("vpc", "vpc-1", &[]), Thing::new("load-balancer", "arn", &[])];
        let found: Vec<_> = entries(&things).into_iter().map(|entry| (entry.kind, entry.id)).collect();
        let expected = [("load-balancer", "arn"), (ISSUER, "https://oidc/id/1")];
        assert_eq!(found, expected.map(|(kind, id)| (kind.to_owned(), id.to_owned())));
    }
}
