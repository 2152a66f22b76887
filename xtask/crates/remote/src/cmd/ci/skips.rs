//! What tests leave out on this machine, by the lines that they print of it: `SKIPPED TEST: REASON` for a whole test,
//! `SKIPPED PART REASON` for a part of one that runs.

use engine::plan::Outcome;
use std::collections::BTreeSet;

const TEST: &str = "SKIPPED ";
const PART: &str = "SKIPPED PART ";

/// What has been left out of a check so far.
#[derive(Debug, Default)]
pub(super) struct Skips {
    reasons: BTreeSet<String>,
    parts: BTreeSet<String>,
    skipped: usize,
    passed: usize,
}

impl Skips {
    /// Takes a line of what a test program prints.
    pub(super) fn take(&mut self, line: &str) {
        // Whoever runs one test after the other has begun a line for this one.
        let line =
            line.split_once(" ... ").filter(|(start, _)| start.starts_with("test ")).map_or(line, |(_, end)| end);
        if let Some(part) = line.strip_prefix(PART) {
            self.parts.insert(part.to_owned());
        } else if let Some((_, reason)) = line.strip_prefix(TEST).and_then(|rest| rest.split_once(": ")) {
            self.skipped += 1;
            self.reasons.insert(reason.to_owned());
        }
        if let Some(rest) = line.strip_prefix("test result: ok. ") {
            // A test that is skipped counts as passed to those who run it.
            self.passed += rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        }
    }

    /// What the check comes to, when nothing has failed.
    pub(super) fn outcome(self) -> Outcome {
        let Self { reasons, parts, skipped, passed } = self;
        let list = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join("; ");
        let tests = match skipped {
            0 => None,
            _ if skipped >= passed => return Outcome::Skipped(list(reasons)),
            _ => Some(format!("{skipped} of {passed} tests skipped: {}", list(reasons))),
        };
        let parts = (!parts.is_empty()).then(|| format!("left out: {}", list(parts)));
        let said: Vec<String> = tests.into_iter().chain(parts).collect();
        if said.is_empty() { Outcome::Done } else { Outcome::DoneWith(said.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Outcome {
        let mut skips = Skips::default();
        text.lines().for_each(|line| skips.take(line));
        skips.outcome()
    }

    #[test]
    fn what_is_left_out_is_named_once_and_whole() {
        let text = "running 3 tests\n\
                    test a ... ok\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored\n\
                    SKIPPED store::b: none of [\"redis-server\"] is on PATH (set `XTASK_REQUIRE_REDIS=1` to make this a failure)\n\
                    test store::b ... ok\n\
                    test c ... SKIPPED c: none of [\"redis-server\"] is on PATH (set `XTASK_REQUIRE_REDIS=1` to make this a failure)\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored\n";
        let expected = "2 of 3 tests skipped: none of [\"redis-server\"] is on PATH (set `XTASK_REQUIRE_REDIS=1` to make this a failure)";
        assert_eq!(outcome(text), Outcome::DoneWith(expected.to_owned()));
    }

    #[test]
    fn a_check_of_which_nothing_is_run_is_skipped_as_a_whole() {
        let text = "SKIPPED a: no engine\nSKIPPED b: no engine\ntest result: ok. 2 passed; 0 failed\n";
        assert_eq!(outcome(text), Outcome::Skipped("no engine".to_owned()));
        assert_eq!(outcome("test result: ok. 2 passed; 0 failed\nwas SKIPPED a: by a hair\n"), Outcome::Done);
        assert_eq!(outcome(""), Outcome::Done);
    }

    #[test]
    fn a_test_that_leaves_a_part_out_has_run() {
        let text = "SKIPPED PART the chart with Helm 3\ntest result: ok. 1 passed; 0 failed\n";
        assert_eq!(outcome(text), Outcome::DoneWith("left out: the chart with Helm 3".to_owned()));
        let text = "SKIPPED a: no helm\nSKIPPED PART half: of it\ntest result: ok. 2 passed; 0 failed\n";
        let expected = "1 of 2 tests skipped: no helm; left out: half: of it";
        assert_eq!(outcome(text), Outcome::DoneWith(expected.to_owned()));
    }

    #[test]
    fn the_lines_are_those_that_tests_print() {
        assert_eq!((TEST, PART), (skip::SKIPPED, skip::PART));
        let reason = skip::Missing::new("docker: no socket\n\n podman: no\tuser\n").to_string();
        assert_eq!(reason, "docker: no socket; podman: no\tuser");
        let line = skip::line("module::name", &reason);
        let text = format!("{line}\ntest result: ok. 1 passed; 0 failed\n");
        assert_eq!(outcome(&text), Outcome::Skipped(reason));
    }
}
