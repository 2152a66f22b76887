//! Runs that are killed at random instants, and the next one, which has to make everything right without help: a first
//! deploy, a rename, a volume that goes to another service, the removal of a system.

use super::contract::Deployed;
use super::contract::document::edit;
use super::deployment::Deployment;
use super::instants::{Instants, count, killed};
use super::sandbox::get;
use super::undeclared::{call_redis_store, file, leads_on, only, shorten};
use std::time::{Duration, Instant};

/// How many rounds of four kills there are with `XTASK_FULL=1`, and otherwise.
const FULL: u32 = 5;
const SAMPLE: u32 = 1;

/// What is done, killed, and done again, each after the one before.
#[derive(Debug, Clone, Copy)]
enum Turn {
    First,
    Rename,
    Handover,
    Removal,
}

const TURNS: [Turn; 4] = [Turn::First, Turn::Rename, Turn::Handover, Turn::Removal];

impl Turn {
    /// Changes the files as it says.
    fn declare(self, deployment: &Deployment) {
        match self {
            Self::First => {}
            Self::Rename => edit(&file(deployment, "epoch"), "[services.epoch", "[services.clock"),
            Self::Handover => call_redis_store(deployment),
            Self::Removal => std::fs::remove_file(file(deployment, "epoch")).unwrap(),
        }
    }

    /// Looks at what a deploy has left.
    fn stands(self, deployment: &Deployment, link: &str) {
        let is_gone = |system: &str, object: [&str; 2]| {
            deployment.kubectl(system, ["get", object[0], object[1]]).exits(1);
        };
        match self {
            Self::First => assert_eq!(get(&deployment.place("epoch"), "/").unwrap().0, 200),
            Self::Rename => {
                assert_eq!(get(&deployment.place("clock"), "/").unwrap().0, 200);
                is_gone("epoch", ["deployment", "epoch"]);
            }
            Self::Handover => is_gone("shortener", ["persistentvolumeclaim", "data-redis-0"]),
            Self::Removal => {
                deployment.cluster.run(["get", "namespace", &deployment.namespace("epoch")]).exits(1);
            }
        }
        if !link.is_empty() {
            leads_on(deployment, link);
        }
    }
}

fn deploy() -> Vec<String> {
    ["deploy", "--json"].map(str::to_owned).to_vec()
}

/// All turns, from nothing to nothing; `kill` comes before each of them. How long each one took.
fn round(deployment: &Deployment, mut kill: impl FnMut(usize, Turn) -> String) -> Vec<Duration> {
    let files = ["epoch", "shortener"].map(|system| file(deployment, system));
    let texts = files.clone().map(|file| std::fs::read(file).unwrap());
    let mut link = String::new();
    let mut took = Vec::new();
    for (place, turn) in TURNS.into_iter().enumerate() {
        turn.declare(deployment);
        let what = kill(place, turn);
        let started = Instant::now();
        let run = deployment.sandbox.xtask(deploy());
        took.push(started.elapsed());
        assert_eq!(run.code(), 0, "{what}\nstdout:\n{}\nstderr:\n{}", run.stdout, run.stderr);
        turn.stands(deployment, &link);
        let again = deployment.deploy(&[]);
        assert_eq!(again["result"], "unchanged", "{what}: {again:#}");
        if let Turn::First = turn {
            link = shorten(deployment);
        }
    }
    let receipt = deployment.sandbox.xtask(["teardown", "--yes", "--json"]).success().json();
    assert_eq!(receipt["result"], "clean", "{receipt:#}");
    assert_eq!(deployment.everything(), Vec::<String>::new());
    files.iter().zip(texts).for_each(|(file, text)| std::fs::write(file, text).unwrap());
    took
}

#[test]
fn a_run_that_is_killed_at_any_instant_is_made_right_by_the_next() {
    let deployment = skip::unless!(Deployment::with_own_copy("instants"));
    only(&deployment, &["epoch", "shortener"]);
    // Compiles what there is to compile, which is not what is looked at.
    deployment.deploy(&[]);
    deployment.sandbox.xtask(["teardown", "--yes"]).success();
    let whole = round(&deployment, |_, turn| format!("{turn:?}, not killed"));
    let mut instants = Instants::new();
    for _ in 0..count(SAMPLE, FULL) {
        round(&deployment, |place, turn| {
            let after = instants.within(whole[place]);
            let what = format!("{turn:?} killed after {after:?} of {:?}", whole[place]);
            eprintln!("{what}");
            killed(&deployment.sandbox, deployment.sandbox.command(deploy()), after).finish();
            what
        });
    }
}
