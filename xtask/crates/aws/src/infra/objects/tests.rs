use super::*;
use base::error::Fault;
use base::files;
use engine::ledger;
use engine::store::Documents;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use self::contract::Bench as _;

#[path = "../../../../engine/src/store/contract.rs"]
mod contract;

/// What there is to a bucket: the texts of its objects and their versions.
#[derive(Default)]
struct Contents {
    objects: BTreeMap<String, (String, String)>,
    written: u64,
    is_gone: bool,
    loses_an_answer: bool,
}

/// A bucket that answers as a real one does.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Contents>>);

fn refusal(trouble: Trouble) -> Refusal {
    Refusal::new(trouble, "", "no")
}

impl Contents {
    fn write(&mut self, key: &str, text: &str) -> String {
        self.written += 1;
        let etag = format!("\"{}\"", self.written);
        self.objects.insert(key.to_owned(), (text.to_owned(), etag.clone()));
        etag
    }
}

impl Keeper for Fake {
    fn name(&self) -> String {
        "slipway-shop-state".to_owned()
    }

    fn get(&self, key: &str) -> Result<Option<Object>, Refusal> {
        let contents = self.0.lock().unwrap();
        let Some((text, etag)) = contents.objects.get(key).filter(|_| !contents.is_gone) else { return Ok(None) };
        let document = serde_json::from_str(text).map_err(|_| refusal(Trouble::Malformed))?;
        Ok(Some(Object { document, etag: etag.clone() }))
    }

    fn put(&self, key: &str, document: &Value, condition: &If) -> Result<String, Refusal> {
        let mut contents = self.0.lock().unwrap();
        if contents.is_gone {
            return Err(refusal(Trouble::Absent));
        }
        let there = contents.objects.get(key).map_or(If::Absent, |(_, etag)| If::Is(etag.clone()));
        if there != *condition {
            return Err(refusal(Trouble::Conflict));
        }
        let etag = contents.write(key, &document.to_string());
        match std::mem::take(&mut contents.loses_an_answer) {
            true => Err(refusal(Trouble::Unanswered)),
            false => Ok(etag),
        }
    }

    fn delete(&self, key: &str) -> Result<(), Refusal> {
        let mut contents = self.0.lock().unwrap();
        contents.objects.remove(key);
        if contents.is_gone { Err(refusal(Trouble::Absent)) } else { Ok(()) }
    }
}

struct Bench {
    bucket: Fake,
    root: PathBuf,
}

impl Bench {
    fn documents(&self) -> Documents<Objects<Fake>> {
        Documents::new(contract::Bench::store(self))
    }

    fn take_away(&self, is_gone: bool) {
        self.bucket.0.lock().unwrap().is_gone = is_gone;
    }
}

impl contract::Bench for Bench {
    type Store = Objects<Fake>;

    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("objects-{}-{name}", std::process::id()));
        Self { bucket: Fake::default(), root }
    }

    fn store(&self) -> Objects<Fake> {
        Objects::new(self.bucket.clone(), Home::new(&self.root, &"aws".parse().unwrap()))
    }

    fn spoil(&self, name: &DocumentName, text: &str) {
        self.bucket.0.lock().unwrap().write(&key(name), text);
    }

    fn lose_an_answer(&self) -> bool {
        self.bucket.0.lock().unwrap().loses_an_answer = true;
        true
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn enter(documents: &Documents<Objects<Fake>>, id: &str) {
    let entry = ledger::Entry { kind: "volume".to_owned(), id: id.to_owned(), system: None, identity: json!({}) };
    let all =
        documents.update(&DocumentName::ledger(), |document| Ok(ledger::enter(document, std::slice::from_ref(&entry))));
    assert!(all.unwrap().contains(&entry));
}

fn ids(documents: &Documents<Objects<Fake>>) -> Vec<String> {
    let entries = ledger::entries(&documents.read(&DocumentName::ledger()).unwrap());
    entries.into_iter().map(|entry| entry.id).collect()
}

#[test]
fn they_keep_the_contract_of_a_store() {
    contract::is_kept::<Bench>();
}

#[test]
fn without_a_bucket_the_copy_is_all_until_there_is_one() {
    let bench = Bench::new("no-bucket");
    bench.take_away(true);
    enter(&bench.documents(), "a");
    assert_eq!((ids(&bench.documents()), bench.bucket.get("ledger.json").unwrap()), (vec!["a".to_owned()], None));
    bench.take_away(false);
    enter(&bench.documents(), "b");
    files::remove(&bench.root).unwrap();
    assert_eq!(ids(&bench.documents()), ["a", "b"]);
    bench.documents().remove(&DocumentName::ledger()).unwrap();
    bench.take_away(true);
    bench.documents().remove(&DocumentName::ledger()).unwrap();
}

/// As the first version that deployed to AWS has written it, the copy included.
#[test]
fn what_earlier_versions_wrote_goes_on() {
    let bench = Bench::new("earlier-versions");
    let entry = r#"{"kind": "bucket", "id": "slipway-shop-state", "system": null, "identity": {}}"#;
    let text = format!(r#"{{"schema": 1, "bucket": "slipway-shop-state", "entries": [{entry}]}}"#);
    files::write_private(&bench.root.join(".slipway/aws/aws-ledger.json"), text.as_bytes()).unwrap();
    assert_eq!(ids(&bench.documents()), ["slipway-shop-state"]);
    files::remove(&bench.root).unwrap();
    bench.bucket.0.lock().unwrap().write("ledger.json", &text);
    assert_eq!(ids(&bench.documents()), ["slipway-shop-state"]);
    enter(&bench.documents(), "b");
    assert!(!bench.root.join(".slipway/aws/earlier").exists());
}

#[test]
fn what_aws_refuses_is_said() {
    let store = Bench::new("refused").store();
    let refused = store.fault("read", &DocumentName::ledger(), &refusal(Trouble::Denied));
    let cause = Fault::of(&refused).cause;
    assert!(cause.contains("read `ledger.json` in bucket `slipway-shop-state`"), "{cause}");
}
