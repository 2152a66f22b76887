//! A compose file as a tree of texts, lists and maps: aliases and merge keys are followed, and nothing is made a number or
//! a truth value before somebody asks for one.

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::Parser;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

const NULL: Node = Node::Null;
/// The key that takes over what another map has.
const MERGE: &str = "<<";

/// Reads the first document of a text.
///
/// # Errors
/// What is wrong with it, after the number of its line.
pub(crate) fn read(text: &str) -> Result<Node, String> {
    let mut loader: YamlLoader<'_, MarkedYaml<'_>> = YamlLoader::default();
    loader.early_parse(false);
    let wrong = |error: &saphyr::ScanError| format!("{}: {}", error.marker().line(), error.info());
    Parser::new_from_str(text).load(&mut loader, true).map_err(|error| wrong(&error))?;
    if let Some(error) = loader.error() {
        return Err(wrong(error));
    }
    Ok(loader.into_documents().first().map_or(Node::Null, node))
}

fn node(yaml: &MarkedYaml<'_>) -> Node {
    match &yaml.data {
        YamlData::Representation(text, style, _) => {
            let is_null = *style == ScalarStyle::Plain && ["", "~", "null", "Null", "NULL"].contains(&text.as_ref());
            if is_null { Node::Null } else { Node::Text(text.to_string()) }
        }
        YamlData::Sequence(items) => Node::List(items.iter().map(node).collect()),
        YamlData::Mapping(map) => {
            let mut own = Vec::new();
            let mut merged = Vec::new();
            for (key, value) in map {
                match node(key) {
                    Node::Text(key) if key == MERGE => merged.push(node(value)),
                    Node::Text(key) => own.push((key, node(value))),
                    _ => {}
                }
            }
            let mut map = Node::Map(own);
            for other in merged {
                let others = if let Node::List(others) = other { others } else { vec![other] };
                others.into_iter().for_each(|other| map.take_over(other));
            }
            map
        }
        YamlData::Tagged(_, inner) => node(inner),
        _ => Node::Null,
    }
}

impl Node {
    pub(crate) fn get(&self, key: &str) -> &Node {
        let found = self.entries().iter().find(|(name, _)| name == key);
        found.map_or(&NULL, |(_, node)| node)
    }

    pub(crate) fn entries(&self) -> &[(String, Node)] {
        if let Self::Map(entries) = self { entries } else { &[] }
    }

    pub(crate) fn items(&self) -> &[Node] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// A list, or the one thing that stands in its place.
    pub(crate) fn one_or_more(&self) -> &[Node] {
        match self {
            Self::Null => &[],
            Self::List(items) => items,
            one => std::slice::from_ref(one),
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// What of a map it does not say itself.
    fn take_over(&mut self, other: Node) {
        if let (Self::Map(own), Self::Map(others)) = (self, other) {
            for (key, value) in others {
                if !own.iter().any(|(name, _)| *name == key) {
                    own.push((key, value));
                }
            }
        }
    }

    /// With what `base` says besides, as compose has it for `extends`: maps come together, lists one after the other.
    pub(crate) fn extending(self, base: Node) -> Node {
        match (self, base) {
            (Self::Map(own), Self::Map(base)) => {
                let mut own = own;
                let mut merged = Vec::new();
                for (key, value) in base {
                    let at = own.iter().position(|(name, _)| *name == key);
                    let value = match at {
                        Some(at) => own.remove(at).1.extending(value),
                        None => value,
                    };
                    merged.push((key, value));
                }
                merged.extend(own);
                Self::Map(merged)
            }
            (Self::List(own), Self::List(base)) => Self::List(base.into_iter().chain(own).collect()),
            (Self::Null, base) => base,
            (own, _) => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_what_they_are_and_merges_are_followed() {
        let read = read(
            "x-a: &a { restart: always, environment: { A: 010 } }\nservices:\n  web:\n    <<: *a\n    restart: 'no'\n    \
             ports: [80:80, '22']\n    tty:\n    more: ~\n",
        )
        .unwrap();
        let web = read.get("services").get("web");
        assert_eq!(web.get("restart").text(), Some("no"));
        assert_eq!(web.get("environment").get("A").text(), Some("010"));
        assert_eq!(web.get("ports").items(), [Node::Text("80:80".to_owned()), Node::Text("22".to_owned())]);
        assert!(web.get("tty").is_null() && web.get("more").is_null() && web.get("gone").get("x").is_null());
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        assert!(read("a: 1\nb: [\n").unwrap_err().starts_with(|c: char| c.is_ascii_digit()));
        assert!(read("a: 1\na: 2\n").unwrap_err().starts_with("2: "));
        assert_eq!(read(""), Ok(Node::Null));
    }
}
