//! What became of Terraform, as a fault: the cause in its own words, and what helps.

use base::error::Fault;
use model::environment::Environment;
use remote_tools::terraform::said::{Complaint, Lock};
use remote_tools::terraform::{is_unreachable, said};

/// How many errors are told in full.
const TOLD: usize = 3;

/// Words by which AWS says that the credentials have run out while they were used.
const EXPIRED: [&str; 6] = [
    "ExpiredToken",
    "RequestExpired",
    "token included in the request is expired",
    "credentials have expired",
    "token has expired",
    "token is expired",
];
const UNKNOWN: [&str; 5] = [
    "No valid credential sources found",
    "failed to refresh cached credentials",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
];
const THROTTLED: [&str; 4] = ["Throttling", "RequestLimitExceeded", "Rate exceeded", "TooManyRequests"];
const DENIED: [&str; 3] = ["AccessDenied", "UnauthorizedOperation", "is not authorized to perform"];

/// The fault of a command that did not succeed. `goal` is what it was for: "plan the platform".
pub(super) fn fault(goal: &str, complaints: &[Complaint], stderr: &str, environment: &Environment) -> Fault {
    let framed;
    let complaints = if complaints.is_empty() {
        framed = said::framed(stderr);
        &framed
    } else {
        complaints
    };
    if let Some(lock) = complaints.iter().find_map(Lock::of) {
        return locked(&lock, environment);
    }
    let cause = cause(goal, complaints, stderr);
    let has = |words: &[&str]| {
        complaints.iter().any(|one| words.iter().any(|word| one.summary.contains(word) || one.detail.contains(word)))
    };
    let again = "run the same command again: it continues from there";
    if has(&["Saved plan is stale"]) {
        let hint = "the platform has changed since it was planned; run the same command again";
        return Fault::failed("plan-stale", cause).hint(hint);
    }
    if has(&["Value for undeclared variable", "Invalid value for variable", "Invalid value for input variable"]) {
        let hint = "variables are set by `terraform.NAME` in the environment; `terraform/variables.tf` declares them";
        return Fault::could_not_run("terraform-variable", cause).hint(hint);
    }
    if has(&EXPIRED) {
        return Fault::failed("credentials-expired", cause).hint(format!("renew the credentials, then {again}"));
    }
    if has(&UNKNOWN) {
        let hint = format!("`{}` shows which credentials are used", environment.command("doctor"));
        return Fault::could_not_run("no-credentials", cause).hint(hint);
    }
    if has(&["AWS account ID not allowed", "account ID not allowed"]) {
        let hint = "these credentials are of another account than the environment's `account`";
        return Fault::could_not_run("other-account", cause).hint(hint);
    }
    if has(&THROTTLED) {
        return Fault::failed("throttled", cause).hint(format!("AWS was asked too often; wait a minute, then {again}"));
    }
    if has(&["LimitExceeded", "QuotaExceeded"]) {
        let hint = format!("`{}` compares the account's quotas with what is needed", environment.command("doctor"));
        return Fault::failed("quota", cause).hint(hint);
    }
    if has(&DENIED) {
        return Fault::failed("not-permitted", cause)
            .hint(format!("give these credentials that permission, then {again}"));
    }
    let stderr = said::plain(stderr);
    if is_unreachable(&stderr) || complaints.iter().any(|one| is_unreachable(&framed_as(one))) {
        let hint = "Terraform gets its providers from `registry.terraform.io`; a mirror is set in its own \
                    configuration";
        return Fault::could_not_run("provider-unavailable", cause).hint(hint);
    }
    if has(&["required plugins", "lock file", "provider packages", "install provider"]) {
        let lock = environment.command("infra lock");
        let hint = format!("`{lock}` writes the lock file with the checksums for every platform");
        return Fault::could_not_run("provider-unavailable", cause).hint(hint);
    }
    Fault::failed("terraform", cause).hint("fix that, then run the same command again")
}

/// The summary and the detail in one, as [`is_unreachable`] reads them.
fn framed_as(complaint: &Complaint) -> String {
    format!("{}\n{}", complaint.summary, complaint.detail)
}

fn cause(goal: &str, complaints: &[Complaint], stderr: &str) -> String {
    if complaints.is_empty() {
        let stderr = said::plain(stderr);
        let tail: Vec<&str> = stderr.trim_end().lines().rev().take(10).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        let words = if tail.is_empty() { "it said nothing".to_owned() } else { tail.join("\n") };
        return format!("Terraform could not {goal}: {words}");
    }
    let word = |complaint: &Complaint| {
        let address = complaint.address.as_ref().map(|address| format!("`{address}`: ")).unwrap_or_default();
        let detail = complaint.detail.trim();
        // The provider gives its whole message as the summary, and often nothing beside it.
        let detail = if detail.is_empty() { String::new() } else { format!("\n{detail}") };
        format!("{address}{}{detail}", complaint.summary.trim())
    };
    let mut words: Vec<String> = complaints.iter().take(TOLD).map(word).collect();
    if complaints.len() > TOLD {
        words.push(format!("and {} more", complaints.len() - TOLD));
    }
    format!("Terraform could not {goal}: {}", words.join("\n"))
}

/// A lock that is not given back within the time that Terraform waits for it.
pub(super) fn locked(lock: &Lock, environment: &Environment) -> Fault {
    let cause = format!("the state is locked by {} (ID {})", lock.holder(), lock.id);
    let unlock = environment.command(&format!("infra unlock {}", lock.id));
    let hint = format!("wait until that run has ended; if it was killed, release the lock: {unlock}");
    Fault::could_not_run("state-locked", cause).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::Path;

    fn environment() -> Environment {
        model::environment(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.."), "aws", &[]).unwrap()
    }

    fn of(summary: &str, detail: &str) -> Fault {
        let complaint = Complaint { summary: summary.to_owned(), detail: detail.to_owned(), address: None };
        fault("plan the platform", &[complaint], "", &environment())
    }

    #[test]
    fn each_cause_has_its_code() {
        let codes = [
            ("Saved plan is stale", "The given plan file can no longer be applied", "plan-stale"),
            ("creating EKS Cluster", "api error ExpiredTokenException: The security token", "credentials-expired"),
            ("No valid credential sources found", "Please see", "no-credentials"),
            ("creating EC2 VPC", "api error RequestLimitExceeded: Request limit exceeded.", "throttled"),
            ("creating EC2 VPC", "api error VpcLimitExceeded: The maximum", "quota"),
            ("creating IAM Role", "api error AccessDenied: User is not authorized to perform", "not-permitted"),
            ("AWS account ID not allowed: 1", "", "other-account"),
            ("Value for undeclared variable", "A variable named \"budget\" was assigned", "terraform-variable"),
            ("Invalid index", "The given key does not identify an element", "terraform"),
        ];
        for (summary, detail, code) in codes {
            let fault = of(summary, detail);
            assert_eq!(fault.code, code, "{summary}");
            assert!(fault.cause.contains(summary) && fault.hint.is_some(), "{fault:?}");
        }
    }

    #[test]
    fn a_lock_is_told_with_its_holder_and_the_command_that_gives_it_back() {
        let detail =
            "Lock Info:\n  ID:        1-2\n  Operation: OperationTypeApply\n  Who:       me@laptop\n  Created:   now\n";
        let fault = of("Error acquiring the state lock", detail);
        assert_eq!(fault.code, "state-locked");
        assert_eq!(fault.cause, "the state is locked by `me@laptop` since now, for `terraform apply` (ID 1-2)");
        assert!(fault.hint.unwrap().ends_with("cargo xtask infra unlock 1-2 --env aws"));
    }

    #[test]
    fn without_a_complaint_the_last_words_are_the_cause() {
        let fault = fault("get its providers", &[], "panic: x\n", &environment());
        assert_eq!(
            (fault.code, fault.cause.as_str()),
            ("terraform", "Terraform could not get its providers: panic: x")
        );
        let framed = super::fault("read the state", &[], "│ Error: No state\n│ \n│ There is none.\n", &environment());
        assert_eq!(framed.cause, "Terraform could not read the state: No state\nThere is none.");
    }
}
