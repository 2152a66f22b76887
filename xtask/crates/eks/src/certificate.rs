//! Which certificate the load balancers of a deployment show: the one that the environment names, the one that
//! `cert request` has asked for, or Terraform's; none before it is issued.
//!
//! One that is issued is noted on this machine, so that a deploy with nothing to do asks nobody.

use anyhow::Result;
use aws::Refusal;
use aws::infra::certificate::{describe, noted};
use aws::infra::{Infra, Outputs};
use base::error::Fault;
use base::files;
use model::aws::CertificateArn;
use model::cluster::Domain;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What is known of the certificate of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CertificateState {
    /// There is none, or no domain that it could be for.
    None,
    /// It was requested and is not issued yet: its ARN, and its state in ACM's word.
    Pending(CertificateArn, String),
    Issued(CertificateArn),
}

impl CertificateState {
    pub(super) fn issued(&self) -> Option<&CertificateArn> {
        match self {
            Self::Issued(arn) => Some(arn),
            Self::None | Self::Pending(..) => None,
        }
    }
}

/// Which one it is on the platform that Terraform has made.
///
/// # Errors
/// `certificate-not-issued` when the environment names one that cannot be used, or what AWS says.
pub(super) fn of(infra: &Infra, outputs: &Outputs) -> Result<CertificateState> {
    let environment = &infra.deployment.environment;
    let Some(domain) = &environment.cluster.domain else { return Ok(CertificateState::None) };
    let set = environment.aws.as_ref().and_then(|aws| aws.certificate_arn.as_ref());
    let note =
        Note { path: infra.deployment.home.dir().join("certificate.json"), made_for: made_for(outputs, domain, set) };
    if let Some(arn) = note.read()? {
        return Ok(CertificateState::Issued(arn));
    }
    let known = match set {
        Some(arn) => named(infra, arn, domain)?,
        None => requested(infra, outputs, domain)?,
    };
    if let CertificateState::Issued(arn) = &known {
        note.write(arn)?;
    }
    Ok(known)
}

/// The one that the environment names. To leave it out would show what it should protect.
fn named(infra: &Infra, arn: &CertificateArn, domain: &Domain) -> Result<CertificateState> {
    let found = describe(&infra.aws, arn.as_str()).map_err(|refusal| fault(&refusal))?;
    let cause = match found {
        Some(found) if found.is_issued() && found.covers(domain) => return Ok(CertificateState::Issued(arn.clone())),
        Some(found) if found.is_issued() => {
            format!("certificate `{arn}` is for {}, not for `*.{domain}`", found.names.join(", "))
        }
        Some(found) => format!("certificate `{arn}` is not issued: {}", found.status),
        None => format!("there is no certificate `{arn}` in {}", infra.aws.region),
    };
    let request = infra.deployment.environment.command("cert request");
    let hint = format!("set `certificate_arn` to one that is, or leave it out: `{request}` asks for one");
    Err(Fault::failed("certificate-not-issued", cause).hint(hint).into())
}

fn requested(infra: &Infra, outputs: &Outputs, domain: &Domain) -> Result<CertificateState> {
    let mut known = CertificateState::None;
    if let Some(arn) = noted(&infra.bucket, domain).map_err(|refusal| fault(&refusal))? {
        match describe(&infra.aws, arn.as_str()).map_err(|refusal| fault(&refusal))? {
            Some(found) if found.is_issued() => return Ok(CertificateState::Issued(arn)),
            Some(found) => known = CertificateState::Pending(arn, found.status),
            // Somebody has removed it, and it comes back by another request.
            None => {}
        }
    }
    // Terraform has waited until it was issued.
    let own = outputs.certificate_arn.as_ref().and_then(|arn| arn.parse().ok());
    Ok(own.map_or(known, CertificateState::Issued))
}

fn fault(refusal: &Refusal) -> Fault {
    aws::fault("look for the certificate", refusal)
}

/// What a note is good for: another network is another deployment, for which its certificate may have gone.
fn made_for(outputs: &Outputs, domain: &Domain, set: Option<&CertificateArn>) -> Value {
    json!({
        "vpc": outputs.vpc_id, "domain": domain.to_string(), "set": set.map(CertificateArn::as_str),
        "terraform": outputs.certificate_arn,
    })
}

/// What this machine remembers.
struct Note {
    path: PathBuf,
    made_for: Value,
}

impl Note {
    fn read(&self) -> Result<Option<CertificateArn>> {
        let note = files::read_json(&self.path)?.unwrap_or_default();
        let arn = note["arn"].as_str().filter(|_| note["for"] == self.made_for);
        Ok(arn.and_then(|arn| arn.parse().ok()))
    }

    fn write(&self, arn: &CertificateArn) -> Result<()> {
        files::write_json(&self.path, &json!({"schema": 1, "for": self.made_for, "arn": arn.as_str()}))
    }
}
