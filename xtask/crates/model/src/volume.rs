//! What of a container outlives it: its volumes, each with a name.

use super::container::{Container, Memory};
use super::container_file::check_folder;
use super::decode::{Table, Value};
use super::grammar::check_volume;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The volume that `${data}` is in.
pub const DATA: &str = "data";

pub type Volumes = BTreeMap<String, Volume>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The folder that it is.
    pub at: String,
    /// How much it is to hold, where that is limited at all.
    pub size: Option<Memory>,
}

/// All volumes of a container. `data` is the folder that `${data}` is, where that is used: a volume, too.
pub fn all(container: &Container, data: Option<&str>) -> Volumes {
    let mut all = container.volumes.clone();
    if let Some(at) = data {
        all.entry(DATA.to_owned()).or_insert_with(|| Volume { at: at.to_owned(), size: None });
    }
    all
}

/// Reads `volumes`: `NAME = "/folder"` or `NAME = { at = "/folder", size = "5Gi" }`.
pub(super) fn read(table: &Table<'_>) -> Volumes {
    let entries = table.optional("volumes").and_then(|value| value.entries());
    let mut volumes = Volumes::new();
    for (name, value) in entries.into_iter().flatten() {
        if let Err(message) = check_volume(name) {
            value.report(message);
        }
        let Some(volume) = read_one(&value) else { continue };
        if volumes.values().any(|other| other.at == volume.at) {
            value.report(format!("`{}` is another volume already", volume.at));
        }
        volumes.insert(name.to_owned(), volume);
    }
    volumes
}

fn read_one(value: &Value<'_>) -> Option<Volume> {
    if value.is_text() {
        return Some(Volume { at: value.checked(&check_folder)?, size: None });
    }
    value.table(|table| {
        let at = table.required("at").and_then(|value| value.checked(&check_folder));
        let size = table.optional("size").and_then(|value| read_size(&value));
        Some(Volume { at: at?, size })
    })?
}

fn read_size(value: &Value<'_>) -> Option<Memory> {
    let text = value.text()?;
    let parsed = text.parse();
    parsed.map_err(|_| value.report(format!("`{text}` is not the size of a volume such as `5Gi`"))).ok()
}

pub(super) fn to_json(volumes: &Volumes) -> Json {
    let one = |(name, volume): (&String, &Volume)| {
        (name.clone(), json!({"at": volume.at, "size": volume.size.map(|size| size.to_string())}))
    };
    volumes.iter().map(one).collect::<Map<_, _>>().into()
}

/// `None` when the value was not made by [`to_json`].
pub(super) fn from_json(value: &Json) -> Option<Volumes> {
    let one = |(name, value): (&String, &Json)| {
        let size = match &value["size"] {
            Json::Null => None,
            size => Some(size.as_str()?.parse().ok()?),
        };
        Some((name.clone(), Volume { at: value["at"].as_str()?.to_owned(), size }))
    };
    value.as_object()?.iter().map(one).collect()
}
