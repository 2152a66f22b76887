//! Two systems whose services have the same names, in a cluster: each has a namespace, and what is ours tells them apart.

use super::contract::Deployed;
use super::contract::document::{edit, system};
use super::deployment::Deployment;
use super::sandbox::{eventually, get};
use super::undeclared::{file, only, shorten};
use serde_json::json;

#[test]
fn two_systems_both_have_services_of_the_same_names() {
    let deployment = skip::unless!(Deployment::with_own_copy("names"));
    let sandbox = &deployment.sandbox;
    only(&deployment, &["shortener"]);
    deployment.deploy(&[]);
    let link = shorten(&deployment);
    // Of two services of that name, the place of the one that is public.
    let place = deployment.place("shortener");
    let leads_on = || {
        eventually("the link", || match get(&place, &link) {
            Ok((307, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    };
    let before = deployment.pods("shortener", "redis");

    // Both cannot have one host name.
    let (shortener, links) = (file(&deployment, "shortener"), file(&deployment, "links"));
    std::fs::copy(&shortener, &links).unwrap();
    let refused = sandbox.xtask(["deploy"]).exits(3);
    assert!(refused.stderr.contains("`services.shortener` is public"), "{}", refused.stderr);
    let text = std::fs::read_to_string(&links).unwrap().replacen("public = true\n", "", 1);
    std::fs::write(&links, text.replace("[[smoke]]\n", "[[smoke]]\nservice = \"shortener\"\n")).unwrap();

    let both = deployment.deploy(&[]);
    assert_eq!(system(&both, "shortener")["result"], "unchanged", "{both:#}");
    assert_eq!(system(&both, "links")["result"], "deployed", "{both:#}");
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
    assert_eq!(deployment.pods("links", "redis").len(), 1);
    leads_on();
    sandbox.xtask(["logs", "redis"]).exits(2);
    let said = sandbox.xtask(["logs", "links/redis"]).success();
    assert!(said.stdout.contains("Ready to accept connections"), "{}", said.stdout);
    sandbox.xtask(["smoke"]).success();
    let status = sandbox.xtask(["status", "--json"]).success().json();
    let names = |index: usize| status["systems"][index]["services"].as_array().unwrap().len();
    assert_eq!((names(0), names(1)), (2, 2), "{status:#}");

    edit(&links, "DATA_DIR = ", "MORE = \"1\"\nDATA_DIR = ");
    let changed = deployment.deploy(&[]);
    assert_eq!(system(&changed, "shortener")["result"], "unchanged", "{changed:#}");
    assert_eq!(system(&changed, "links")["result"], "deployed", "{changed:#}");
    sandbox.xtask(["rollback", "links", "--json"]).success();

    // The first to come and the first to go: what the other has stored and generated stays.
    let receipt = sandbox.xtask(["teardown", "links", "--yes", "--json"]).success().json();
    assert_eq!((&receipt["result"], &receipt["survivors"]), (&json!("clean"), &json!([])), "{receipt:#}");
    std::fs::remove_file(&links).unwrap();
    assert_eq!(deployment.deploy(&["shortener"])["result"], "unchanged");
    let after = deployment.pods("shortener", "redis");
    assert_eq!(before[0]["metadata"]["uid"], after[0]["metadata"]["uid"]);
    leads_on();
}
