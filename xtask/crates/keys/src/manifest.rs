//! The inputs of one build, the key over them, and the text that is kept beside what was built.

use super::input::{Digest, Input};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The first line of the text, and the start of what the key is made of: raised when the meaning of an input changes.
const FORMAT: &str = "content-key 1";

/// Everything one build can see, sorted, each input once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    inputs: Vec<Input>,
    variables: BTreeSet<String>,
}

impl Manifest {
    /// Where two inputs are the same thing, the last one counts.
    pub(super) fn new(mut inputs: Vec<Input>) -> Self {
        inputs.sort_by(|a, b| a.slot().cmp(&b.slot()));
        inputs.dedup_by(|later, kept| {
            let same = later.slot() == kept.slot();
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Self { inputs, variables: BTreeSet::new() }
    }

    pub(super) fn with_variables(self, variables: BTreeSet<String>) -> Self {
        Self { variables, ..self }
    }

    /// The variables that the sources read while they are compiled, which are not in the key: only the caller knows what a
    /// build is given. A manifest that was read from its text has none.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Adds what only the caller knows. An input of the same kind and name is replaced.
    pub fn add(&mut self, input: Input) {
        match self.inputs.binary_search_by(|have| have.slot().cmp(&input.slot())) {
            Ok(at) => self.inputs[at] = input,
            Err(at) => self.inputs.insert(at, input),
        }
    }

    /// Leaves out what `keep` does not want.
    pub fn retain(&mut self, keep: impl FnMut(&Input) -> bool) {
        self.inputs.retain(keep);
    }

    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    pub fn key(&self) -> Key {
        let mut buffer = Vec::with_capacity(self.inputs.len() * 128);
        buffer.extend_from_slice(FORMAT.as_bytes());
        for input in &self.inputs {
            input.frame(&mut buffer);
        }
        Key(Digest::of(buffer))
    }

    /// One line for each input after a line with the format: `KIND SHA256 NAME`. Stable: it is kept beside what was
    /// built. Kind and digest hold no space and the name no line break, so no two manifests have the same text.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.inputs.len() * 128);
        text.push_str(FORMAT);
        text.push('\n');
        for input in &self.inputs {
            text.push_str(&input.to_string());
            text.push('\n');
        }
        text
    }

    /// # Errors
    ///
    /// When the text was not written by [`Manifest::to_text`] of this version, which a caller treats like a manifest
    /// that is not there.
    pub fn from_text(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        match lines.next() {
            Some(FORMAT) => {}
            other => bail!("expected `{FORMAT}`, found `{}`", other.unwrap_or_default()),
        }
        let read = |(index, line): (usize, &str)| line.parse().with_context(|| format!("line {}", index + 2));
        let inputs: Result<Vec<Input>> = lines.enumerate().map(read).collect();
        let manifest = Self::new(inputs?);
        if manifest.to_text() != text {
            bail!("lines are missing, doubled or out of order");
        }
        Ok(manifest)
    }
}

/// The hash over a manifest. Shown as its first 20 hexadecimal digits, short enough for a tag; all 64 are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Digest);

impl Key {
    /// All 64 hexadecimal digits; [`FromStr`] reads them back.
    pub fn full(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.20}", self.0)
    }
}

impl FromStr for Key {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::Kind;
    use super::*;

    fn argument(name: &str, value: &str) -> Input {
        Input::new(Kind::Argument, name, value)
    }

    #[test]
    fn the_order_in_which_inputs_come_does_not_matter_and_the_last_of_one_name_counts() {
        let mut added = Manifest::default();
        for input in [argument("b", "2"), argument("a", "0"), argument("a", "1")] {
            added.add(input);
        }
        assert_eq!(added, Manifest::new(vec![argument("a", "0"), argument("b", "2"), argument("a", "1")]));
        assert_eq!(added.inputs().len(), 2);
        assert_eq!(added.inputs()[0], argument("a", "1"));
    }

    #[test]
    fn one_path_is_one_input_whatever_lies_there() {
        let mut manifest = Manifest::default();
        manifest.add(Input::new(Kind::File { mode: 0o600 }, "a", ""));
        manifest.add(Input::new(Kind::Link, "a", ""));
        manifest.add(Input::new(Kind::Argument, "a", ""));
        let kinds: Vec<_> = manifest.inputs().iter().map(Input::kind).collect();
        assert_eq!(kinds, [Kind::Link, Kind::Argument]);
    }

    #[test]
    fn every_field_of_an_input_is_in_the_key() {
        let key = |kind, name: &str, content: &str| Manifest::new(vec![Input::new(kind, name, content)]).key();
        let keys = [
            key(Kind::Base, "a", ""),
            key(Kind::Base, "b", ""),
            key(Kind::Base, "ab", ""),
            key(Kind::Base, "a", "b"),
            key(Kind::Spec, "a", ""),
            key(Kind::Lock, "a", ""),
            key(Kind::Link, "a", ""),
            key(Kind::File { mode: 0 }, "a", ""),
            key(Kind::File { mode: 0o100 }, "a", ""),
            Manifest::default().key(),
        ];
        assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
    }

    #[test]
    fn text_and_key_read_back() {
        let manifest = Manifest::new(vec![argument("FLAGS", "-C debuginfo=0"), argument("line\nbreak", "")]);
        let text = manifest.to_text();
        assert_eq!(Manifest::from_text(&text).unwrap(), manifest);
        assert_eq!(manifest.key().to_string(), manifest.key().full()[..20]);
        assert_eq!(manifest.key().full().parse::<Key>().unwrap(), manifest.key());
    }

    #[test]
    fn a_text_that_is_not_a_manifest_is_refused() {
        let text = Manifest::new(vec![argument("a", "1"), argument("b", "2")]).to_text();
        let lines: Vec<&str> = text.lines().collect();
        let swapped = format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1]);
        let doubled = format!("{text}{}\n", lines[2]);
        let newer = text.replace("content-key 1", "content-key 2");
        for bad in ["", "content-key 1", &swapped, &doubled, &newer, &text[..text.len() - 9]] {
            assert!(Manifest::from_text(bad).is_err(), "{bad}");
        }
    }
}
