//! Two systems whose services have the same names, in containers: each finds its own, and neither goes with the other.

use super::contract::Deployed;
use super::contract::document::{edit, step, system};
use super::deployment::{Deployment, is_of};
use super::sandbox::{get, post};
use serde_json::{Value, json};

fn via(deployment: &Deployment, system: &str, service: &str) -> Value {
    let status = deployment.sandbox.xtask(["status", system, "--json"]).success().json();
    let services = status["systems"][0]["services"].as_array().unwrap();
    let service = services.iter().find(|known| known["name"] == service);
    let service = service.unwrap_or_else(|| panic!("{status:#}"));
    assert_eq!(service["state"], "running", "{status:#}");
    service["via"].clone()
}

#[test]
fn two_systems_both_have_services_of_the_same_names() {
    let deployment = skip::unless!(Deployment::with_own_copy("names"));
    let sandbox = &deployment.sandbox;
    let systems = sandbox.root.join("deploy/systems");
    deployment.deploy(&["shortener"]);
    let place = via(&deployment, "shortener", "shortener");
    let (_, made) = post(place.as_str().unwrap(), "/api/urls", &json!({"url": "https://example.com/kept"})).unwrap();
    let link = format!("/{}", made["code"].as_str().unwrap());
    let status = |place: &Value| get(place.as_str().unwrap(), &link).unwrap().0;

    std::fs::copy(systems.join("shortener.toml"), systems.join("links.toml")).unwrap();
    let both = deployment.deploy(&["shortener", "links"]);
    assert_eq!(system(&both, "shortener")["result"], "unchanged", "{both:#}");
    assert_eq!(step(&both, "start:links/redis")["result"], "done", "{both:#}");
    let other = via(&deployment, "links", "shortener");
    assert_eq!((status(&place), status(&other)), (307, 404));
    assert_eq!(deployment.deploy(&["shortener", "links"])["result"], "unchanged");
    sandbox.xtask(["logs", "redis"]).exits(2);
    sandbox.xtask(["logs", "links/redis"]).success();

    // A change of one, and the way back, are nothing to the other.
    edit(&systems.join("links.toml"), "DATA_DIR = ", "MORE = \"1\"\nDATA_DIR = ");
    let changed = deployment.deploy(&["shortener", "links"]);
    assert_eq!(system(&changed, "shortener")["result"], "unchanged", "{changed:#}");
    assert_eq!(system(&changed, "links")["result"], "deployed", "{changed:#}");
    sandbox.xtask(["rollback", "links", "--json"]).success();
    assert_eq!((status(&place), status(&other)), (307, 404));

    let receipt = sandbox.xtask(["teardown", "shortener", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    std::fs::remove_file(systems.join("shortener.toml")).unwrap();
    assert_eq!(status(&other), 404);
    let left = deployment.containers();
    assert!(!left.is_empty() && !left.iter().any(|container| is_of(container, "redis")), "{left:#?}");
    edit(&systems.join("links.toml"), "MORE = \"1\"\n", "");
    assert_eq!(deployment.deploy(&["links"])["result"], "unchanged");
    let receipt = sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.containers(), Vec::<Value>::new());
    assert!(!sandbox.home().exists());
}
