//! The end of the bucket: every version of everything in it, then itself. Killed on its way, it goes on where it was.

use super::Bucket;
use crate::{Refusal, Trouble};
use anyhow::Result;
use base::files;
use serde_json::{Value, json};
use std::sync::PoisonError;

/// How often it is emptied because something was written meanwhile.
const ATTEMPTS: usize = 5;

impl Bucket {
    /// Removes the bucket with every version of everything in it: the end of a teardown. One that is gone is as it should
    /// be.
    ///
    /// # Errors
    /// When AWS refuses.
    pub fn remove(&self) -> Result<()> {
        let before = self.before_removal.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(end) = before {
            end();
        }
        for attempt in 1..=ATTEMPTS {
            match self.empty().and_then(|()| self.persist("delete-bucket", &[])) {
                Err(refusal) if refusal.code == "BucketNotEmpty" && attempt < ATTEMPTS => {}
                Err(refusal) if refusal.code != "NoSuchBucket" => return Err(self.fault("remove", &refusal).into()),
                _ => break,
            }
        }
        files::remove(&self.note())
    }

    fn empty(&self) -> Result<(), Refusal> {
        loop {
            // The first page is enough: what is on it is removed before the next look.
            let listed = self.ask("list-object-versions", &["--no-paginate"])?;
            let doomed = versions(&listed);
            if doomed.is_empty() {
                break;
            }
            let list = self.body("versions", &json!({"Objects": doomed, "Quiet": true}))?;
            let told = self.persist("delete-objects", &["--delete", &format!("file://{}", list.0.display())])?;
            if let Some(error) = told["Errors"].get(0) {
                return Err(refused(error));
            }
        }
        let listed = self.ask("list-multipart-uploads", &[])?;
        for upload in listed["Uploads"].as_array().into_iter().flatten() {
            let text = |key: &str| upload[key].as_str().unwrap_or_default();
            self.persist("abort-multipart-upload", &["--key", text("Key"), "--upload-id", text("UploadId")])?;
        }
        Ok(())
    }
}

/// Everything on a page, what marks a removal included, as `delete-objects` takes it.
fn versions(page: &Value) -> Vec<Value> {
    let list = |key: &str| page[key].as_array().cloned().unwrap_or_default();
    let all = list("Versions").into_iter().chain(list("DeleteMarkers"));
    all.map(|version| json!({"Key": version["Key"], "VersionId": version["VersionId"]})).collect()
}

/// That one thing of many could not be removed.
fn refused(error: &Value) -> Refusal {
    let text = |key: &str| error[key].as_str().unwrap_or_default();
    Refusal::new(Trouble::Other, text("Code"), format!("`{}` stays: {}", text("Key"), text("Message")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_and_what_marks_removals_go_as_well() {
        let page = json!({
            "Versions": [{"Key": "a", "VersionId": "1", "IsLatest": true}, {"Key": "a", "VersionId": "0"}],
            "DeleteMarkers": [{"Key": "b", "VersionId": "2"}],
        });
        let wanted = [("a", "1"), ("a", "0"), ("b", "2")].map(|(key, id)| json!({"Key": key, "VersionId": id}));
        assert_eq!(versions(&page), wanted);
        assert!(versions(&json!({"Prefix": ""})).is_empty() && versions(&Value::Null).is_empty());
    }

    #[test]
    fn what_stays_is_named() {
        let refusal = refused(&json!({"Key": "a", "Code": "AccessDenied", "Message": "Access Denied"}));
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("AccessDenied", "`a` stays: Access Denied"));
    }
}
