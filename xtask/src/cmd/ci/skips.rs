//! Tests that a machine cannot run, by what they say themselves: `SKIPPED: ` and the reason, on a line of their own.

use crate::plan::Outcome;
use std::collections::BTreeSet;

const MARK: &str = "SKIPPED: ";

/// What has been left out of a check so far.
#[derive(Debug, Default)]
pub(super) struct Skips {
    reasons: BTreeSet<String>,
    skipped: usize,
    passed: usize,
}

impl Skips {
    /// Takes a line of what a test program prints.
    pub(super) fn take(&mut self, line: &str) {
        if let Some(reason) = line.strip_prefix(MARK) {
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
        let reasons = self.reasons.into_iter().collect::<Vec<_>>().join("; ");
        match self.skipped {
            0 => Outcome::Done,
            skipped if skipped >= self.passed => Outcome::Skipped(reasons),
            skipped => Outcome::DoneWith(format!("{skipped} of {} skipped: {reasons}", self.passed)),
        }
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
    fn what_is_left_out_is_named_once() {
        let text = "running 3 tests\n\
                    test a ... ok\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored\n\
                    ---- b stdout ----\n\
                    SKIPPED: none of [\"redis-server\"] is on PATH\n\
                    ---- c stdout ----\n\
                    SKIPPED: none of [\"redis-server\"] is on PATH\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored\n";
        let expected = "2 of 3 skipped: none of [\"redis-server\"] is on PATH";
        assert_eq!(outcome(text), Outcome::DoneWith(expected.to_owned()));
    }

    #[test]
    fn a_check_of_which_nothing_is_run_is_skipped_as_a_whole() {
        let text = "SKIPPED: no engine\nSKIPPED: no engine\ntest result: ok. 2 passed; 0 failed\n";
        assert_eq!(outcome(text), Outcome::Skipped("no engine".to_owned()));
        assert_eq!(outcome("test result: ok. 2 passed; 0 failed\nwas SKIPPED: by a hair\n"), Outcome::Done);
        assert_eq!(outcome(""), Outcome::Done);
    }
}
