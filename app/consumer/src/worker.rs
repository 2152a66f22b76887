//! Takes messages from the queue, handles and deletes them; readiness follows what comes of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kit::{Context, Counter};
use messaging::{Backoff, Message, aws};

use crate::handled::HandledMessages;
use crate::queue::{self, Queue};

/// A queue and a subscription of its own are made again after this time, in case someone has removed them: without a
/// subscription the queue is only silent.
const ENSURE_EVERY: Duration = Duration::from_secs(60);

/// What one round may take: receiving and deleting, each tried three times, and a pause.
const ROUND: Duration = aws::ANSWER.saturating_mul(6).saturating_add(Backoff::LONGEST);

pub(crate) fn start(queue: Queue, handled: HandledMessages, context: &Context) {
    let condition = context.health.condition("queue", "the queue has not answered yet");
    let heartbeat = context.health.heartbeat("receiver", ROUND);
    let stopping = context.stopping.clone();
    let metrics = &context.metrics;
    let mut worker = Worker {
        queue,
        handled,
        url: None,
        consumed: metrics.counter("messages_consumed", "Messages handled and deleted"),
        malformed: metrics.counter("messages_malformed", "Messages that could not be read and were deleted"),
        failures: metrics.counter("receive_failures", "Failures to receive or delete messages"),
    };
    context.spawn(async move {
        let mut backoff = Backoff::default();
        let rounds = async {
            loop {
                heartbeat.beat();
                match worker.round().await {
                    Ok(()) => {
                        condition.met();
                        backoff.reset();
                    }
                    Err(reason) => {
                        condition.unmet(&reason);
                        worker.failures.inc();
                        tokio::time::sleep(backoff.next_pause()).await;
                    }
                }
            }
        };
        stopping.run_until_cancelled(rounds).await.unwrap_or(());
        heartbeat.retire();
    });
}

struct Worker {
    queue: Queue,
    handled: HandledMessages,
    /// The queue's URL, and when it was made sure of.
    url: Option<(String, Instant)>,
    consumed: Counter,
    malformed: Counter,
    failures: Counter,
}

impl Worker {
    /// Receives once and deals with what came.
    async fn round(&mut self) -> Result<(), String> {
        let known = self.url.as_ref().filter(|(_, ensured)| ensured.elapsed() < ENSURE_EVERY);
        let (url, wait) = match known {
            Some((url, _)) => (url.clone(), queue::LONGEST_WAIT),
            // The first answer tells whether the queue works; readiness must not wait for a message.
            None => (self.ensure().await?, Duration::ZERO),
        };
        let messages = self.queue.receive(&url, wait).await.inspect_err(|_| self.url = None)?;
        let mut outcome = Ok(());
        for message in messages {
            let counter = self.handle(message.body().unwrap_or_default());
            match self.queue.delete(&url, &message).await {
                Ok(()) => _ = counter.inc(),
                Err(reason) => outcome = Err(reason),
            }
        }
        outcome
    }

    async fn ensure(&mut self) -> Result<String, String> {
        let is_first = self.url.is_none();
        self.url = None;
        let url = self.queue.ensure().await?;
        if is_first {
            tracing::info!(url, "receiving from this queue");
        }
        self.url = Some((url.clone(), Instant::now()));
        Ok(url)
    }

    /// Handles a message, for which the service only has to log it. Returns what it counts as once it is deleted.
    ///
    /// One that cannot be read is dropped: it would come back for ever, and keep others from coming.
    fn handle(&self, body: &str) -> &Counter {
        match Message::of_body(body) {
            Ok(message) => {
                let (id, text) = (message.id.clone(), message.text.clone());
                let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let is_new = self.handled.add(message, time);
                tracing::info!(id, text, is_new, "message handled");
                &self.consumed
            }
            Err(reason) => {
                tracing::warn!(reason, body, "malformed message dropped");
                &self.malformed
            }
        }
    }
}
