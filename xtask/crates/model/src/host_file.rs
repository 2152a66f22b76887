//! Reads how a service that comes as an image is had on `host`: by a program of the machine, or by a command of the
//! repository's own.

use super::decode::{Table, Value};
use super::grammar::{check_file_name, check_requirement, check_url};
use super::service_file::{PlacedTemplate, Role, read_template};
use super::system::{HostProgram, HostRun, Piece, Template};
use std::path::{Component, Path};

/// The two ways; a service has one of them.
pub(super) enum Host {
    Program(HostProgram),
    Run(HostRun),
}

/// `root` is the repository, in which the folders are that a command runs in; `dir` is the usual one.
pub(super) fn read<'d>(
    value: &Value<'d>,
    root: &Path,
    dir: &str,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> Option<Host> {
    value.table(|table| match table.optional("run") {
        Some(run) => read_run(table, &run, root, dir, templates).map(Host::Run),
        None => read_program(table).map(Host::Program),
    })?
}

fn read_program(table: &Table<'_>) -> Option<HostProgram> {
    for key in ["dir", "prepare", "reads"] {
        if let Some(value) = table.optional(key) {
            value.report("only beside `run`, the command that it is about");
        }
    }
    let programs = table.required("programs").and_then(|value| {
        let programs = value.list()?;
        if programs.is_empty() {
            value.report("names no program");
        }
        programs.iter().map(|program| program.checked(&check_file_name)).collect()
    });
    let python = table.optional("python").map(|value| value.checked(&check_requirement));
    let running = table.optional("running").map(|value| value.checked(&check_url));
    let enable = table.required("enable").and_then(|value| value.sentence());
    Some(HostProgram { programs: programs?, python: python.flatten(), running: running.flatten(), enable: enable? })
}

fn read_run<'d>(
    table: &Table<'d>,
    run: &Value<'d>,
    root: &Path,
    dir: &str,
    templates: &mut Vec<PlacedTemplate<'d>>,
) -> Option<HostRun> {
    for key in ["programs", "python", "running"] {
        if let Some(value) = table.optional(key) {
            value.report("finds a program of the machine; a service has that or `run`, not both");
        }
    }
    let (program, args) = words(run).map(|words| read_words(words, templates)).unwrap_or_default();
    let prepare = table.optional("prepare").and_then(|value| words(&value));
    let prepare = prepare.into_iter().flatten().filter_map(|word| word.text().map(str::to_owned)).collect();
    let enable = table.optional("enable").and_then(|value| value.sentence());
    let dir = match table.optional("dir") {
        Some(dir) => read_dir(&dir, root),
        None => Some(dir.to_owned()),
    };
    let (reads, dir) = (table.optional("reads"), dir?);
    let reads = reads.map(|value| read_parts(&value, &root.join(&dir))).unwrap_or_default();
    Some(HostRun { program: program?, args, dir, prepare, reads, enable })
}

/// The words of a command.
fn words<'d>(value: &Value<'d>) -> Option<Vec<Value<'d>>> {
    let words = value.list()?;
    if words.is_empty() {
        value.report("names no program: a list of words such as `[\"node\", \"server.js\"]`");
        return None;
    }
    Some(words)
}

/// The program, and what it is given.
fn read_words<'d>(words: Vec<Value<'d>>, templates: &mut Vec<PlacedTemplate<'d>>) -> (Option<String>, Vec<Template>) {
    let mut words = words.into_iter();
    let program = words.next().and_then(|word| match &word.parse::<Template>()?.0[..] {
        [Piece::Text(program)] => Some(program.clone()),
        _ => {
            word.report("the name or path of a program, without references");
            None
        }
    });
    (program, words.filter_map(|word| read_template(word, Role::Argument, templates)).collect())
}

/// A folder of the repository; empty for the repository itself.
fn read_dir(value: &Value<'_>, root: &Path) -> Option<String> {
    let dir = inside(value)?;
    // What a link leads to may change without the link.
    if !dir.is_empty() && !root.join(&dir).symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        value.report(format!("`{dir}` is no folder of this repository"));
        return None;
    }
    Some(dir)
}

/// Files and folders in `dir`.
fn read_parts(value: &Value<'_>, dir: &Path) -> Vec<String> {
    let parts = value.list().unwrap_or_default();
    let read = |value: &Value<'_>| {
        let part = inside(value)?;
        if dir.join(&part).symlink_metadata().is_err() {
            value.report(format!("there is no `{part}` in its folder"));
        }
        Some(part)
    };
    parts.iter().filter_map(read).collect()
}

/// A path that does not lead out of where it begins, without what means nothing in it.
fn inside(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let mut names = Vec::new();
    for component in Path::new(text).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_str()?),
            _ => {
                value.report("a path within the repository, without `..` and a leading `/`");
                return None;
            }
        }
    }
    Some(names.join("/"))
}
