//! The revisions of a system that were proven healthy, the newest last. What `rollback` goes back to.

use super::addresses::{self, Addresses};
use super::recipe::Recipe;
use anyhow::Result;
use engine::store::Documents;
use engine::store::folder::Folder;
use serde_json::{Value, json};
use std::path::Path;

/// How many revisions are kept, and with them the artifacts they name.
const KEPT: usize = 5;

/// A set of recipes that passed their smoke contract together.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    pub(crate) number: u64,
    /// When it was proven, UTC.
    pub(crate) at: String,
    pub recipes: Vec<Recipe>,
    /// Where its services were open to this machine when it was proven last; `None` where that was not written down.
    pub(crate) places: Option<Addresses>,
}

impl Revision {
    fn to_json(&self) -> Value {
        let recipes: Vec<_> = self.recipes.iter().map(Recipe::to_json).collect();
        let places = self.places.as_ref().map(addresses::to_json);
        json!({"number": self.number, "at": self.at, "recipes": recipes, "places": places})
    }

    fn from_json(value: &Value) -> Result<Self> {
        let list = value["recipes"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            number: value["number"].as_u64().unwrap_or_default(),
            at: value["at"].as_str().unwrap_or_default().to_owned(),
            recipes: list.iter().map(Recipe::from_json).collect::<Result<_>>()?,
            places: addresses::from_json(&value["places"]),
        })
    }
}

/// # Errors
/// When the file is there and cannot be understood.
pub(crate) fn history(path: &Path) -> Result<Vec<Revision>> {
    let (folder, name) = Folder::of(path);
    parse(&Documents::new(folder).read(&name)?)
}

fn parse(document: &Value) -> Result<Vec<Revision>> {
    let list = document["revisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(Revision::from_json).collect()
}

/// Appends what was proven just now, unless it is what the newest revision says already: that was proven again then, at
/// these places. Returns the revision's number and those that are still kept.
///
/// # Errors
/// When the file cannot be read or written.
pub(crate) fn record(path: &Path, recipes: Vec<Recipe>, places: Addresses, at: String) -> Result<(u64, Vec<Revision>)> {
    let (folder, name) = Folder::of(path);
    Documents::new(folder).update(&name, |document| {
        let mut revisions = parse(document)?;
        let newest = revisions.last();
        let number = match newest {
            Some(newest) if newest.recipes == recipes => newest.number,
            _ => newest.map_or(1, |newest| newest.number + 1),
        };
        revisions.retain(|revision| revision.number != number);
        revisions.push(Revision { number, at: at.clone(), recipes: recipes.clone(), places: Some(places.clone()) });
        revisions.drain(..revisions.len().saturating_sub(KEPT));
        document["revisions"] = revisions.iter().map(Revision::to_json).collect();
        Ok((number, revisions))
    })
}
