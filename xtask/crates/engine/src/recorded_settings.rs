//! The settings of an environment as they were used last, without what is secret among them: by these, what was deployed is
//! shown, taken back and torn down when the environment's files are broken or gone.

use crate::deployment::EnvironmentArgs;
use crate::home::Home;
use anyhow::Result;
use base::error::Fault;
use base::files;
use model::SpecErrors;
use model::environment::{Environment, Origin, Setting};
use serde_json::{Value, json};
use std::path::Path;

/// The file that has them.
pub const FILE: &str = "settings.json";

/// An environment, from its files or from the records.
#[derive(Debug)]
pub struct Found {
    pub environment: Environment,
    /// What is wrong with the files, where the records stand in for them.
    pub wrong: Option<SpecErrors>,
}

/// Notes what an environment is set to now.
///
/// # Errors
/// When it cannot be written.
pub fn note(home: &Home, environment: &Environment) -> Result<()> {
    let path = home.settings();
    let is_from_records = |setting: &Setting| matches!(&setting.origin, Origin::File { path, .. } if is_record(path));
    if environment.origins.iter().any(is_from_records) {
        return Ok(());
    }
    let document = document(environment);
    match files::read_json(&path)? {
        Some(there) if there == document => Ok(()),
        _ => files::write_json(&path, &document),
    }
}

fn document(environment: &Environment) -> Value {
    let set = environment.origins.iter().filter(|setting| is_recorded(setting));
    let settings: Value = set.map(|setting| json!({"key": setting.key, "value": setting.value})).collect();
    json!({"schema": 1, "settings": settings})
}

/// Whether an environment, whatever its name, is set to what was noted there.
pub fn are_those_of(home: &Home, environment: &Environment) -> bool {
    files::read_json(&home.settings()).ok().flatten().is_some_and(|noted| noted == document(environment))
}

/// Reads an environment, from the records where its files are broken or gone.
///
/// # Errors
/// What is wrong with the files, where nothing is recorded; and whatever is wrong with the command line.
pub fn environment(root: &Path, args: &EnvironmentArgs) -> Result<Found> {
    let wrong = match args.read(root) {
        Ok(environment) => return Ok(Found { environment, wrong: None }),
        Err(wrong) => wrong,
    };
    match recorded(root, args) {
        Some(environment) => Ok(Found { environment, wrong: Some(wrong) }),
        None => Err(Fault::from(wrong).into()),
    }
}

fn recorded(root: &Path, args: &EnvironmentArgs) -> Option<Environment> {
    let home = Home::new(root, &args.name.parse().ok()?);
    let document = files::read_json(&home.settings()).ok()??;
    let entry = |entry: &Value| Some((entry["key"].as_str()?.to_owned(), entry["value"].as_str()?.to_owned()));
    let settings: Vec<_> = document["settings"].as_array()?.iter().filter_map(entry).collect();
    model::recorded_environment(&args.name, &path(&args.name), &settings, &args.set).ok()
}

/// The record as errors and origins name it.
fn path(name: &str) -> String {
    format!(".slipway/{name}/{FILE}")
}

fn is_record(path: &str) -> bool {
    path.starts_with(".slipway/")
}

/// Whether a setting was set, and is nothing that only its file may know: a secret by its name or in an address, and any
/// variable of services that does not stand in a file that all can read.
fn is_recorded(setting: &Setting) -> bool {
    let is_variable = setting.given().is_some() && !setting.key.starts_with("terraform.");
    let is_set = setting.origin != Origin::Default;
    is_set && setting.shown() == setting.value && (setting.is_tracked() || !is_variable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let scratch = Self(std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id())));
            std::fs::create_dir_all(scratch.0.join("deploy/environments")).unwrap();
            scratch
        }

        fn write(&self, file: &str, text: &str) {
            std::fs::write(self.0.join("deploy/environments").join(file), text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn args(set: &[&str]) -> EnvironmentArgs {
        EnvironmentArgs { name: "shop".to_owned(), set: set.iter().map(|text| (*text).to_owned()).collect() }
    }

    #[test]
    fn what_was_set_is_found_again_without_secrets() {
        let scratch = Scratch::new("settings");
        let whole = "target = 'kubernetes'\ncontext = 'mine'\n[env]\nLOG = 'debug'\nTOKEN = 'in-the-file'\n";
        scratch.write("shop.toml", whole);
        scratch.write("shop.local.toml", "replicas = 3\n[env]\nSTRIPE = 'sk-live'\nURL = 'http://u:word@h/'\n");
        let found = environment(&scratch.0, &args(&["domain=shop.example"])).unwrap();
        assert_eq!(found.wrong, None);
        note(&Home::new(&scratch.0, &found.environment.name), &found.environment).unwrap();
        let noted = std::fs::read_to_string(scratch.0.join(".slipway/shop/settings.json")).unwrap();
        for secret in ["in-the-file", "sk-live", "word"] {
            assert!(!noted.contains(secret), "{noted}");
        }
        scratch.write("shop.local.toml", "<<<<<<< HEAD\n");
        let again = environment(&scratch.0, &args(&[])).unwrap();
        assert!(again.wrong.unwrap().to_string().starts_with("deploy/environments/shop.local.toml:1"));
        std::fs::remove_file(scratch.0.join("deploy/environments/shop.toml")).unwrap();
        let again = environment(&scratch.0, &args(&["replicas=4"])).unwrap();
        let (then, now) = (found.environment, again.environment);
        assert_eq!(now.cluster.context.as_deref(), Some("mine"));
        assert_eq!((now.target, &now.cluster.domain, now.cluster.replicas), (then.target, &then.cluster.domain, 4));
        assert_eq!(now.env.into_iter().collect::<Vec<_>>(), [("LOG".to_owned(), "debug".to_owned())]);
    }

    #[test]
    fn the_command_line_has_to_be_right_all_the_same() {
        let scratch = Scratch::new("settings-flags");
        scratch.write("shop.toml", "target = 'host'\n");
        let found = environment(&scratch.0, &args(&[])).unwrap();
        note(&Home::new(&scratch.0, &found.environment.name), &found.environment).unwrap();
        std::fs::remove_file(scratch.0.join("deploy/environments/shop.toml")).unwrap();
        assert!(environment(&scratch.0, &args(&["prots=free"])).is_err());
        // What was recorded is not written anew from itself.
        let again = environment(&scratch.0, &args(&["ports=free"])).unwrap();
        note(&Home::new(&scratch.0, &again.environment.name), &again.environment).unwrap();
        assert!(!std::fs::read_to_string(scratch.0.join(".slipway/shop/settings.json")).unwrap().contains("free"));
    }
}
