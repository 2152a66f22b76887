//! What the settings name of what is in the account already: a hosted zone, a certificate.

use super::{Subject, untold};
use aws::Trouble;
use doctor::fix::Fix;
use doctor::{Finding, Scene};
use kubernetes::needs;
use serde_json::Value;

pub(super) fn zone(subject: &Subject, _: &Scene) -> Finding {
    let Some(zone) = &subject.settings.hosted_zone else {
        return Finding::skip("no hosted zone is named: DNS records are printed");
    };
    let domain = subject.environment.cluster.domain.as_ref().map(ToString::to_string);
    match subject.ask(&["route53", "get-hosted-zone", "--id", zone.as_str()]) {
        Ok(answer) => judge_zone(&answer, domain.as_deref(), &subject.file()),
        Err(refusal) if refusal.trouble == Trouble::Absent => Finding::fail(refusal.to_string())
            .found(zone.as_str())
            .fix([Fix::by_hand(subject.line(&["route53", "list-hosted-zones"]))]),
        Err(refusal) => untold("look at the hosted zone", &refusal),
    }
}

fn judge_zone(answer: &Value, domain: Option<&str>, file: &str) -> Finding {
    let name = answer["HostedZone"]["Name"].as_str().unwrap_or_default().trim_end_matches('.');
    let correct = || Fix::by_hand(format!("correct `hosted_zone` or `domain` in `{file}`"));
    let Some(domain) = domain else {
        return Finding::warn("it does nothing without a `domain`").found(name).fix([correct()]);
    };
    let want = format!("a public zone that {domain} is in");
    if answer["HostedZone"]["Config"]["PrivateZone"] == true {
        return Finding::fail("nobody outside its VPCs would see the names")
            .found(format!("{name}, private"))
            .want(want)
            .fix([correct()]);
    }
    let is_in = domain == name || domain.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    match is_in {
        true => Finding::pass(name).want(want),
        false => Finding::fail("the domain is not in it").found(name).want(want).fix([correct()]),
    }
}

pub(super) fn certificate(subject: &Subject, scene: &Scene) -> Finding {
    let Some(arn) = &subject.settings.certificate_arn else {
        return Finding::skip("none is named: with a domain it is made, or asked for by `cert request`");
    };
    let hosts = hosts(subject, scene);
    match subject.ask(&["acm", "describe-certificate", "--certificate-arn", arn.as_str()]) {
        Ok(answer) => judge_certificate(&answer, &hosts, &subject.environment.command("cert status")),
        Err(refusal) if refusal.trouble == Trouble::Absent => Finding::fail(refusal.to_string())
            .found(arn.as_str())
            .fix([Fix::by_hand(subject.line(&["acm", "list-certificates"]))]),
        Err(refusal) => untold("look at the certificate", &refusal),
    }
}

/// The names that browsers will ask for.
fn hosts(subject: &Subject, scene: &Scene) -> Vec<String> {
    let Some(domain) = &subject.environment.cluster.domain else { return Vec::new() };
    let systems: Vec<_> = scene.subject.spec.iter().flat_map(|spec| spec.systems.clone()).collect();
    let needs = needs::of(&systems, &subject.environment, subject.environment.target);
    let public = needs.iter().flat_map(|needs| &needs.pods).filter(|pod| pod.public);
    public.map(|pod| format!("{}.{domain}", pod.service)).collect()
}

fn judge_certificate(answer: &Value, hosts: &[String], status: &str) -> Finding {
    let certificate = &answer["Certificate"];
    let state = certificate["Status"].as_str().unwrap_or("unknown");
    let name = certificate["DomainName"].as_str().unwrap_or_default();
    let want = "issued, for every public name";
    if state != "ISSUED" {
        let why = certificate["FailureReason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
        return Finding::fail(format!("a load balancer only takes an issued certificate{why}"))
            .found(format!("{name}, {}", state.to_lowercase().replace('_', " ")))
            .want(want)
            .fix([Fix::by_hand(status)]);
    }
    let names = certificate["SubjectAlternativeNames"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).chain([name]).collect();
    let missing: Vec<&str> = hosts.iter().map(String::as_str).filter(|host| !covers(&names, host)).collect();
    match missing.is_empty() {
        true => Finding::pass(format!("{name}, issued")).want(want),
        false => Finding::fail(format!("browsers would refuse {}", missing.join(", ")))
            .found(format!("for {}", names.join(", ")))
            .want(want)
            .fix([Fix::by_hand("name one for all of them in `certificate_arn`, or none: one is made")]),
    }
}

/// A star stands for one label (RFC 9525 section 6.3).
fn covers(names: &[&str], host: &str) -> bool {
    let parent = host.split_once('.').map_or("", |(_, parent)| parent);
    names.iter().any(|name| *name == host || name.strip_prefix("*.").is_some_and(|of| of == parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use doctor::Outcome;
    use serde_json::json;

    #[test]
    fn a_domain_is_in_its_zone_or_the_zone_itself() {
        let zone = |private: bool| json!({"HostedZone": {"Name": "example.com.", "Config": {"PrivateZone": private}}});
        let judge = |domain| judge_zone(&zone(false), domain, "f").outcome;
        assert_eq!(judge(Some("example.com")), Outcome::Pass);
        assert_eq!(judge(Some("shop.example.com")), Outcome::Pass);
        assert_eq!(judge(Some("myexample.com")), Outcome::Fail);
        assert_eq!(judge(None), Outcome::Warn);
        assert_eq!(judge_zone(&zone(true), Some("example.com"), "f").outcome, Outcome::Fail);
    }

    #[test]
    fn a_certificate_is_issued_and_for_every_public_name() {
        let of = |status: &str, names: &[&str]| json!({"Certificate": {"Status": status, "DomainName": "shop.example.com", "SubjectAlternativeNames": names}});
        let hosts = ["web.shop.example.com".to_owned()];
        let judge = |answer| judge_certificate(&answer, &hosts, "status").outcome;
        assert_eq!(judge(of("ISSUED", &["*.shop.example.com"])), Outcome::Pass);
        assert_eq!(judge(of("ISSUED", &["*.example.com"])), Outcome::Fail);
        assert_eq!(judge(of("PENDING_VALIDATION", &["*.shop.example.com"])), Outcome::Fail);
    }
}
