//! When AWS is asked again: what it throttles was not begun, so that anything may be; what it does not answer may have
//! been done, so that only questions are.

use super::{Refusal, Trouble};
use std::time::Duration;

/// The pauses before what AWS throttles is asked again, in seconds: together a minute.
const THROTTLED: [u64; 6] = [1, 2, 4, 8, 15, 30];
/// Those after which what was not answered is asked again.
const UNANSWERED: [u64; 2] = [1, 3];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repetition {
    /// A question, or a change that is the same when it is made twice.
    Repeatable,
    /// One that is not.
    Change,
}

/// Asks as long as the refusal may pass. `pause` returns whether a signal came.
///
/// # Errors
/// The last refusal.
pub(super) fn retry<T>(
    kind: Repetition,
    pause: &dyn Fn(Duration) -> bool,
    mut ask: impl FnMut() -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut throttled = THROTTLED.iter();
    let mut unanswered = UNANSWERED.iter();
    loop {
        let refusal = match ask() {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        let next = match (refusal.trouble, kind) {
            (Trouble::Throttled, _) => throttled.next(),
            // S3 has another change of the same bucket in hand.
            (_, Repetition::Repeatable) if refusal.code == "OperationAborted" => throttled.next(),
            (Trouble::Unanswered, Repetition::Repeatable) => unanswered.next(),
            _ => None,
        };
        let Some(seconds) = next else { return Err(refusal) };
        if pause(Duration::from_secs(*seconds)) {
            return Err(Refusal::new(Trouble::Interrupted, "", "interrupted"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How often is asked when the answer is always `trouble`, and how long the pauses are together.
    fn tries(kind: Repetition, trouble: Trouble) -> (u32, u64) {
        let (count, paused) = (Cell::new(0), Cell::new(0));
        let pause = |duration: Duration| {
            paused.set(paused.get() + duration.as_secs());
            false
        };
        let ended = retry(kind, &pause, || {
            count.set(count.get() + 1);
            Err::<(), _>(Refusal::new(trouble, "", "no"))
        });
        assert_eq!(ended.unwrap_err().trouble, trouble);
        (count.get(), paused.get())
    }

    #[test]
    fn what_may_have_been_done_is_not_done_again() {
        assert_eq!(tries(Repetition::Change, Trouble::Unanswered), (1, 0));
        assert_eq!(tries(Repetition::Repeatable, Trouble::Unanswered), (3, 4));
    }

    #[test]
    fn what_is_throttled_is_asked_again_for_a_limited_time() {
        assert_eq!(tries(Repetition::Change, Trouble::Throttled), (7, 60));
        assert_eq!(tries(Repetition::Repeatable, Trouble::Throttled), (7, 60));
    }

    #[test]
    fn what_does_not_pass_is_asked_once() {
        for trouble in [Trouble::Absent, Trouble::Denied, Trouble::Expired, Trouble::Unknown, Trouble::Other] {
            assert_eq!(tries(Repetition::Repeatable, trouble), (1, 0));
        }
    }

    #[test]
    fn a_bucket_that_is_being_changed_is_asked_again() {
        let asked = Cell::new(0);
        let ended = retry(Repetition::Repeatable, &|_| false, || {
            asked.set(asked.get() + 1);
            let busy = || Err(Refusal::new(Trouble::Conflict, "OperationAborted", "busy"));
            if asked.get() < 3 { busy() } else { Ok(()) }
        });
        assert_eq!((ended, asked.get()), (Ok(()), 3));
    }

    #[test]
    fn a_signal_ends_the_pauses() {
        let ended =
            retry(Repetition::Repeatable, &|_| true, || Err::<(), _>(Refusal::new(Trouble::Throttled, "", "no")));
        assert_eq!(ended.unwrap_err().trouble, Trouble::Interrupted);
    }
}
