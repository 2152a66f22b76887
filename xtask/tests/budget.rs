//! What a newcomer compiles before the first `cargo xtask` answers stays within a budget. How long that takes is the
//! benchmark's to tell (`cargo bench -p xtask -- build`) and differs from machine to machine; crates and lines can be
//! counted everywhere.

#![expect(clippy::disallowed_methods, reason = "tests start the programs that they ask")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "budget/source.rs"]
mod source;

use source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates of others. The seven that the tool was asked to be made of bring 34 of them; what each further one costs stands
/// beside it in `Cargo.toml`. Raise this only together with such a line.
const OTHERS: usize = 48;

/// Crates of our own. Each is a compiler started and a library written, about a tenth of a second, and what it buys is
/// that an edit compiles only what depends on it. There are as many as there are subjects.
const OWN: usize = 30;

/// Lines of our own code: without tests, comments and empty lines. A thousand of them take half a second of processor time
/// to compile without optimisation, so this many take less than all crates of others together, and a cold start stays
/// below the 2.3 times that it may take of the seven packages alone. There are 3,500 more than today. What needs more has
/// to come from less code in what exists, or be built when it is first used.
const LINES: usize = 29_250;

/// A crate that the tool is built of: its name, and its folder when it is ours.
type Crate = (String, Option<PathBuf>);

/// What `cargo tree --prefix none --format {p}` lists: `NAME vVERSION`, then `(proc-macro)`, the folder of one that is not
/// from a registry, and `(*)` where it was listed before.
fn crates(tree: &str) -> BTreeSet<Crate> {
    let parse = |line: &str| {
        let name = line.split(" (").next().unwrap_or(line).to_owned();
        let folders = line.split(" (").skip(1).map(|part| part.trim_end().trim_end_matches(')'));
        (name, folders.map(PathBuf::from).find(|part| part.is_absolute()))
    };
    tree.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
}

/// All that the tool is built of, by what cargo says of it: it stays right when code moves into other crates.
fn built() -> BTreeSet<Crate> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "xtask", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .arg("--locked")
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    crates(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_cold_build_takes_no_more_crates_than_allowed() {
    let (own, others): (Vec<_>, Vec<_>) = built().into_iter().partition(|(_, folder)| folder.is_some());
    assert!(others.len() > 40 && !own.is_empty(), "the tree was not understood: {own:?} {others:?}");
    assert!(others.len() <= OTHERS, "{} crates of others, at most {OTHERS}:\n{others:#?}", others.len());
    assert!(own.len() <= OWN, "{} crates of our own, at most {OWN}:\n{own:#?}", own.len());
}

#[test]
fn a_cold_build_takes_no_more_lines_of_our_own_than_allowed() {
    let own = built().into_iter().filter_map(|(name, folder)| Some((name, folder?)));
    let lines: BTreeMap<String, usize> = own.map(|(name, folder)| (name, source::lines_of(&folder))).collect();
    let all: usize = lines.values().sum();
    println!("{all} lines of our own, at most {LINES}: {lines:#?}");
    assert!(all > 10_000, "the folders were not understood: {lines:#?}");
    assert!(all <= LINES, "{all} lines of our own code, at most {LINES}: {lines:#?}");
}

#[test]
fn crates_are_counted_once_and_ours_are_known_by_their_folder() {
    let tree = "xtask v0.1.0 (/a b/xtask)\nengine v0.1.0 (/a b/xtask/crates/engine)\nmacros v1.0.0 (proc-macro)\n\
                ours v0.1.0 (proc-macro) (/a b/xtask/crates/ours)\nclap v4.6.7\nclap v4.6.7 (*)\nengine v0.1.0 (/a b/xtask/crates/engine) (*)\n";
    let listed: Vec<Crate> = crates(tree).into_iter().collect();
    let folder = |name: &str| Some(PathBuf::from(format!("/a b/xtask{name}")));
    let expected = [
        ("clap v4.6.7".to_owned(), None),
        ("engine v0.1.0".to_owned(), folder("/crates/engine")),
        ("macros v1.0.0".to_owned(), None),
        ("ours v0.1.0".to_owned(), folder("/crates/ours")),
        ("xtask v0.1.0".to_owned(), folder("")),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn lines_are_those_that_are_compiled() {
    let text = "//! About.\n\nuse a::b;\n\n/// Says.\npub fn f() {\n    // Why.\n    g(); // so\n}\n\n\
                #[cfg(test)]\npub(crate) mod testing;\n\n#[cfg(test)]\n#[path = \"x/y.rs\"]\nmod y;\n\n\
                #[cfg(test)]\nuse c::{\n    d,\n};\n\n#[cfg(test)]\nconst E: u8 = 1;\n\n\
                impl F {\n    #[cfg(test)]\n    fn only() {\n        if true {\n        }\n    }\n\n    fn both() {}\n}\n\n\
                #[cfg(test)]\nmod tests {\n    #[test]\n    fn g() {\n    }\n}\n\n#[cfg(unix)]\nmod h;\n";
    let source = Source::read(text);
    // `use`, `f` with three, `impl` with three, `h` with two.
    assert_eq!(source.lines, 9, "{source:?}");
    assert_eq!(source.modules_of_tests, ["testing", "y"]);
    assert_eq!(source.paths_of_tests, ["x/y.rs"]);
}
