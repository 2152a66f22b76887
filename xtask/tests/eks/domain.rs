//! A domain in Route 53: a load balancer for all with a certificate, names that lead there, and nothing of it left; and what
//! becomes of names that no file declares any more.

use super::account::Account;
use super::contract::Deployed;
use super::deployment::Deployment;
use super::repeated::mark;
use super::sandbox::Run;
use super::undeclared;
use serde_json::{Value, json};
use skip::{Found, Missing};
use std::process::Command;
use std::time::{Duration, Instant};

/// A public zone of its own; removed when dropped.
struct Zone {
    account: &'static Account,
    id: String,
    domain: String,
}

impl Zone {
    fn new(account: &'static Account, name: &str) -> Self {
        let domain = format!("{name}{}.example", mark());
        let caller = format!("{}-{domain}", std::process::id());
        let made = ["route53", "create-hosted-zone", "--name", &domain, "--caller-reference", &caller];
        let id = account.ask(made)["HostedZone"]["Id"].as_str().unwrap().trim_start_matches("/hostedzone/").to_owned();
        Self { account, id, domain }
    }

    /// The kinds and names of its records.
    #[track_caller]
    fn records(&self) -> Vec<String> {
        let list = ["route53", "list-resource-record-sets", "--hosted-zone-id", &self.id];
        let text = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let records = self.account.list(list, "ResourceRecordSets");
        records.iter().map(|record| format!("{} {}", text(record, "Type"), text(record, "Name"))).collect()
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        let _ = self.account.try_ask(&["route53", "delete-hosted-zone", "--id", &self.id]);
    }
}

/// Who signs the certificates of load balancers here.
fn authority() -> Found<String> {
    let unset =
        |_| Missing::new("`XTASK_E2E_AWS_CA` does not name the file of who signs the load balancers' certificates");
    std::env::var("XTASK_E2E_AWS_CA").map_err(unset)
}

/// A deployment whose services have names in a zone of its own.
pub(crate) struct Domain {
    pub(crate) deployment: Deployment,
    authority: String,
    /// Dropped last.
    zone: Zone,
}

impl Domain {
    /// In a copy of its own with nothing but these systems.
    pub(crate) fn new(name: &str, systems: &[&str]) -> Found<Self> {
        let authority = authority()?;
        let zone = Zone::new(super::account::account()?, name);
        let settings = format!("domain = \"{}\"\nhosted_zone = \"{}\"\n", zone.domain, zone.id);
        Ok(Self { deployment: Deployment::with_own_copy(name, systems, &settings)?, authority, zone })
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.deployment.sandbox.command(args);
        command.env("CURL_CA_BUNDLE", &self.authority);
        command
    }

    pub(crate) fn xtask(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(args))
    }

    #[track_caller]
    pub(crate) fn deploy(&self, more: &[&str]) -> Value {
        self.xtask(&[&["deploy", "--yes", "--json"], more].concat()).success().json()
    }

    /// The name of the load balancer that all services share.
    #[track_caller]
    pub(crate) fn balancer(&self, service: &str) -> String {
        let via = self.deployment.sandbox.status(service)["via"].as_str().unwrap().to_owned();
        via.rsplit_once(':').unwrap().0.to_owned()
    }

    /// Status, body and where else to go, asked as anybody would who has the zone's name servers.
    #[track_caller]
    pub(crate) fn get(&self, balancer: &str, url: &str) -> String {
        let port = if url.starts_with("https:") { 443 } else { 80 };
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--cacert", &self.authority]);
        curl.args([
            "--write-out",
            " %{http_code} %{redirect_url}",
            "--connect-to",
            &format!("::{balancer}:{port}"),
            url,
        ]);
        Run::of(&mut curl).success().stdout.trim().to_owned()
    }

    /// The host of a service.
    pub(crate) fn host(&self, service: &str) -> String {
        format!("{}.{}", self.deployment.namespace(service), self.zone.domain)
    }

    /// Services answer by their names.
    #[track_caller]
    pub(crate) fn answer(&self, services: &[&str]) {
        for service in services {
            let url = format!("https://{}/", self.host(service));
            let answer = self.get(&self.balancer(service), &url);
            assert!(answer.ends_with(" 200"), "{url}: {answer}");
        }
    }

    /// The names in the zone are those of these services, and the ledger has them and what they lead to as their systems'.
    #[track_caller]
    pub(crate) fn leads_to(&self, services: &[(&str, &str)]) {
        let mut names = self.zone.records();
        names.retain(|record| record.starts_with("A "));
        names.sort();
        let mut wanted: Vec<String> =
            services.iter().map(|(service, _)| format!("A {}.", self.host(service))).collect();
        wanted.sort();
        assert_eq!(names, wanted);
        let mut noted = self.deployment.noted("record");
        noted.retain(|(id, _)| id.ends_with(" A"));
        let mut wanted: Vec<_> =
            services.iter().map(|(name, of)| (format!("{} A", self.host(name)), Some((*of).to_owned()))).collect();
        wanted.sort();
        noted.sort();
        assert_eq!(noted, wanted);
        let mut noted: Vec<_> = self.deployment.noted("target-group").into_iter().map(|(_, of)| of.unwrap()).collect();
        let mut wanted: Vec<_> = services.iter().map(|(_, system)| (*system).to_owned()).collect();
        wanted.sort();
        noted.sort();
        assert_eq!(noted, wanted, "target groups of the ledger");
        let balancers = self.deployment.account.balancers(&self.deployment.base());
        let noted: Vec<_> = self.deployment.noted("load-balancer").into_iter().map(|(id, _)| id).collect();
        assert_eq!((balancers.len(), noted), (1, balancers), "the one that all share");
    }

    /// Nothing is left in the zone but what makes it one.
    #[track_caller]
    pub(crate) fn leads_nowhere(&self) {
        let own = ["NS", "SOA"].map(|kind| format!("{kind} {}.", self.zone.domain));
        assert_eq!(self.zone.records(), own, "what was made in the zone is gone");
    }
}

#[test]
fn a_domain_has_a_certificate_and_names_and_leaves_none_behind() {
    let domain = skip::unless!(Domain::new("domain", &["epoch", "web"]));
    let first = domain.deploy(&[]);
    assert_eq!(first["result"], "deployed", "{first:#}");
    it_is_served_over_tls(&domain);
    let took = a_change_is_deployed(&domain);
    undeclared::goes_once_something_else_has_its_place(&domain, took);
    domain.deployment.ends_clean();
    domain.leads_nowhere();
    let certificates = domain.zone.account.list(["acm", "list-certificates"], "CertificateSummaryList");
    assert!(!certificates.iter().any(|one| one["DomainName"] == *domain.zone.domain), "{certificates:#?}");
}

fn it_is_served_over_tls(domain: &Domain) {
    let status = domain.deployment.sandbox.status("web");
    let url = status["url"].as_str().unwrap_or_else(|| panic!("{status:#}"));
    assert!(url.starts_with("https://") && url.ends_with(&format!("web.{}/", domain.zone.domain)), "{url}");
    let balancer = domain.balancer("web");
    let answer = domain.get(&balancer, url);
    assert!(answer.contains(" 200") && answer.starts_with("OK"), "{answer}");
    let plain = url.replace("https:", "http:");
    let redirect = domain.get(&balancer, &plain);
    assert!(redirect.contains(&format!(" 301 {}", url.trim_end_matches('/'))), "{redirect}");
    domain.answer(&["epoch", "web"]);
    domain.leads_to(&[("epoch", "epoch"), ("web", "web")]);
    let balancers = domain.deployment.account.balancers(&domain.deployment.base());
    assert_eq!(balancers.len(), 1, "{balancers:?}");
    let listeners = ["elbv2", "describe-listeners", "--load-balancer-arn", &balancers[0]];
    let listeners = domain.deployment.account.list(listeners, "Listeners");
    let ports: Vec<_> = listeners.iter().map(|listener| (&listener["Port"], &listener["Protocol"])).collect();
    assert!(ports.contains(&(&json!(443), &json!("HTTPS"))), "{listeners:#?}");
}

/// How long a deploy takes that changes something.
fn a_change_is_deployed(domain: &Domain) -> Duration {
    let started = Instant::now();
    let changed = domain.deploy(&["web", "--set", "env.LOG=debug"]);
    let took = started.elapsed();
    assert_eq!(changed["result"], "deployed", "{changed:#}");
    domain.answer(&["web"]);
    took
}
