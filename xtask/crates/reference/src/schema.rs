//! JSON Schemas, as editors take them (draft 7).

use crate::grammar::{Grammar, Key};
use crate::texts::Texts;
use model::trace::Reading;
use serde_json::{Map, Value, json};

/// The schema of a kind of file.
pub(crate) fn render(title: &str, grammar: &Grammar, texts: &Texts) -> String {
    let mut schema = of("", grammar, texts);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(title);
    // For whoever opens it.
    schema["$comment"] = json!("Made by `cargo xtask reference` from the reader itself. Change that instead.");
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    format!("{text}\n")
}

fn of(pattern: &str, grammar: &Grammar, texts: &Texts) -> Value {
    let Some(key) = grammar.keys.get(pattern) else { return json!({}) };
    let mut forms: Vec<Value> = shapes(key).filter_map(|reading| form(reading, pattern, grammar, texts)).collect();
    let mut schema = if forms.len() == 1 { forms.remove(0) } else { json!({ "anyOf": forms }) };
    if let Some(text) = texts.of(pattern) {
        let targets = if text.targets.is_empty() { String::new() } else { format!(" On {}.", text.targets) };
        schema["description"] = json!(format!("{}.{targets}", text.meaning));
        if let Some(default) = text.fixed_default() {
            schema["default"] = json!(default);
        }
    }
    schema
}

/// How the value is read: what is one of a few words is not also any text, and what is anything is not also a table.
pub(crate) fn shapes(key: &Key) -> impl Iterator<Item = &Reading> {
    let chosen = key.readings.iter().any(|reading| matches!(reading, Reading::Choice(_)));
    let any = key.readings.contains(&Reading::Any);
    key.readings.iter().filter(move |reading| match reading {
        Reading::Asked | Reading::Required => false,
        Reading::Scalar => !chosen,
        Reading::Any => true,
        _ => !any,
    })
}

fn form(reading: &Reading, pattern: &str, grammar: &Grammar, texts: &Texts) -> Option<Value> {
    Some(match reading {
        Reading::Asked | Reading::Required => return None,
        Reading::Text | Reading::Duration => json!({ "type": "string" }),
        Reading::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Reading::Boolean => json!({ "type": "boolean" }),
        Reading::Number(first, last) => json!({ "type": "integer", "minimum": first, "maximum": last }),
        Reading::Choice(words) => json!({ "enum": words }),
        Reading::List => json!({ "type": "array", "items": of(&format!("{pattern}[]"), grammar, texts) }),
        Reading::Table => table(pattern, grammar, texts),
        Reading::Names => {
            let within = of(&within(pattern, "NAME"), grammar, texts);
            json!({ "type": "object", "additionalProperties": within })
        }
        Reading::Any => json!({}),
    })
}

fn table(pattern: &str, grammar: &Grammar, texts: &Texts) -> Value {
    let inner = grammar.asked().filter_map(|(inner, key)| {
        let name = inner.strip_prefix(&within(pattern, ""))?;
        (!name.contains(['.', '['])).then_some((name, inner, key))
    });
    let inner: Vec<(&str, &String, &Key)> = inner.collect();
    let properties: Map<String, Value> =
        inner.iter().map(|(name, pattern, _)| ((*name).to_owned(), of(pattern, grammar, texts))).collect();
    let required: Vec<&str> = inner.iter().filter(|(_, _, key)| key.is_required).map(|(name, ..)| *name).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn within(pattern: &str, name: &str) -> String {
    if pattern.is_empty() { name.to_owned() } else { format!("{pattern}.{name}") }
}
