//! Certificates in ACM: those of a domain and every name below it, how far they are, and which of them a deployment uses.
//!
//! One that `cert request` has asked for is noted in the deployment's bucket, where everybody who deploys finds it.

use super::dns::{Record, To};
use super::names::Names;
use super::state::{Bucket, If};
use crate::{Aws, Refusal, Trouble};
use anyhow::Result;
use base::error::Fault;
use keys::Digest;
use model::aws::CertificateArn;
use model::cluster::Domain;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The key of the note in the bucket: `{"schema": 1, "arn": …, "domain": …}`.
pub const CERTIFICATE: &str = "certificate.json";
/// The kind of its entries in the ledger. Their ID is the domain; `identity.arn` is null until ACM has answered.
pub const KIND: &str = "certificate";

/// A certificate as ACM has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub arn: String,
    /// Every name that it is for.
    pub names: Vec<String>,
    /// In ACM's word: `PENDING_VALIDATION`, `ISSUED`, `FAILED`.
    pub status: String,
    /// Why it is none, in ACM's word.
    pub failure: Option<String>,
    /// What proves that the domain is whose it should be. ACM takes some seconds to say it.
    pub proof: Option<Proof>,
}

/// The record that proves a domain. The domain and `*.` of it have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Absolute, without the dot at its end.
    pub name: String,
    pub value: String,
}

impl Proof {
    pub fn record(&self) -> Record {
        Record { name: self.name.clone(), to: To::Name(self.value.clone()) }
    }
}

impl Certificate {
    pub fn is_issued(&self) -> bool {
        self.status == "ISSUED"
    }

    /// Whether it may yet be issued, or is.
    pub fn is_usable(&self) -> bool {
        matches!(self.status.as_str(), "ISSUED" | "PENDING_VALIDATION")
    }

    /// Whether browsers take it for every public service below the domain.
    pub fn covers(&self, domain: &Domain) -> bool {
        let below = format!("*.{domain}");
        self.names.contains(&below)
    }

    /// From `acm describe-certificate`.
    fn parse(document: &Value) -> Option<Self> {
        let certificate = &document["Certificate"];
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let names = certificate["SubjectAlternativeNames"].as_array().map(Vec::as_slice).unwrap_or_default();
        let options = certificate["DomainValidationOptions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let proof = options.iter().map(|option| &option["ResourceRecord"]).find_map(|record| {
            let plain = |value: &Value| text(value).map(|text| text.trim_end_matches('.').to_owned());
            Some(Proof { name: plain(&record["Name"])?, value: plain(&record["Value"])? })
        });
        let first = text(&certificate["DomainName"]).into_iter();
        let mut names: Vec<String> = first.chain(names.iter().filter_map(text)).collect();
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Some(Self {
            arn: text(&certificate["CertificateArn"])?,
            names,
            status: text(&certificate["Status"])?,
            failure: text(&certificate["FailureReason"]),
            proof,
        })
    }
}

/// What ACM says of a certificate; `None` when it knows none of this ARN.
///
/// # Errors
/// When AWS refuses or does not answer.
pub fn describe(aws: &Aws, arn: &str) -> Result<Option<Certificate>, Refusal> {
    match aws.ask(&["acm", "describe-certificate", "--certificate-arn", arn]) {
        Ok(document) => Ok(Certificate::parse(&document)),
        Err(refusal) if refusal.is_absent() => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// A certificate of this deployment for the domain, if there is one that is or may yet be issued; an issued one first.
///
/// # Errors
/// When AWS refuses or does not answer.
pub fn find(aws: &Aws, names: &Names, domain: &Domain) -> Result<Option<Certificate>, Refusal> {
    let all = aws.ask(&["acm", "list-certificates", "--certificate-statuses", "ISSUED", "PENDING_VALIDATION"])?;
    let listed = all["CertificateSummaryList"].as_array().map(Vec::as_slice).unwrap_or_default();
    let same = listed.iter().filter(|one| one["DomainName"] == domain.to_string().as_str());
    let mut found = Vec::new();
    for arn in same.filter_map(|one| one["CertificateArn"].as_str()) {
        if !is_of(aws, names, arn)? {
            continue;
        }
        let certificate = describe(aws, arn)?;
        found.extend(certificate.filter(|certificate| certificate.is_usable() && certificate.covers(domain)));
    }
    found.sort_by_key(|certificate| !certificate.is_issued());
    Ok(found.into_iter().next())
}

fn is_of(aws: &Aws, names: &Names, arn: &str) -> Result<bool, Refusal> {
    let tags = match aws.ask(&["acm", "list-tags-for-certificate", "--certificate-arn", arn]) {
        Ok(tags) => tags,
        Err(refusal) if refusal.is_absent() => return Ok(false),
        Err(refusal) => return Err(refusal),
    };
    let tags = tags["Tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(tags.iter().any(|tag| tag["Key"] == "deployment_id" && tag["Value"] == names.id.to_string().as_str()))
}

/// The arguments of the request. Sent twice with the same token it is one request.
pub fn request_args(names: &Names, domain: &Domain, environment: &str, token: &str) -> Vec<String> {
    let tag = |key: &str, value: &str| format!("Key={key},Value={value}");
    let mut args: Vec<String> =
        ["acm", "request-certificate", "--domain-name"].into_iter().map(str::to_owned).collect();
    args.push(domain.to_string());
    args.extend(["--subject-alternative-names".to_owned(), format!("*.{domain}")]);
    args.extend(["--validation-method", "DNS", "--idempotency-token", token, "--tags"].map(str::to_owned));
    args.push(tag("deployment_id", names.id.as_str()));
    args.push(tag("environment", environment));
    args.push(tag("managed_by", "slipway"));
    args
}

/// A token for one request and its repetitions: ACM takes 32 letters and digits.
pub fn token(names: &Names, domain: &Domain, moment: u128) -> String {
    format!("{:.32}", Digest::of(format!("{} {domain} {moment}", names.base()).as_bytes()).to_string())
}

/// The ARN that `cert request` has noted for this domain.
///
/// # Errors
/// What AWS says.
pub fn noted(bucket: &Bucket, domain: &Domain) -> Result<Option<CertificateArn>, Refusal> {
    let note = bucket.get(CERTIFICATE)?.map(|object| object.document).unwrap_or_default();
    let arn = note["arn"].as_str().filter(|_| note["domain"] == domain.to_string().as_str());
    Ok(arn.and_then(|arn| arn.parse().ok()))
}

/// Notes it for everybody who deploys.
///
/// # Errors
/// `note-conflict` when somebody else does so at this moment, or what AWS says.
pub fn note(bucket: &Bucket, domain: &Domain, arn: &str) -> Result<()> {
    let document = json!({"schema": 1, "arn": arn, "domain": domain.to_string()});
    let fault = |refusal: &Refusal| crate::fault("note the certificate's ARN", refusal);
    let there = bucket.get(CERTIFICATE).map_err(|refusal| fault(&refusal))?;
    let condition = match there {
        Some(there) if there.document == document => return Ok(()),
        Some(there) => If::Is(there.etag),
        None => If::Absent,
    };
    match bucket.put(CERTIFICATE, &document, &condition) {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.trouble == Trouble::Conflict => {
            let cause = "another run is recording a certificate for this deployment right now";
            Err(Fault::failed("note-conflict", cause).hint("run it again").into())
        }
        Err(refusal) => Err(fault(&refusal).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::sample("shop")
    }

    #[test]
    fn a_certificate_says_how_far_it_is_and_what_proves_its_domain() {
        let record = json!({"Name": "_a.shop.example.", "Type": "CNAME", "Value": "_b.acm-validations.aws."});
        let document = json!({"Certificate": {
            "CertificateArn": "arn:aws:acm:r:1:certificate/a", "DomainName": "shop.example",
            "SubjectAlternativeNames": ["shop.example", "*.shop.example"], "Status": "PENDING_VALIDATION",
            "DomainValidationOptions": [{"DomainName": "shop.example"}, {"ResourceRecord": record}],
        }});
        let certificate = Certificate::parse(&document).unwrap();
        assert_eq!(certificate.names, ["shop.example", "*.shop.example"]);
        let proof = Proof { name: "_a.shop.example".to_owned(), value: "_b.acm-validations.aws".to_owned() };
        assert_eq!(certificate.proof, Some(proof));
        assert!(!certificate.is_issued() && certificate.is_usable());
        assert!(certificate.covers(&"shop.example".parse().unwrap()));
        assert!(!certificate.covers(&"example".parse().unwrap()));
        assert_eq!(Certificate::parse(&json!({})), None);
    }

    #[test]
    fn a_request_is_the_same_when_it_is_sent_again() {
        let domain = "shop.example".parse().unwrap();
        let token = token(&names(), &domain, 7);
        assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(
            request_args(&names(), &domain, "aws", "t").join(" "),
            "acm request-certificate --domain-name shop.example --subject-alternative-names *.shop.example \
             --validation-method DNS --idempotency-token t --tags Key=deployment_id,Value=shop \
             Key=environment,Value=aws Key=managed_by,Value=slipway"
        );
    }
}
