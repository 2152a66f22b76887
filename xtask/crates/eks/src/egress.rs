//! Where a service that calls AWS has to be let out to.
//!
//! AWS's endpoints have no fixed networks (docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html: they change several
//! times a week), and a NetworkPolicy knows no names. So it is HTTPS to everywhere, or to the VPC alone where AWS is reached
//! by endpoints in it.

use base::http::Url;
use model::environment::Environment;
use serde_json::{Value, json};
use std::net::IpAddr;

const EVERYWHERE: &str = "0.0.0.0/0";
/// Where pods ask for their credentials (docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html).
const POD_IDENTITY: &str = "169.254.170.23/32";
/// The network of the VPC unless it is set, as `terraform/variables.tf` has it.
const VPC: &str = "10.42.0.0/16";

/// As the chart has it.
pub(super) fn of(environment: &Environment) -> Vec<Value> {
    let mut all = vec![rule(apis(environment), 443), rule(POD_IDENTITY.to_owned(), 80)];
    all.extend(environment.env.get("AWS_ENDPOINT_URL").and_then(|url| endpoint(url)));
    all
}

/// A port in the VPC, where servers are that AWS runs for a service.
pub(super) fn within(environment: &Environment, port: u16) -> Value {
    rule(vpc(environment), port)
}

fn apis(environment: &Environment) -> String {
    match set(environment, "egress") {
        Some("endpoints") => vpc(environment),
        _ => EVERYWHERE.to_owned(),
    }
}

fn vpc(environment: &Environment) -> String {
    set(environment, "vpc_cidr").unwrap_or(VPC).to_owned()
}

/// A variable of `terraform/`, where it is set.
fn set<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
    environment.aws.as_ref()?.variable(name)
}

/// What answers in AWS's place, where the environment names it.
fn endpoint(url: &str) -> Option<Value> {
    let Url { endpoint, .. } = url.parse().ok()?;
    let cidr = match endpoint.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => format!("{ip}/32"),
        Ok(IpAddr::V6(ip)) => format!("{ip}/128"),
        Err(_) => EVERYWHERE.to_owned(),
    };
    Some(rule(cidr, endpoint.port))
}

fn rule(cidr: String, port: u16) -> Value {
    json!({"cidrs": [cidr], "ports": [{"port": port, "protocol": "TCP"}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_in_the_place_of_aws_is_let_out_to() {
        assert_eq!(endpoint("http://10.1.2.3:4566"), Some(rule("10.1.2.3/32".to_owned(), 4566)));
        assert_eq!(endpoint("http://aws.internal"), Some(rule(EVERYWHERE.to_owned(), 80)));
        assert_eq!(endpoint("https://aws.internal/x"), Some(rule(EVERYWHERE.to_owned(), 443)));
        assert_eq!(endpoint("nothing"), None);
    }
}
