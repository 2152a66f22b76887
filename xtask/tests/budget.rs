//! The tool stays small to build. How long that takes is the benchmark's to tell; how many crates it is can be counted.

#![expect(clippy::disallowed_methods, reason = "tests start the programs that they ask")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const LIMIT: usize = 70;

#[test]
fn a_cold_build_takes_no_more_crates_than_allowed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "xtask", "--edges", "normal,build", "--prefix", "none", "--locked"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let crates: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(crates.len() > 40, "the tree was not understood:\n{text}");
    assert!(crates.len() <= LIMIT, "{} crates, at most {LIMIT}:\n{crates:#?}", crates.len());
}
