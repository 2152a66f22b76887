//! Who may reach and do what: services, pods of others, teams.

use super::contract::Deployed;
use super::deployment::Deployment;

#[test]
fn only_those_that_need_a_service_reach_it() {
    let deployment = skip::unless!(Deployment::new("denied"));
    deployment.deploy(&["invoices"]);
    let smoke = deployment.sandbox.xtask(["smoke", "invoices", "--json"]).success().json();
    let checks = smoke["systems"][0]["checks"].as_array().unwrap();
    let refused: Vec<_> =
        checks.iter().filter(|check| check["name"].as_str().unwrap().contains("is refused from")).collect();
    assert_eq!(refused.len(), 3, "{smoke:#}");
    refused.iter().for_each(|check| assert_eq!(check["outcome"], "passed", "{check:#}"));
    // Were the policy gone, the same check would say so.
    deployment.kubectl("invoices", ["delete", "networkpolicy", "--all"]).success();
    let open = deployment.sandbox.xtask(["smoke", "invoices", "--json"]).exits(1).json();
    let failed = open["systems"][0]["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "failed");
    assert!(failed.count() >= 2, "{open:#}");
}

#[test]
fn each_team_has_its_service_and_not_the_others() {
    let deployment = skip::unless!(Deployment::new("teams"));
    deployment.deploy(&["invoices"]);
    let may = |team: &str, verb: &str, what: &str| {
        let group = format!("slipway:{team}");
        let run = deployment.kubectl("invoices", ["auth", "can-i", verb, what, "--as=somebody", "--as-group", &group]);
        run.stdout.trim() == "yes"
    };
    for (team, own, other) in
        [("invoices", "invoice-app", "payment-provider"), ("payments", "payment-provider", "invoice-app")]
    {
        for verb in ["get", "patch"] {
            assert!(may(team, verb, &format!("deployments/{own}")), "{team} {verb} {own}");
            assert!(!may(team, verb, &format!("deployments/{other}")), "{team} {verb} {other}");
        }
        assert!(!may(team, "get", "secrets") && !may(team, "list", "secrets"), "{team}");
        assert!(!may(team, "delete", &format!("deployments/{own}")), "{team}");
    }
}
