//! What is told of a certificate: for people, for programs, and for whoever has to make its record somewhere else.

use aws::infra::certificate::{Certificate, Proof};
use base::error::Fault;
use base::table;
use model::cluster::Domain;
use model::environment::Environment;
use serde_json::{Value, json};

pub(super) struct State<'s> {
    pub(super) environment: &'s Environment,
    pub(super) domain: &'s Domain,
    pub(super) certificate: Option<&'s Certificate>,
    /// Whether its record is in the environment's zone; `None` where there is no zone.
    pub(super) made: Option<bool>,
    pub(super) failure: Option<&'s Fault>,
}

impl State<'_> {
    fn result(&self) -> &'static str {
        match self.certificate {
            _ if self.failure.is_some() => "failed",
            None => "none",
            Some(certificate) if certificate.is_issued() => "issued",
            Some(certificate) if certificate.is_usable() => "pending",
            Some(_) => "failed",
        }
    }

    pub(super) fn document(&self) -> Value {
        let certificate = self.certificate;
        let failure = self.failure.map(|fault| json!({"code": fault.code, "cause": fault.cause, "hint": fault.hint}));
        json!({
            "schema": 1, "env": self.environment.name.as_str(), "result": self.result(),
            "domain": self.domain.to_string(),
            "arn": certificate.map(|it| &it.arn),
            "status": certificate.map(|it| &it.status),
            "names": certificate.map(|it| &it.names),
            "reason": certificate.and_then(|it| it.failure.as_ref()),
            "record": certificate.and_then(|it| it.proof.as_ref()).map(|proof| record(proof, self.made)),
            "failure": failure,
        })
    }

    pub(super) fn text(&self) -> String {
        let Some(certificate) = self.certificate else {
            let request = self.environment.command("cert request");
            return format!("there is no certificate for `{}` yet; `{request}` asks for one", self.domain);
        };
        let why = certificate.failure.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let names = certificate.names.join(", ");
        let head = format!("{}  {}{why}\n  for {names}", certificate.arn, certificate.status);
        let deploy = self.environment.command("deploy");
        match &certificate.proof {
            _ if certificate.is_issued() => format!("{head}\n  `{deploy}` uses it; there is nothing to enter anywhere"),
            None => format!("{head}\n  ACM does not show yet which record validates the domain; try again in a moment"),
            Some(_) if self.made == Some(true) => {
                format!("{head}\n  the record that validates the domain is in its zone; ACM looks for it by itself")
            }
            Some(proof) => {
                let domain = self.domain;
                let table = rows(proof);
                format!(
                    "{head}\n\nmake this record where the DNS of `{domain}` is, and leave it there for renewals:\n\n{table}"
                )
            }
        }
    }
}

fn record(proof: &Proof, made: Option<bool>) -> Value {
    let relative: Vec<Value> =
        relative(&proof.name).into_iter().map(|(zone, name)| json!({"zone": zone, "name": name})).collect();
    json!({
        "type": "CNAME", "name": format!("{}.", proof.name), "relative": relative,
        "value": format!("{}.", proof.value), "made": made,
    })
}

/// Some hosts want the whole name, some the part of it before their zone, which is one of these.
fn rows(proof: &Proof) -> String {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![row(["  type", "CNAME", ""]), row(["  name", &format!("{}.", proof.name), ""])];
    for (zone, name) in relative(&proof.name) {
        rows.push(row(["", &name, &format!("in the zone {zone}")]));
    }
    rows.push(row(["  value", &format!("{}.", proof.value), ""]));
    table::layout(&rows)
}

/// The zones that a name may be in, and what it is called there.
fn relative(name: &str) -> Vec<(String, String)> {
    let labels: Vec<&str> = name.split('.').collect();
    // A zone has two labels at least: nobody who reads this runs a top-level domain.
    let most = labels.len().saturating_sub(2);
    (1..=most).map(|at| (labels[at..].join("."), labels[..at].join("."))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_as_its_host_may_want_it() {
        let proof = Proof { name: "_a.shop.example.com".to_owned(), value: "_b.acm-validations.aws".to_owned() };
        let told = rows(&proof);
        let lines: Vec<&str> = told.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "  type   CNAME",
                "  name   _a.shop.example.com.",
                "         _a                       in the zone shop.example.com",
                "         _a.shop                  in the zone example.com",
                "  value  _b.acm-validations.aws.",
            ]
        );
        let document = record(&proof, None);
        assert_eq!(document["relative"][0], json!({"zone": "shop.example.com", "name": "_a"}));
        assert_eq!(document["value"], "_b.acm-validations.aws.");
    }
}
