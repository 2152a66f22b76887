//! The steps before anything is removed: the ledger takes in what AWS has now and Terraform does not know, and protection
//! from deletion is taken away.

use super::aws_resource::{AwsResource, text};
use super::inventory::Reach;
use super::services::{CERTIFICATE, ISSUER};
use super::{balancers, ec2, load_balancer_gate, records, remains, systems};
use crate::Eks;
use anyhow::Result;
use aws::fault;
use base::text;
use engine::deployment::Scope;
use engine::ledger::Entry;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
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
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        cx.status("asking AWS what it has of the deployment");
        let seen = remains::look(&self.eks, Reach::Unmanaged)?;
        let entries = entries(&seen.resources);
        let count = text::counted(entries.len(), "resource", "resources");
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
fn entries(resources: &[AwsResource]) -> Vec<Entry> {
    let mut entries: Vec<Entry> =
        resources.iter().filter(|resource| NOTED.contains(&resource.kind)).map(AwsResource::entry).collect();
    let issuers =
        resources.iter().filter(|resource| resource.kind == "cluster").map(|resource| text(&resource.facts, "issuer"));
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
    fn protected(&self) -> Result<Vec<AwsResource>> {
        let entries = self.eks.ledger.entries()?;
        let context = remains::context(&self.eks, &entries);
        let found = balancers::balancers(&context).map_err(|refusal| fault("look for load balancers", &refusal))?;
        let mut protected = Vec::new();
        for resource in found.into_iter().filter(|resource| resource.kind == balancers::BALANCER) {
            let goes = self.scope.everything || systems::goes_with(&self.eks, &resource, &self.scope);
            if goes && load_balancer_gate::is_protected(&self.eks.infra.aws, &resource)? {
                protected.push(resource);
            }
        }
        Ok(protected)
    }
}

impl Work for ProtectionWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.protected()?.is_empty().then(|| "none is protected".to_owned()))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        let protected = self.protected()?;
        for resource in &protected {
            load_balancer_gate::unprotect(&self.eks.infra.aws, resource)?;
        }
        Ok(Outcome::DoneWith(super::gate::named(&protected)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_takes_in_what_terraform_does_not_know() {
        let cluster = AwsResource::new("cluster", "slipway-a", &[]).with(json!({"issuer": "https://oidc/id/1"}));
        let resources = [cluster, AwsResource::new("vpc", "vpc-1", &[]), AwsResource::new("load-balancer", "arn", &[])];
        let found: Vec<_> = entries(&resources).into_iter().map(|entry| (entry.kind, entry.id)).collect();
        let expected = [("load-balancer", "arn"), (ISSUER, "https://oidc/id/1")];
        assert_eq!(found, expected.map(|(kind, id)| (kind.to_owned(), id.to_owned())));
    }
}
