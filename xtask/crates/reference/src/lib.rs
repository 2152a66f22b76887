//! The reference and the JSON Schemas of `deploy/systems/` and `deploy/environments/`.
//!
//! A sample of each kind of file, with every key in it, goes through the reader, which notes what it asks for and how it
//! reads it. What a key means is a line in `system.txt` or `environment.txt`; a key without one, or a line without a key,
//! is an error. So a new key takes a line there and one in the sample.

mod example;
mod grammar;
mod page;
mod schema;
mod texts;

use anyhow::{Context, Result};
use grammar::Grammar;
use std::path::Path;
use texts::Texts;

/// Where the samples are, with what they name.
const SAMPLES: &str = "xtask/crates/reference/sample";

/// The files that are made, by their paths below the root.
///
/// # Errors
/// When a sample is not read, or keys and texts differ.
pub fn files(root: &Path) -> Result<Vec<(&'static str, String)>> {
    let samples = root.join(SAMPLES);
    let sample = |name: &str| {
        let path = samples.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))
    };
    let system = Grammar::of_system(&samples, &sample("system.toml")?)?;
    let environment = Grammar::of_environment(&sample("environment.toml")?)?;
    let system_texts = Texts::parse(include_str!("system.txt"), &system)?;
    let environment_texts = Texts::parse(include_str!("environment.txt"), &environment)?;
    let page = page::render(&[
        ("A system", "deploy/systems/NAME.toml", &system, &system_texts),
        ("An environment", "deploy/environments/NAME.toml", &environment, &environment_texts),
    ]);
    Ok(vec![
        ("docs/reference.md", page),
        ("docs/system.schema.json", schema::render("A system of services", &system, &system_texts)),
        ("docs/environment.schema.json", schema::render("An environment", &environment, &environment_texts)),
    ])
}

#[cfg(test)]
mod tests;
