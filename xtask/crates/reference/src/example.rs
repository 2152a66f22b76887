//! The keys of a sample as they are written in it.

use anyhow::{Context, Result};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key with its value: `port = 80`, or the header of its table.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Dotted, with the number of the element in lists.
    pub(crate) key: String,
    pub(crate) text: String,
}

impl Item {
    /// What stands behind the equals sign.
    pub(crate) fn value(&self) -> &str {
        self.text.split_once(" = ").map_or("", |(_, value)| value)
    }

    /// A list of one text as that text; a service's own settings are no such lists.
    pub(crate) fn as_text(&self) -> Option<Self> {
        let element = self.value().strip_prefix('[')?.strip_suffix(']')?;
        let text = format!("{} = {element}", self.key);
        (!self.key.starts_with("services.")).then(|| Self { text, ..self.clone() })
    }
}

/// All of them, in the order of the sample.
pub(crate) fn examples(sample: &str) -> Result<Vec<Item>> {
    Ok(walk(sample)?.into_iter().map(|(item, _)| item).collect())
}

/// Those that stand on a line of their own: what no other one has in it.
pub(crate) fn items(sample: &str) -> Result<Vec<Item>> {
    Ok(walk(sample)?.into_iter().filter(|(_, is_line)| *is_line).map(|(item, _)| item).collect())
}

fn walk(sample: &str) -> Result<Vec<(Item, bool)>> {
    let table = DeTable::parse(sample).context("read a sample as TOML")?;
    let mut walk = Walk { sample, found: Vec::new() };
    walk.table("", table.get_ref(), true);
    walk.found.sort_by_key(|(place, ..)| *place);
    Ok(walk.found.into_iter().map(|(_, item, is_line)| (item, is_line)).collect())
}

struct Walk<'s> {
    sample: &'s str,
    /// With its place in the sample, and whether it is a line.
    found: Vec<(usize, Item, bool)>,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>, is_open: bool) {
        for (name, value) in table {
            let plain = name.get_ref().chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            let name_text = if plain { name.get_ref().to_string() } else { format!("{:?}", name.get_ref()) };
            let key = if path.is_empty() { name_text.clone() } else { format!("{path}.{name_text}") };
            self.value(&key, &name_text, name.span(), value, is_open);
        }
    }

    fn value(&mut self, key: &str, name: &str, at: Range<usize>, value: &Spanned<DeValue<'_>>, is_open: bool) {
        let text = self.sample.get(value.span()).unwrap_or_default();
        let mut note = |text: String, is_line| self.found.push((at.start, Item { key: key.to_owned(), text }, is_line));
        match value.get_ref() {
            DeValue::Table(table) if !text.starts_with('{') => {
                note(format!("[{key}]"), false);
                self.table(key, table, is_open);
            }
            DeValue::Table(table) => {
                note(format!("{name} = {text}"), is_open);
                self.table(key, table, false);
            }
            DeValue::Array(array) => {
                let is_headers = text.starts_with("[[");
                note(if is_headers { format!("[[{key}]]") } else { format!("{name} = {text}") }, is_open);
                for (index, element) in array.iter().enumerate() {
                    let DeValue::Table(table) = element.get_ref() else { continue };
                    self.table(&format!("{key}[{index}]"), table, false);
                }
            }
            _ => note(format!("{name} = {text}"), is_open),
        }
    }
}
