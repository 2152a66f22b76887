//! What the files do not declare any more: what takes its place comes first, data stays, and the records are enough to see
//! and to remove it.

use super::client::Hammer;
use super::contract::Deployed;
use super::contract::document::{edit, step};
use super::deployment::Deployment;
use super::kubectl::text;
use super::sandbox::{eventually, failure, get, post};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(crate) fn file(deployment: &Deployment, system: &str) -> PathBuf {
    deployment.sandbox.root.join(format!("deploy/systems/{system}.toml"))
}

/// Leaves the copy nothing but these systems.
pub(crate) fn only(deployment: &Deployment, systems: &[&str]) {
    for entry in std::fs::read_dir(deployment.sandbox.root.join("deploy/systems")).unwrap() {
        let path = entry.unwrap().path();
        if !systems.iter().any(|system| path.ends_with(format!("{system}.toml"))) {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn rename(deployment: &Deployment, system: &str, to: &str) {
    std::fs::rename(file(deployment, system), file(deployment, to)).unwrap();
}

fn systems(status: &Value) -> Vec<&str> {
    status["systems"].as_array().unwrap().iter().map(|system| system["name"].as_str().unwrap()).collect()
}

/// Gives the store of `shortener` another name.
pub(crate) fn call_redis_store(deployment: &Deployment) {
    let shortener = file(deployment, "shortener");
    edit(&shortener, "[services.redis]\n", "[services.store]\nwas = [\"redis\"]\n");
    edit(&shortener, "[services.redis.", "[services.store.");
    edit(&shortener, "\"redis\"]\n\n", "\"store\"]\n\n");
    edit(&shortener, "${redis.url}", "${store.url}");
    edit(&shortener, "to = \"redis\"", "to = \"store\"");
}

/// What `plan` says of the removal of a service of a system.
fn planned(deployment: &Deployment, system: &str, service: &str) -> Value {
    let plan = deployment.sandbox.xtask(["plan", "--json"]).success().json();
    let removed = plan["removed"].as_array().unwrap();
    let own = removed.iter().find(|other| other["system"] == system && other["service"] == service);
    own.unwrap_or_else(|| panic!("{plan:#}")).clone()
}

/// A link that leads somewhere, and the path that it has.
pub(crate) fn shorten(deployment: &Deployment) -> String {
    let place = deployment.place("shortener");
    let (status, made) = post(&place, "/api/urls", &json!({"url": "https://example.com/kept"})).unwrap();
    assert_eq!(status, 201, "{made}");
    format!("/{}", made["code"].as_str().unwrap())
}

#[track_caller]
pub(crate) fn leads_on(deployment: &Deployment, link: &str) {
    let place = deployment.place("shortener");
    let answer = eventually("the link", || match get(&place, link) {
        Ok((307, _)) => Ok(307),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(answer, 307);
}

/// Makes a workload without pods, as a run leaves it that is killed before its release is proven; who `owner` is decides
/// whose it is.
fn leave(deployment: &Deployment, owner: &str, [system, service]: [&str; 2], name: &str) {
    let namespace = deployment.namespace(system);
    let labels = json!({
        "deployment_id": owner, "app.kubernetes.io/part-of": system, "app.kubernetes.io/instance": system,
        "app.kubernetes.io/name": service,
    });
    let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
    let containers = json!([{"name": "idle", "image": "docker.io/library/busybox:1.37"}]);
    deployment.cluster.apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"named": name}},
            "template": {"metadata": {"labels": {"named": name}}, "spec": {"containers": containers}},
        },
    }));
    let backend = json!({"service": {"name": name, "port": {"number": 80}}});
    deployment.cluster.apply(&json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {
            "rules": [{"host": format!("{name}.invalid"), "http": {
                "paths": [{"path": "/", "pathType": "Prefix", "backend": backend}],
            }}],
        },
    }));
    // As the scheduler asks for the volume of a pod: only a claim that has one stores anything.
    let node = deployment.cluster.list("nodes", &namespace).swap_remove(0);
    let mut metadata = metadata;
    metadata["annotations"] = json!({"volume.kubernetes.io/selected-node": text(&node, "/metadata/name")});
    deployment.cluster.apply(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }));
    eventually("the volume of the claim", || {
        let claims = deployment.cluster.list("persistentvolumeclaims", &namespace);
        let claim = claims.into_iter().find(|claim| text(claim, "/metadata/name") == name);
        claim.filter(|claim| text(claim, "/status/phase") == "Bound").ok_or_else(|| "it is not bound".to_owned())
    });
}

/// The workloads and Ingresses that are in the namespace of a system, by name.
fn found(deployment: &Deployment, system: &str) -> Vec<String> {
    let of = |kind| deployment.cluster.list(kind, &deployment.namespace(system));
    let all = of("deployments").into_iter().chain(of("ingresses"));
    let mut names: Vec<String> = all.map(|found| text(&found, "/metadata/name").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_runs_without_a_record_is_removed_and_nothing_of_others() {
    let deployment = skip::unless!(Deployment::with_own_copy("unrecorded"));
    only(&deployment, &["web"]);
    // A namespace that was there before.
    let before = deployment.namespace("site");
    deployment.cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": before}}));
    deployment.deploy(&[]);
    let release = deployment.helm_release("web");
    for (owner, name) in [(deployment.id(), "ghost"), ("another", "other")] {
        leave(&deployment, owner, ["web", "ghost"], name);
    }
    leave(&deployment, deployment.id(), ["site", "web"], "web");
    leave(&deployment, deployment.id(), ["site", "rest"], "rest");
    leave(&deployment, "another", ["site", "rest"], "other");
    let ghost = planned(&deployment, "web", "ghost");
    assert_eq!(ghost["why"], "its system declares it no longer");
    assert_eq!(ghost["data"], json!({"kept": true, "bytes": 1 << 20}));
    assert_eq!(planned(&deployment, "site", "rest")["why"], "no file declares its system any more");

    // By its name a system has what is in its way removed, and the rest is left.
    let document = deployment.deploy(&["web"]);
    for id in ["retire:web", "retire:site"] {
        assert_eq!(step(&document, id)["result"], "done", "{document:#}");
    }
    assert_eq!(found(&deployment, "web"), ["other", "other", "web", "web"]);
    assert_eq!(found(&deployment, "site"), ["other", "other", "rest", "rest"]);
    assert_eq!(deployment.deploy(&["web"])["result"], "unchanged");

    let document = deployment.deploy(&[]);
    assert_eq!(step(&document, "uninstall:site")["result"], "done", "{document:#}");
    assert_eq!(found(&deployment, "site"), ["other", "other"]);
    for (system, stored) in [("web", ["ghost", "other"].as_slice()), ("site", &["other", "rest", "web"])] {
        let claims = deployment.cluster.list("persistentvolumeclaims", &deployment.namespace(system));
        assert_eq!(claims.iter().map(|claim| text(claim, "/metadata/name")).collect::<Vec<_>>(), stored);
    }
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
    assert_eq!(deployment.helm_release("web"), release, "it took no new release");
    assert_eq!(get(&deployment.place("web"), "/").unwrap().0, 200);
    deployment.sandbox.xtask(["teardown", "--yes"]).success();
    for system in ["web", "site"] {
        assert_eq!(found(&deployment, system), ["other", "other"]);
        deployment.cluster.run(["delete", "namespace", &deployment.namespace(system)]).success();
    }
}

/// A deploy that is killed when the proof of a system begins.
fn never_proven(deployment: &Deployment, system: &str) {
    let mut run = deployment.sandbox.start(["deploy", "--json"]);
    assert!(run.wait_for(|record| record["event"] == "started" && record["step"] == format!("prove:{system}")));
    run.signal(Signal::SIGKILL);
    run.finish();
}

#[test]
fn what_moves_before_it_was_ever_proven_goes_once_its_replacement_serves() {
    let deployment = skip::unless!(Deployment::alone_with_own_copy("unproven"));
    only(&deployment, &["web"]);
    never_proven(&deployment, "web");
    let hammer = Hammer::asking(&deployment.place("web"), "/hello", 50);
    rename(&deployment, "web", "site");
    never_proven(&deployment, "site");
    // It runs in both systems now.
    assert_eq!(planned(&deployment, "web", "web")["why"], "it belongs to `site` now");
    let document = deployment.deploy(&[]);
    assert_eq!(step(&document, "uninstall:web")["result"], "done", "{document:#}");
    let failures: Vec<String> = hammer.until_answered("world").into_iter().flat_map(|seen| seen.failures).collect();
    assert_eq!(failures, Vec::<String>::new());
    deployment.cluster.run(["get", "namespace", &deployment.namespace("web")]).exits(1);
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
}

#[test]
fn a_renamed_service_that_fails_leaves_the_old_one() {
    let deployment = skip::unless!(Deployment::with_own_copy("renfails"));
    only(&deployment, &["epoch"]);
    deployment.deploy(&["epoch"]);
    let old = deployment.place("epoch");
    let hammer = Hammer::start(&old, 50);
    edit(&file(&deployment, "epoch"), "[services.epoch]\n", "[services.clock]\nenv = { FAULT = \"never-ready\" }\n");
    edit(&file(&deployment, "epoch"), "[services.epoch", "[services.clock");
    deployment.fails(&["epoch"]);
    let failures: Vec<String> = hammer.until_answered("epoch").into_iter().flat_map(|seen| seen.failures).collect();
    assert_eq!(failures, Vec::<String>::new());
    deployment.kubectl("epoch", ["get", "deployment", "clock"]).exits(1);
    assert_eq!(deployment.helm_release("epoch").1, "deployed");
}

#[test]
fn a_service_that_moves_to_another_system_loses_no_request() {
    let deployment = skip::unless!(Deployment::alone_with_own_copy("moved"));
    only(&deployment, &["epoch"]);
    deployment.deploy(&[]);
    let hammer = Hammer::start(&deployment.place("epoch"), 100);
    rename(&deployment, "epoch", "time");
    assert_eq!(planned(&deployment, "epoch", "epoch")["why"], "it belongs to `time` now");
    let document = deployment.deploy(&[]);
    assert_eq!(step(&document, "uninstall:epoch")["result"], "done", "{document:#}");
    let failures: Vec<String> = hammer.until_answered("epoch").into_iter().flat_map(|seen| seen.failures).collect();
    assert_eq!(failures, Vec::<String>::new());
    let status = deployment.sandbox.xtask(["status", "--json"]).success().json();
    assert_eq!(systems(&status), ["time"]);
    let namespace = deployment.namespace("epoch");
    deployment.cluster.run(["get", "namespace", &namespace]).exits(1);
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.everything(), Vec::<String>::new());
}

#[test]
fn a_deleted_system_is_known_by_its_records_and_what_it_stored_is_kept() {
    let deployment = skip::unless!(Deployment::with_own_copy("deleted"));
    only(&deployment, &["epoch", "shortener"]);
    deployment.deploy(&[]);
    let link = shorten(&deployment);
    let text_of_file = std::fs::read(file(&deployment, "shortener")).unwrap();
    std::fs::remove_file(file(&deployment, "shortener")).unwrap();

    let status = deployment.sandbox.xtask(["status", "--json"]).success().json();
    assert_eq!(systems(&status), ["epoch", "shortener"], "{status:#}");
    let gone = &status["systems"][1];
    assert_eq!((&gone["declared"], &gone["services"][0]["declared"]), (&json!(false), &json!(false)), "{gone:#}");
    assert_eq!(gone["services"].as_array().unwrap().iter().filter(|one| one["state"] == "running").count(), 2);
    let log = deployment.sandbox.xtask(["logs", "shortener"]).success().stdout;
    assert!(log.contains("starting"), "{log}");
    // What is declared elsewhere is no reason to remove it.
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
    leads_on(&deployment, &link);

    let gone = planned(&deployment, "shortener", "redis");
    assert_eq!(gone["why"], "no file declares its system any more");
    assert_eq!(gone["data"], json!({"kept": true, "bytes": 1 << 30}));
    deployment.deploy(&[]);
    assert_eq!(systems(&deployment.sandbox.xtask(["status", "--json"]).success().json()), ["epoch"]);
    assert_eq!(deployment.pods("shortener", "shortener"), Vec::<Value>::new());
    let claims = deployment.cluster.list("persistentvolumeclaims", &deployment.namespace("shortener"));
    assert_eq!(claims.iter().map(|claim| text(claim, "/metadata/name")).collect::<Vec<_>>(), ["data-redis-0"]);
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");

    // Elsewhere it would be left behind.
    for set in ["namespace_prefix=other-", "deployment_id=other"] {
        let refused = deployment.sandbox.xtask(["deploy", "--yes", "--set", set]).exits(3);
        assert!(refused.stderr.contains("is deployed elsewhere"), "{}", refused.stderr);
    }

    // Declared again, it finds what it stored.
    std::fs::write(file(&deployment, "shortener"), &text_of_file).unwrap();
    deployment.deploy(&[]);
    leads_on(&deployment, &link);

    // By name it goes whatever the files say.
    std::fs::remove_file(file(&deployment, "shortener")).unwrap();
    let kept = deployment.sandbox.xtask(["teardown", "shortener", "--keep-data", "--yes", "--json"]).success().json();
    assert_eq!(kept["result"], "clean", "{kept:#}");
    assert!(kept["kept"].as_array().unwrap().iter().any(|kept| kept["kind"] == "PersistentVolumeClaim"), "{kept:#}");
    let receipt = deployment.sandbox.xtask(["teardown", "shortener", "--yes", "--json"]).success().json();
    assert_eq!((&receipt["result"], &receipt["kept"]), (&json!("clean"), &json!([])), "{receipt:#}");
    deployment.cluster.run(["get", "namespace", &deployment.namespace("shortener")]).exits(1);
}

#[test]
fn a_file_that_cannot_be_read_stands_in_nobody_s_way() {
    let deployment = skip::unless!(Deployment::with_own_copy("unread"));
    only(&deployment, &["epoch", "shortener"]);
    deployment.deploy(&[]);
    edit(&file(&deployment, "shortener"), "[services.shortener]", "<<<<<<< HEAD\n[services.shortener]");
    let run = deployment.sandbox.xtask(["status", "--json"]).success();
    assert!(run.stderr.contains("deploy/systems/shortener.toml"), "{}", run.stderr);
    let status = run.json();
    assert!(status["errors"][0].as_str().unwrap().contains("deploy/systems/shortener.toml"), "{status:#}");
    assert_eq!(systems(&status), ["epoch", "shortener"]);
    let unread = &status["systems"][1];
    assert_eq!((&unread["declared"], &unread["services"][0]["state"]), (&Value::Null, &json!("running")), "{unread:#}");
    deployment.sandbox.xtask(["logs", "epoch"]).success();
    deployment.sandbox.xtask(["deploy", "--yes"]).exits(3);
    assert_eq!(deployment.deploy(&["epoch"])["result"], "unchanged");
    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.everything(), Vec::<String>::new());
}

#[test]
fn state_never_moves_because_a_replica_was_added() {
    let deployment = skip::unless!(Deployment::with_own_copy("state"));
    only(&deployment, &["invoices"]);
    let (one, two) = (["invoices", "--set", "replicas=1"], ["invoices", "--set", "replicas=2"]);
    deployment.deploy(&one);
    let paid = || get(&deployment.place("invoice-app"), "/invoices").unwrap().1.matches("true").count();
    assert_eq!(post(&deployment.place("invoice-app"), "/invoices/pay", &json!({})).unwrap().0, 200);
    assert_eq!(paid(), 3);

    // As the version before left it, which noted nothing.
    let home = format!("{}slipway-{}", deployment.namespace(""), deployment.id());
    deployment.cluster.run(["delete", "secret", "slipway-state", "--namespace", &home]).success();
    std::fs::remove_file(deployment.sandbox.home().join("state.json")).unwrap();
    let plan = deployment.sandbox.xtask([&["plan"], &two[..]].concat()).success().stdout;
    assert!(plan.contains("a deploy fails: `invoice-app` keeps its state in a volume of its own (1.0 GB)"), "{plan}");
    assert!(plan.contains("deploy invoices --move-state invoices"), "{plan}");
    let refused = deployment.fails(&two);
    let told = failure(&refused);
    assert_eq!(told["code"], "state-moves", "{told:#}");
    let cause = told["cause"].as_str().unwrap();
    assert!(cause.contains("`invoice-app` keeps its state in a volume of its own (1.0 GB)"), "{cause}");
    assert!(told["hint"].as_str().unwrap().contains("--move-state invoices"), "{told:#}");
    assert_eq!(paid(), 3, "nothing of it was touched");

    let asked = [&two[..], &["--move-state", "invoices"]].concat();
    let shown = deployment.sandbox.xtask([&["deploy", "--dry-run"], &asked[..]].concat()).success().stdout;
    let kept = "what `invoices/invoice-app` has in a volume of its own is kept and not carried over to";
    assert!(shown.contains(kept), "{shown}");
    deployment.deploy(&[&asked[..], &["--yes"]].concat());
    assert_eq!(paid(), 0);
    assert_eq!(deployment.deploy(&two)["result"], "unchanged");
    let claims = deployment.cluster.list("persistentvolumeclaims", &deployment.namespace("invoices"));
    assert!(claims.iter().any(|claim| text(claim, "/metadata/name") == "data-invoice-app-0"), "what it stored is kept");
    assert_eq!(failure(&deployment.fails(&one))["code"], "state-moves", "nor back");
}

#[test]
fn an_earlier_name_hands_over_what_was_stored() {
    let deployment = skip::unless!(Deployment::with_own_copy("was"));
    only(&deployment, &["shortener"]);
    deployment.deploy(&[]);
    let link = shorten(&deployment);
    call_redis_store(&deployment);
    assert_eq!(planned(&deployment, "shortener", "redis")["data"], json!({"to": "shortener/store"}));
    deployment.deploy(&[]);
    leads_on(&deployment, &link);
    deployment.kubectl("shortener", ["get", "persistentvolumeclaim", "data-redis-0"]).exits(1);

    // The whole system by another name, and what it stored with it.
    rename(&deployment, "shortener", "links");
    edit(&file(&deployment, "links"), "description =", "was = [\"shortener\"]\ndescription =");
    deployment.deploy(&[]);
    leads_on(&deployment, &link);
    deployment.cluster.run(["get", "namespace", &deployment.namespace("shortener")]).exits(1);
    assert_eq!(deployment.deploy(&[])["result"], "unchanged");
    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.everything(), Vec::<String>::new());
}
