//! `docs/reference.md`.

use crate::grammar::{Grammar, Key, parent};
use crate::schema::shapes;
use crate::texts::{Text, Texts};
use model::trace::Reading;

/// A kind of file: its title, where such files are, its keys, and what they mean.
pub(crate) type Part<'p> = (&'p str, &'p str, &'p Grammar, &'p Texts);

pub(crate) fn render(parts: &[Part<'_>]) -> String {
    let mut page = include_str!("preface.md").to_owned();
    for (title, place, grammar, texts) in parts {
        page.push_str(&format!("\n## {title}: `{place}`\n"));
        let mut seen: Vec<&str> = Vec::new();
        for text in &texts.0 {
            let of = parent(&text.pattern);
            if seen.contains(&of) {
                continue;
            }
            seen.push(of);
            if !of.is_empty() {
                page.push_str(&format!("\n### {}\n", header(of)));
            }
            page.push_str("\n| key | value | default | targets | meaning | example |\n|---|---|---|---|---|---|\n");
            let rows = texts.0.iter().filter(|text| parent(&text.pattern) == of);
            rows.for_each(|text| page.push_str(&row(text, grammar)));
        }
    }
    page
}

fn header(pattern: &str) -> String {
    match pattern.strip_suffix("[]") {
        Some(list) => format!("`[[{list}]]`"),
        None => format!("`[{pattern}]`"),
    }
}

fn row(text: &Text, grammar: &Grammar) -> String {
    let Text { pattern, default, targets, meaning } = text;
    let key = grammar.keys.get(pattern);
    let name = pattern.rsplit('.').next().unwrap_or(pattern);
    let value = key.map(|key| value(pattern, key, grammar)).unwrap_or_default();
    let example = key.and_then(|key| key.example.as_deref()).map(|example| format!("`{example}`")).unwrap_or_default();
    let cells = [format!("`{name}`"), value, default.clone(), targets.clone(), meaning.clone(), example];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn value(pattern: &str, key: &Key, grammar: &Grammar) -> String {
    let forms = shapes(key).map(|reading| match reading {
        Reading::Text => "text".to_owned(),
        Reading::Scalar => "text or number".to_owned(),
        Reading::Boolean => "`true` or `false`".to_owned(),
        Reading::Number(first, last) => format!("{first} to {last}"),
        Reading::Duration => "duration".to_owned(),
        Reading::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Reading::List => format!("list of {}", within(&format!("{pattern}[]"), grammar)),
        Reading::Names => format!("{} by name", within(&format!("{pattern}.NAME"), grammar)),
        Reading::Table => "table".to_owned(),
        Reading::Any => "anything".to_owned(),
        Reading::Asked | Reading::Required => String::new(),
    });
    forms.collect::<Vec<_>>().join(" or ")
}

fn within(pattern: &str, grammar: &Grammar) -> String {
    grammar.keys.get(pattern).map(|key| value(pattern, key, grammar)).unwrap_or_default()
}
