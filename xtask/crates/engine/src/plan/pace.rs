//! Asking seldom what costs much to ask, in a wait that looks often.

use anyhow::Result;
use std::time::{Duration, Instant};

/// Lets `ask` be asked no more often than this, the first time at once; in between there is no answer.
pub fn every<T>(pause: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> impl FnMut() -> Result<Option<T>> {
    let mut last: Option<Instant> = None;
    move || {
        if last.is_some_and(|last| last.elapsed() < pause) {
            return Ok(None);
        }
        let answer = ask();
        last = Some(Instant::now());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_much_is_asked_seldom() {
        let mut asked = 0;
        {
            let mut ask = every(Duration::from_secs(60), || {
                asked += 1;
                Ok(None::<()>)
            });
            for _ in 0..5 {
                ask().unwrap();
            }
        }
        assert_eq!(asked, 1);
    }
}
