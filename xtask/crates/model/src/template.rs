//! Texts with `${…}` references: reading them, and filling them in. `$$` stands for a dollar sign.

use super::error::{instead, quoted};
use super::name::ServiceName;
use super::system::{Piece, Reference, Template};
use std::str::FromStr;

/// A piece of a text, before anybody asks what its references mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'t> {
    Text(&'t str),
    /// What stands between `${` and `}`.
    Name(&'t str),
}

/// Splits a text at its references. The error is what is wrong with the text.
pub fn split(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        if let Some(after) = from.strip_prefix("$$") {
            // The first of the two dollars, borrowed from the text itself.
            parts.push(Part::Text(&from[..1]));
            rest = after;
        } else if let Some(inside) = from.strip_prefix("${") {
            let (name, after) =
                inside.split_once('}').ok_or_else(|| format!("{} has no closing `}}`", quoted(from)))?;
            parts.push(Part::Name(name));
            rest = after;
        } else {
            return Err("a lone `$`; write `$$` for a dollar sign".to_owned());
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// The references without a name of their own.
const WORDS: [(&str, Reference); 5] = [
    ("address", Reference::Address),
    ("data", Reference::Data),
    ("host", Reference::Host),
    ("port", Reference::Port),
    ("public_url", Reference::PublicUrl),
];

impl FromStr for Reference {
    type Err = String;

    /// Parses what stands between `${` and `}`.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((of, name)) = text.split_once('.') else {
            let word = WORDS.iter().find(|(word, _)| *word == text);
            return word.map(|(_, reference)| reference.clone()).ok_or_else(|| {
                let words = WORDS.iter().map(|(word, _)| *word);
                let valid = words.chain(["file.NAME", "git.commit", "port.NAME", "secret.NAME", "SERVICE.NAME"]);
                let instead = instead(text, "valid references", valid);
                format!("unknown reference {}{instead}", quoted(text))
            });
        };
        let name = name.to_owned();
        match of {
            "secret" => Ok(Self::Secret(name)),
            "file" => Ok(Self::File(name)),
            "port" => Ok(Self::FurtherPort(name)),
            "git" if name == "commit" => Ok(Self::Commit),
            "git" => Err(format!("unknown reference {}; of git there is `git.commit`", quoted(text))),
            service => {
                let service: ServiceName =
                    service.parse().map_err(|error| format!("unknown reference {}: {error}", quoted(text)))?;
                Ok(Self::Provided { service, name })
            }
        }
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        for part in split(text)? {
            match (part, pieces.last_mut()) {
                // `$$` cuts a text in two; one piece of text is one piece.
                (Part::Text(more), Some(Piece::Text(text))) => text.push_str(more),
                (Part::Text(text), _) => pieces.push(Piece::Text(text.to_owned())),
                (Part::Name(name), _) => pieces.push(Piece::Reference(name.parse()?)),
            }
        }
        Ok(Self(pieces))
    }
}

impl Template {
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Reference(reference) => Some(reference),
        })
    }

    /// Fills in each reference with what `resolve` says; its first error ends it.
    pub fn render<E>(&self, mut resolve: impl FnMut(&Reference) -> Result<String, E>) -> Result<String, E> {
        let mut rendered = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => rendered.push_str(text),
                Piece::Reference(reference) => rendered.push_str(&resolve(reference)?),
            }
        }
        Ok(rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, String> {
        let template: Template = text.parse()?;
        template.render(|reference| match reference {
            Reference::Port => Ok("80".to_owned()),
            Reference::Secret(name) | Reference::File(name) => Ok(format!("<{name}>")),
            Reference::Provided { service, name } => Ok(format!("<{name} of {service}>")),
            other => Err(format!("no {other:?}")),
        })
    }

    #[test]
    fn references_are_filled_in_and_the_rest_is_kept() {
        assert_eq!(render(""), Ok(String::new()));
        assert_eq!(render("redis://:${secret.password}@h:${port}/0"), Ok("redis://:<password>@h:80/0".to_owned()));
        assert_eq!(render("${file.redis.conf} ${redis.url}"), Ok("<redis.conf> <url of redis>".to_owned()));
        assert_eq!(render("${data}"), Err("no Data".to_owned()));
    }

    #[test]
    fn a_doubled_dollar_is_one_and_refers_to_nothing() {
        assert_eq!(render("a$$b $${port} $$$$"), Ok("a$b ${port} $$".to_owned()));
        let template: Template = "a$$b".parse().unwrap();
        assert_eq!(template.0, [Piece::Text("a$b".to_owned())]);
    }

    #[test]
    fn what_is_not_a_reference_is_refused() {
        let refused = |text: &str| text.parse::<Template>().unwrap_err();
        assert_eq!(refused("cost: 5$"), "a lone `$`; write `$$` for a dollar sign");
        assert_eq!(refused("${port"), "`${port` has no closing `}`");
        assert!(refused("${prot}").starts_with("unknown reference `prot`; did you mean `port`?"));
        assert!(refused("${}").starts_with("unknown reference ``; valid references:"));
        assert!(refused("${A.b}").starts_with("unknown reference `A.b`: `A` is not a name"));
    }

    #[test]
    fn references_are_listed_in_their_order() {
        let template: Template = "${port}-${host}".parse().unwrap();
        let listed: Vec<_> = template.references().collect();
        assert_eq!(listed, [&Reference::Port, &Reference::Host]);
    }
}
