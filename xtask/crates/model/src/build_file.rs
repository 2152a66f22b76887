//! Reads what a service says of its Dockerfile: `dockerfile` and `[services.NAME.build]`.

use super::build::DockerBuild;
use super::commit;
use super::decode::{Table, Value};
use super::grammar::check_word;
use super::service_file::{Known, PlacedTemplate, Role, read_known};
use super::system::{Piece, Reference, Template};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// The file that engines look for.
const DOCKERFILE: &str = "Dockerfile";

/// The build from the folder that `folder` names, with what the table `build` adds.
pub(super) fn read<'d>(
    folder: &Value<'d>,
    build: Option<&Value<'d>>,
    known: &Known,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> Option<DockerBuild> {
    let context = read_context(folder, known);
    let default = Settings::default();
    let settings = match build {
        Some(build) => build.table(|table| read_settings(table, known, templates))?,
        None => default,
    };
    let context = context?;
    let place = settings.file.as_deref().unwrap_or(DOCKERFILE);
    let file = within(&context, place).filter(|file| known.root.join(file).is_file());
    let Some(file) = file else {
        let missing = format!("`{}` has no file `{place}`", if context.is_empty() { "." } else { &context });
        match build.filter(|_| settings.file.is_some()) {
            Some(build) => build.report(missing),
            None => folder.report(format!("{missing}; `build = {{ file = \"…\" }}` names another one")),
        }
        return None;
    };
    let Settings { target, args, bases, secrets, .. } = settings;
    Some(DockerBuild { context, file, target, args, bases, secrets })
}

fn read_context(value: &Value<'_>, known: &Known) -> Option<String> {
    let text = value.text()?;
    match within("", text) {
        Some(folder) if known.root.join(&folder).is_dir() => Some(folder),
        Some(folder) if known.root.join(&folder).is_file() => {
            let parent = Path::new(&folder).parent().map_or(".".into(), Path::to_string_lossy);
            value.report(format!("`{text}` is a file; name the folder that its build sees, such as `{parent}`"));
            None
        }
        Some(_) => {
            value.report(format!("there is no folder `{text}` in the repository"));
            None
        }
        None => {
            value.report(format!("`{text}` is not a folder of the repository, relative to its root"));
            None
        }
    }
}

/// A path below `folder` without `.` and `..`; `None` when it leads out of the repository.
fn within(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[derive(Default)]
struct Settings {
    file: Option<String>,
    target: Option<String>,
    args: BTreeMap<String, String>,
    bases: BTreeMap<String, String>,
    secrets: Vec<String>,
}

fn read_settings<'d>(table: &Table<'d>, known: &Known, templates: &mut Vec<PlacedTemplate<'d>>) -> Settings {
    let pins = known.images.as_ref();
    let base = |value: &Value<'_>| match pins {
        Some(pins) => read_known(value, "image", "images in `deploy/images.toml`", pins.iter().map(String::as_str)),
        None => value.text().map(str::to_owned),
    };
    let (args, bases) = (entries(table, "args"), entries(table, "bases"));
    for (name, value) in &args {
        if let Err(message) = check_argument(name) {
            value.report(message);
        }
    }
    let argument = |value: &Value<'_>| {
        let text = value.scalar()?;
        commit::check_text(&text, &known.root).map_err(|message| value.report(message)).ok()?;
        Some(text)
    };
    Settings {
        file: table.optional("file").and_then(|value| value.text().map(str::to_owned)),
        target: table.optional("target").and_then(|value| value.checked(&check_stage)),
        args: args.into_iter().filter_map(|(name, value)| Some((name, argument(&value)?))).collect(),
        bases: bases.into_iter().filter_map(|(name, value)| Some((name, base(&value)?))).collect(),
        secrets: read_secrets(table, templates),
    }
}

/// The names of secrets, which are looked up like those that texts refer to.
fn read_secrets<'d>(table: &Table<'d>, templates: &mut Vec<PlacedTemplate<'d>>) -> Vec<String> {
    let values = table.optional("secrets").and_then(|value| value.list()).unwrap_or_default();
    let read = |value: Value<'d>| {
        let name = value.checked(&check_word)?;
        let template = Template(vec![Piece::Reference(Reference::Secret(name.clone()))]);
        templates.push(PlacedTemplate { role: Role::File, template, at: value.at });
        Some(name)
    };
    values.into_iter().filter_map(read).collect()
}

fn entries<'d>(table: &Table<'d>, key: &'static str) -> Vec<(String, Value<'d>)> {
    let entries = table.optional(key).and_then(|value| value.entries()).unwrap_or_default();
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn check_stage(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.is_empty() && name.chars().all(inner) && !name.starts_with('-') {
        return Ok(());
    }
    Err(format!("`{name}` is not the name of a stage"))
}

fn check_argument(name: &str) -> Result<(), String> {
    check_word(name).map_err(|_| "not the name of a build argument: letters, digits, `_` and `-`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_path_stays_in_the_repository() {
        for (folder, path, expected) in [
            ("", "vote", Some("vote")),
            ("", "./vote/", Some("vote")),
            ("", ".", Some("")),
            ("vote", "docker/Dockerfile", Some("vote/docker/Dockerfile")),
            ("vote", "../Dockerfile.vote", Some("Dockerfile.vote")),
            ("vote", "../../x", None),
            ("", "..", None),
            ("", "/etc", None),
        ] {
            assert_eq!(within(folder, path).as_deref(), expected, "{folder} {path}");
        }
    }
}
