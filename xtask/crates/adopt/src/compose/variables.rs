//! `${…}` in compose files, and the files that give variables their values.
//!
//! Source of the grammar: <https://docs.docker.com/reference/compose-file/interpolation/>.

use crate::names::file_of;
use crate::sketch::{Secret, SecretContent, SecretCopy};
use base::redact;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What compose would know of variables, and which of them were asked for.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// The system, below which its secrets are kept.
    system: String,
    values: BTreeMap<String, String>,
    asked: RefCell<Asked>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Asked {
    /// Those that have no value anywhere.
    pub(crate) unknown: BTreeSet<String>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) copies: Vec<SecretCopy>,
}

/// How a text is to come out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// With a dollar sign as two, and a secret as a reference.
    Template,
}

impl Variables {
    /// `dotenv` is the text of the file `.env`.
    pub(crate) fn new(system: &str, dotenv: &str) -> Self {
        Self { system: system.to_owned(), values: pairs(dotenv).into_iter().collect(), asked: RefCell::default() }
    }

    pub(crate) fn asked(&self) -> Asked {
        self.asked.borrow().clone()
    }

    pub(crate) fn plain(&self, text: &str) -> String {
        self.fill(text, Form::Plain)
    }

    /// The same as a template of a system's file.
    pub(crate) fn template(&self, text: &str) -> String {
        self.fill(text, Form::Template)
    }

    /// A value that stands in a file which git may ignore: a secret by its name is one of the system's.
    pub(crate) fn kept(&self, name: &str, value: &str) -> String {
        if redact::is_name(name) && !value.is_empty() {
            return self.secret(name, Some(value));
        }
        escaped(value)
    }

    /// A value that whoever starts the system is to give.
    pub(crate) fn given(&self, name: &str) -> Option<String> {
        match self.values.get(name) {
            Some(value) => Some(self.kept(name, value)),
            None if redact::is_name(name) => Some(self.secret(name, None)),
            None => None,
        }
    }

    fn secret(&self, name: &str, value: Option<&str>) -> String {
        let mut asked = self.asked.borrow_mut();
        let secret = match value {
            Some(value) => {
                let to = format!("{}/{}", self.system, file_of(name));
                let copy = SecretCopy { content: SecretContent::Text(value.to_owned()), to: to.clone() };
                if !asked.copies.contains(&copy) {
                    asked.copies.push(copy);
                }
                Secret::File(to)
            }
            None => Secret::Env(name.to_owned()),
        };
        asked.secrets.insert(name.to_owned(), secret);
        format!("${{secret.{name}}}")
    }

    fn fill(&self, text: &str, form: Form) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if let Some(after) = after.strip_prefix('$') {
                out.push_str(if form == Form::Template { "$$" } else { "$" });
                rest = after;
            } else if let Some((inside, after)) = after.strip_prefix('{').and_then(closed) {
                out.push_str(&self.reference(inside, form));
                rest = after;
            } else {
                let (name, after) = after.split_at(after.find(|c| !inner(c)).unwrap_or(after.len()));
                match name.is_empty() {
                    true => out.push_str(if form == Form::Template { "$$" } else { "$" }),
                    false => out.push_str(&self.value(name, form).unwrap_or_else(|| self.unknown(name, form))),
                }
                rest = after;
            }
        }
        out.push_str(rest);
        out
    }

    /// What stands between `${` and `}`.
    fn reference(&self, inside: &str, form: Form) -> String {
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let (name, rest) = inside.split_at(end);
        let (empty_counts, operator) = rest.strip_prefix(':').map_or((true, rest), |operator| (false, operator));
        let is_set = self.values.get(name).is_some_and(|value| empty_counts || !value.is_empty());
        let word = operator.get(1..).unwrap_or_default();
        match operator.chars().next() {
            Some('-') if !is_set => self.fill(word, form),
            Some('+') => {
                if is_set {
                    self.fill(word, form)
                } else {
                    String::new()
                }
            }
            _ => self.value(name, form).unwrap_or_else(|| self.unknown(name, form)),
        }
    }

    fn value(&self, name: &str, form: Form) -> Option<String> {
        let value = self.values.get(name)?;
        Some(if form == Form::Template { self.kept(name, value) } else { value.clone() })
    }

    fn unknown(&self, name: &str, form: Form) -> String {
        if form == Form::Template && redact::is_name(name) {
            return self.secret(name, None);
        }
        self.asked.borrow_mut().unknown.insert(name.to_owned());
        String::new()
    }
}

/// As a template that refers to nothing.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// Up to the brace that closes, and what comes after it.
fn closed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

/// The variables of a file such as `.env`, in their order.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        let value = value.trim();
        let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.split_once(quote));
        let value = match quoted {
            Some((inside, _)) => inside,
            // Without quotes a comment may follow.
            None => value.split(" #").next().unwrap_or(value).trim_end(),
        };
        Some((name.trim().to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_as_compose_does() {
        let dotenv = "# a comment\nTAG=7 # why\nexport NAME='a b'\nEMPTY=\nDB_PASSWORD=\"hunter2hunter2\"\n";
        let variables = Variables::new("shop", dotenv);
        for (text, plain) in [
            ("redis:${TAG}", "redis:7"),
            ("$NAME-x", "a b-x"),
            ("${GONE:-8}${EMPTY:-9}${EMPTY-9}", "89"),
            ("${GONE:-${TAG}}", "7"),
            ("${TAG:+yes}${GONE:+no}", "yes"),
            ("a$$b", "a$b"),
            ("${GONE?it is needed}", ""),
            ("100%$", "100%$"),
        ] {
            assert_eq!(variables.plain(text), plain, "{text}");
        }
        assert_eq!(variables.template("a$$b ${TAG}"), "a$$b 7");
        assert_eq!(variables.asked().unknown.into_iter().collect::<Vec<_>>(), ["GONE"]);
    }

    #[test]
    fn secrets_stay_out_of_the_file() {
        let variables = Variables::new("shop", "DB_PASSWORD=hunter2hunter2\n");
        assert_eq!(variables.template("postgres://u:${DB_PASSWORD}@db"), "postgres://u:${secret.DB_PASSWORD}@db");
        assert_eq!(variables.template("${API_TOKEN}"), "${secret.API_TOKEN}");
        assert_eq!(variables.template("${API_TOKEN:-none}"), "none");
        let asked = variables.asked();
        assert_eq!(asked.secrets["DB_PASSWORD"], Secret::File("shop/DB_PASSWORD".to_owned()));
        assert_eq!(asked.secrets["API_TOKEN"], Secret::Env("API_TOKEN".to_owned()));
        assert_eq!(asked.copies.len(), 1);
        assert!(!format!("{asked:?}").contains("hunter2"));
    }
}
