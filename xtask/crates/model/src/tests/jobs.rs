//! What a release waits for, and what it runs.

use super::Root;
use crate::job::{Job, When};
use crate::system::{System, TargetKind};
use crate::{Spec, load};
use std::time::Duration;

fn system(text: &str) -> System {
    spec(text).systems.remove(0)
}

fn spec(text: &str) -> Spec {
    let root = Root::new();
    root.write("deploy/images.toml", "redis = 'docker.io/library/redis:7.4'\n");
    let service = |name: &str, needs: &str| {
        format!("[services.{name}]\nimage = 'redis'\nport = 1\nready = {{ tcp = {{}} }}\nneeds = [{needs}]\n")
    };
    let services = [("db", ""), ("api", "'db'"), ("worker", "'db'"), ("front", "'api'"), ("alone", "")];
    let services: String = services.iter().map(|(name, needs)| service(name, needs)).collect();
    root.write("deploy/systems/shop.toml", format!("description = 'x'\n{services}{text}"));
    load(root.path()).unwrap()
}

fn waiting(system: &System, job: &Job) -> String {
    let waits = system.services.iter().filter(|service| system.waits(&service.name, job));
    waits.map(|service| service.name.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_job_does_not_need_waits_for_it() {
    let jobs = "[jobs.migrate]\nof = 'api'\ncommand = ['migrate', 'up']\nwhen = 'before'\n\
                [jobs.seed]\nof = 'api'\nargs = ['seed']\nwhen = 'after'\nwithin = '30s'\n\
                [jobs.backup]\nof = 'db'\ncommand = ['/backup.sh']\nneeds = ['db']\nschedule = '0 0 * * *'\n";
    let shop = system(jobs);
    let [migrate, seed, backup] = &shop.jobs[..] else { panic!("{:?}", shop.jobs) };
    assert_eq!(waiting(&shop, migrate), "api worker front alone");
    assert_eq!((waiting(&shop, seed), waiting(&shop, backup)), (String::new(), String::new()));
    // It needs what its service needs unless it says otherwise.
    assert_eq!(migrate.needs, ["db".parse().unwrap()]);
    assert_eq!((migrate.within, seed.within), (Duration::from_secs(300), Duration::from_secs(30)));
    assert!(matches!(backup.when, When::Schedule(_)) && backup.when.to_string() == "at `0 0 * * *` UTC");
}

#[test]
fn what_one_job_needs_waits_for_another_only_where_it_is_made_of_the_same() {
    let job = |name: &str, of: &str, needs: &str| {
        format!("[jobs.{name}]\nof = '{of}'\nargs = ['x']\nwhen = 'before'\nneeds = [{needs}]\n")
    };
    let shop = system(&(job("one", "api", "'db'") + &job("two", "worker", "'front'")));
    assert_eq!(waiting(&shop, &shop.jobs[0]), "api worker front alone");
    assert_eq!(waiting(&shop, &shop.jobs[1]), "worker alone");
}

#[test]
fn a_job_with_the_data_of_its_service_is_for_no_cluster() {
    let job = |more: &str| spec(&format!("[jobs.dump]\nof = 'api'\nargs = ['${{data}}/dump']\nwhen = 'asked'\n{more}"));
    for target in [TargetKind::Host, TargetKind::Containers] {
        job("").check_jobs(target, &[]).unwrap();
    }
    let said = job("").check_jobs(TargetKind::Eks, &[]).unwrap_err().to_string();
    let place = ": `jobs.dump`: its words have `${data}`, and on target `eks` a job has no volumes of its service;";
    assert!(said.starts_with("deploy/systems/shop.toml:") && said.contains(place), "{said}");
    job("").check_jobs(TargetKind::Eks, &["other".parse().unwrap()]).unwrap();
    job("targets = ['containers']").check_jobs(TargetKind::Kubernetes, &[]).unwrap();
}
