//! Records in Route 53: looked at before they are written, so that nobody else's is overwritten, and waited for until
//! every name server of the zone has them.

use crate::{Aws, Refusal};
use engine::ledger::Entry;
use model::aws::ZoneId;
use serde_json::{Value, json};

/// The kind of its entries in the ledger. Their ID is `NAME TYPE`.
pub const KIND: &str = "record";

/// A record as it is to be. Names are absolute, without the dot at their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub to: To,
}

/// What a record leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The addresses of a load balancer, whatever they are: Route 53 follows them by itself.
    Alias { host: String, zone: String },
    /// Another name.
    Name(String),
}

/// What there is in place of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordState {
    Absent,
    Same,
    /// What it leads to instead.
    Other(String),
}

impl Record {
    /// Its type in DNS.
    pub fn word(&self) -> &'static str {
        match self.to {
            To::Alias { .. } => "A",
            To::Name(_) => "CNAME",
        }
    }

    /// What it leads to, for people and other DNS hosts.
    pub fn value(&self) -> &str {
        match &self.to {
            To::Alias { host, .. } => host,
            To::Name(name) => name,
        }
    }

    pub fn entry(&self, zone: &ZoneId, system: Option<String>) -> Entry {
        Entry {
            kind: KIND.to_owned(),
            id: format!("{} {}", self.name, self.word()),
            system,
            identity: json!({"zone": zone.as_str(), "name": self.name, "type": self.word(), "value": self.value()}),
        }
    }

    fn set(&self) -> Value {
        let mut set = json!({"Name": format!("{}.", self.name), "Type": self.word()});
        match &self.to {
            To::Alias { host, zone } => {
                set["AliasTarget"] = json!({"HostedZoneId": zone, "DNSName": host, "EvaluateTargetHealth": false});
            }
            To::Name(name) => {
                set["TTL"] = json!(300);
                set["ResourceRecords"] = json!([{"Value": format!("{name}.")}]);
            }
        }
        set
    }

    /// What an answer of `list-resource-record-sets` has in its place.
    fn standing(&self, answer: &Value) -> RecordState {
        let sets = answer["ResourceRecordSets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own = |set: &&Value| {
            let name = plain(&set["Name"]).replace("\\052", "*");
            name == self.name && matches!(set["Type"].as_str(), Some("A" | "AAAA" | "CNAME"))
        };
        let mut others = Vec::new();
        for set in sets.iter().filter(own) {
            let values = set["ResourceRecords"].as_array().map(Vec::as_slice).unwrap_or_default();
            let values: Vec<String> = match set.get("AliasTarget") {
                Some(alias) => vec![plain(&alias["DNSName"])],
                None => values.iter().map(|value| plain(&value["Value"])).collect(),
            };
            let same_kind =
                set["Type"] == self.word() && set.get("AliasTarget").is_some() == matches!(self.to, To::Alias { .. });
            // Route 53's own pages put this in front of the name of a load balancer.
            let leads = |value: &String| value.trim_start_matches("dualstack.").eq_ignore_ascii_case(self.value());
            if same_kind && values.iter().all(leads) {
                return RecordState::Same;
            }
            others.push(format!("{} {}", set["Type"].as_str().unwrap_or_default(), values.join(", ")));
        }
        if others.is_empty() { RecordState::Absent } else { RecordState::Other(others.join("; ")) }
    }
}

/// What the zone has in place of a record.
///
/// # Errors
/// When AWS refuses or does not answer.
pub fn standing(aws: &Aws, zone: &ZoneId, record: &Record) -> Result<RecordState, Refusal> {
    let line = ["route53", "list-resource-record-sets", "--hosted-zone-id", zone.as_str()];
    let from = ["--start-record-name", &record.name, "--max-items", "10"];
    aws.ask(&[&line[..], &from[..]].concat()).map(|answer| record.standing(&answer))
}

/// Writes records, all or none, and returns the change to wait for. Written twice they are the same.
///
/// # Errors
/// What AWS says.
pub fn upsert(aws: &Aws, zone: &ZoneId, records: &[Record]) -> Result<String, Refusal> {
    let batch = batch(records).to_string();
    let line = ["route53", "change-resource-record-sets", "--hosted-zone-id", zone.as_str(), "--change-batch", &batch];
    let answer = aws.persist(&line)?;
    Ok(answer["ChangeInfo"]["Id"].as_str().unwrap_or_default().to_owned())
}

fn batch(records: &[Record]) -> Value {
    let change = |record: &Record| json!({"Action": "UPSERT", "ResourceRecordSet": record.set()});
    json!({"Changes": records.iter().map(change).collect::<Vec<_>>()})
}

/// Whether every name server of the zone has a change.
///
/// # Errors
/// When AWS refuses or does not answer.
pub fn is_in_sync(aws: &Aws, change: &str) -> Result<bool, Refusal> {
    let answer = aws.ask(&["route53", "get-change", "--id", change])?;
    Ok(answer["ChangeInfo"]["Status"] == "INSYNC")
}

/// The domain of a zone.
///
/// # Errors
/// When AWS refuses or does not answer, or there is no such zone.
pub fn zone_name(aws: &Aws, zone: &ZoneId) -> Result<String, Refusal> {
    let answer = aws.ask(&["route53", "get-hosted-zone", "--id", zone.as_str()])?;
    Ok(plain(&answer["HostedZone"]["Name"]))
}

fn plain(value: &Value) -> String {
    value.as_str().unwrap_or_default().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias() -> Record {
        let to = To::Alias { host: "k8s-a.elb.amazonaws.com".to_owned(), zone: "Z1".to_owned() };
        Record { name: "epoch.shop.example".to_owned(), to }
    }

    #[test]
    fn a_record_is_written_as_route_53_takes_it() {
        let name = Record { name: "_a.shop.example".to_owned(), to: To::Name("_b.acm-validations.aws".to_owned()) };
        let batch = batch(&[alias(), name]);
        let set = |at: usize| &batch["Changes"][at]["ResourceRecordSet"];
        assert_eq!(set(0)["AliasTarget"]["DNSName"], "k8s-a.elb.amazonaws.com");
        assert_eq!((&set(0)["Name"], &set(0)["Type"]), (&json!("epoch.shop.example."), &json!("A")));
        assert_eq!(set(1)["ResourceRecords"], json!([{"Value": "_b.acm-validations.aws."}]));
    }

    #[test]
    fn what_is_there_is_told_from_what_somebody_else_has_made() {
        let of = |sets: Value| alias().standing(&json!({"ResourceRecordSets": sets}));
        assert_eq!(of(json!([])), RecordState::Absent);
        let other_name = json!({"Name": "z.shop.example.", "Type": "A", "ResourceRecords": [{"Value": "10.0.0.1"}]});
        let mail = json!({"Name": "epoch.shop.example.", "Type": "MX", "ResourceRecords": [{"Value": "10 m."}]});
        assert_eq!(of(json!([other_name, mail])), RecordState::Absent);
        let same = json!({"DNSName": "dualstack.k8s-a.elb.amazonaws.com."});
        assert_eq!(of(json!([{"Name": "epoch.shop.example.", "Type": "A", "AliasTarget": same}])), RecordState::Same);
        let other =
            json!([{"Name": "epoch.shop.example.", "Type": "CNAME", "ResourceRecords": [{"Value": "old.example."}]}]);
        assert_eq!(of(other), RecordState::Other("CNAME old.example".to_owned()));
    }
}
