//! What makes a deployment itself: where it is, and the names by which everything there is found again. Another of these
//! would leave behind what is there, so a change is refused for as long as something is.
//!
//! On this machine it has a mark beside, made once and kept with its state, so that it goes where the folder goes. Two
//! checkouts never have the same.

use crate::home::Home;
use crate::ledger::{self, Ledger, NAMESPACE};
use crate::recorded_settings;
use anyhow::{Context, Result};
use base::error::Fault;
use base::{files, random};
use model::environment::Environment;
use model::system::TargetKind;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The file that has it.
pub const FILE: &str = "deployment.json";

/// Where an earlier version of this program has written down a deployment to a cluster.
const EARLIER: &str = "settled.json";

/// Who a deployment is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `None` for one that an earlier version of this program has begun: what it made carries its folder's path.
    pub mark: Option<String>,
    /// The folders that its state has been in, this one among them.
    pub homes: Vec<String>,
    /// Something is recorded here.
    pub is_known: bool,
    /// It was last used somewhere else, or nobody knows where.
    pub may_have_moved: bool,
}

impl Identity {
    /// The one that is recorded, or a new one for what is only about to begin.
    ///
    /// # Errors
    /// When it cannot be read, or is that of another folder, of which this one is a copy.
    pub fn of(home: &Home) -> Result<Self> {
        let here = home.dir().to_string_lossy().into_owned();
        let Some(document) = files::read_json(&home.dir().join(FILE))? else {
            let is_known = !Ledger::open(&home.ledger())?.entries().is_empty();
            let mark = if is_known { None } else { Some(mint()?) };
            return Ok(Self { mark, homes: vec![here], is_known, may_have_moved: is_known });
        };
        let mark = document["mark"].as_str().map(str::to_owned);
        let mut homes: Vec<String> = strings(&document["homes"]);
        let last = homes.last().cloned().unwrap_or_default();
        if last != here && mark.is_some() && mark_at(Path::new(&last)) == mark {
            let cause = format!("`{here}` is a copy of `{last}`, and both would be one deployment");
            let hint = format!("remove the copy, and deploy here again: rm -r {here}");
            return Err(Fault::could_not_run("state-copied", cause).hint(hint).into());
        }
        let may_have_moved = last != here;
        // The last is where it is now.
        homes.retain(|home| *home != here);
        homes.push(here);
        Ok(Self { mark, homes, is_known: true, may_have_moved })
    }

    /// Writes it down, with what must not change while something is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, home: &Home, environment: &Environment) -> Result<()> {
        let mut document = document(environment);
        document["mark"] = json!(self.mark);
        document["homes"] = json!(self.homes);
        write(home, &document)
    }
}

/// Writes down a deployment to a cluster, whose mark is its id.
///
/// # Errors
/// When it cannot be written.
pub fn note(home: &Home, environment: &Environment) -> Result<()> {
    let mut document = document(environment);
    document["namespace_prefix"] = json!(environment.cluster.namespace_prefix.to_string());
    write(home, &document)?;
    files::remove(&home.dir().join(EARLIER))
}

fn document(environment: &Environment) -> Value {
    json!({
        "schema": 1, "env": environment.name.as_str(), "id": environment.deployment_id.as_str(),
        "target": environment.target.as_str(),
    })
}

fn write(home: &Home, document: &Value) -> Result<()> {
    let path = home.dir().join(FILE);
    match files::read_json(&path)? {
        Some(there) if there == *document => Ok(()),
        _ => files::write_json(&path, document),
    }
}

/// Makes sure that an environment names the deployment that is there.
///
/// # Errors
/// When it names another one, with what is recorded and the teardown that a change takes; or when the records cannot be read.
pub fn check(home: &Home, environment: &Environment) -> Result<()> {
    let was = Whereabouts::recorded(home, environment.target)?;
    let now = [
        ("target", environment.target.as_str().to_owned(), was.target),
        ("deployment_id", environment.deployment_id.to_string(), was.deployment_id),
        ("namespace_prefix", environment.cluster.namespace_prefix.to_string(), was.namespace_prefix),
    ];
    let changed: Vec<(&str, String, String)> = now
        .into_iter()
        .filter_map(|(key, now, was)| was.filter(|was| *was != now).map(|was| (key, now, was)))
        .collect();
    if changed.is_empty() { Ok(()) } else { Err(refusal(environment, &changed).into()) }
}

fn refusal(environment: &Environment, changed: &[(&str, String, String)]) -> Fault {
    let told = |(key, now, was): &(&str, String, String)| format!("its `{key}` is `{now}`, and `{was}` was deployed");
    let told: Vec<String> = changed.iter().map(told).collect();
    let set: String = changed.iter().map(|(key, _, was)| format!(" --set {key}={was}")).collect();
    let teardown = environment.command("teardown");
    let hint = format!(
        "set it back, or tear down what is there first: `{teardown}{set}`; for both at once use an environment of its own"
    );
    let cause = format!("environment `{}` is deployed elsewhere: {}", environment.name, told.join("; "));
    Fault::could_not_run("deployment-changed", cause).hint(hint)
}

/// Where a deployment was made, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Whereabouts {
    target: Option<String>,
    deployment_id: Option<String>,
    namespace_prefix: Option<String>,
}

impl Whereabouts {
    /// What is written down; where nothing is, what the ledger tells to whoever looks for one on target `now`.
    fn recorded(home: &Home, now: TargetKind) -> Result<Self> {
        for (file, id) in [(FILE, "id"), (EARLIER, "deployment_id")] {
            if let Some(document) = files::read_json(&home.dir().join(file))? {
                return Ok(Self::read(&document, id));
            }
        }
        Ok(Self::infer(&files::read_json(&home.ledger())?.unwrap_or_default(), now))
    }

    fn read(document: &Value, id: &str) -> Self {
        let text = |key: &str| document[key].as_str().map(str::to_owned);
        Self { target: text("target"), deployment_id: text(id), namespace_prefix: text("namespace_prefix") }
    }

    /// What this machine's copy of a ledger tells of a deployment that was made before such things were written down:
    /// whether it was in a cluster. In which kind of cluster, or how on this machine, it does not say for certain.
    fn infer(ledger: &Value, now: TargetKind) -> Self {
        let entries = ledger::entries(ledger);
        if entries.is_empty() {
            return Self::default();
        }
        let id = ledger["deployment_id"].as_str();
        let in_containers = || entries.iter().any(|entry| ["container", "network"].contains(&entry.kind.as_str()));
        let was = match id {
            Some(_) => TargetKind::Kubernetes,
            None if in_containers() => TargetKind::Containers,
            None => TargetKind::Host,
        };
        let target = (is_cluster(was) != is_cluster(now)).then(|| was.as_str().to_owned());
        let homes = entries.iter().filter(|entry| entry.kind == NAMESPACE && entry.system.is_none());
        let prefix = |id| homes.filter_map(|home| home.id.strip_suffix(&format!("slipway-{id}"))).next();
        Self { target, deployment_id: id.map(str::to_owned), namespace_prefix: id.and_then(prefix).map(str::to_owned) }
    }
}

fn is_cluster(target: TargetKind) -> bool {
    matches!(target, TargetKind::Kubernetes | TargetKind::Eks)
}

/// Makes sure that an environment is not one that was deployed under the name that its file had before: it would be
/// deployed a second time, beside what is there.
///
/// # Errors
/// With the earlier name, and the teardown that a new one takes.
pub fn check_name(root: &Path, environment: &Environment) -> Result<()> {
    if has_state(Home::new(root, &environment.name).dir()) {
        return Ok(());
    }
    let is_this = |name: &String| {
        name.parse().is_ok_and(|name| recorded_settings::are_those_of(&Home::new(root, &name), environment))
    };
    let Some(earlier) = names_without_file(root).into_iter().find(is_this) else { return Ok(()) };
    let name = &environment.name;
    let cause = format!(
        "environment `{name}` has the settings that `{earlier}` was deployed with, and \
         `deploy/environments/{earlier}.toml` is gone: what runs would be left behind"
    );
    let hint = format!(
        "give the file its name back, or tear down what is there first: `cargo xtask teardown --env {earlier}`"
    );
    Err(Fault::could_not_run("deployment-changed", cause).hint(hint).into())
}

fn names_without_file(root: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(root.join(".slipway")).into_iter().flatten().flatten();
    let mut names: Vec<String> = folders
        .filter(|entry| has_state(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !root.join(format!("deploy/environments/{name}.toml")).exists())
        .collect();
    names.sort();
    names
}

/// The states below a checkout whose environment has no file any more, with what is known of each.
pub fn without_file(root: &Path) -> Vec<String> {
    let line = |name: &String| {
        let document =
            files::read_json(&root.join(".slipway").join(name).join(FILE)).ok().flatten().unwrap_or_default();
        let target = document["target"].as_str().map_or_else(String::new, |kind| format!(" on `{kind}`"));
        let recorded = root.join(".slipway").join(name).join(recorded_settings::FILE).is_file();
        let back = if recorded { "" } else { "with that file back, " };
        format!(
            "`.slipway/{name}` has the state of a deployment{target}, and `deploy/environments/{name}.toml` is gone: \
             {back}`cargo xtask teardown --env {name}` removes it"
        )
    };
    names_without_file(root).iter().map(line).collect()
}

/// Whether a folder has a deployment's state.
pub fn has_state(folder: &Path) -> bool {
    folder.join("ledger.json").is_file()
}

/// The mark of the deployment whose state is in a folder.
pub fn mark_at(folder: &Path) -> Option<String> {
    let document = files::read_json(&PathBuf::from(folder).join(FILE)).ok().flatten()?;
    document["mark"].as_str().map(str::to_owned)
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn mint() -> Result<String> {
    random::hex::<8>().context("mark a deployment")
}

#[cfg(test)]
mod tests;
