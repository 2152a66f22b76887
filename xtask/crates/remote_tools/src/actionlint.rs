//! actionlint: finds what is wrong with workflows before they run.

use base::proc::CommandLine;
use std::path::PathBuf;

/// Checks these workflows. Linters that it would call for the scripts in them are left out, since not every machine has
/// them.
pub fn check(workflows: &[PathBuf]) -> CommandLine {
    CommandLine::new("actionlint").args(["-no-color", "-shellcheck=", "-pyflakes="]).args(workflows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workflow_is_named() {
        let line = check(&[PathBuf::from("a.yml"), PathBuf::from("b.yml")]);
        assert_eq!(line.to_string(), "actionlint -no-color '-shellcheck=' '-pyflakes=' a.yml b.yml");
    }
}
