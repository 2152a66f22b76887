//! Whether the secrets that services take from Secrets Manager are there. What is in them is not asked for.

use super::{Subject, untold};
use doctor::fix::Fix;
use doctor::{Finding, Scene};
use model::secret::SecretSource;
use std::collections::BTreeSet;

/// The names of those that services use.
pub(super) fn named(scene: &Scene) -> BTreeSet<String> {
    let given = scene.subject.given_secrets().into_values();
    given
        .filter_map(|source| match source {
            SecretSource::Aws(name) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

pub(super) fn secrets(subject: &Subject, scene: &Scene) -> Finding {
    let named = named(scene);
    let want = format!("{} given", named.len());
    let mut missing = Vec::new();
    for name in named {
        match subject.ask(&["secretsmanager", "describe-secret", "--secret-id", &name]) {
            // One that is about to be removed cannot be read any more.
            Ok(known) if known["DeletedDate"].is_null() => {}
            Ok(_) => missing.push(name),
            Err(refusal) if refusal.is_absent() => missing.push(name),
            Err(refusal) => return untold(&format!("look for the secret `{name}`"), &refusal),
        }
    }
    if missing.is_empty() {
        return Finding::pass("all given").want(want);
    }
    let told: Vec<String> = missing.iter().map(|name| format!("`{name}` is not in AWS Secrets Manager")).collect();
    let make = |name: &String| {
        let line = subject.line(&["secretsmanager", "create-secret", "--name", name]);
        Fix::by_hand(format!("{line} --secret-string file://PATH"))
    };
    Finding::fail(told.join("\n")).found(format!("{} missing", missing.len())).want(want).fix(missing.iter().map(make))
}
