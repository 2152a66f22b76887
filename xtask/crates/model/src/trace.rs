//! What the reader asks of a file: the reference and the schemas of these files are made of it, and so cannot say
//! anything else than what is read.

use super::decode::Document;
use super::environment::Environment;
use super::environment_file::layer_file;
use super::environment_settings::{Layered, resolve};
use super::error::{Sink, SpecErrors};
use super::service_file::Known;
use super::source::Source;
use super::system_file;
use std::path::Path;

/// Every question, in its order: the dotted key, and how its value is read.
pub type Trace = Vec<(String, Reading)>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// The key is known, whether it is there or not.
    Asked,
    /// It has to be there.
    Required,
    Text,
    /// A string, or a number or boolean as it is written.
    Scalar,
    Boolean,
    Number(u16, u16),
    Duration,
    Choice(Vec<&'static str>),
    List,
    Table,
    /// A table whose keys are names that the file chooses.
    Names,
    /// Whatever JSON can hold.
    Any,
}

impl Reading {
    pub(super) fn choice<T>(choices: &[(&'static str, T)]) -> Self {
        Self::Choice(choices.iter().map(|(word, _)| *word).collect())
    }
}

/// What is asked of the file of a system, in a repository of these programs and images.
///
/// # Errors
/// What is wrong with the file.
pub fn system(root: &Path, text: &str, crates: &[&str], images: &[&str]) -> Result<Trace, SpecErrors> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let known = Known { crates: names(crates), images: Some(names(images)), root: root.to_owned() };
    let sink = Sink::tracing();
    let read = "system".parse().ok().zip(Document::parse("system.toml", text, &sink)).map(|(name, document)| {
        system_file::read(&name, &document.root(&sink), &known);
        sink.trace()
    });
    sink.finish(read)
}

/// What is asked of the file of an environment, and what becomes of it.
///
/// # Errors
/// What is wrong with the file.
pub fn environment(text: &str) -> Result<(Trace, Environment), SpecErrors> {
    let sink = Sink::tracing();
    let source = Source { path: "environment.toml".to_owned(), text: text.to_owned() };
    let mut layered = Layered::new();
    let read = layer_file(&source, &mut layered, &sink);
    let read = read.and("environment".parse().ok()).and_then(|name| resolve(name, &source.path, layered, &sink));
    let read = read.map(|environment| (sink.trace(), environment));
    sink.finish(read)
}
