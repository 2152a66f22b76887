//! The map in `CONTRIBUTING.md` has every crate of the tool and no other, and each depends only on those in rows below
//! its own. The compiler refuses circles; what it does not refuse is an arrow upwards that nobody meant.

#![expect(clippy::disallowed_methods, reason = "tests start the programs that they ask")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// What stands between two rows of the map.
const ARROW: &str = "↓";

/// Crates by name, each with those of ours that it depends on, also for its tests.
type Crates = BTreeMap<String, BTreeSet<String>>;

/// The rows of the map, the uppermost first: the first block under the heading. A line there begins with the name of
/// a crate, and goes on further in.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (_, section) = text.split_once("\n## The map\n").expect("a section `## The map`");
    let block = section.split("```").nth(1).expect("a block with the map");
    let lines = block.lines().skip(1).collect::<Vec<_>>();
    let names = |row: &[&str]| {
        let named = row.iter().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
        named.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    lines.split(|line| line.trim() == ARROW).map(names).collect()
}

/// What the map and the crates do not agree on.
fn differences(rows: &[Vec<String>], crates: &Crates) -> Vec<String> {
    let listed: Vec<(&String, usize)> =
        rows.iter().enumerate().flat_map(|(row, names)| names.iter().map(move |name| (name, row))).collect();
    let places: BTreeMap<&String, usize> = listed.iter().copied().collect();
    let mut found = Vec::new();
    if places.len() != listed.len() {
        found.push("a crate stands in the map twice".to_owned());
    }
    found.extend(
        places.keys().filter(|name| !crates.contains_key(**name)).map(|name| format!("there is no crate `{name}`")),
    );
    for (name, needs) in crates {
        let Some(row) = places.get(name) else {
            found.push(format!("`{name}` is not in the map"));
            continue;
        };
        let beside = needs.iter().filter(|need| places.get(need).is_some_and(|other| other <= row));
        found.extend(beside.map(|need| format!("`{name}` depends on `{need}`, which is not below it")));
    }
    found
}

/// The tool's own crates, as cargo knows them.
fn crates(root: &Path) -> Crates {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tool = root.join("xtask");
    let is_ours = |manifest: &Value| manifest.as_str().is_some_and(|path| Path::new(path).starts_with(&tool));
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().filter(|package| is_ours(&package["manifest_path"]));
    ours.map(|package| (name(package), needs(package, &tool))).collect()
}

fn name(package: &Value) -> String {
    package["name"].as_str().unwrap().to_owned()
}

fn needs(package: &Value, tool: &Path) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let is_ours = |path: &str| Path::new(path).starts_with(tool);
    dependencies.filter(|dependency| dependency["path"].as_str().is_some_and(is_ours)).map(name).collect()
}

#[test]
fn the_map_is_that_of_the_crates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let (rows, crates) = (rows(&text), crates(root));
    assert!(rows.len() > 3 && crates.len() > 10 && crates["xtask"].contains("base"), "{rows:?} {crates:?}");
    assert_eq!(differences(&rows, &crates), Vec::<String>::new(), "CONTRIBUTING.md, The map: {rows:?}");
}

#[test]
fn a_map_that_is_wrong_is_told() {
    let text = "# Title\n\n## The map\n\n```text\ntool   the binary\n       and more\n  ↓\nupper  a\ngone   b\n  ↓\nlower  c\n```\n\n```\nno\n```\n";
    let map = rows(text);
    assert_eq!(map, [vec!["tool"], vec!["upper", "gone"], vec!["lower"]]);
    let crates = |list: &[(&str, &[&str])]| -> Crates {
        list.iter()
            .map(|(name, needs)| ((*name).to_owned(), needs.iter().map(|need| (*need).to_owned()).collect()))
            .collect()
    };
    let right = crates(&[("tool", &["upper", "lower"]), ("upper", &["lower"]), ("gone", &[]), ("lower", &[])]);
    assert_eq!(differences(&map, &right), Vec::<String>::new());
    let wrong = crates(&[("tool", &[]), ("upper", &["upper"]), ("lower", &["tool"]), ("new", &["lower"])]);
    let told = [
        "there is no crate `gone`",
        "`lower` depends on `tool`, which is not below it",
        "`new` is not in the map",
        "`upper` depends on `upper`, which is not below it",
    ];
    assert_eq!(differences(&map, &wrong), told);
    let twice = [vec!["tool".to_owned()], vec!["tool".to_owned()]];
    assert_eq!(differences(&twice, &crates(&[("tool", &[])])), ["a crate stands in the map twice"]);
}
