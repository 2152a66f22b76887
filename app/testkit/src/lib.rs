//! What the tests of the services share: a service's real binary, a real Redis, requests, and waits with a deadline.
//!
//! Everything panics when it fails: in a test that is the report. Nothing outlives the value that started it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod moto;
mod redis;
mod running;

use std::future::Future;
use std::time::{Duration, Instant};

pub use client::{Answer, client, delete, get, post, post_raw, send};
pub use moto::Moto;
pub use redis::Redis;
pub use reqwest;
pub use running::{Running, refused, sibling};
pub use rustix::process::Signal;
pub use skip;
pub use tempfile::TempDir;

/// How long anything may take before a test gives up. Far more than it should: the machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again and again until the answer is `Some`; `what` names it when it never is.
///
/// # Panics
/// After [`DEADLINE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "not within {} s: {what}", DEADLINE.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes a test for each store out of a function that is given the variable that selects it, and its value.
#[macro_export]
macro_rules! on_both {
    ($($test:ident),*) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                let scratch = $crate::TempDir::new().unwrap();
                super::$test(("DATA_DIR", scratch.path().to_str().unwrap())).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn redis() {
                let redis = $crate::skip::unless!($crate::Redis::start());
                super::$test(("REDIS_URL", &redis.url())).await;
            }
        }
    )*};
}
