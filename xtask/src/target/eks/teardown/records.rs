//! The records that a deploy has written into Route 53. They carry no tags: the ledger knows them, and what they lead to
//! tells whether they are still the deployment's.

use super::look::Scene;
use super::thing::{Thing, list, text};
use crate::aws::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How the ledger calls them. Their identity has `zone`, `name`, `type` and `value`.
pub(super) use crate::infra::dns::KIND as RECORD;

pub(super) fn records(scene: &Scene<'_>) -> Result<Vec<Thing>, Refusal> {
    let zones: BTreeSet<&str> = scene.noted(RECORD).map(|entry| text(&entry.identity, "zone")).collect();
    let mut things = Vec::new();
    for zone in zones {
        let found = scene.aws.ask(&["route53", "list-resource-record-sets", "--hosted-zone-id", zone]);
        let found = match found {
            Ok(found) => found,
            Err(refusal) if refusal.is_absent() => continue,
            Err(refusal) => return Err(refusal),
        };
        let noted = scene.noted(RECORD).filter(|entry| text(&entry.identity, "zone") == zone);
        for entry in noted {
            let same = |found: &&Value| is_same(found, &entry.identity);
            things.extend(
                list(&found, "ResourceRecordSets").iter().find(same).map(|found| thing(zone, &entry.id, found)),
            );
        }
    }
    Ok(things)
}

/// Names are written with and without the dot at their end.
fn is_same(found: &Value, identity: &Value) -> bool {
    let name = |value: &Value, key: &str| text(value, key).trim_end_matches('.').to_lowercase();
    let same = name(found, "Name") == name(identity, "name") && text(found, "Type") == text(identity, "type");
    same && leads(found).any(|value| value == name(identity, "value"))
}

/// What a record leads to. Route 53's own pages put a word in front of the name of a load balancer.
fn leads(found: &Value) -> impl Iterator<Item = String> {
    let alias = found.get("AliasTarget").map(|alias| text(alias, "DNSName"));
    let values = list(found, "ResourceRecords").iter().map(|value| text(value, "Value"));
    let plain = |value: &str| value.trim_end_matches('.').trim_start_matches("dualstack.").to_lowercase();
    alias.into_iter().chain(values).map(plain)
}

/// A record is removed as it is at that moment, so that one that somebody else has changed meanwhile is not.
fn thing(zone: &str, id: &str, found: &Value) -> Thing {
    let batch = json!({"Changes": [{"Action": "DELETE", "ResourceRecordSet": found}]}).to_string();
    let line = ["route53", "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", &batch];
    Thing::new(RECORD, id, &line).named(text(found, "Name").trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_leads_elsewhere_is_somebody_elses() {
        let identity =
            json!({"zone": "Z1", "name": "epoch.example.com", "type": "A", "value": "k8s-1.elb.amazonaws.com"});
        let record =
            |name: &str, kind: &str, to: &str| json!({"Name": name, "Type": kind, "AliasTarget": {"DNSName": to}});
        let own = "dualstack.k8s-1.elb.amazonaws.com.";
        assert!(is_same(&record("epoch.example.com.", "A", own), &identity));
        assert!(!is_same(&record("epoch.example.com.", "AAAA", own), &identity));
        assert!(!is_same(&record("web.example.com.", "A", own), &identity));
        assert!(!is_same(&record("epoch.example.com.", "A", "other.elb.amazonaws.com."), &identity));
    }
}
