//! Lists in pages (kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks), so that a
//! cluster with thousands of objects is read like one with three.

use super::{Refusal, path};
use serde_json::{Value, json};

/// The most objects of a page, as `kubectl` has it.
const MOST: usize = 500;
/// How often a list is begun anew that became too old while it was read.
const BEGINNINGS: usize = 5;
/// What a cluster calls a page whose list it does not remember any more.
const EXPIRED: u16 = 410;

/// All objects of a collection, whose path may have a query. `ask` gets a page by its path. Whoever asks for a `limit` gets
/// just so many.
///
/// # Errors
/// Those of `ask`, and when the cluster forgets the list each time that it is read.
pub(super) fn all(
    collection: &str,
    mut ask: impl FnMut(&str) -> Result<Value, Refusal>,
) -> Result<Vec<Value>, Refusal> {
    if collection.contains("limit=") {
        return ask(collection).map(|mut page| items(&mut page));
    }
    let mut most = MOST;
    for _ in 1..BEGINNINGS {
        match walk(collection, &mut most, &mut ask) {
            Err(refusal) if refusal.status == EXPIRED => {}
            ended => return ended,
        }
    }
    walk(collection, &mut most, &mut ask)
}

/// Asks for page after page. They get smaller when an answer is larger than what is read of one.
fn walk(
    collection: &str,
    most: &mut usize,
    ask: &mut impl FnMut(&str) -> Result<Value, Refusal>,
) -> Result<Vec<Value>, Refusal> {
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let mut page = match ask(&path::with_query(collection, &[("limit", &most.to_string()), ("continue", &next)])) {
            Err(refusal) if refusal.is_too_large() && *most > 1 => {
                *most /= 2;
                continue;
            }
            page => page?,
        };
        found.append(&mut items(&mut page));
        match page["metadata"]["continue"].as_str() {
            Some(more) if !more.is_empty() => more.clone_into(&mut next),
            _ => return Ok(found),
        }
    }
}

/// The objects of a list, where they do not say what they are.
fn items(list: &mut Value) -> Vec<Value> {
    let kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).unwrap_or_default().to_owned();
    let version = list["apiVersion"].clone();
    let Value::Array(mut items) = list["items"].take() else { return Vec::new() };
    for item in &mut items {
        item["kind"] = json!(kind);
        item["apiVersion"] = version.clone();
    }
    items
}

#[cfg(test)]
mod tests {
    use super::super::TOO_LARGE;
    use super::*;

    fn refusal(status: u16, reason: &str) -> Refusal {
        Refusal { status, reason: reason.to_owned(), message: String::new() }
    }

    /// The value of a parameter in a path.
    fn parameter<'p>(path: &'p str, name: &str) -> Option<&'p str> {
        path.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// A cluster with so many objects, which says where a page goes on by a number.
    fn cluster(number: usize) -> impl FnMut(&str) -> Result<Value, Refusal> {
        move |path| {
            let from: usize = parameter(path, "continue").map_or(0, |at| at.parse().unwrap());
            let limit: usize = parameter(path, "limit").unwrap().parse().unwrap();
            let end = number.min(from + limit);
            let items: Vec<Value> = (from..end).map(|n| json!({"metadata": {"name": n.to_string()}})).collect();
            let next = if end < number { end.to_string() } else { String::new() };
            Ok(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": next}, "items": items}))
        }
    }

    fn names(found: &[Value]) -> Vec<usize> {
        found.iter().map(|object| object["metadata"]["name"].as_str().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn every_object_is_found_once_in_as_many_pages_as_it_takes() {
        for number in [0, 1, 499, 500, 501, 1500] {
            let mut asked = 0;
            let mut ask = cluster(number);
            let found = all("/pods?labelSelector=a", |path| {
                asked += 1;
                assert!(path.starts_with("/pods?labelSelector=a&limit=500"), "{path}");
                ask(path)
            });
            let found = found.unwrap();
            assert_eq!(names(&found), (0..number).collect::<Vec<_>>());
            assert_eq!(asked, number.div_ceil(MOST).max(1));
            assert!(found.iter().all(|object| object["kind"] == "Pod" && object["apiVersion"] == "v1"));
        }
    }

    #[test]
    fn a_list_that_became_too_old_is_begun_anew() {
        let mut ask = cluster(1200);
        let mut asked = 0;
        let found = all("/pods", |path| {
            asked += 1;
            if asked == 3 { Err(refusal(410, "Expired")) } else { ask(path) }
        });
        assert_eq!(names(&found.unwrap()), (0..1200).collect::<Vec<_>>());
        let mut asked = 0;
        let ended = all("/pods", |_| {
            asked += 1;
            Err(refusal(410, "Expired"))
        });
        assert_eq!((ended.unwrap_err().status, asked), (410, BEGINNINGS));
    }

    #[test]
    fn pages_that_are_too_large_become_smaller() {
        let mut ask = cluster(40);
        let found = all("/configmaps", |path| {
            let limit: usize = parameter(path, "limit").unwrap().parse().unwrap();
            if limit > 16 { Err(refusal(0, TOO_LARGE)) } else { ask(path) }
        });
        assert_eq!(names(&found.unwrap()), (0..40).collect::<Vec<_>>());
        let ended = all("/configmaps", |_| Err(refusal(0, TOO_LARGE)));
        assert!(ended.unwrap_err().is_too_large());
    }

    #[test]
    fn whoever_wants_a_few_gets_no_more() {
        assert_eq!(names(&all("/nodes?limit=100", cluster(300)).unwrap()).len(), 100);
    }
}
