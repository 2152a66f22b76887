//! The proven releases of one system as a document that fits into a Secret.

use model::name::ServiceName;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many proven releases are kept.
const KEPT: usize = 5;

/// A Secret takes 1 MiB (kubernetes.io/docs/concepts/configuration/secret); the rest is for what is around it.
const LARGEST: usize = 1_000_000;

/// A release of a system that passed its smoke contract.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct VerifiedRelease {
    /// Counts up for each system.
    pub(in super::super) number: u64,
    /// When it was proven, UTC.
    pub(in super::super) at: String,
    /// What it was made from: equal stamps are equal releases.
    pub(in super::super) stamp: String,
    /// Helm's own number of it, to go back to.
    pub(in super::super) helm_revision: u64,
    /// What the chart was given.
    pub(in super::super) values: Value,
    /// The version of each service: its content key, or the tag of its public image.
    pub(in super::super) versions: BTreeMap<ServiceName, String>,
    /// The objects as the cluster had them afterwards, without what it changes by itself. Only the newest release has
    /// them.
    pub(in super::super) objects: Vec<Value>,
}

impl VerifiedRelease {
    fn to_json(&self) -> Value {
        let versions: Map<_, _> = self.versions.iter().map(|(name, text)| (name.to_string(), json!(text))).collect();
        json!({
            "number": self.number, "at": self.at, "stamp": self.stamp, "helm_revision": self.helm_revision,
            "values": self.values, "versions": versions, "objects": self.objects,
        })
    }

    /// `None` when the value was not made by [`VerifiedRelease::to_json`].
    fn from_json(value: &Value) -> Option<Self> {
        let version = |(name, text): (&String, &Value)| Some((name.parse().ok()?, text.as_str()?.to_owned()));
        Some(Self {
            number: value["number"].as_u64()?,
            at: value["at"].as_str()?.to_owned(),
            stamp: value["stamp"].as_str()?.to_owned(),
            helm_revision: value["helm_revision"].as_u64()?,
            values: value["values"].clone(),
            versions: value["versions"].as_object()?.iter().map(version).collect::<Option<_>>()?,
            objects: value["objects"].as_array().cloned().unwrap_or_default(),
        })
    }
}

/// The releases of a document, the newest last.
pub(super) fn parse(document: &Value) -> Vec<VerifiedRelease> {
    let list = document["releases"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(VerifiedRelease::from_json).collect()
}

/// Appends a release, or renews the newest one when it has the same stamp. Returns the number that it has now.
pub(super) fn append(mut releases: Vec<VerifiedRelease>, proven: VerifiedRelease) -> (Vec<VerifiedRelease>, u64) {
    if let Some(newest) = releases.last_mut().filter(|newest| newest.stamp == proven.stamp) {
        newest.objects = proven.objects;
        newest.helm_revision = proven.helm_revision;
        let number = newest.number;
        return (releases, number);
    }
    let number = releases.last().map_or(1, |newest| newest.number + 1);
    releases.push(VerifiedRelease { number, ..proven });
    (releases, number)
}

/// Writes these releases into their document: as many of the newest as are kept and fit.
pub(super) fn write(document: &mut Value, mut releases: Vec<VerifiedRelease>) {
    releases.drain(..releases.len().saturating_sub(KEPT));
    for older in releases.iter_mut().rev().skip(1) {
        older.objects.clear();
    }
    let mut list: Vec<Value> = releases.iter().map(VerifiedRelease::to_json).collect();
    while list.len() > 1 && list.iter().map(size).sum::<usize>() > LARGEST {
        list.remove(0);
    }
    // One that is too large even alone can be served and gone back to; only what was changed by hand is not seen.
    if let [only] = list.as_mut_slice()
        && size(only) > LARGEST
    {
        only["objects"] = json!([]);
    }
    document["releases"] = list.into();
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(stamp: &str, objects: usize) -> VerifiedRelease {
        VerifiedRelease {
            number: 0,
            at: "2026-11-21T00:00:00Z".to_owned(),
            stamp: stamp.to_owned(),
            helm_revision: 7,
            values: json!({"a": 1}),
            versions: BTreeMap::from([("epoch".parse().unwrap(), "0123".to_owned())]),
            objects: vec![json!({"text": "x".repeat(objects)})],
        }
    }

    fn document(releases: Vec<VerifiedRelease>) -> Value {
        let mut document = Value::Null;
        write(&mut document, releases);
        document
    }

    fn numbers(document: &Value) -> Vec<u64> {
        parse(document).iter().map(|release| release.number).collect()
    }

    #[test]
    fn a_release_survives_its_document() {
        let (releases, number) = append(Vec::new(), proven("a", 3));
        assert_eq!(number, 1);
        assert_eq!(parse(&document(releases.clone())), releases);
    }

    #[test]
    fn the_same_again_is_renewed_and_another_appended() {
        let (releases, _) = append(Vec::new(), proven("a", 3));
        let again = VerifiedRelease { helm_revision: 9, at: "later".to_owned(), ..proven("a", 4) };
        let (releases, number) = append(releases, again);
        assert_eq!((releases.len(), number, releases[0].helm_revision), (1, 1, 9));
        assert_eq!(releases[0].at, "2026-11-21T00:00:00Z");
        let (releases, number) = append(releases, proven("b", 3));
        assert_eq!((releases.len(), number), (2, 2));
        // To go back is a release of its own.
        assert_eq!(append(releases, proven("a", 3)).1, 3);
    }

    #[test]
    fn only_so_many_are_kept_and_objects_of_the_newest_alone() {
        let mut kept = Value::Null;
        for stamp in ["a", "b", "c", "d", "e", "f", "g"] {
            kept = document(append(parse(&kept), proven(stamp, 3)).0);
        }
        assert_eq!(numbers(&kept), [3, 4, 5, 6, 7]);
        let objects: Vec<_> = parse(&kept).iter().map(|release| release.objects.len()).collect();
        assert_eq!(objects, [0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_document_always_fits() {
        let large = |stamp: &str| VerifiedRelease { values: json!("v".repeat(400_000)), ..proven(stamp, 3) };
        let mut kept = Value::Null;
        for stamp in ["a", "b", "c"] {
            kept = document(append(parse(&kept), large(stamp)).0);
        }
        assert_eq!(numbers(&kept), [2, 3]);
        let kept = document(append(parse(&kept), proven("huge", 2_000_000)).0);
        assert_eq!(numbers(&kept), [4]);
        assert!(parse(&kept)[0].objects.is_empty() && size(&kept) < LARGEST);
    }
}
