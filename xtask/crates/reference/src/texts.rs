//! What keys mean: a line each.

use crate::grammar::{Grammar, Key, Pattern};
use anyhow::{Context, Result, bail};
use model::system::TargetKind;
use std::collections::{BTreeMap, BTreeSet};

/// What is said of a key: `KEY | MEANING`, or `KEY | DEFAULT | TARGETS | MEANING` where the reader does not know these.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) pattern: Pattern,
    pub(crate) default: String,
    pub(crate) targets: String,
    pub(crate) meaning: String,
}

impl Text {
    /// The default where it is a value, which stands in backticks.
    pub(crate) fn fixed_default(&self) -> Option<&str> {
        self.default.strip_prefix('`')?.strip_suffix('`').filter(|default| !default.contains('`'))
    }
}

/// In the order in which the reference has them.
#[derive(Debug)]
pub(crate) struct Texts(pub(crate) Vec<Text>);

impl Texts {
    /// # Errors
    /// When the keys are not exactly those that the reader asks for, or one has no example.
    pub(crate) fn parse(text: &str, grammar: &Grammar) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty());
        let texts = lines.map(|line| parse(line, grammar)).collect::<Result<Vec<_>>>()?;
        let written: BTreeSet<&str> = texts.iter().map(|text| text.pattern.as_str()).collect();
        let asked: BTreeMap<&str, &Key> = grammar.asked().map(|(pattern, key)| (pattern.as_str(), key)).collect();
        let list = |keys: Vec<&str>| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let unwritten: Vec<&str> = asked.keys().copied().filter(|key| !written.contains(key)).collect();
        if !unwritten.is_empty() {
            bail!("the reader knows what the reference does not: {}", list(unwritten));
        }
        let unread: Vec<&str> = written.into_iter().filter(|key| !asked.contains_key(key)).collect();
        if !unread.is_empty() {
            bail!("the reference has what the reader does not ask for: {}", list(unread));
        }
        let bare = asked.iter().filter(|(_, key)| key.example.is_none()).map(|(pattern, _)| *pattern);
        let bare: Vec<&str> = bare.collect();
        if !bare.is_empty() {
            bail!("the sample lacks {}", list(bare));
        }
        Ok(Self(texts))
    }

    pub(crate) fn of(&self, pattern: &str) -> Option<&Text> {
        self.0.iter().find(|text| text.pattern == pattern)
    }
}

fn parse(line: &str, grammar: &Grammar) -> Result<Text> {
    let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let key = columns.first().and_then(|pattern| grammar.keys.get(*pattern));
    let (pattern, default, targets, meaning) = match columns[..] {
        [pattern, meaning] => (pattern, String::new(), known_targets(key), meaning),
        [pattern, default, targets, meaning] => (pattern, default.to_owned(), targets.to_owned(), meaning),
        _ => bail!("not `KEY | MEANING` or `KEY | DEFAULT | TARGETS | MEANING`: {line}"),
    };
    let known = key.and_then(|key| key.default.as_ref()).map(|default| format!("`{default}`"));
    let required = key.filter(|key| key.is_required).map(|_| "required".to_owned());
    let default = required.or(known).unwrap_or(default);
    meaning.chars().next().with_context(|| format!("`{pattern}` has no meaning"))?;
    Ok(Text { pattern: pattern.to_owned(), default, targets, meaning: meaning.to_owned() })
}

fn known_targets(key: Option<&Key>) -> String {
    let targets = key.map(|key| &key.targets).into_iter().flatten();
    let all = key.is_some_and(|key| key.targets.len() == TargetKind::ALL.len());
    targets.filter(|_| !all).map(|target| target.as_str()).collect::<Vec<_>>().join(" ")
}
