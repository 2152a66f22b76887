//! What a source file says that its compilation reads beside the files of its crate: files, and variables.
//!
//! Read from the text, so that it is known before anything is built. What a macro or an attribute is given as a literal
//! (`include_str!("x")`, `#[path = "x"]`), what is put behind the folder of the crate (`concat!(env!("CARGO_MANIFEST_DIR"),
//! "/x")`), and every literal of a build script is taken for a path, and counts if something lies there. A name that is
//! put together in another way is not seen; one in a comment counts, which costs a build and hides nothing.

use std::collections::BTreeSet;

/// The variable that has the folder of the crate.
const FOLDER: &str = "CARGO_MANIFEST_DIR";
/// What a build script tells cargo to run it again for
/// (doc.rust-lang.org/cargo/reference/build-scripts.html#change-detection).
const RERUN_IF_CHANGED: &str = "rerun-if-changed=";
const RERUN_IF_ENV_CHANGED: &str = "rerun-if-env-changed=";
/// Variables that cargo sets itself for what it starts.
const OF_CARGO: [&str; 7] =
    ["CARGO_BIN_", "CARGO_CFG_", "CARGO_CRATE_", "CARGO_FEATURE_", "CARGO_MANIFEST_", "CARGO_PKG_", "OUT_DIR"];

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// As they are written, from the folder of the source file or that of the crate.
    pub(super) paths: BTreeSet<String>,
    /// But for those that cargo sets itself.
    pub(super) variables: BTreeSet<String>,
}

impl Mentions {
    pub(super) fn of(text: &str, is_build_script: bool) -> Self {
        let mut mentions = Self::default();
        // What lies between two quotes need not be a literal; then nothing has it as its name.
        let pieces: Vec<&str> = text.split('"').collect();
        for (at, piece) in pieces.iter().enumerate().skip(1) {
            let before = pieces[at - 1].trim_end_matches(['r', '#']).trim_end();
            let called = called(before);
            let is_asked = ["var(", "var_os("].iter().any(|call| before.ends_with(call));
            if ["env", "option_env"].contains(&called) || (is_build_script && is_asked) {
                mentions.variable(piece);
            }
            if at > 1 && pieces[at - 2] == FOLDER {
                mentions.path(piece.trim_start_matches('/'));
            } else if is_build_script || !called.is_empty() || is_value_of_attribute(before) {
                mentions.path(piece.rsplit_once(RERUN_IF_CHANGED).map_or(piece, |(_, path)| path));
            }
        }
        for (at, _) in text.match_indices(RERUN_IF_ENV_CHANGED) {
            mentions.variable(&text[at + RERUN_IF_ENV_CHANGED.len()..]);
        }
        mentions
    }

    /// Takes what `text` begins with.
    fn variable(&mut self, text: &str) {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let name = &text[..end];
        if end > 0 && !OF_CARGO.iter().any(|start| name.starts_with(start)) {
            self.variables.insert(name.to_owned());
        }
    }

    fn path(&mut self, text: &str) {
        let text = text.strip_prefix("$CARGO_MANIFEST_DIR/").unwrap_or(text);
        if !text.is_empty() && text.len() < 256 && !text.contains(['\n', '{', '\\']) {
            self.paths.insert(text.to_owned());
        }
    }
}

/// The name of the macro whose arguments begin after `before`; nothing where there is none.
fn called(before: &str) -> &str {
    let name = before.strip_suffix(['(', '[', '{']).and_then(|before| before.trim_end().strip_suffix('!'));
    let name = name.unwrap_or_default().trim_end();
    &name[name.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len()..]
}

fn is_value_of_attribute(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or(before);
    line.ends_with('=') && line.contains('#') && line.contains('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_macros_and_attributes_are_given_as_literals_is_seen() {
        let text = r###"
            const A: &str = include_str!("../../../docs/a.md");
            static B: &[u8] = include_bytes![ r#"b.bin"# ];
            include!{"c.in"}
            const C: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../d.md"));
            #[path = "../e.rs"]
            mod e;
            sqlx::migrate!("$CARGO_MANIFEST_DIR/migrations");
            const D: Option<&str> = option_env!("BUILD_LABEL");
            const E: &str = env ! ( "STAMP", "say which" );
            // env!("CARGO_PKG_NAME") env!("CARGO_LABEL")
            let not = ("given", to("a"), b = "macro", var("AT_RUN_TIME"));
        "###;
        let mentions = Mentions::of(text, false);
        let paths = mentions.paths.iter().filter(|path| !mentions.variables.contains(*path));
        let expected = [
            "../../../docs/a.md",
            "../d.md",
            "../e.rs",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "b.bin",
            "c.in",
            "migrations",
        ];
        assert_eq!(paths.collect::<Vec<_>>(), expected);
        assert_eq!(mentions.variables.iter().collect::<Vec<_>>(), ["BUILD_LABEL", "CARGO_LABEL", "STAMP"]);
        assert_eq!(Mentions::of("\"", true), Mentions::default());
    }

    #[test]
    fn of_a_build_script_everything_is_seen() {
        let text = r#"println!("cargo::rerun-if-changed=../x.proto"); compile("../y.proto"); var_os("PROTOC");
            println!("cargo:rerun-if-env-changed=PROTO_HOME"); println!("cargo::rerun-if-env-changed={name}");"#;
        let mentions = Mentions::of(text, true);
        assert!(["../x.proto", "../y.proto"].iter().all(|path| mentions.paths.contains(*path)), "{mentions:?}");
        assert_eq!(mentions.variables.iter().collect::<Vec<_>>(), ["PROTOC", "PROTO_HOME"]);
    }
}
