use super::*;
use base::error::Fault;
use base::files;
use engine::ledger;
use engine::store::Documents;
use std::sync::Mutex;

use self::contract::Bench as _;

#[path = "../../../../engine/src/store/contract.rs"]
mod contract;

/// What there is to a cluster.
#[derive(Default)]
struct Objects {
    secrets: BTreeMap<String, Value>,
    written: u64,
    lacks_namespace: bool,
    loses_an_answer: bool,
}

/// A cluster that answers as a real one does.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Objects>>);

fn refusal(status: u16) -> Refusal {
    Refusal { status, reason: String::new(), message: "no".to_owned() }
}

impl Objects {
    fn write(&mut self, path: &str, object: &Value) -> Result<Value, Refusal> {
        let mut written = object.clone();
        self.written += 1;
        written["metadata"]["resourceVersion"] = json!(self.written.to_string());
        let text = object["stringData"][KEY].as_str().unwrap();
        written["data"] = json!({KEY: base64::encode(text.as_bytes())});
        written["stringData"].take();
        self.secrets.insert(path.to_owned(), written.clone());
        match std::mem::take(&mut self.loses_an_answer) {
            true => Err(Refusal::unanswered("the connection was closed".to_owned())),
            false => Ok(written),
        }
    }
}

impl Cluster for Fake {
    fn identity(&self) -> Result<Identity> {
        Ok(identity("1"))
    }

    fn list(&self, collection: &str, selector: &str) -> Result<Result<Vec<Value>, Refusal>> {
        let (key, value) = selector.split_once('=').unwrap();
        let is_meant = |path: &str, secret: &Value| {
            path.starts_with(&format!("{collection}/")) && secret["metadata"]["labels"][key] == value
        };
        let objects = self.0.lock().unwrap();
        let meant = objects.secrets.iter().filter(|(path, secret)| is_meant(path, secret));
        Ok(Ok(meant.map(|(_, secret)| secret.clone()).collect()))
    }

    fn get(&self, path: &str) -> Result<Result<Option<Value>, Refusal>> {
        Ok(Ok(self.0.lock().unwrap().secrets.get(path).cloned()))
    }

    fn create(&self, collection: &str, object: &Value) -> Result<Result<Value, Refusal>> {
        let mut objects = self.0.lock().unwrap();
        let path = format!("{collection}/{}", object::name(object));
        Ok(match objects.secrets.contains_key(&path) {
            _ if objects.lacks_namespace => Err(refusal(404)),
            true => Err(refusal(409)),
            false => objects.write(&path, object),
        })
    }

    fn replace(&self, path: &str, object: &Value) -> Result<Result<Value, Refusal>> {
        let mut objects = self.0.lock().unwrap();
        let version = |secret: &Value| secret["metadata"]["resourceVersion"].clone();
        Ok(match objects.secrets.get(path).map(version) {
            None => Err(refusal(404)),
            Some(there) if there != version(object) => Err(refusal(409)),
            Some(_) => objects.write(path, object),
        })
    }

    fn delete(&self, path: &str) -> Result<Result<bool, Refusal>> {
        Ok(Ok(self.0.lock().unwrap().secrets.remove(path).is_some()))
    }
}

fn identity(uid: &str) -> Identity {
    Identity { server: "https://127.0.0.1:1".to_owned(), ca: "c".to_owned(), uid: Some(uid.to_owned()) }
}

struct Bench {
    cluster: Fake,
    root: PathBuf,
}

impl Bench {
    fn home(&self) -> Home {
        Home::new(&self.root, &"shared".parse().unwrap())
    }

    fn documents(&self) -> Documents<Secrets<Fake>> {
        Documents::new(contract::Bench::store(self))
    }
}

impl contract::Bench for Bench {
    type Store = Secrets<Fake>;

    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("secrets-{}-{name}", std::process::id()));
        Self { cluster: Fake::default(), root }
    }

    fn store(&self) -> Secrets<Fake> {
        Secrets::new(self.cluster.clone(), Names::of("shop-", "shop", "shop"), self.home())
    }

    fn spoil(&self, name: &DocumentName, text: &str) {
        let store = self.store();
        let mut object = store.object(name, None, &Value::Null);
        object["stringData"][KEY] = json!(text);
        self.cluster.0.lock().unwrap().write(&store.at(name), &object).unwrap();
    }

    fn lose_an_answer(&self) -> bool {
        self.cluster.0.lock().unwrap().loses_an_answer = true;
        true
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

#[test]
fn they_keep_the_contract_of_a_store() {
    contract::is_kept::<Bench>();
}

#[test]
fn a_document_and_its_secret_find_each_other() {
    let releases = DocumentName::releases(&"shop".parse().unwrap());
    for (name, wanted) in [
        (DocumentName::ledger(), "slipway-ledger"),
        (DocumentName::secrets(), "slipway-secrets"),
        (releases, "slipway-release-shop"),
    ] {
        assert_eq!(secret(&name), wanted);
        assert_eq!(document_name(wanted), Some(name));
    }
    assert_eq!(document_name("registry"), None);
}

/// As the first version that deployed to clusters has written them, copies included.
#[test]
fn what_earlier_versions_wrote_goes_on() {
    let bench = Bench::new("earlier-versions");
    let entry = r#"{"kind": "namespace", "id": "shop", "system": null, "identity": {"name": "shop", "uid": "7"}}"#;
    let mark = r#""deployment_id": "shop", "cluster": {"server": "https://127.0.0.1:1", "ca": "c", "uid": "1"}"#;
    let text = format!(r#"{{"schema": 1, {mark}, "entries": [{entry}]}}"#);
    files::write_private(&bench.home().ledger(), text.as_bytes()).unwrap();
    let documents = bench.documents();
    let read = || ledger::entries(&documents.read(&DocumentName::ledger()).unwrap());
    assert_eq!(read().len(), 1);
    documents.forget();
    bench.spoil(&DocumentName::ledger(), &text);
    let secrets = format!(r#"{{{mark}, "redis.password": "p"}}"#);
    bench.spoil(&DocumentName::secrets(), &secrets);
    assert_eq!((read()[0].id.as_str(), read()[0].identity["uid"].as_str()), ("shop", Some("7")));
    assert_eq!(documents.read(&DocumentName::secrets()).unwrap()["redis.password"], "p");
    assert!(documents.all().unwrap().values().all(|document| noted_cluster(document) == Some(identity("1"))));
    assert!(!bench.home().dir().join("earlier").exists());
}

#[test]
fn without_a_namespace_nothing_is_written() {
    let bench = Bench::new("no-namespace");
    bench.cluster.0.lock().unwrap().lacks_namespace = true;
    let told = bench.documents().update(&DocumentName::ledger(), |document| {
        document["a"] = json!(1);
        Ok(())
    });
    let fault = Fault::of(&told.unwrap_err());
    assert!(fault.cause.contains("write the Secret `slipway-ledger` in namespace `shop`"), "{}", fault.cause);
    assert!(!bench.home().ledger().exists());
}

/// Whether a release was proven, only the cluster can tell: this machine's copy may be older than what undid it.
#[test]
fn no_copy_proves_a_release() {
    let bench = Bench::new("unproven");
    for (name, wanted) in
        [(DocumentName::releases(&"shop".parse().unwrap()), json!(null)), (DocumentName::ledger(), json!(1))]
    {
        let documents = bench.documents();
        let write = |document: &mut Value| {
            document["a"] = json!(1);
            Ok(())
        };
        documents.update(&name, write).unwrap();
        documents.store().remove(&name).unwrap();
        assert_eq!(bench.documents().read(&name).unwrap()["a"], wanted, "{name}");
    }
}

#[test]
fn what_others_have_labelled_is_no_document() {
    let bench = Bench::new("others");
    let store = bench.store();
    let mut object = store.object(&DocumentName::new("x"), None, &json!({}));
    object["metadata"]["name"] = json!("registry");
    bench.cluster.0.lock().unwrap().write("/api/v1/namespaces/shop/secrets/registry", &object).unwrap();
    assert_eq!(store.all().unwrap(), Some(BTreeMap::new()));
}

#[test]
fn a_copy_of_another_cluster_is_not_ours() {
    let store = Bench::new("another").store();
    let mut copy = json!({});
    store.sign(&mut copy).unwrap();
    assert!(store.is_ours(&copy).unwrap());
    copy[CLUSTER] = identity("2").to_json();
    assert!(!store.is_ours(&copy).unwrap());
}
