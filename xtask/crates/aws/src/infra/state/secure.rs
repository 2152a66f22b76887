//! The step `state`: the bucket keeps what was overwritten, is encrypted, closed to the public and to connections that
//! are not, says whose it is, and forgets old versions in the end.
//!
//! It is encrypted with S3's own keys: a key of ours would outlive the deployment, as KMS keeps one for a week at least.

use super::{Bucket, refs};
use crate::Refusal;
use crate::infra::lease::LEASE;
use anyhow::Result;
use base::files;
use base::lasting;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Step, StepId, Work};
use keys::Digest;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// For how many days what was overwritten is kept.
const KEPT: u64 = 30;
/// The same for the lease, which is written all the time and tells nothing afterwards.
const LEASES_KEPT: u64 = 1;
/// For how many days uploads may be unfinished.
const UNFINISHED: u64 = 7;

/// Begins the names of our rules beside those of others.
const OURS: &str = "slipway-";

/// Something that is to be so with the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    Versioning,
    Encryption,
    PublicAccess,
    Policy,
    Tags,
    Lifecycle,
}

const ALL: [Setting; 6] = [
    Setting::PublicAccess,
    Setting::Versioning,
    Setting::Encryption,
    Setting::Policy,
    Setting::Tags,
    Setting::Lifecycle,
];

impl Setting {
    fn word(self) -> &'static str {
        match self {
            Self::Versioning => "versioning",
            Self::Encryption => "encryption",
            Self::PublicAccess => "public access block",
            Self::Policy => "policy",
            Self::Tags => "tags",
            Self::Lifecycle => "lifecycle",
        }
    }

    fn read(self) -> &'static str {
        match self {
            Self::Versioning => "get-bucket-versioning",
            Self::Encryption => "get-bucket-encryption",
            Self::PublicAccess => "get-public-access-block",
            Self::Policy => "get-bucket-policy",
            Self::Tags => "get-bucket-tagging",
            Self::Lifecycle => "get-bucket-lifecycle-configuration",
        }
    }

    /// The operation, and the flag that takes the document.
    fn write(self) -> (&'static str, &'static str) {
        match self {
            Self::Versioning => ("put-bucket-versioning", "--versioning-configuration"),
            Self::Encryption => ("put-bucket-encryption", "--server-side-encryption-configuration"),
            Self::PublicAccess => ("put-public-access-block", "--public-access-block-configuration"),
            Self::Policy => ("put-bucket-policy", "--policy"),
            Self::Tags => ("put-bucket-tagging", "--tagging"),
            Self::Lifecycle => ("put-bucket-lifecycle-configuration", "--lifecycle-configuration"),
        }
    }

    /// The document to write where `found` is there, `None` where that is as it should be. What others have added stays.
    fn wanted(self, bucket: &Bucket, found: &Value) -> Option<Value> {
        match self {
            Self::Versioning => (found["Status"] != "Enabled").then(|| json!({"Status": "Enabled"})),
            Self::Encryption => encryption(found),
            Self::PublicAccess => public_access(found),
            Self::Policy => policy(found, &bucket.name(), bucket.names.region.as_str()),
            Self::Tags => tags(found, &bucket.tags()),
            Self::Lifecycle => lifecycle(found),
        }
    }
}

/// Whoever wants keys of his own has put them there.
fn encryption(found: &Value) -> Option<Value> {
    let algorithm = &found["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"];
    let encrypted = algorithm["SSEAlgorithm"].is_string();
    (!encrypted).then(|| json!({"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}))
}

fn public_access(found: &Value) -> Option<Value> {
    let wanted = json!({
        "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
    });
    (found["PublicAccessBlockConfiguration"] != wanted).then_some(wanted)
}

/// Denies whatever is not encrypted on its way.
fn policy(found: &Value, bucket: &str, region: &str) -> Option<Value> {
    let mut document: Value =
        found["Policy"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let ours = |statement: &Value| statement["Sid"] == "SlipwayTlsOnly";
    let holds = |statement: &Value| {
        let transport = &statement["Condition"]["Bool"]["aws:SecureTransport"];
        ours(statement) && statement["Effect"] == "Deny" && (*transport == "false" || *transport == false)
    };
    let mut statements = document["Statement"].as_array().cloned().unwrap_or_default();
    if statements.iter().any(holds) {
        return None;
    }
    statements.retain(|statement| !ours(statement));
    let arn = format!("arn:{}:s3:::{bucket}", partition(region));
    statements.push(json!({
        "Sid": "SlipwayTlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [arn, format!("{arn}/*")], "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }));
    if !document.is_object() {
        document = json!({"Version": "2012-10-17"});
    }
    document["Statement"] = Value::Array(statements);
    Some(document)
}

/// What names of things begin with in a region (docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html).
fn partition(region: &str) -> &'static str {
    match region.split('-').next().unwrap_or_default() {
        "cn" => "aws-cn",
        "us" if region.starts_with("us-gov-") => "aws-us-gov",
        "eusc" => "aws-eusc",
        _ => "aws",
    }
}

fn tags(found: &Value, wanted: &[(&str, String)]) -> Option<Value> {
    let mut all = found["TagSet"].as_array().cloned().unwrap_or_default();
    let has = |(key, value): &(&str, String)| all.iter().any(|tag| tag["Key"] == *key && tag["Value"] == **value);
    if wanted.iter().all(has) {
        return None;
    }
    // Those of AWS's own cannot be written, and stay.
    let is_aws = |tag: &Value| tag["Key"].as_str().is_some_and(|key| key.starts_with("aws:"));
    all.retain(|tag| !is_aws(tag) && !wanted.iter().any(|(key, _)| tag["Key"] == *key));
    all.extend(wanted.iter().map(|(key, value)| json!({"Key": key, "Value": value})));
    Some(json!({"TagSet": all}))
}

fn lifecycle(found: &Value) -> Option<Value> {
    let rules = [
        json!({
            "ID": format!("{OURS}old-versions"), "Status": "Enabled", "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": KEPT},
            "Expiration": {"ExpiredObjectDeleteMarker": true},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UNFINISHED},
        }),
        json!({
            "ID": format!("{OURS}old-leases"), "Status": "Enabled", "Filter": {"Prefix": LEASE},
            "NoncurrentVersionExpiration": {"NoncurrentDays": LEASES_KEPT},
        }),
    ];
    let mut all = found["Rules"].as_array().cloned().unwrap_or_default();
    let is_same = |there: &Value, rule: &Value| {
        ["ID", "Status", "NoncurrentVersionExpiration"].iter().all(|key| there[key] == rule[key])
    };
    if rules.iter().all(|rule| all.iter().any(|there| is_same(there, rule))) {
        return None;
    }
    all.retain(|there| !there["ID"].as_str().is_some_and(|id| id.starts_with(OURS)));
    all.extend(rules);
    Some(json!({"Rules": all}))
}

/// What is to be written where nothing is set.
fn everything(bucket: &Bucket) -> impl Iterator<Item = (Setting, Value)> {
    ALL.into_iter().filter_map(|setting| Some((setting, setting.wanted(bucket, &Value::Null)?)))
}

/// The lines that make everything so from nothing.
pub(super) fn lines(bucket: &Bucket) -> Vec<Vec<String>> {
    everything(bucket).map(|(setting, document)| line(bucket, setting, &document)).collect()
}

fn line(bucket: &Bucket, setting: Setting, document: &Value) -> Vec<String> {
    let (operation, flag) = setting.write();
    bucket.line(operation, &[flag, &document.to_string()])
}

impl Bucket {
    fn tags(&self) -> [(&'static str, String); 3] {
        [
            ("deployment_id", self.names.id.to_string()),
            ("environment", self.environment.clone()),
            ("managed_by", "slipway".to_owned()),
        ]
    }

    /// The step `state`, which has the bucket versioned, encrypted, closed to the public and tagged. It needs nothing.
    /// Unless `verify` is asked for, what this machine has noted of the bucket will do.
    pub fn step(self: &Arc<Self>, verify: bool) -> Step {
        Step {
            id: StepId::new(Action::new("state")),
            title: format!("keep the state in bucket `{}`", self.name()),
            system: None,
            needs: Vec::new(),
            holds: Holds::Nothing,
            preview: self.preview(),
            work: Box::new(Secure { bucket: Arc::clone(self), verify, missing: Mutex::default() }),
        }
    }

    /// What stands in the note when all is as it should be.
    fn noted(&self) -> Value {
        json!({"schema": 1, "bucket": self.name(), "settings": Digest::of(lasting::text(&lines(self))).to_string()})
    }
}

/// What is to be written.
type Missing = Vec<(Setting, Value)>;

struct Secure {
    bucket: Arc<Bucket>,
    verify: bool,
    /// What was found to be missing, so that it is asked for once.
    missing: Mutex<Option<Missing>>,
}

impl Secure {
    /// Asks for everything at once; `None`: there is no bucket.
    fn missing(&self) -> Result<Option<Missing>> {
        if self.bucket.is_new.load(Ordering::Relaxed) {
            return Ok(Some(everything(&self.bucket).collect()));
        }
        let lines = ALL.map(|setting| self.bucket.line(setting.read(), &[]));
        let questions = lines.each_ref().map(|line| refs(line));
        let answers = self.bucket.aws.ask_at_once(&questions.each_ref().map(Vec::as_slice));
        let mut missing = Missing::new();
        for (setting, answer) in ALL.into_iter().zip(answers) {
            let found = match answer {
                Ok(found) => found,
                Err(refusal) if refusal.code == "NoSuchBucket" => return Ok(None),
                // S3 says of a setting that was never made that there is no such thing.
                Err(refusal) if refusal.is_absent() => Value::Null,
                Err(refusal) => return Err(self.fault("read", setting, &refusal)),
            };
            missing.extend(setting.wanted(&self.bucket, &found).map(|wanted| (setting, wanted)));
        }
        Ok(Some(missing))
    }

    fn write(&self, missing: &Missing) -> Result<()> {
        let refused: Vec<_> = std::thread::scope(|scope| {
            let write = |(setting, document): &(Setting, Value)| {
                let (setting, line) = (*setting, line(&self.bucket, *setting, document));
                scope.spawn(move || self.bucket.persist_line(&line).err().map(|refusal| (setting, refusal)))
            };
            let writing: Vec<_> = missing.iter().map(write).collect();
            writing.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
        });
        match refused.first() {
            Some((setting, refusal)) => Err(self.fault("set", *setting, refusal)),
            None => Ok(()),
        }
    }

    fn fault(&self, verb: &str, setting: Setting, refusal: &Refusal) -> anyhow::Error {
        crate::fault(&format!("{verb} the {} of bucket `{}`", setting.word(), self.bucket.name()), refusal).into()
    }
}

impl Work for Secure {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let (note, noted) = (self.bucket.note(), self.bucket.noted());
        // A note that cannot be read is written again.
        if !self.verify && files::read_json(&note).ok().flatten().is_some_and(|there| there == noted) {
            return Ok(Some("it was made so before".to_owned()));
        }
        let missing = self.missing()?;
        let is_so = missing.as_ref().is_some_and(Vec::is_empty);
        if is_so {
            files::write_json(&note, &noted)?;
        }
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
        Ok(is_so.then(|| "it is as it should be".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let known = self.missing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let missing = match known {
            Some(missing) => missing,
            None => {
                cx.status(format!("making bucket `{}`", self.bucket.name()));
                self.bucket.make()?;
                self.missing()?.unwrap_or_default()
            }
        };
        let words: Vec<&str> = missing.iter().map(|(setting, _)| setting.word()).collect();
        cx.status(format!("setting its {}", words.join(", ")));
        self.write(&missing)?;
        self.bucket.is_new.store(false, Ordering::Relaxed);
        files::write_json(&self.bucket.note(), &self.bucket.noted())?;
        Ok(Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_as_it_should_be() {
        let rules = encryption(&Value::Null).unwrap();
        assert_eq!(encryption(&json!({"ServerSideEncryptionConfiguration": rules})), None);
        let closed = public_access(&Value::Null).unwrap();
        assert_eq!(public_access(&json!({"PublicAccessBlockConfiguration": closed})), None);
        let denied = policy(&Value::Null, "b", "us-east-1").unwrap();
        assert_eq!(policy(&json!({"Policy": denied.to_string()}), "b", "us-east-1"), None);
        let wanted = [("deployment_id", "a".to_owned())];
        let tagged = tags(&Value::Null, &wanted).unwrap();
        assert_eq!(tags(&tagged, &wanted), None);
        let rules = lifecycle(&Value::Null).unwrap();
        assert_eq!(lifecycle(&rules), None);
    }

    #[test]
    fn what_is_half_open_is_closed() {
        let mut half = public_access(&Value::Null).unwrap();
        half["BlockPublicPolicy"] = json!(false);
        assert!(public_access(&json!({"PublicAccessBlockConfiguration": half})).is_some());
    }

    #[test]
    fn what_others_have_added_stays() {
        let theirs = json!({"Sid": "Theirs", "Effect": "Allow"});
        let found = json!({"Policy": json!({"Version": "2012-10-17", "Statement": [theirs]}).to_string()});
        let written = policy(&found, "b", "cn-north-1").unwrap();
        assert_eq!(written["Statement"][0], theirs);
        assert_eq!(written["Statement"][1]["Resource"][1], "arn:aws-cn:s3:::b/*");

        let found = json!({"TagSet": [
            {"Key": "cost", "Value": "7"}, {"Key": "deployment_id", "Value": "old"}, {"Key": "aws:x", "Value": "y"},
        ]});
        let written = tags(&found, &[("deployment_id", "new".to_owned())]).unwrap();
        assert_eq!(
            written["TagSet"],
            json!([
                {"Key": "cost", "Value": "7"}, {"Key": "deployment_id", "Value": "new"},
            ])
        );

        let mut rules = lifecycle(&Value::Null).unwrap();
        rules["Rules"][0]["NoncurrentVersionExpiration"]["NoncurrentDays"] = json!(1);
        rules["Rules"].as_array_mut().unwrap().push(json!({"ID": "theirs"}));
        let written = lifecycle(&rules).unwrap();
        let ids: Vec<_> = written["Rules"].as_array().unwrap().iter().map(|rule| rule["ID"].clone()).collect();
        assert_eq!(ids, ["theirs", "slipway-old-versions", "slipway-old-leases"]);
    }
}
