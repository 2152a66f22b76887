//! The bucket of a deployment: Terraform's state with its lock, the lease, the ledger, and what was applied last.
//!
//! It is made on first use and removed last. What is written here is written on a condition, so that of two who write
//! one learns that he was second. Every call names the account that the bucket has to belong to.

mod remove;
mod secure;

use super::names::Names;
use crate::{Aws, Refusal, Trouble};
use anyhow::Result;
use base::error::Fault;
use base::files;
use engine::deployment::Deployment;
use engine::home::Home;
use engine::plan::Preview;
use model::aws::Region;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The key of Terraform's state.
pub const STATE: &str = "terraform.tfstate";
/// That of its lock, which Terraform makes and removes (`use_lockfile`).
pub const LOCK: &str = "terraform.tfstate.tflock";

/// How long a change is tried again that S3 has no time for while another one of the same bucket, or the end of an earlier
/// bucket of its name, is under way (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, `OperationAborted`).
const AGAIN_FOR: Duration = Duration::from_secs(90);
/// The first pause of that; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

type Before = Box<dyn FnOnce() + Send>;

pub struct Bucket {
    pub aws: Aws,
    pub names: Names,
    /// The environment's name, for the tags.
    environment: String,
    home: Home,
    /// Tells what is written at the same time apart.
    written: AtomicUsize,
    before_removal: Mutex<Option<Before>>,
    /// This run has made it, so that nothing is set yet.
    is_new: AtomicBool,
}

/// An object as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub document: Value,
    /// Names this version of it.
    pub etag: String,
}

/// On what condition something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum If {
    /// There is nothing yet.
    Absent,
    /// It is still this version.
    Is(String),
}

impl Bucket {
    pub fn new(aws: Aws, names: Names, deployment: &Deployment) -> Self {
        Self {
            aws,
            names,
            environment: deployment.environment.name.to_string(),
            home: deployment.home.clone(),
            written: AtomicUsize::default(),
            before_removal: Mutex::default(),
            is_new: AtomicBool::default(),
        }
    }

    /// Has this done before the bucket is removed: what writes to it from time to time has to end.
    pub(super) fn before_removal(&self, end: impl FnOnce() + Send + 'static) {
        *self.before_removal.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(end));
    }

    pub fn name(&self) -> String {
        self.names.bucket()
    }

    /// # Errors
    /// When AWS refuses or does not answer, or the bucket is somebody else's.
    pub fn is_there(&self) -> Result<bool> {
        // A question whose refusal has a text: `head-bucket` says no more than a number.
        match self.ask("get-bucket-location", &[]) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_absent() => Ok(false),
            Err(refusal) => Err(crate::fault(&format!("look for bucket `{}`", self.name()), &refusal).into()),
        }
    }

    /// Makes the bucket, which was not there a moment ago; the step `state` does the rest.
    ///
    /// # Errors
    /// When AWS refuses, or somebody else has one of this name.
    pub fn make(&self) -> Result<()> {
        // What is noted of a bucket is not true of the next one.
        files::remove(&self.note())?;
        match self.persist_line(&self.making()) {
            Ok(_) => {
                self.is_new.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(refusal) if refusal.code == "BucketAlreadyOwnedByYou" => Ok(()),
            Err(refusal) if refusal.code == "BucketAlreadyExists" => Err(self.taken().into()),
            Err(refusal) => Err(self.fault("make", &refusal).into()),
        }
    }

    fn making(&self) -> Vec<String> {
        let mut line: Vec<String> =
            ["s3api", "create-bucket", "--bucket", &self.name()].into_iter().map(str::to_owned).collect();
        if let Some(place) = location(&self.names.region) {
            line.extend(["--create-bucket-configuration".to_owned(), place.to_string()]);
        }
        line
    }

    fn taken(&self) -> Fault {
        let cause =
            format!("bucket `{}` exists and belongs to another account than `{}`", self.name(), self.names.account);
        Fault::could_not_run("bucket-taken", cause)
            .hint("choose another `deployment_id`: bucket names are unique in the world")
    }

    /// What is done for it, as `--dry-run` shows it.
    pub fn preview(&self) -> Vec<Preview> {
        let settings = secure::lines(self);
        let lines = std::iter::once(self.making()).chain(settings);
        lines.map(|line| Preview::Run(self.aws.command().args(line))).collect()
    }

    /// A JSON object; `None` when it is not there, or there is no bucket.
    ///
    /// # Errors
    /// What AWS says.
    pub fn get(&self, key: &str) -> Result<Option<Object>, Refusal> {
        let line = self.line("get-object", &["--key", key, "/dev/stdout"]);
        match self.aws.ask_all(&refs(&line)) {
            Ok(documents) => object(key, documents).map(Some),
            Err(refusal) if refusal.is_absent() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Writes a JSON object, and returns its new version. A refusal of the condition is a [`Trouble::Conflict`]. Where an
    /// answer was lost that may be so, too, though the write counts: reading tells.
    ///
    /// # Errors
    /// What AWS says.
    pub fn put(&self, key: &str, document: &Value, condition: &If) -> Result<String, Refusal> {
        let body = self.body(key, document)?;
        let file = body.0.to_string_lossy();
        let (flag, version) = match condition {
            If::Absent => ("--if-none-match", "*"),
            If::Is(etag) => ("--if-match", etag.as_str()),
        };
        let more = ["--key", key, "--body", &file, "--content-type", "application/json", flag, version];
        let answer = self.persist("put-object", &more).map_err(|mut refusal| {
            if is_conflict(&refusal, condition) {
                refusal.trouble = Trouble::Conflict;
            }
            refusal
        })?;
        version_of(key, &answer)
    }

    /// # Errors
    /// What AWS says.
    pub fn delete(&self, key: &str) -> Result<(), Refusal> {
        self.persist("delete-object", &["--key", key]).map(|_| ())
    }

    /// `aws s3api OPERATION` for this bucket, which has to be the account's.
    fn line(&self, operation: &str, more: &[&str]) -> Vec<String> {
        let (bucket, account) = (self.name(), self.names.account.as_str());
        let all = ["s3api", operation, "--bucket", &bucket, "--expected-bucket-owner", account];
        all.iter().chain(more).map(|part| (*part).to_owned()).collect()
    }

    fn ask(&self, operation: &str, more: &[&str]) -> Result<Value, Refusal> {
        self.aws.ask(&refs(&self.line(operation, more)))
    }

    fn persist(&self, operation: &str, more: &[&str]) -> Result<Value, Refusal> {
        self.persist_line(&self.line(operation, more))
    }

    /// Changes something that may be changed twice.
    fn persist_line(&self, line: &[String]) -> Result<Value, Refusal> {
        let (deadline, mut pause) = (Instant::now() + AGAIN_FOR, PAUSE);
        loop {
            match self.aws.persist(&refs(line)) {
                Err(refusal) if refusal.code == "OperationAborted" && Instant::now() + pause < deadline => {
                    if self.aws.pause(pause) {
                        return Err(refusal);
                    }
                    pause *= 2;
                }
                answer => return answer,
            }
        }
    }

    fn fault(&self, what: &str, refusal: &Refusal) -> Fault {
        crate::fault(&format!("{what} bucket `{}`", self.name()), refusal)
    }

    /// What is sent, in a file: the CLI takes the body of an object from nowhere else, and arguments are for all to see.
    fn body(&self, key: &str, document: &Value) -> Result<File, Refusal> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let file = File(self.home.dir().join("outgoing").join(format!("{}-{number}-{key}", std::process::id())));
        files::write_json(&file.0, document).map_err(|error| other(&format!("{error:#}")))?;
        Ok(file)
    }

    /// Where it is noted on this machine that the bucket is as it should be.
    fn note(&self) -> PathBuf {
        self.home.dir().join("state-bucket.json")
    }
}

/// Is gone when it is no longer needed.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        // A killed run leaves one behind just so, until the folder goes.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn refs(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

/// Where buckets are made that say nothing of it
/// (docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html) is the only region that cannot be named.
fn location(region: &Region) -> Option<Value> {
    (region.as_str() != "us-east-1").then(|| json!({"LocationConstraint": region.as_str()}))
}

/// What `get-object` has written: the body, and after it what AWS says of it.
fn object(key: &str, documents: Vec<Value>) -> Result<Object, Refusal> {
    let Ok([document, told]) = <[Value; 2]>::try_from(documents) else {
        return Err(Refusal::new(Trouble::Malformed, "", format!("`{key}` is not one JSON document")));
    };
    Ok(Object { document, etag: version_of(key, &told)? })
}

fn version_of(key: &str, told: &Value) -> Result<String, Refusal> {
    told["ETag"].as_str().map(str::to_owned).ok_or_else(|| other(&format!("AWS reports no version of `{key}`")))
}

fn other(message: &str) -> Refusal {
    Refusal::new(Trouble::Other, "", message)
}

/// Whether somebody else has written meanwhile. Where a version is asked for that was removed, AWS says that there is no
/// such key (docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
fn is_conflict(refusal: &Refusal, condition: &If) -> bool {
    let gone = matches!(condition, If::Is(_)) && refusal.code == "NoSuchKey";
    gone || ["PreconditionFailed", "ConditionalRequestConflict"].contains(&refusal.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str) -> Refusal {
        Refusal::new(Trouble::Other, code, "")
    }

    #[test]
    fn the_first_region_is_not_named() {
        assert_eq!(location(&"us-east-1".parse().unwrap()), None);
        assert_eq!(location(&"eu-central-1".parse().unwrap()), Some(json!({"LocationConstraint": "eu-central-1"})));
    }

    #[test]
    fn an_object_comes_before_what_is_said_of_it() {
        let read = object("k", vec![json!({"a": 1}), json!({"ETag": "\"e\"", "ContentLength": 8})]).unwrap();
        assert_eq!(read, Object { document: json!({"a": 1}), etag: "\"e\"".to_owned() });
        for broken in [vec![], vec![json!({"ETag": "e"})], vec![json!({"a": 1}), json!({})]] {
            assert!(object("k", broken).is_err());
        }
        for documents in [vec![json!({"ETag": "e"})], vec![json!({}), json!({}), json!({"ETag": "e"})]] {
            assert_eq!(object("k", documents).unwrap_err().trouble, Trouble::Malformed);
        }
    }

    #[test]
    fn a_version_that_is_gone_was_changed_by_somebody() {
        let is = If::Is("\"e\"".to_owned());
        assert!(is_conflict(&refusal("NoSuchKey"), &is) && !is_conflict(&refusal("NoSuchKey"), &If::Absent));
        for condition in [is, If::Absent] {
            assert!(is_conflict(&refusal("PreconditionFailed"), &condition));
            assert!(is_conflict(&refusal("ConditionalRequestConflict"), &condition));
            assert!(!is_conflict(&refusal("NoSuchBucket"), &condition));
        }
    }
}
