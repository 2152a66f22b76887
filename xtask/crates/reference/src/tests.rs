//! The files as they are in this repository.

#![expect(clippy::disallowed_methods, reason = "tests start the programs that they ask")]

use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

#[test]
fn a_key_without_a_text_and_a_text_without_a_key_are_named() {
    let samples = root().join(SAMPLES);
    let sample = std::fs::read_to_string(samples.join("system.toml")).unwrap();
    let grammar = Grammar::of_system(&samples, &sample).unwrap();
    let texts = include_str!("system.txt");
    let line = "services.NAME.host_port | `port` | host containers | Its port on a machine that all services share\n";
    assert!(texts.contains(line));
    let error = |texts: &str| Texts::parse(texts, &grammar).unwrap_err().to_string();
    let without = error(&texts.replace(line, ""));
    assert_eq!(without, "the reader knows what the reference does not: `services.NAME.host_port`");
    let beyond = error(&format!("{texts}services.NAME.colour |  |  | Its colour\n"));
    assert_eq!(beyond, "the reference has what the reader does not ask for: `services.NAME.colour`");

    let poorer = sample.replace("host_port = 8080\n", "").replace("host_port = 5433\n", "");
    let grammar = Grammar::of_system(&samples, &poorer).unwrap();
    let bare = Texts::parse(texts, &grammar).unwrap_err().to_string();
    assert_eq!(bare, "the sample lacks `services.NAME.host_port`");
}

#[test]
fn what_is_made_is_what_is_there() {
    for (path, text) in files(&root()).unwrap() {
        let found = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(found == text, "`{path}` is stale: cargo xtask reference");
    }
}

fn grammars() -> [Grammar; 2] {
    let samples = root().join(SAMPLES);
    let sample = |name: &str| std::fs::read_to_string(samples.join(name)).unwrap();
    let system = Grammar::of_system(&samples, &sample("system.toml")).unwrap();
    [system, Grammar::of_environment(&sample("environment.toml")).unwrap()]
}

/// The first keys of a page that neither kind of file has, a block of TOML each.
fn unknown(page: &str, grammars: &[Grammar]) -> Vec<String> {
    let blocks = page.split("\n```toml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap_or(rest));
    let first = |grammar: &Grammar, block| {
        let keys = example::examples(block).unwrap().into_iter().map(|item| item.key);
        keys.into_iter().find(|key| !grammar.takes(key))
    };
    blocks.filter_map(|block| grammars.iter().map(|grammar| first(grammar, block)).min().flatten()).collect()
}

#[test]
fn every_key_that_a_page_shows_is_read() {
    let grammars = grammars();
    for path in ["README.md", "docs/existing-repository.md"] {
        let page = std::fs::read_to_string(root().join(path)).unwrap();
        assert!(page.contains("\n```toml\n"), "{path} shows no file");
        assert_eq!(unknown(&page, &grammars), Vec::<String>::new(), "{path}");
        let wrong = page.replacen("\n```toml\n", "\n```toml\ncolour = 1\n", 1);
        assert_eq!(unknown(&wrong, &grammars), ["colour"], "{path}");
    }
}

/// A key that is only asked for in a form of a table that the sample lacks.
#[test]
fn no_question_in_the_readers_source_is_left_out() {
    let [system, environment] = grammars();
    let patterns = system.asked().chain(environment.asked()).map(|(pattern, _)| pattern);
    let known: BTreeSet<&str> = patterns.filter_map(|pattern| pattern.rsplit(['.', ']']).next()).collect();
    let mut sources = 0;
    for entry in std::fs::read_dir(root().join("xtask/crates/model/src")).unwrap().flatten() {
        let name = entry.file_name();
        // Files of other kinds.
        if !entry.path().is_file() || name == "price.rs" || name == "tool.rs" {
            continue;
        }
        sources += 1;
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for question in ["optional(\"", "required(\""] {
            for key in text.split(question).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(known.contains(key), "`{key}` of {} is not in the reference", name.display());
            }
        }
    }
    assert!(sources > 30, "the reader's source was not found");
}

/// Validates a TOML file with the schemas, by a program that knows nothing of the reader.
const VALIDATE: &str = r#"
import json, sys, tomllib
import jsonschema
schema = json.loads(sys.argv[1])
jsonschema.Draft7Validator.check_schema(schema)
for path in sys.argv[2:]:
    with open(path, "rb") as file:
        document = tomllib.load(file)
    for error in jsonschema.Draft7Validator(schema).iter_errors(document):
        print(path, list(error.absolute_path), error.message)
"#;

fn made(name: &str) -> String {
    let found = files(&root()).unwrap().into_iter().find(|(path, _)| *path == format!("docs/{name}.schema.json"));
    found.unwrap().1
}

fn validate(schema: &str, paths: &[PathBuf]) -> String {
    let output = Command::new("python3").args(["-c", VALIDATE]).arg(schema).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn has_validator() -> skip::Found<()> {
    let asked = Command::new("python3").args(["-c", "import jsonschema, tomllib"]).output();
    match asked {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(skip::Missing::new("python3 has no `jsonschema`")),
    }
}

fn tomls(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect()
}

#[test]
fn the_schemas_take_what_the_reader_takes() {
    skip::unless!(has_validator());
    let mut systems = tomls("deploy/systems");
    let mut environments = tomls("deploy/environments");
    assert!(systems.len() >= 5 && environments.len() >= 4, "{systems:?} {environments:?}");
    systems.push(root().join(SAMPLES).join("system.toml"));
    environments.push(root().join(SAMPLES).join("environment.toml"));
    assert_eq!(validate(&made("system"), &systems), "");
    assert_eq!(validate(&made("environment"), &environments), "");
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    skip::unless!(has_validator());
    let sample = std::fs::read_to_string(root().join(SAMPLES).join("system.toml")).unwrap();
    let schema = made("system");
    let folder = std::env::temp_dir().join(format!("slipway-schema-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (from, to, said) in [
        ("\nport = 80\n", "\nprot = 80\n", "prot"),
        ("\nport = 80\n", "\nport = 80000\n", "80000"),
        ("public = true", "public = \"yes\"", "yes"),
        ("presence = \"when-available\"", "presence = \"sometimes\"", "sometimes"),
        ("why = \"its entrypoint takes over its folder\"", "reason = \"x\"", "reason"),
        ("description = ", "summary = ", "summary"),
        ("status = 201", "status = 20", "20"),
    ] {
        let text = sample.replacen(from, to, 1);
        assert_ne!(text, sample, "{from}");
        assert!(
            model::trace::system(&root().join(SAMPLES), &text, &["tally"], &["postgres", "python"]).is_err(),
            "{to}"
        );
        let path = folder.join("system.toml");
        std::fs::write(&path, text).unwrap();
        let errors = validate(&schema, &[path]);
        assert!(errors.contains(said), "{to}: {errors}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
