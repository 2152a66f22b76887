//! What an environment says of the AWS account that it deploys to.

use super::error::quoted;
use super::name::DeploymentId;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Roles are named after deployments, and AWS has 64 characters for that (`terraform/variables.tf`).
const LONGEST_ID: usize = 24;

/// The settings of the target `eks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// The only account that may be touched. Unset: that of the credentials, asked about once and then kept.
    pub account: Option<Account>,
    /// The profile of the credentials. Unset: those that are in the process's environment.
    pub profile: Option<String>,
    pub region: Region,
    /// The Route 53 zone that the domain is in. Unset: DNS is elsewhere, and records are printed.
    pub hosted_zone: Option<ZoneId>,
    /// A certificate that is there already. Unset: the one that Terraform makes, or `cert request` has asked for.
    pub certificate_arn: Option<CertificateArn>,
    pub compute: Compute,
    /// Where the load balancer controller's chart comes from: a chart repository or an `oci://` location.
    pub controller_repository: ChartRepository,
    /// The networks that reach the cluster's API. Empty: the addresses that the machines are seen with which have deployed.
    pub access_cidrs: Vec<Cidr>,
    /// `terraform.NAME`: further variables of `terraform/`, as Terraform reads them (`-var`).
    pub terraform: BTreeMap<String, String>,
}

impl Aws {
    /// A variable of `terraform/`, where it is set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.terraform.get(name).map(String::as_str)
    }
}

/// Twelve digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account(String);

/// Such as `eu-central-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

/// Such as `Z0123456789ABCDEFGHIJ`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneId(String);

/// Such as `arn:aws:acm:eu-central-1:123456789012:certificate/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateArn(String);

/// Such as `203.0.113.0/24`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cidr(String);

/// Where Helm has a chart from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartRepository(String);

/// What pods run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compute {
    /// A managed node group.
    Nodes,
    /// EKS Auto Mode.
    Auto,
}

impl Compute {
    pub fn word(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Auto => "auto",
        }
    }
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

text!(Account, Region, ZoneId, CertificateArn, Cidr, ChartRepository);

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_account {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{} is not the twelve digits of an account", quoted(text)))
        }
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('-').collect();
        let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
        let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match parts.split_last() {
            Some((last, words)) if words.len() >= 2 && words.iter().all(word) && number(last) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(format!("{} is not a region such as `eu-central-1`", quoted(text))),
        }
    }
}

impl FromStr for ZoneId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        // As Route 53 lists them.
        let id = text.strip_prefix("/hostedzone/").unwrap_or(text);
        let is_id = (2..=32).contains(&id.len()) && id.chars().all(inner);
        if is_id {
            Ok(Self(id.to_owned()))
        } else {
            Err(format!("{} is not the ID of a hosted zone such as `Z0123456789ABCDEFGHIJ`", quoted(text)))
        }
    }
}

impl FromStr for CertificateArn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        let is_arn = matches!(parts.as_slice(), ["arn", _, "acm", _, _, rest] if rest.starts_with("certificate/"));
        if plain && is_arn {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{} is not the ARN of a certificate in ACM", quoted(text)))
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_network = text.split_once('/').is_some_and(|(address, bits)| {
            let most = match address.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(_)) => 32,
                Ok(std::net::IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            bits.parse::<u8>().is_ok_and(|bits| bits <= most)
        });
        if !is_network {
            return Err(format!("{} is not a network such as `203.0.113.0/24`", quoted(text)));
        }
        if text.ends_with("/0") {
            return Err(format!(
                "{} is the whole internet: name the networks that may reach the cluster's API",
                quoted(text)
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ChartRepository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        let known = ["https://", "http://", "oci://"]
            .iter()
            .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
        if plain && known {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(format!(
                "{} is not a chart repository such as `https://aws.github.io/eks-charts` or `oci://HOST/PATH`",
                quoted(text)
            ))
        }
    }
}

/// Networks between commas.
///
/// # Errors
/// When one is none.
pub(super) fn parse_cidrs(text: &str) -> Result<Vec<Cidr>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
}

/// What is well formed by itself and cannot be so with the rest: the key, and why.
pub(super) fn contradictions(aws: &Aws, id: &DeploymentId) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let name = id.as_str();
    if name.len() > LONGEST_ID || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        let message =
            format!("{} must start with a letter and have at most {LONGEST_ID} characters on AWS", quoted(name));
        found.push(("deployment_id", message));
    }
    if let Some(arn) = &aws.certificate_arn {
        let part = |index| arn.as_str().split(':').nth(index).unwrap_or_default();
        let (region, account) = (part(3), part(4));
        if region != aws.region.as_str() {
            let message = format!(
                "is in {region}, and `region` is {}: a load balancer needs a certificate of its own region",
                aws.region
            );
            found.push(("certificate_arn", message));
        }
        if let Some(named) = aws.account.as_ref().filter(|named| named.as_str() != account) {
            found.push(("certificate_arn", format!("is in account {account}, and `account` is {named}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn takes<T: FromStr + fmt::Display>(good: &[&str], bad: &[&str])
    where
        T::Err: fmt::Debug,
    {
        good.iter().for_each(|text| assert_eq!(text.parse::<T>().unwrap().to_string(), *text));
        bad.iter().for_each(|text| assert!(text.parse::<T>().is_err(), "{text}"));
    }

    #[test]
    fn settings_are_only_what_aws_takes() {
        takes::<Account>(&["123456789012"], &["", "12345678901", "1234567890123", "12345678901a"]);
        takes::<Region>(&["eu-central-1", "us-gov-west-1"], &["", "eu", "eu-1", "eu-central-", "EU-central-1"]);
        takes::<ZoneId>(&["Z0123456789ABCDEFGHIJ"], &["", "Z", "z1", "Z1/2", "example.com"]);
        assert_eq!("/hostedzone/Z012".parse::<ZoneId>().unwrap().as_str(), "Z012");
        takes::<CertificateArn>(
            &["arn:aws:acm:eu-west-1:123456789012:certificate/a-b"],
            &["", "arn:aws:iam::1:role/a"],
        );
        takes::<Cidr>(
            &["203.0.113.0/24", "2001:db8::/32"],
            &["", "203.0.113.0", "203.0.113.0/33", "a/8", "0.0.0.0/0", "::/0"],
        );
        takes::<ChartRepository>(&["https://aws.github.io/eks-charts", "oci://a/b"], &["", "oci://", "a/b"]);
    }

    #[test]
    fn networks_stand_between_commas() {
        assert_eq!(parse_cidrs("").unwrap(), []);
        let both: Vec<String> =
            parse_cidrs("10.0.0.0/8, 203.0.113.7/32").unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(both, ["10.0.0.0/8", "203.0.113.7/32"]);
    }
}
