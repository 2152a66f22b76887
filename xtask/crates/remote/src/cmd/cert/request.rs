//! The step that has a certificate: one that is there is taken, and nothing is requested twice.

use anyhow::Result;
use aws::infra::Infra;
use aws::infra::certificate;
use aws::infra::certificate::{Certificate, Proof};
use aws::infra::dns;
use aws::infra::dns::RecordState;
use aws::infra::ledger::AwsLedger;
use base::error::Fault;
use base::files;
use engine::ledger::Entry;
use engine::plan::Outcome;
use engine::plan::pace::every;
use engine::plan::runner::StepCx;
use model::aws::ZoneId;
use model::cluster::Domain;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long ACM may take to say which record proves a domain.
const PROOF_WITHIN: Duration = Duration::from_secs(60);
/// How often it is asked for that, and how often whether it is issued.
const EVERY: Duration = Duration::from_secs(2);

/// What the step has found or requested, for the command to show.
pub(super) type Requested = Arc<Mutex<Option<Certificate>>>;

pub(super) struct Work {
    pub(super) infra: Arc<Infra>,
    pub(super) ledger: Arc<AwsLedger>,
    pub(super) domain: Domain,
    pub(super) wait: Option<Duration>,
    pub(super) requested: Requested,
}

impl engine::plan::Work for Work {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let Some(noted) = self.noted()? else { return Ok(None) };
        let words = noted.is_issued().then(|| "it is issued".to_owned());
        self.tell(noted);
        Ok(words)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (certificate, is_new) = match self.found()? {
            Some(found) => (found, false),
            None => (self.request(cx)?, true),
        };
        certificate::note(&self.infra.bucket, &self.domain, &certificate.arn)?;
        // What this machine remembers of another one.
        files::remove(&self.infra.deployment.home.dir().join("certificate.json"))?;
        self.tell(certificate.clone());
        let certificate = self.proven(cx, certificate)?;
        self.tell(certificate.clone());
        if let Some(zone) = self.zone().filter(|_| !certificate.is_issued()) {
            self.point(cx, zone, &certificate)?;
        }
        let status = match self.wait {
            Some(wait) if !certificate.is_issued() => self.issued(cx, &certificate, wait)?,
            _ => certificate.status,
        };
        let word = if is_new { "requested" } else { "was requested before" };
        Ok(Outcome::DoneWith(format!("{word}, {status}")))
    }
}

impl Work {
    fn tell(&self, certificate: Certificate) {
        *self.requested.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }

    fn zone(&self) -> Option<&ZoneId> {
        self.infra.deployment.environment.aws.as_ref()?.hosted_zone.as_ref()
    }

    fn describe(&self, arn: &str) -> Result<Option<Certificate>> {
        let found = certificate::describe(&self.infra.aws, arn);
        Ok(found.map_err(|refusal| aws::fault("look at the certificate", &refusal))?)
    }

    /// The one in the note, while it may still be used.
    fn noted(&self) -> Result<Option<Certificate>> {
        let noted = certificate::noted(&self.infra.bucket, &self.domain);
        let noted = noted.map_err(|refusal| aws::fault("look for the certificate's ARN", &refusal))?;
        let found = noted.map(|arn| self.describe(arn.as_str())).transpose()?.flatten();
        Ok(found.filter(Certificate::is_usable))
    }

    /// The same, or one of which a run that was killed has made no note.
    fn found(&self) -> Result<Option<Certificate>> {
        if let Some(noted) = self.noted()? {
            return Ok(Some(noted));
        }
        let found = certificate::find(&self.infra.aws, &self.infra.names, &self.domain);
        Ok(found.map_err(|refusal| aws::fault("look for certificates", &refusal))?)
    }

    fn request(&self, cx: &StepCx<'_>) -> Result<Certificate> {
        let (names, domain) = (&self.infra.names, &self.domain);
        let planned = self.entry(&domain.to_string(), None);
        self.ledger.enter(std::slice::from_ref(&planned))?;
        cx.status(format!("requesting a certificate for `{domain}`"));
        let moment = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let token = certificate::token(names, domain, moment);
        let name = self.infra.deployment.environment.name.to_string();
        let args = certificate::request_args(names, domain, &name, &token);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        // The token makes one request of several.
        let answer = self.infra.aws.persist(&args);
        let answer =
            answer.map_err(|refusal| aws::fault(&format!("request a certificate for `{domain}`"), &refusal))?;
        let arn = answer["CertificateArn"].as_str().unwrap_or_default();
        self.ledger.enter(&[self.entry(arn, Some(arn))])?;
        self.ledger.strike(&|entry| entry.kind == planned.kind && entry.id == planned.id)?;
        let made = self.describe(arn)?;
        Ok(made.unwrap_or_else(|| Certificate {
            arn: arn.to_owned(),
            names: vec![domain.to_string(), format!("*.{domain}")],
            status: "PENDING_VALIDATION".to_owned(),
            failure: None,
            proof: None,
        }))
    }

    fn entry(&self, id: &str, arn: Option<&str>) -> Entry {
        Entry {
            kind: certificate::KIND.to_owned(),
            id: id.to_owned(),
            system: None,
            identity: json!({"arn": arn, "name": self.domain.to_string()}),
        }
    }

    /// The certificate once ACM has said which record proves its domain.
    fn proven(&self, cx: &StepCx<'_>, certificate: Certificate) -> Result<Certificate> {
        if certificate.proof.is_some() || certificate.is_issued() {
            return Ok(certificate);
        }
        cx.status("waiting for the record that validates the domain");
        let arn = certificate.arn;
        let ask = || Ok(self.describe(&arn)?.filter(|found| found.proof.is_some() || !found.is_usable()));
        cx.wait_for(PROOF_WITHIN, every(EVERY, ask), || {
            let cause = format!("ACM does not show which record validates `{}`", self.domain);
            let hint = self.infra.deployment.environment.command("cert status");
            Fault::failed("no-proof", cause).hint(format!("try again in a moment: `{hint}`"))
        })
    }

    /// Makes the record in the environment's own zone.
    fn point(&self, cx: &StepCx<'_>, zone: &ZoneId, certificate: &Certificate) -> Result<()> {
        let Some(record) = certificate.proof.as_ref().map(Proof::record) else { return Ok(()) };
        let aws = &self.infra.aws;
        let fault = |refusal| aws::fault(&format!("make the record `{}`", record.name), &refusal);
        // Its name is a digest that only ACM gives out: whoever made it, it is the right one.
        if dns::standing(aws, zone, &record).map_err(fault)? == RecordState::Same {
            return Ok(());
        }
        let mut entry = record.entry(zone, None);
        entry.identity["facts"] = Value::Null;
        self.ledger.enter(&[entry])?;
        cx.status(format!("creating the record `{}` in zone {zone}", record.name));
        dns::upsert(aws, zone, std::slice::from_ref(&record)).map_err(fault)?;
        Ok(())
    }

    /// Waits until it is issued; ACM's word for that.
    fn issued(&self, cx: &StepCx<'_>, certificate: &Certificate, within: Duration) -> Result<String> {
        let arn = &certificate.arn;
        let seen = RefCell::new(certificate.status.clone());
        cx.status(format!("waiting for the certificate: {}", certificate.status));
        let ask = || {
            let Some(found) = self.describe(arn)? else {
                let cause = format!("certificate `{arn}` is gone");
                return Err(Fault::failed("certificate-gone", cause).hint("request it again").into());
            };
            if *seen.borrow() != found.status {
                cx.status(format!("waiting for the certificate: {}", found.status));
                seen.replace(found.status.clone());
            }
            self.tell(found.clone());
            if !found.is_usable() {
                let why = found.failure.as_deref().unwrap_or("ACM does not say why");
                let cause = format!("certificate `{arn}` is {}: {why}", found.status);
                return Err(Fault::failed("certificate-failed", cause).hint("request it again").into());
            }
            Ok(found.is_issued().then_some(found.status))
        };
        cx.wait_for(within, every(EVERY, ask), || {
            let (within, seen) = (humantime::format_duration(within), seen.borrow());
            let cause = format!(
                "certificate `{arn}` is {seen} after {within}: ACM has not seen the record that validates `{}`",
                self.domain
            );
            let again = self.infra.deployment.environment.command("cert request --wait 30m");
            Fault::failed("certificate-pending", cause).hint(format!("make the record, then `{again}`"))
        })
    }
}
