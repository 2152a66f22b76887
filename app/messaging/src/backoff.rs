//! Pauses that grow while something keeps failing.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// 1 s after the first failure, twice as long after each further one, 30 s at most.
#[derive(Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The longest pause.
    pub const LONGEST: Duration = LONGEST;

    /// It works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure.
    pub fn next_pause(&mut self) -> Duration {
        let pause = FIRST * 2_u32.pow(self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        pause.min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;

    #[test]
    fn grows_to_its_limit_and_starts_again() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..8).map(|_| backoff.next_pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        backoff.reset();
        assert_eq!(backoff.next_pause().as_secs(), 1);
    }
}
