//! What a source file says that its compilation reads beside the files of its crate: files that macros include, and
//! variables.
//!
//! Read from the text, so that it is known before anything is built. A name that another macro puts together is not seen;
//! one in a comment counts, which costs a build and hides nothing.

use std::collections::BTreeSet;

const INCLUDES: [&str; 3] = ["include", "include_bytes", "include_str"];
const VARIABLES: [&str; 2] = ["env", "option_env"];
/// What a build script tells cargo to build it again for
/// (doc.rust-lang.org/cargo/reference/build-scripts.html#rerun-if-env-changed).
const RERUN: &str = "rerun-if-env-changed=";

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// As they are written, from the folder of the source file.
    pub(super) files: BTreeSet<String>,
    /// But for those that cargo sets itself.
    pub(super) variables: BTreeSet<String>,
}

impl Mentions {
    pub(super) fn of(text: &str) -> Self {
        let mut mentions = Self::default();
        for (at, _) in text.match_indices('!') {
            let Some(argument) = argument(&text[at + 1..]) else { continue };
            let before = text[..at].trim_end();
            let name = &before[before.trim_end_matches(|c: char| c.is_ascii_lowercase() || c == '_').len()..];
            if INCLUDES.contains(&name) {
                mentions.files.insert(argument.to_owned());
            } else if VARIABLES.contains(&name) {
                mentions.variable(argument);
            }
        }
        for (at, _) in text.match_indices(RERUN) {
            let rest = &text[at + RERUN.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            mentions.variable(&rest[..end]);
        }
        mentions
    }

    fn variable(&mut self, name: &str) {
        if !name.is_empty() && !name.starts_with("CARGO_") && name != "OUT_DIR" {
            self.variables.insert(name.to_owned());
        }
    }
}

/// The literal that a macro's arguments begin with.
fn argument(after: &str) -> Option<&str> {
    let inside = after.trim_start().strip_prefix(['(', '[', '{'])?.trim_start();
    let (literal, end) = match inside.strip_prefix('r') {
        None => (inside.strip_prefix('"')?, "\"".to_owned()),
        Some(raw) => {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            (raw[hashes..].strip_prefix('"')?, format!("\"{}", "#".repeat(hashes)))
        }
    };
    let (text, _) = literal.split_once(&end)?;
    (!text.contains('\\')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_macros_are_given_as_literals_is_seen() {
        let text = r###"
            const A: &str = include_str!("../../../docs/a.md");
            static B: &[u8] = include_bytes![ r#"b "q".bin"# ];
            include!{"c.in"}
            const D: Option<&str> = option_env!("BUILD_LABEL");
            const E: &str = env ! ( "STAMP", "say which" );
            // not_env!("NO") my_include!("no") include_str!(concat!(env!("OUT_DIR"), "/x")) env!("CARGO_PKG_NAME")
            println!("cargo:rerun-if-env-changed=PROTO_HOME"); println!("cargo::rerun-if-env-changed={name}");
            assert!("x" != "y");
        "###;
        let mentions = Mentions::of(text);
        assert_eq!(mentions.files.iter().collect::<Vec<_>>(), ["../../../docs/a.md", "b \"q\".bin", "c.in"]);
        assert_eq!(mentions.variables.iter().collect::<Vec<_>>(), ["BUILD_LABEL", "PROTO_HOME", "STAMP"]);
        assert_eq!(Mentions::of("!"), Mentions::default());
    }
}
