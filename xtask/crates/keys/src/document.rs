//! Reading what cargo wrote or will read. The values are taken as cargo means them; anything cargo would refuse is
//! left for cargo to refuse in its own words.

use super::input::Digest;
use anyhow::{Context, Result, anyhow};
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// The text of a file, `None` where there is none.
///
/// # Errors
///
/// When the file is there and cannot be read as text; the message names it relative to `root`.
pub(super) fn read(root: &Path, path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

pub(super) fn parse<'t>(path: &Path, text: &'t str) -> Result<DeTable<'t>> {
    let document =
        DeTable::parse(text).map_err(|error| anyhow!("`{}`: {}", path.display(), error.to_string().trim()))?;
    Ok(document.into_inner())
}

pub(super) fn table<'a, 't>(table: &'a DeTable<'t>, key: &str) -> Option<&'a DeTable<'t>> {
    table.get(key)?.get_ref().as_table()
}

pub(super) fn string<'a>(table: &'a DeTable<'_>, key: &str) -> Option<&'a str> {
    table.get(key)?.get_ref().as_str()
}

/// The strings of an array; none where there is no array.
pub(super) fn strings<'a>(table: &'a DeTable<'_>, key: &str) -> Vec<&'a str> {
    let array = table.get(key).and_then(|value| value.get_ref().as_array());
    array.into_iter().flat_map(|array| array.iter()).filter_map(|value| value.get_ref().as_str()).collect()
}

/// The entries of a table; none where there is no table.
pub(super) fn entries<'a, 't>(parent: &'a DeTable<'t>, key: &str) -> impl Iterator<Item = (&'a str, &'a DeValue<'t>)> {
    table(parent, key).into_iter().flat_map(pairs)
}

pub(super) fn pairs<'a, 't>(table: &'a DeTable<'t>) -> impl Iterator<Item = (&'a str, &'a DeValue<'t>)> {
    table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref()))
}

/// The digest of what a value means: comments, spaces and the order of keys do not count.
pub(super) fn digest(value: &DeValue<'_>) -> Digest {
    match value {
        DeValue::Table(table) => {
            let mut fields: Vec<_> = pairs(table).map(|(key, value)| (key, digest(value))).collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields = fields.iter().flat_map(|(key, value)| [key.as_bytes(), &value.0]);
            Digest::of_fields(std::iter::once(&b"table"[..]).chain(fields))
        }
        DeValue::Array(array) => {
            let items: Vec<_> = array.iter().map(|value| digest(value.get_ref())).collect();
            Digest::of_fields(std::iter::once(&b"array"[..]).chain(items.iter().map(|item| &item.0[..])))
        }
        DeValue::String(text) => Digest::of_fields(["string", text]),
        DeValue::Integer(number) => Digest::of_fields(["integer", &number.to_string()]),
        DeValue::Float(number) => Digest::of_fields(["float", number.as_str()]),
        DeValue::Boolean(yes) => Digest::of_fields(["boolean", &yes.to_string()]),
        DeValue::Datetime(time) => Digest::of_fields(["datetime", &time.to_string()]),
    }
}

/// A value as TOML has it, on one line.
pub(super) fn inline(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Table(table) => inline_table(pairs(table).map(|(key, value)| (key, inline(value)))),
        DeValue::Array(array) => inline_array(array.iter().map(|value| inline(value.get_ref()))),
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
    }
}

/// A table on one line, of values that are written already.
pub(super) fn inline_table<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{} = {value}", quoted(key))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

pub(super) fn inline_array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A string of JSON is one of TOML as well, but for one character.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(text: &str) -> Digest {
        digest(&DeValue::Table(parse(Path::new("Cargo.toml"), text).unwrap()))
    }

    #[test]
    fn what_a_value_means_counts_and_how_it_is_written_does_not() {
        let plain = digest_of("[a]\nx = 1\ny = { z = [true, \"s\"] }\n");
        assert_eq!(plain, digest_of("# why\na = { y.z = [ true, 's' ], x = 1 } "));
        let others = [
            "[a]\nx = 2\ny = { z = [true, \"s\"] }",
            "[a]\nx = \"1\"\ny = { z = [true, \"s\"] }",
            "[a]\nx = 1\ny = { z = [\"s\", true] }",
            "[a]\nx = 1\ny = { z = [[true], \"s\"] }",
            "[a]\nx = 1\n[y]\nz = [true, \"s\"]",
            "[a]\nx = 1\ny = { w = [true, \"s\"] }",
        ];
        for other in others {
            assert_ne!(plain, digest_of(other), "{other}");
        }
    }

    #[test]
    fn a_value_that_was_written_means_what_it_meant() {
        let text =
            "a = { x = 1, 'y z' = [true, \"q\\\"\\\\\\n\", 1.5, 0x10], n = {} }\nd = 1979-05-27\nl = []\n".to_owned();
        let table = parse(Path::new("x"), &text).unwrap();
        let written: String = pairs(&table).map(|(key, value)| format!("{key} = {}\n", inline(value))).collect();
        assert_eq!(digest_of(&written), digest_of(&text), "{written}");
        let odd = quoted("\u{7f}\u{1}");
        assert_eq!(digest_of(&format!("a = {odd}")), digest_of("a = \"\\u007f\\u0001\""), "{odd}");
    }
}
