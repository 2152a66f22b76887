//! Runs that are killed at random instants on their way from an empty account to nothing, and the next one, which has to make
//! everything right without help: a first deploy, a rename, the removal of a system, a teardown.

use super::contract::Deployed;
use super::deployment::asked_for;
use super::domain::Domain;
use super::instants::{Instants, killed};
use super::undeclared::killed_and_again;
use std::time::{Duration, Instant};

/// Each of four kills.
const ROUNDS: u32 = 2;

#[derive(Debug, Clone, Copy)]
enum Turn {
    First,
    Rename,
    Removal,
    Teardown,
}

/// Each with how many seconds it takes at least, as long as none was seen.
const TURNS: [(Turn, u64); 4] = [(Turn::First, 90), (Turn::Rename, 40), (Turn::Removal, 20), (Turn::Teardown, 60)];

impl Turn {
    /// Changes the files as it says.
    fn declare(self, domain: &Domain) {
        let file = |system| domain.deployment.file(system);
        match self {
            Self::First | Self::Teardown => {}
            Self::Rename => {
                let text = std::fs::read_to_string(file("epoch")).unwrap();
                std::fs::write(file("epoch"), text.replace("[services.epoch", "[services.clock")).unwrap();
            }
            Self::Removal => std::fs::remove_file(file("web")).unwrap(),
        }
    }

    /// Kills it, does it again, and looks at what that has left.
    fn killed(self, domain: &Domain, after: Duration) {
        if let Self::Teardown = self {
            let teardown = domain.command(&["teardown", "--yes", "--json"]);
            killed(&domain.deployment.sandbox, teardown, after).finish();
            domain.deployment.ends();
            domain.leads_nowhere();
            return;
        }
        killed_and_again(domain, after);
        let services: &[_] = match self {
            Self::First => &[("epoch", "epoch"), ("web", "web")],
            Self::Rename => &[("clock", "epoch"), ("web", "web")],
            Self::Removal | Self::Teardown => &[("clock", "epoch")],
        };
        domain.answer(&services.iter().map(|(service, _)| *service).collect::<Vec<_>>());
        domain.leads_to(services);
    }
}

#[test]
fn a_run_that_is_killed_at_any_instant_is_made_right_by_the_next() {
    skip::unless!(asked_for());
    let domain = skip::unless!(Domain::new("instants", &["epoch", "web"]));
    let files = ["epoch", "web"].map(|system| domain.deployment.file(system));
    let texts = files.clone().map(|file| std::fs::read(file).unwrap());
    let mut instants = Instants::new();
    let mut whole = TURNS.map(|(_, seconds)| Duration::from_secs(seconds));
    for _ in 0..ROUNDS {
        for ((turn, _), whole) in TURNS.into_iter().zip(&mut whole) {
            turn.declare(&domain);
            let after = instants.within(*whole);
            eprintln!("{turn:?} killed after {after:?} of {whole:?}");
            let started = Instant::now();
            turn.killed(&domain, after);
            *whole = started.elapsed();
        }
        files.iter().zip(&texts).for_each(|(file, text)| std::fs::write(file, text).unwrap());
    }
}
