//! How many questions are asked at the same time: the CLI computes for half a second before it waits for an answer, and
//! with too many of it at once none is answered soon.

use std::sync::{Condvar, Mutex, PoisonError};

/// On a machine of few cores.
const LEAST: usize = 4;

/// So many at a time.
pub(super) struct ConcurrencyLimit {
    free: Mutex<usize>,
    released: Condvar,
}

impl Default for ConcurrencyLimit {
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(LEAST, |cores| cores.get().max(LEAST)))
    }
}

/// Released when it is dropped.
pub(super) struct Permit<'t>(&'t ConcurrencyLimit);

impl ConcurrencyLimit {
    fn new(free: usize) -> Self {
        Self { free: Mutex::new(free), released: Condvar::new() }
    }

    pub(super) fn acquire(&self) -> Permit<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.released.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_than_the_limit_have_a_permit_at_once() {
        let limit = ConcurrencyLimit::new(2);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _permit = limit.acquire();
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!((most.into_inner(), *limit.free.lock().unwrap()), (2, 2));
    }
}
