//! Which engine to use: the one that the environment names, else the first that answers.

use super::{Engine, Facts, Here, mend};
use anyhow::Result;
use base::error::Fault;
use base::proc::{Finished, Proc};
use base::terminal;
use model::container::EngineKind;
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long an engine may take to say what it is.
const DEADLINE: Duration = Duration::from_secs(15);
/// The same where no other may take its place: that which a deployment runs in, or that an environment names.
const DEADLINE_OF_THE_ONLY: Duration = Duration::from_secs(60);

/// How long an engine is waited for where this one is wanted, or any.
pub fn answers_within(wanted: Option<EngineKind>) -> Duration {
    if wanted.is_some() { DEADLINE_OF_THE_ONLY } else { DEADLINE }
}

/// When a person is told that an engine is waited for.
const SLOW: Duration = Duration::from_secs(3);

/// An engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub engine: Engine,
    pub facts: Facts,
}

/// An engine that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    pub kind: EngineKind,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Its client is not on PATH.
    Missing,
    /// In its own words.
    Refused(String),
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind;
        match &self.why {
            Why::Missing => write!(f, "`{kind}` is not installed, or not on PATH"),
            Why::Refused(words) => write!(f, "`{kind}` is installed, but: {words}"),
        }
    }
}

/// Asks the engine that is wanted, or docker and podman in this order.
///
/// # Errors
/// When none answers: which are installed, what each said, and what to type.
pub fn detect(proc: &Proc, wanted: Option<EngineKind>) -> Result<Found> {
    let mut silent = Vec::new();
    for kind in candidates(wanted) {
        match ask(proc, kind, answers_within(wanted)) {
            Ok(found) => return Ok(found),
            Err(why) => silent.push(Silent { kind, why }),
        }
    }
    Err(none(wanted, &silent, &|program| proc.find(program).is_some()).into())
}

/// The engines that may be used, the better one first.
pub fn candidates(wanted: Option<EngineKind>) -> Vec<EngineKind> {
    wanted.map_or_else(|| vec![EngineKind::Docker, EngineKind::Podman], |kind| vec![kind])
}

fn ask(proc: &Proc, kind: EngineKind, within: Duration) -> Result<Found, Why> {
    let program = proc.find(kind.as_str()).ok_or(Why::Missing)?;
    let engine = Engine { kind, program };
    match slowly(kind, || proc.ask(&engine.info(), within)) {
        Ok(Some(answer)) => engine.found(&answer, &Here::look()),
        Ok(None) => Err(Why::Refused(format!("it gave no answer within {} s", within.as_secs()))),
        Err(error) => Err(Why::Refused(format!("{error:#}"))),
    }
}

/// Says what is waited for once that takes long enough for a person to wonder.
fn slowly<T>(kind: EngineKind, ask: impl FnOnce() -> T) -> T {
    let (answered, wait) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(SLOW) == Err(RecvTimeoutError::Timeout) {
                terminal::say(&format!("waiting for {kind} to say what it is"));
            }
        });
        let answer = ask();
        drop(answered);
        answer
    })
}

impl Engine {
    /// What an answer to [`Engine::info`] comes to.
    ///
    /// # Errors
    /// Why the engine is of no use.
    pub fn found(self, answer: &Finished, here: &Here) -> Result<Found, Why> {
        let (kind, facts) = self.facts(answer, here).map_err(Why::Refused)?;
        Ok(Found { engine: Self { kind, ..self }, facts })
    }
}

fn none(wanted: Option<EngineKind>, silent: &[Silent], has: &dyn Fn(&str) -> bool) -> Fault {
    let cause = silent.iter().map(Silent::to_string).collect::<Vec<_>>().join("\n");
    let mends = silent.iter().filter_map(|silent| match &silent.why {
        Why::Missing => None,
        Why::Refused(words) => Some(format!("`{}`", mend(silent.kind, words, has))),
    });
    let mends = mends.collect::<Vec<_>>().join(" or ");
    let mends = if mends.is_empty() { "`doctor` says how to install one".to_owned() } else { mends };
    let or_other = match wanted {
        Some(kind) => format!("; or set `engine` to something else than `{kind}`"),
        None => String::new(),
    };
    Fault::could_not_run("no-engine", cause).hint(format!("{mends}{or_other}"))
}

/// The one engine of its kind that has something already, and the file that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    pub identity: String,
    pub file: PathBuf,
}

impl Noted {
    /// # Errors
    /// When it is another engine that answers: what is in this one would be left behind, and made a second time.
    fn check(&self, kind: EngineKind, other: &str) -> Result<(), Fault> {
        if other == self.identity {
            return Ok(());
        }
        let cause =
            format!("this deployment is in the {kind} of `{}`, and the one that answers is `{other}`", self.identity);
        Err(Fault::could_not_run("engine-changed", cause).hint(format!(
            "deploy as the user and with the variables (`DOCKER_HOST`, `DOCKER_CONTEXT`, `CONTAINER_HOST`) that it was \
             deployed with; only if that engine is gone for good, remove `{}`",
            self.file.display()
        )))
    }
}

/// An engine that is asked for at most once, and only by what needs it.
#[derive(Debug)]
pub struct Lazy {
    wanted: Option<EngineKind>,
    noted: Option<Noted>,
    found: Mutex<Option<Found>>,
}

impl Lazy {
    pub fn new(wanted: Option<EngineKind>) -> Self {
        Self { wanted, noted: None, found: Mutex::new(None) }
    }

    /// Only the one that was noted will do, where one was.
    #[must_use]
    pub fn noted(self, noted: Option<Noted>) -> Self {
        Self { noted, ..self }
    }

    /// # Errors
    /// When no engine answers, or another one than was noted. The next call asks again.
    pub fn get(&self, proc: &Proc) -> Result<Found> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*found {
            return Ok(found.clone());
        }
        let answer = detect(proc, self.wanted)?;
        self.noted.as_ref().map_or(Ok(()), |noted| noted.check(answer.engine.kind, &answer.facts.identity))?;
        *found = Some(answer.clone());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: &str =
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";

    fn silent(kind: EngineKind, words: Option<&str>) -> Silent {
        Silent { kind, why: words.map_or(Why::Missing, |words| Why::Refused(words.to_owned())) }
    }

    #[test]
    fn a_machine_without_an_engine_is_told_of_both() {
        let silent = [silent(EngineKind::Docker, None), silent(EngineKind::Podman, None)];
        let fault = none(None, &silent, &|_| false);
        let each = ["docker", "podman"].map(|name| format!("`{name}` is not installed, or not on PATH"));
        assert_eq!(fault.cause, each.join("\n"));
        assert_eq!(fault.hint.as_deref(), Some("`doctor` says how to install one"));
    }

    #[test]
    fn an_engine_that_is_down_is_quoted_with_its_mend() {
        let silent = [silent(EngineKind::Docker, Some(DOWN)), silent(EngineKind::Podman, None)];
        let fault = none(None, &silent, &|_| false);
        assert!(fault.cause.starts_with(&format!("`docker` is installed, but: {DOWN}\n`podman` is not")), "{fault}");
        #[cfg(target_os = "linux")]
        assert_eq!(fault.hint.as_deref(), Some("`sudo dockerd`"));
    }

    #[test]
    fn another_engine_of_the_same_kind_is_not_the_one_that_has_something() {
        let noted = |identity: &str| Noted { identity: identity.to_owned(), file: "/c/engine.json".into() };
        let check = |identity: &str| noted(identity).check(EngineKind::Podman, "/var/lib/containers/storage");
        assert_eq!(check("/var/lib/containers/storage").map_err(|fault| fault.cause), Ok(()));
        let fault = check("/home/me/.local/share/containers/storage").unwrap_err();
        assert_eq!(fault.code, "engine-changed");
        assert!(fault.cause.contains("/home/me/") && fault.cause.contains("/var/lib/"), "{fault}");
    }

    #[test]
    fn an_engine_that_the_environment_names_is_the_only_one() {
        assert_eq!(candidates(Some(EngineKind::Podman)), [EngineKind::Podman]);
        let fault = none(Some(EngineKind::Podman), &[silent(EngineKind::Podman, None)], &|_| false);
        assert!(fault.hint.is_some_and(|hint| hint.ends_with("or set `engine` to something else than `podman`")));
    }
}
