//! What is checked before the first change on AWS: whose account it is, that nobody else deploys, that the credentials last
//! long enough, that the cluster is the one that was deployed to.
//!
//! A call takes most of a second, so that two are asked at a time: whose credentials these are beside who holds the lease,
//! then the lease is written beside the reading of what was applied last. What is read then is of a time when nobody held
//! the lease, unless that was waited for.

mod credentials;

use self::credentials::Need;
use super::{Eks, account, infrastructure};

use anyhow::{Result, anyhow};
use aws::infra::lease;
use aws::infra::lease::LEASE;
use aws::infra::state::Object;
use aws::infra::{Infra, Outputs};
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use engine::backend::Guard;
use engine::journal::Journal;
use engine::lease::Claim;
use engine::ledger::Entry;
use keys::Digest;
use kubernetes::guard::folder_word;
use serde_json::json;
use shared_lease::{Candidate, SharedLease};

/// What makes the bucket when there is none. The rest needs nothing guarded where nothing was ever made.
const MAKERS: [&str; 3] = ["deploy", "infra apply", "cert request"];

/// Checks the account and takes the lease in the state bucket, which it makes for whoever deploys.
///
/// # Errors
/// `other-account`, `lease-held`, `credentials-short`, `other-cluster`, or what AWS says.
pub(super) fn take(eks: &Eks, ctx: &Ctx, claim: &Claim<'_>, journal: &Journal) -> Result<Guard> {
    account::agree(eks.deployment(), ctx)?;
    let run = Run { eks, ctx, claim, journal };
    let Some(found) = run.look().map_err(untried)? else { return Ok(Box::new(())) };
    let lease = run.hold(found).map_err(untried)?;
    infrastructure::agree(eks, ctx)?;
    Ok(Box::new(lease))
}

/// Whoever is refused here has changed nothing.
fn untried(error: anyhow::Error) -> anyhow::Error {
    let fault = Fault::of(&error);
    match fault.exit {
        Exit::Failed => Fault { exit: Exit::CouldNotRun, ..fault }.into(),
        _ => error,
    }
}

/// What was applied last.
type Applied = Option<(Digest, Outputs)>;

struct Run<'r> {
    eks: &'r Eks,
    ctx: &'r Ctx,
    claim: &'r Claim<'r>,
    journal: &'r Journal,
}

impl Run<'_> {
    fn infra(&self) -> &Infra {
        &self.eks.infra
    }

    /// Asks whose credentials these are and who holds the lease. `None`: there is nothing here to hold.
    fn look(&self) -> Result<Option<Option<Object>>> {
        let (bucket, names) = (&self.infra().bucket, &self.infra().names);
        let (checked, found) = std::thread::scope(|scope| {
            let checked = scope.spawn(|| account::check(&self.infra().aws, &names.account));
            let found = bucket.get(LEASE);
            (checked.join(), found)
        });
        // In another account there is no such bucket, or it is not ours to look at: that follows from this.
        checked.map_err(|_| anyhow!("looking up the account panicked"))??;
        let what = || format!("see who holds the lease in bucket `{}`", bucket.name());
        let found = found.map_err(|refusal| aws::fault(&what(), &refusal))?;
        let makes = MAKERS.contains(&self.claim.command);
        if found.is_none() && !makes && !bucket.is_there()? {
            return Ok(None);
        }
        Ok(Some(found))
    }

    fn hold(&self, found: Option<Object>) -> Result<SharedLease> {
        let is_first = found.is_none();
        if is_first {
            infrastructure::may_ask(self.eks, self.ctx)?;
            self.credentials_last(None)?;
            // Before the bucket is made. Where there is one, its ledger has it.
            self.eks.ledger.enter_here(&self.bucket_entry())?;
        }
        let (lease, applied) = std::thread::scope(|scope| {
            let applied = scope.spawn(|| self.applied());
            let lease = lease::take(&self.infra().bucket, self.claim, &self.candidate()?, found)?;
            let applied = applied.join().map_err(|_| anyhow!("reading what was applied panicked"))?;
            Ok::<_, anyhow::Error>((lease, applied))
        })?;
        // Whoever held the lease before us may have applied something while it was read.
        let applied = if lease.was_free() { applied? } else { self.applied()? };
        self.eks.ledger.forget_what_was_read();
        if is_first {
            self.eks.ledger.enter(&[self.bucket_entry()])?;
        } else {
            self.credentials_last(applied.as_ref())?;
        }
        Ok(lease)
    }

    fn candidate(&self) -> Result<Candidate> {
        let home = &self.eks.deployment().home;
        Ok(Candidate {
            environment: self.eks.deployment().environment.name.to_string(),
            folder: folder_word(home.dir())?,
            interrupts: self.ctx.interrupts.clone(),
            journal: self.journal.clone(),
            proc: self.ctx.proc.clone(),
        })
    }

    /// What the bucket says, and this machine's note of it renewed, unless the two are of different clusters.
    fn applied(&self) -> Result<Applied> {
        self.infra()
            .renew_note(&|noted, there| same_cluster(noted, there, self.eks.deployment().environment.name.as_str()))
    }

    fn bucket_entry(&self) -> Entry {
        let names = &self.infra().names;
        let identity = json!({"account": names.account.as_str(), "region": names.region.as_str()});
        Entry { kind: "state-bucket".to_owned(), id: names.bucket(), system: None, identity }
    }

    fn credentials_last(&self, applied: Option<&(Digest, Outputs)>) -> Result<()> {
        let infra = self.infra();
        let everything = infra.deployment.scope.everything;
        let is_as_wanted = || Ok(matches!(applied, Some((stamp, _)) if *stamp == infra.stamp()?));
        let need = || Need::of(self.claim.command, everything, applied.is_some(), &is_as_wanted);
        credentials::last(infra, self.ctx, self.journal, &need)
    }
}

/// The API server of a cluster keeps its address for as long as it lives.
fn same_cluster(noted: &Outputs, there: &Outputs, environment: &str) -> Result<(), Fault> {
    let (before, now) =
        ((&noted.cluster_name, &noted.cluster_endpoint), (&there.cluster_name, &there.cluster_endpoint));
    if before == now {
        return Ok(());
    }
    let cause = format!(
        "environment `{environment}` was deployed from here to cluster `{}` at {}, and is now at cluster `{}` at {}",
        before.0, before.1, now.0, now.1
    );
    let hint = format!(
        "if it was torn down and recreated from another machine, `rm -r .slipway/{environment}` forgets the old one; \
         otherwise \
         give one of the two a `deployment_id` of its own"
    );
    Err(Fault::could_not_run("other-cluster", cause).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(endpoint: &str) -> Outputs {
        let document = json!({
            "cluster_name": {"value": "slipway-a"}, "cluster_endpoint": {"value": endpoint}, "cluster_ca": {"value": "Y2E="},
            "vpc_id": {"value": "vpc-1"}, "public_subnets": {"value": {}}, "controller_namespace": {"value": "c"},
            "log_groups": {"value": []},
        });
        Outputs::parse(&document).unwrap()
    }

    #[test]
    fn a_cluster_at_another_address_is_another_one() {
        let (one, other) = (outputs("https://one"), outputs("https://other"));
        assert_eq!(same_cluster(&one, &one, "aws"), Ok(()));
        let fault = same_cluster(&one, &other, "aws").unwrap_err();
        assert_eq!((fault.code, fault.exit.code()), ("other-cluster", 3));
        assert!(fault.cause.contains("https://one") && fault.cause.contains("https://other"), "{}", fault.cause);
    }

    #[test]
    fn what_could_not_be_tried_is_no_failure() {
        let error = untried(Fault::failed("aws-unreachable", "nobody there").into());
        assert_eq!(Fault::of(&error).exit, Exit::CouldNotRun);
        let error = untried(Fault::interrupted(2).into());
        assert_eq!(Fault::of(&error).exit, Exit::Interrupted(2));
    }
}
