//! The records that a deploy has written into Route 53. They carry no tags: the ledger knows them, and what they lead to
//! tells whether they are still the deployment's.

use super::aws_resource::{AwsResource, list, text};
use super::inventory::LookupContext;
use aws::Refusal;
use engine::ledger::Entry;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How the ledger calls them. Their identity has `zone`, `name`, `type` and `value`.
pub(super) use aws::infra::dns::KIND as RECORD;

pub(super) fn records(context: &LookupContext<'_>) -> Result<Vec<AwsResource>, Refusal> {
    let zones: BTreeSet<&str> = context.noted(RECORD).map(|entry| text(&entry.identity, "zone")).collect();
    let mut resources = Vec::new();
    for zone in zones {
        let found = context.aws.ask(&["route53", "list-resource-record-sets", "--hosted-zone-id", zone]);
        let found = match found {
            Ok(found) => found,
            Err(refusal) if refusal.is_absent() => continue,
            Err(refusal) => return Err(refusal),
        };
        let noted = context.noted(RECORD).filter(|entry| text(&entry.identity, "zone") == zone);
        for entry in noted {
            let same = |found: &&Value| is_same(found, &entry.identity);
            resources
                .extend(list(&found, "ResourceRecordSets").iter().find(same).map(|found| resource(zone, entry, found)));
        }
    }
    Ok(resources)
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
fn resource(zone: &str, entry: &Entry, found: &Value) -> AwsResource {
    let batch = json!({"Changes": [{"Action": "DELETE", "ResourceRecordSet": found}]}).to_string();
    let line = ["route53", "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", &batch];
    let name = text(found, "Name").trim_end_matches('.');
    AwsResource::new(RECORD, &entry.id, &line).named(name).with(json!({"system": entry.system}))
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

    #[test]
    fn a_record_is_its_system_s_whatever_its_name_begins_with() {
        let entry = Entry {
            kind: RECORD.to_owned(),
            id: "x A".to_owned(),
            system: Some("time".to_owned()),
            identity: json!({}),
        };
        let found = resource("Z1", &entry, &json!({"Name": "try-epoch.example.com.", "Type": "A"}));
        assert_eq!((found.name.as_str(), &found.facts["system"]), ("try-epoch.example.com", &json!("time")));
    }
}
