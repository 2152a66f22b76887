//! Two systems that both have a service of one name.

use super::Root;
use crate::environment::Environment;
use crate::smoke::Origin;
use crate::system::{Service, System, TargetKind};
use crate::{Holder, Spec, SpecErrors, environment, load};
use std::collections::BTreeSet;

const DB: &str = "[services.db]\ncrate = 'epoch'\nport = 1337\nprovides = { at = '${host}:${port}' }\n";
const API_DB: &str = "[services.db]\ncrate = 'epoch'\nport = 1337\npublic = true\n";
const API: &str = "[services.api]\ncrate = 'shortener'\nport = 8000\npublic = true\nneeds = ['db']\n\
                   env = { DB = '${db.at}' }\n[[smoke]]\nname = 'x'\nservice = 'db'\nrequest = 'GET /'\nstatus = 200\n";

/// What systems with these files are in an environment, where these are recorded as made.
fn told(files: &[(&str, &str)], target: TargetKind, settings: &str, held: &[(&str, &str)]) -> (Spec, Environment) {
    let root = root(files, target, settings);
    let mut spec = load(root.path()).unwrap();
    let mut environment = environment(root.path(), "try", &[]).unwrap();
    spec.tell_apart(&mut environment, &BTreeSet::new(), &holders(held));
    spec.in_environment(&environment, true).unwrap();
    (spec, environment)
}

fn root(files: &[(&str, &str)], target: TargetKind, settings: &str) -> Root {
    let root = Root::new();
    for (name, text) in files {
        root.write(&format!("deploy/systems/{name}.toml"), format!("description = 'x'\n{text}"));
    }
    root.write("deploy/environments/try.toml", format!("target = '{target}'\n{settings}"));
    root
}

fn holders(held: &[(&str, &str)]) -> Vec<Holder> {
    held.iter().map(|(system, service)| (system.parse().unwrap(), service.parse().unwrap())).collect()
}

fn names(spec: &Spec) -> Vec<String> {
    let of_system = |system: &System| -> Vec<String> {
        system.services.iter().map(|service| format!("{}: {}", system.name, service.name)).collect()
    };
    spec.systems.iter().flat_map(of_system).collect()
}

fn called(files: &[(&str, &str)], held: &[(&str, &str)]) -> Vec<String> {
    names(&told(files, TargetKind::Host, "", held).0)
}

#[test]
fn a_name_that_one_system_has_stays_as_it_is() {
    let files = [("a", DB), ("b", "[services.x]\ncrate = 'epoch'\nport = 1\n")];
    let root = root(&files, TargetKind::Host, "");
    let mut environment = environment(root.path(), "try", &[]).unwrap();
    let mut spec = load(root.path()).unwrap();
    spec.tell_apart(&mut environment, &BTreeSet::new(), &[]);
    assert_eq!(spec, load(root.path()).unwrap());
}

#[test]
fn two_of_one_name_are_told_apart_and_all_that_refers_to_them_follows() {
    let both = format!("{DB}{API}");
    let denied = "[[denied]]\nto = 'db'\nfrom = 'a/db'\n[[denied]]\nto = 'db'\nfrom = 'db'\n";
    let settings = "[services.'b/db']\npublic = true\nenv = { X = '1' }\n[services.api.env]\nX = '2'\n";
    for (target, own) in [(TargetKind::Host, "b_db"), (TargetKind::Kubernetes, "db")] {
        let other = format!("{DB}{denied}");
        let (spec, environment) = told(&[("a", &other), ("b", &both)], target, settings, &[]);
        let [_, b] = spec.systems.as_slice() else { panic!() };
        let [db, api] = b.services.as_slice() else { panic!() };
        assert_eq!((db.name.as_str(), db.name.shown().as_str(), db.public), (own, "b/db", true));
        assert!(db.names().any(|name| name.as_str() == "db"));
        assert_eq!((&api.needs, &b.smoke[0].service), (&vec![db.name.clone()], &db.name));
        assert_eq!(api.env["DB"].to_string(), format!("${{{own}.at}}"));
        assert_eq!(
            api.env["DB"].to_string().parse::<crate::system::Template>().unwrap().to_string(),
            api.env["DB"].to_string()
        );
        let env = |service: &Service| environment.env_of(&service.name).get("X").cloned();
        assert_eq!((env(db), env(api)), (Some("1".to_owned()), Some("2".to_owned())));
        let a = &spec.systems[0];
        assert!(!a.services[0].public && env(&a.services[0]).is_none());

        assert_eq!(a.denied[0].from, Origin::Service(a.services[0].name.clone()));
        assert_eq!(spec.named("db").len(), 2);
        assert_eq!(spec.named("b/db")[0].1, db);
        assert!(spec.named("c/db").is_empty());
    }
}

#[test]
fn what_was_made_keeps_its_name_whoever_comes_and_goes() {
    let (one, both) = ([("b", DB)], [("a", DB), ("b", DB)]);
    assert_eq!(called(&both, &[]), ["a: a_db", "b: b_db"]);
    assert_eq!(called(&both, &[("b", "db")]), ["a: a_db", "b: db"]);
    assert_eq!(called(&both, &[("a", "a_db"), ("b", "db")]), ["a: a_db", "b: db"]);
    assert_eq!(called(&one, &[("a", "a_db"), ("b", "b_db")]), ["b: b_db"]);
    assert_eq!(called(&one, &[("b", "b_db")]), ["b: b_db"]);
    // A run that was killed has it recorded for both.
    assert_eq!(called(&both, &[("a", "db"), ("b", "db")]), ["a: db", "b: b_db"]);
}

#[test]
fn one_that_moves_to_another_system_takes_its_name_or_what_it_stored_along() {
    assert_eq!(called(&[("b", DB)], &[("a", "db")]), ["b: db"]);
    assert_eq!(called(&[("b", DB), ("c", DB)], &[("a", "db"), ("c", "c_db")]), ["b: db", "c: c_db"]);
    assert_eq!(called(&[("b", DB), ("c", DB)], &[("a", "db")]), ["b: b_db", "c: c_db"]);
    let was = |files: &[(&str, &str)], held: &[(&str, &str)]| {
        let (spec, _) = told(files, TargetKind::Host, "", held);
        let db = spec.named("b/db")[0].1.clone();
        (db.name.to_string(), db.was.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let moved = was(&[("b", DB), ("c", DB)], &[("a", "a_db"), ("a", "a_db"), ("c", "db")]);
    assert_eq!(moved, ("b_db".to_owned(), vec!["a_db".to_owned()]));
    let renamed = DB.replace("port = 1337", "port = 1337\nwas = ['store']");
    let store = DB.replace("services.db", "services.store");
    assert_eq!(was(&[("b", &renamed)], &[("b", "b_store"), ("a", "store")]).1, ["b_store"]);
    assert_eq!(was(&[("b", &renamed)], &[("a", "store")]).1, ["store"]);
    assert_eq!(was(&[("b", &renamed), ("a", &store)], &[("a", "store")]).1, ["b_store"]);
}

#[test]
fn what_a_file_that_cannot_be_read_declares_is_not_taken() {
    let root = root(&[("b", DB)], TargetKind::Host, "");
    let mut spec = load(root.path()).unwrap();
    let mut environment = environment(root.path(), "try", &[]).unwrap();
    spec.tell_apart(&mut environment, &BTreeSet::from(["a".parse().unwrap()]), &holders(&[("a", "db")]));
    assert_eq!(names(&spec), ["b: b_db"]);
}

#[test]
fn a_name_that_may_be_either_s_is_refused_with_both() {
    let wrong = |result: Result<Spec, SpecErrors>| result.unwrap_err().to_string();
    let denied = "[services.x]\ncrate = 'epoch'\nport = 1\n[[denied]]\nto = 'x'\nfrom = 'db'\n";
    let said = wrong(load(root(&[("a", DB), ("b", DB), ("c", denied)], TargetKind::Host, "").path()));
    assert!(said.ends_with("several systems have a service `db`; name one: `a/db`, `b/db`"), "{said}");
    let root = root(&[("a", DB), ("b", DB)], TargetKind::Kubernetes, "[services.db]\nreplicas = 2\n");
    let mut spec = load(root.path()).unwrap();
    let environment = environment(root.path(), "try", &[]).unwrap();
    let said = spec.in_environment(&environment, true).unwrap_err().to_string();
    assert!(said.ends_with("several systems have a service `db`; name one: `a/db`, `b/db`"), "{said}");
    let both = load(self::root(&[("a", API_DB), ("b", API_DB)], TargetKind::Kubernetes, "").path()).unwrap();
    let said = both.check_hosts(TargetKind::Kubernetes, &[]).unwrap_err().to_string();
    assert!(said.starts_with("deploy/systems/b.toml: `services.db` is public, and so is that of `a`"), "{said}");
    both.check_hosts(TargetKind::Kubernetes, &["c".parse().unwrap()]).unwrap();
    both.check_hosts(TargetKind::Host, &[]).unwrap();
    for name in ["git", "secret", "file", "public_url"] {
        let said = wrong(load(
            self::root(&[("a", &DB.replace("services.db", &format!("services.{name}")))], TargetKind::Host, "").path(),
        ));
        assert!(said.ends_with(&format!("`{name}` means something else where a service can be named")), "{said}");
    }
    let said =
        wrong(load(self::root(&[("a", &DB.replace("services.db", "services.a_db"))], TargetKind::Host, "").path()));
    assert!(said.contains("`a_db` is not a name"), "{said}");
}
