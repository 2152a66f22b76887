//! One resource on AWS that belongs to a deployment, as AWS had it when it was asked.

use base::proc::CommandLine;
use engine::ledger::Entry;
use serde_json::{Value, json};

/// What stands on everything that the load balancer controller makes: the cluster that it makes it for.
pub(super) const CONTROLLED: &str = "elbv2.k8s.aws/cluster";
/// The Ingress or the group of them that it makes it for, or the Service: `NAMESPACE/NAME`, or the group's name.
pub(super) const STACK: [&str; 2] = ["ingress.k8s.aws/stack", "service.k8s.aws/stack"];
/// What it is of that: for a target group `NAMESPACE/INGRESS-SERVICE:PORT`.
pub(super) const RESOURCE: [&str; 2] = ["ingress.k8s.aws/resource", "service.k8s.aws/resource"];
/// On what Terraform and the deployment's own releases make.
pub(super) const DEPLOYMENT: &str = "deployment_id";

#[derive(Debug, Clone, PartialEq)]
pub(super) struct AwsResource {
    /// As the ledger, the receipt and the price list call it: `load-balancer`.
    pub(super) kind: &'static str,
    /// What names it exactly: an ARN, or an ID.
    pub(super) id: String,
    /// What people know it by, where that is something else.
    pub(super) name: String,
    /// What is known of it beside that: what it costs follows from it.
    pub(super) facts: Value,
    /// The arguments of the `aws` line that removes it.
    pub(super) remove: Vec<String>,
    /// It goes by itself: "which AWS deletes in 7 days".
    pub(super) going: Option<String>,
}

impl AwsResource {
    pub(super) fn new(kind: &'static str, id: impl Into<String>, remove: &[&str]) -> Self {
        Self {
            kind,
            id: id.into(),
            name: String::new(),
            facts: json!({}),
            remove: remove.iter().map(|&arg| arg.to_owned()).collect(),
            going: None,
        }
    }

    pub(super) fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    pub(super) fn with(self, facts: Value) -> Self {
        Self { facts, ..self }
    }

    /// "load-balancer k8s-epoch-1"
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind, self.shown())
    }

    /// What the receipt calls it: the name stands beside an ID that says nothing.
    pub(super) fn shown(&self) -> String {
        let shown = match self.name.is_empty() || self.id.contains(&self.name) {
            true => self.id.clone(),
            false => format!("{} ({})", self.id, self.name),
        };
        match &self.going {
            Some(when) => format!("{shown}, {when}"),
            None => shown,
        }
    }

    pub(super) fn stack(&self) -> &str {
        self.facts["stack"].as_str().unwrap_or_default()
    }

    pub(super) fn line(&self, aws: CommandLine) -> CommandLine {
        aws.args(&self.remove)
    }

    /// As the ledger has it.
    pub(super) fn entry(&self) -> Entry {
        let identity = json!({"name": self.name, "facts": self.facts});
        Entry { kind: self.kind.to_owned(), id: self.id.clone(), system: None, identity }
    }
}

/// The value of a tag, however the service writes its tags.
pub(super) fn tag<'v>(tags: &'v Value, key: &str) -> &'v str {
    if let Some(value) = tags[key].as_str() {
        return value;
    }
    let list = tags.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |tag: &'v Value, names: [&str; 3]| names.into_iter().find_map(|name| tag[name].as_str());
    let found = list.iter().find(|tag| text(tag, ["Key", "TagKey", "key"]) == Some(key));
    found.and_then(|tag| text(tag, ["Value", "TagValue", "value"])).unwrap_or_default()
}

/// The list behind a key of an answer; empty where there is none.
pub(super) fn list<'v>(answer: &'v Value, key: &str) -> &'v [Value] {
    answer[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text behind a key; empty where there is none.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// The value of whichever of these tags there is.
pub(super) fn controlled<'v>(tags: &'v Value, keys: [&str; 2]) -> &'v str {
    keys.into_iter().map(|key| tag(tags, key)).find(|value| !value.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_however_they_are_written() {
        let tags = [
            json!([{"Key": "a", "Value": "1"}]),
            json!([{"TagKey": "a", "TagValue": "1"}]),
            json!([{"key": "a", "value": "1"}]),
            json!({"a": "1"}),
        ];
        assert!(tags.iter().all(|tags| tag(tags, "a") == "1" && tag(tags, "b").is_empty()));
        assert_eq!(tag(&Value::Null, "a"), "");
        let of_service = json!({"service.k8s.aws/stack": "shop/api-balancer"});
        assert_eq!((controlled(&of_service, STACK), controlled(&of_service, RESOURCE)), ("shop/api-balancer", ""));
    }

    #[test]
    fn a_receipt_names_what_an_id_does_not_tell() {
        let resource = AwsResource::new("volume", "vol-1", &[]).named("data-redis-0");
        assert_eq!(resource.title(), "volume vol-1 (data-redis-0)");
        let resource = AwsResource::new("topic", "arn:aws:sns:a:1:x", &[]).named("x");
        assert_eq!(resource.shown(), "arn:aws:sns:a:1:x");
        let key = AwsResource { going: Some("which AWS deletes soon".to_owned()), ..AwsResource::new("key", "k", &[]) };
        assert_eq!(key.shown(), "k, which AWS deletes soon");
    }
}
