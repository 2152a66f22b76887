//! The outside programs: which targets use them, in which versions, and where they come from. Read from
//! `deploy/tools.toml`.

use super::decode::{Document, Table, Value};
use super::error::{Sink, SpecErrors};
use super::source;
use super::system::TargetKind;
use super::version::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const FILE: &str = "deploy/tools.toml";

/// One need, which any of a few programs meets.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The second part of its check's id: `tool.NAME`.
    pub name: String,
    /// Targets that cannot do without.
    pub needed: BTreeSet<TargetKind>,
    /// Targets that can do more with it.
    pub useful: BTreeSet<TargetKind>,
    /// What is lost without it, as a sentence without a full stop.
    pub purpose: String,
    /// Where its makers say how to install it.
    pub page: String,
    /// The best first; never empty.
    pub programs: Vec<Program>,
}

/// A program on PATH.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    pub name: String,
    pub wanted: VersionRequirement,
    /// The name of its package at each source that has it.
    pub packages: BTreeMap<PackageSource, String>,
}

/// Which versions of a program will do.
#[derive(Debug, Clone, PartialEq)]
pub enum VersionRequirement {
    Any,
    /// `rust-version`: from the one that the root `Cargo.toml` names, which is not written twice.
    RustVersion,
    Within(Range),
}

/// Where packages come from, by the program that fetches them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageSource {
    Rustup,
    RustupComponent,
    Mise,
    Asdf,
    Brew,
    Apt,
    Dnf,
    Go,
    Npm,
    Pip,
    Cargo,
}

impl PackageSource {
    /// With the keys of the file.
    pub const ALL: [(&'static str, Self); 11] = [
        ("rustup", Self::Rustup),
        ("rustup_component", Self::RustupComponent),
        ("mise", Self::Mise),
        ("asdf", Self::Asdf),
        ("brew", Self::Brew),
        ("apt", Self::Apt),
        ("dnf", Self::Dnf),
        ("go", Self::Go),
        ("npm", Self::Npm),
        ("pip", Self::Pip),
        ("cargo", Self::Cargo),
    ];
}

/// Loads `deploy/tools.toml` below the root, in the order of the file. Without the file nothing is known of any tool.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn tools(root: &Path) -> Result<Vec<Tool>, SpecErrors> {
    let sink = Sink::default();
    let tools = source::read_optional(root, FILE, &sink).map(|source| parse(&source.path, &source.text, &sink));
    sink.finish(Some(tools.unwrap_or_default()))
}

fn parse(path: &str, text: &str, sink: &Sink) -> Vec<Tool> {
    let Some(document) = Document::parse(path, text, sink) else {
        return Vec::new();
    };
    let entries = document.root(sink).entries().unwrap_or_default();
    let tool = |(name, value): &(&str, Value<'_>)| value.table(|table| read_tool(name, table))?;
    entries.iter().filter_map(tool).collect()
}

fn read_tool(name: &str, table: &Table<'_>) -> Option<Tool> {
    let needed = targets(table, "needed");
    let useful = targets(table, "useful");
    let purpose = table.required("purpose").and_then(|value| value.sentence());
    let page = table.required("page").and_then(|value| value.sentence());
    let entries = table.required("programs").and_then(|value| value.entries())?;
    if entries.is_empty() {
        table.missing("a program in `programs`");
        return None;
    }
    let program = |(name, value): &(&str, Value<'_>)| value.table(|table| read_program(name, table))?;
    let programs = entries.iter().filter_map(program).collect();
    Some(Tool { name: name.to_owned(), needed: needed?, useful: useful?, purpose: purpose?, page: page?, programs })
}

fn targets(table: &Table<'_>, key: &'static str) -> Option<BTreeSet<TargetKind>> {
    let choices = TargetKind::ALL.map(|target| (target.as_str(), target));
    let Some(value) = table.optional(key) else {
        return Some(BTreeSet::new());
    };
    value.list()?.iter().map(|value| value.choice(&choices)).collect()
}

fn read_program(name: &str, table: &Table<'_>) -> Option<Program> {
    let wanted = match table.optional("version") {
        Some(value) => read_wanted(&value),
        None => Some(VersionRequirement::Any),
    };
    let packages = table.optional("packages").and_then(|value| value.table(read_packages)).unwrap_or_default();
    Some(Program { name: name.to_owned(), wanted: wanted?, packages })
}

fn read_wanted(value: &Value<'_>) -> Option<VersionRequirement> {
    match value.text()? {
        "rust-version" => Some(VersionRequirement::RustVersion),
        _ => value.parse().map(VersionRequirement::Within),
    }
}

fn read_packages(table: &Table<'_>) -> BTreeMap<PackageSource, String> {
    let package = |(key, source)| Some((source, table.optional(key)?.sentence()?));
    PackageSource::ALL.into_iter().filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Tool>, String> {
        let sink = Sink::default();
        let tools = parse(FILE, text, &sink);
        sink.finish(Some(tools)).map_err(|errors| errors.to_string())
    }

    const REDIS: &str = "[redis]\nuseful = ['host']\npurpose = 'p'\npage = 'https://x'\n\
        [redis.programs.redis-server]\nversion = '>=6.2, <9'\npackages = { brew = 'redis', apt = 'redis-server' }\n\
        [redis.programs.another]\n";

    #[test]
    fn a_need_is_met_by_programs_in_the_order_of_the_file() {
        let tools = read(REDIS).unwrap();
        let redis = &tools[0];
        assert_eq!((redis.name.as_str(), redis.needed.len()), ("redis", 0));
        assert!(redis.useful.contains(&TargetKind::Host));
        let names: Vec<_> = redis.programs.iter().map(|program| program.name.as_str()).collect();
        assert_eq!(names, ["redis-server", "another"]);
        assert_eq!(redis.programs[0].packages[&PackageSource::Brew], "redis");
        assert_eq!(redis.programs[1].wanted, VersionRequirement::Any);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (from, to, error) in [
            ("useful", "usefull", "deploy/tools.toml:2: unknown key `usefull` in `redis`; did you mean `useful`?"),
            (
                "'host'",
                "'laptop'",
                "deploy/tools.toml:2: `redis.useful[0]`: unknown value `laptop`; valid values: `host`",
            ),
            (">=6.2, <9", "six", "deploy/tools.toml:6: `redis.programs.redis-server.version`: `six` is not a range"),
            ("apt =", "snap =", "deploy/tools.toml:7: unknown key `snap` in `redis.programs.redis-server.packages`"),
            ("purpose = 'p'", "", "deploy/tools.toml:1: `redis`: missing key `purpose`"),
        ] {
            let errors = read(&REDIS.replace(from, to)).unwrap_err();
            assert!(errors.contains(error), "{errors}");
        }
    }
}
