//! Publishes a message every few seconds, or only looks after the topic; readiness follows what comes of it.

use std::time::Duration;

use kit::Context;
use messaging::{Backoff, aws};

use crate::publisher::Publisher;

/// Time between two looks at the topic when nothing is published.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What one round may take beyond its pause: asking for the topic and publishing, each tried three times.
const ROUND: Duration = aws::ANSWER.saturating_mul(6);

pub(crate) fn start(publisher: Publisher, every: Option<Duration>, context: &Context) {
    let pause = every.unwrap_or(LOOK_EVERY);
    let condition = context.health.condition("topic", "the topic has not answered yet");
    let heartbeat = context.health.heartbeat("publisher", pause.max(Backoff::LONGEST) + ROUND);
    let stopping = context.stopping.clone();
    context.spawn(async move {
        let mut backoff = Backoff::default();
        let mut number: u64 = 0;
        let rounds = async {
            loop {
                heartbeat.beat();
                let outcome = match every {
                    Some(_) => publisher.publish(&format!("message {}", number + 1)).await.map(drop),
                    None => publisher.ensure_topic().await,
                };
                let pause = match outcome {
                    Ok(()) => {
                        number += 1;
                        condition.met();
                        backoff.reset();
                        pause
                    }
                    Err(reason) => {
                        condition.unmet(&reason);
                        backoff.next_pause()
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        stopping.run_until_cancelled(rounds).await.unwrap_or(());
        heartbeat.retire();
    });
}
