//! Reads an environment: its file, then its `.local.toml`, then what the command line sets.

use super::decode::{Document, Value};
use super::environment::Environment;
use super::environment_settings::{
    FOLDER, LISTS, Layered, PREFIXES, SETTINGS, Set, TERRAFORM_PREFIX, VARIABLE_PREFIX, resolve,
};
use super::error::{Place, Sink, SpecErrors, find, quoted};
use super::grammar::check_variable;
use super::name::EnvironmentName;
use super::service_settings;
use super::source::{self, Source};
use std::path::Path;

/// The environments that have a file, sorted.
pub fn environment_names(root: &Path) -> Result<Vec<EnvironmentName>, SpecErrors> {
    let sink = Sink::default();
    let stems = stems(root, &sink).unwrap_or_default();
    let parsed = stems.iter().filter_map(|stem| {
        let path = format!("{FOLDER}/{stem}.toml");
        let name = stem.parse::<EnvironmentName>();
        name.map_err(|error| sink.report(source::file(&path), error.to_string())).ok()
    });
    let names = parsed.collect();
    sink.finish(Some(names))
}

/// Loads the environment `name` below the root. Each of `sets` is `KEY=VALUE` and wins over the files.
///
/// What is wrong with the name or with `sets` is a usage error ([`SpecErrors::is_usage`]).
pub fn environment(root: &Path, name: &str, sets: &[String]) -> Result<Environment, SpecErrors> {
    let sink = Sink::default();
    let environment = read(root, name, sets, &sink);
    sink.finish(environment)
}

/// The environment `name` as it was when these settings of it were recorded in the file `path`. `sets` win over them.
pub fn recorded_environment(
    name: &str,
    path: &str,
    recorded: &[(String, String)],
    sets: &[String],
) -> Result<Environment, SpecErrors> {
    let sink = Sink::default();
    let place = source::file(path);
    let set = |(key, value): &(String, String)| (key.clone(), Set { value: value.clone(), place: place.clone() });
    let mut layered: Layered = recorded.iter().map(set).collect();
    layer_flags(sets, &mut layered, &sink);
    let name = name.parse::<EnvironmentName>().map_err(|error| sink.report(place, error.to_string()));
    let environment = name.ok().and_then(|name| resolve(name, path, layered, &sink));
    sink.finish(environment)
}

fn read(root: &Path, name: &str, sets: &[String], sink: &Sink) -> Option<Environment> {
    let (name, source) = find_file(root, name, sink)?;
    let mut layered = Layered::new();
    let local = format!("{FOLDER}/{name}.local.toml");
    let local = source::read_optional(root, &local, sink);
    let files = [Some(&source), local.as_ref()].into_iter().flatten();
    let parsed: Vec<_> = files.map(|file| layer_file(file, &mut layered, sink)).collect();
    layer_flags(sets, &mut layered, sink);
    // What a file sets that cannot be parsed is not known, so nothing can be missing from it.
    parsed.into_iter().collect::<Option<()>>()?;
    resolve(name, &source.path, layered, sink)
}

fn stems(root: &Path, sink: &Sink) -> Option<Vec<String>> {
    let mut stems = source::stems(root, FOLDER, sink)?;
    stems.retain(|stem| !stem.ends_with(".local"));
    Some(stems)
}

fn find_file(root: &Path, name: &str, sink: &Sink) -> Option<(EnvironmentName, Source)> {
    let flag = || Place::Flag(format!("--env {name}"));
    let refuse = |message: String| sink.report(flag(), message);
    if let Some(of) = name.strip_suffix(".local") {
        refuse(format!("not an environment; its settings are part of `{of}`"));
        return None;
    }
    let stems = stems(root, sink)?;
    let known = stems.iter().map(String::as_str);
    find(name, "environment", "environments", known).map_err(refuse).ok()?;
    let name: EnvironmentName = name.parse().map_err(|error| refuse(format!("{error}"))).ok()?;
    let source = source::read_optional(root, &format!("{FOLDER}/{name}.toml"), sink)?;
    Some((name, source))
}

/// Puts what a file sets over what was set before. None if it cannot be parsed.
pub(super) fn layer_file(source: &Source, layered: &mut Layered, sink: &Sink) -> Option<()> {
    let document = Document::parse(&source.path, &source.text, sink)?;
    document.root(sink).table(|table| {
        for (key, _) in SETTINGS {
            if let Some(value) = table.optional(key) {
                layer(layered, key.to_owned(), &value);
            }
        }
        if let Some(services) = table.optional("services") {
            service_settings::read(&services, |key, value| layer(layered, key, value));
        }
        for (table_name, prefix) in [("env", VARIABLE_PREFIX), ("terraform", TERRAFORM_PREFIX)] {
            let variables = table.optional(table_name).and_then(|value| value.entries());
            for (name, value) in variables.into_iter().flatten() {
                match check_set(prefix, name) {
                    Ok(()) => layer(layered, format!("{prefix}{name}"), &value),
                    Err(message) => value.report(message),
                }
            }
        }
    })
}

fn layer(layered: &mut Layered, key: String, value: &Value<'_>) {
    let text = match value.texts() {
        Some(texts) if LISTS.contains(&key.as_str()) => Some(texts.join(", ")),
        Some(texts) if key.starts_with(service_settings::PREFIX) => Some(serde_json::json!(texts).to_string()),
        _ => value.scalar(),
    };
    if let Some(text) = text {
        let place = value.at.place();
        layered.insert(key, Set { value: text, place });
    }
}

fn layer_flags(sets: &[String], layered: &mut Layered, sink: &Sink) {
    for set in sets {
        let Some((key, value)) = set.split_once('=') else {
            let place = Place::Flag(format!("--set {set}"));
            sink.report(place, "expected `KEY=VALUE`");
            continue;
        };
        // The value stays out of errors, where a secret could be read.
        let place = Place::Flag(format!("--set {key}"));
        match check_flag(key, value) {
            Ok(()) => {
                let value = value.to_owned();
                layered.insert(key.to_owned(), Set { value, place });
            }
            Err(message) => sink.report(place, message),
        }
    }
}

fn check_flag(key: &str, value: &str) -> Result<(), String> {
    if value.contains('\0') {
        return Err("holds a NUL character".to_owned());
    }
    if key.starts_with(service_settings::PREFIX) {
        return service_settings::check_flag(key);
    }
    match PREFIXES.iter().find_map(|prefix| Some((prefix, key.strip_prefix(prefix)?))) {
        Some((prefix, name)) => check_set(prefix, name),
        None if key.starts_with(|c: char| c.is_ascii_uppercase()) && check_variable(key).is_ok() => {
            Err(format!("unknown setting {}; did you mean {}?", quoted(key), quoted(&format!("env.{key}"))))
        }
        None => {
            let keys = SETTINGS.iter().map(|(key, _)| *key);
            find(key, "setting", "settings", keys.chain(["env.NAME", "services.NAME.KEY", "terraform.NAME"]))
        }
    }
}

/// Whether a variable can have this name: one of services, or one of Terraform, whose names have no dots.
fn check_set(prefix: &str, name: &str) -> Result<(), String> {
    check_variable(name)?;
    match prefix == TERRAFORM_PREFIX && name.contains('.') {
        true => Err("not the name of a variable: Terraform's have no `.`".to_owned()),
        false => Ok(()),
    }
}
