//! Reads the secrets of a system or of one service.

use super::decode::Table;
use super::error::quoted;
use super::grammar::{check_file_name, check_word, is_variable};
use super::name::SystemName;
use super::secret::{Alphabet, FOLDER, Secret, SecretSource, Shape};
use std::collections::BTreeMap;

#[derive(Clone, Copy)]
enum Kind {
    Generated,
    Env,
    File,
    Aws,
}

const KINDS: [(&str, Kind); 4] =
    [("generated", Kind::Generated), ("env", Kind::Env), ("file", Kind::File), ("aws", Kind::Aws)];

const ALPHABETS: [(&str, Alphabet); 3] =
    [("hex", Alphabet::Hex), ("base64", Alphabet::Base64), ("alphanumeric", Alphabet::Alphanumeric)];

/// The secrets in the table `secrets` of a service, or of the system where that is named.
pub(super) fn read(table: &Table<'_>, system: Option<&SystemName>) -> BTreeMap<String, Secret> {
    let entries = table.optional("secrets").and_then(|value| value.entries());
    let mut secrets = BTreeMap::new();
    for (name, value) in entries.into_iter().flatten() {
        if let Err(message) = check_word(name) {
            value.report(message);
        }
        let source = if value.is_table() {
            value.table(read_source).flatten()
        } else {
            // Nothing of it is repeated: it may be the secret itself.
            value.report("expected where it comes from, such as `{ from = \"generated\" }`");
            None
        };
        // One that is broken is there all the same for those that refer to it.
        let source = source.unwrap_or(SecretSource::Generated(Shape::default()));
        secrets.insert(name.to_owned(), Secret { source, system: system.cloned() });
    }
    secrets
}

fn read_source(table: &Table<'_>) -> Option<SecretSource> {
    let named = |check: fn(&str) -> Result<(), String>| table.required("name")?.checked(&check);
    match table.required("from")?.choice(&KINDS)? {
        Kind::Generated => Some(SecretSource::Generated(read_shape(table))),
        Kind::Env => named(check_name).map(SecretSource::Env),
        Kind::File => named(check_file).map(SecretSource::File),
        Kind::Aws => named(check_aws).map(SecretSource::Aws),
    }
}

fn read_shape(table: &Table<'_>) -> Shape {
    let usual = Shape::default();
    let bytes = table.optional("bytes").and_then(|value| value.number(8..=1024));
    let alphabet = table.optional("as").and_then(|value| value.choice(&ALPHABETS));
    Shape { bytes: bytes.map_or(usual.bytes, usize::from), alphabet: alphabet.unwrap_or(usual.alphabet) }
}

fn check_name(name: &str) -> Result<(), String> {
    if is_variable(name) {
        return Ok(());
    }
    Err(format!("{} is not the name of a variable: letters, digits and `_`, the first no digit", quoted(name)))
}

/// Nothing in it leads out of the folder.
fn check_file(name: &str) -> Result<(), String> {
    if name.split('/').all(|part| check_file_name(part).is_ok()) {
        return Ok(());
    }
    Err(format!("{} is not a file below `{FOLDER}`, such as `jwt.key` or `mailer/jwt.key`", quoted(name)))
}

/// What Secrets Manager takes, ARNs among it, as long as it is no option of the CLI's.
fn check_aws(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c);
    if name.len() <= 2048 && name.chars().all(inner) && name.starts_with(|c: char| inner(c) && c != '-') {
        return Ok(());
    }
    Err(format!("{} is not the name of a secret in AWS Secrets Manager, such as `prod/mailer`", quoted(name)))
}
