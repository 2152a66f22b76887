//! Which engine to use: the one that the environment names, else the first that answers.

use super::{Engine, Facts, Here, mend};
use crate::error::Fault;
use crate::proc::Proc;
use crate::spec::container::EngineKind;
use anyhow::Result;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long an engine may take to say what it is.
const DEADLINE: Duration = Duration::from_secs(5);

/// An engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub engine: Engine,
    pub facts: Facts,
}

/// Why an engine cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// Its client is not on PATH.
    Missing,
    /// In its own words.
    Refused(String),
}

/// Asks the engine that is wanted, or docker and podman in this order.
///
/// # Errors
/// When none answers: which are installed, what each said, and what to type.
pub fn detect(proc: &Proc, wanted: Option<EngineKind>) -> Result<Found> {
    let mut silent = Vec::new();
    for kind in candidates(wanted) {
        match ask(proc, kind) {
            Ok(found) => return Ok(found),
            Err(silence) => silent.push((kind, silence)),
        }
    }
    Err(none(wanted, &silent, &|program| proc.find(program).is_some()).into())
}

/// The engines that may be used, the better one first.
pub fn candidates(wanted: Option<EngineKind>) -> Vec<EngineKind> {
    wanted.map_or_else(|| vec![EngineKind::Docker, EngineKind::Podman], |kind| vec![kind])
}

fn ask(proc: &Proc, kind: EngineKind) -> Result<Found, Silence> {
    let program = proc.find(kind.as_str()).ok_or(Silence::Missing)?;
    let engine = Engine { kind, program };
    match proc.ask(&engine.info(), DEADLINE) {
        Ok(Some(answer)) => {
            let (kind, facts) = engine.facts(&answer, &Here::look()).map_err(Silence::Refused)?;
            Ok(Found { engine: Engine { kind, ..engine }, facts })
        }
        Ok(None) => Err(Silence::Refused(format!("it gave no answer within {} s", DEADLINE.as_secs()))),
        Err(error) => Err(Silence::Refused(format!("{error:#}"))),
    }
}

fn none(wanted: Option<EngineKind>, silent: &[(EngineKind, Silence)], has: &dyn Fn(&str) -> bool) -> Fault {
    let each = silent.iter().map(|(kind, silence)| match silence {
        Silence::Missing => format!("`{kind}` is not installed, or not on PATH"),
        Silence::Refused(words) => format!("`{kind}` is installed, but: {words}"),
    });
    let cause = each.collect::<Vec<_>>().join("\n");
    let mends = silent.iter().filter_map(|(kind, silence)| match silence {
        Silence::Missing => None,
        Silence::Refused(words) => Some(mend(*kind, words, has)),
    });
    let mends: Vec<String> = mends.map(|mend| format!("`{mend}`")).collect();
    let or_other = match wanted {
        Some(_) => ", or unset `engine`, which has this environment use that one alone",
        None => "",
    };
    let hint = match mends.is_empty() {
        true => format!("install one of them: `cargo xtask doctor` says how{or_other}"),
        false => format!("{}{or_other}", mends.join(" or ")),
    };
    Fault::could_not_run("no-engine", cause).hint(hint)
}

/// An engine that is asked for at most once, and only by what needs it.
#[derive(Debug)]
pub struct Lazy {
    wanted: Option<EngineKind>,
    found: Mutex<Option<Found>>,
}

impl Lazy {
    pub fn new(wanted: Option<EngineKind>) -> Self {
        Self { wanted, found: Mutex::new(None) }
    }

    /// # Errors
    /// When no engine answers. The next call asks again.
    pub fn get(&self, proc: &Proc) -> Result<Found> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*found {
            return Ok(found.clone());
        }
        let answer = detect(proc, self.wanted)?;
        *found = Some(answer.clone());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: &str =
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";

    #[test]
    fn a_machine_without_an_engine_is_told_of_both() {
        let silent = [(EngineKind::Docker, Silence::Missing), (EngineKind::Podman, Silence::Missing)];
        let fault = none(None, &silent, &|_| false);
        let each = ["docker", "podman"].map(|name| format!("`{name}` is not installed, or not on PATH"));
        assert_eq!(fault.cause, each.join("\n"));
        assert_eq!(fault.hint.as_deref(), Some("install one of them: `cargo xtask doctor` says how"));
    }

    #[test]
    fn an_engine_that_is_down_is_quoted_with_its_mend() {
        let silent = [(EngineKind::Docker, Silence::Refused(DOWN.to_owned())), (EngineKind::Podman, Silence::Missing)];
        let fault = none(None, &silent, &|program| program == "systemctl");
        assert!(fault.cause.starts_with(&format!("`docker` is installed, but: {DOWN}\n`podman` is not")), "{fault}");
        #[cfg(target_os = "linux")]
        assert_eq!(fault.hint.as_deref(), Some("`sudo systemctl start docker`"));
    }

    #[test]
    fn an_engine_that_the_environment_names_is_the_only_one() {
        assert_eq!(candidates(Some(EngineKind::Podman)), [EngineKind::Podman]);
        let fault = none(Some(EngineKind::Podman), &[(EngineKind::Podman, Silence::Missing)], &|_| false);
        assert!(fault.hint.is_some_and(|hint| hint.contains("unset `engine`")));
    }
}
