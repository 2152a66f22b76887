//! Publishes one message after the other to the topic, which it makes when it is its own to make.

use std::sync::Arc;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata as _;
use kit::{Counter, Metrics};
use messaging::{Message, Topic, aws};
use tokio::sync::Mutex;
use uuid::Uuid;

#[derive(Clone)]
pub(crate) struct Publisher {
    sns: Client,
    topic: Arc<Topic>,
    /// The topic's ARN once it is known.
    arn: Arc<Mutex<Option<String>>>,
    published: Counter,
    failures: Counter,
}

/// Why a message was not published.
enum Failure {
    /// The topic is not there (any more).
    NoTopic(String),
    Other(String),
}

impl Publisher {
    pub(crate) fn new(sns: Client, topic: Topic, metrics: &Metrics) -> Self {
        Self {
            sns,
            topic: Arc::new(topic),
            arn: Arc::default(),
            published: metrics.counter("messages_published", "Messages that the topic has taken"),
            failures: metrics.counter("publish_failures", "Messages that the topic has not taken"),
        }
    }

    /// Publishes a text under a new id, and returns the id.
    ///
    /// # Errors
    /// Why the topic did not take it.
    pub(crate) async fn publish(&self, text: &str) -> Result<String, String> {
        let message = Message { id: Uuid::new_v4().to_string(), text: text.to_owned() };
        let mut outcome = self.try_to_publish(&message).await;
        if let Err(Failure::NoTopic(reason)) = &outcome {
            tracing::warn!(reason, "the topic is gone");
            self.forget_topic().await;
            outcome = self.try_to_publish(&message).await;
        }
        match outcome {
            Ok(()) => {
                self.published.inc();
                tracing::info!(id = message.id, text, "message published");
                Ok(message.id)
            }
            Err(Failure::NoTopic(reason) | Failure::Other(reason)) => {
                self.failures.inc();
                Err(reason)
            }
        }
    }

    async fn try_to_publish(&self, message: &Message) -> Result<(), Failure> {
        let arn = self.topic_arn().await.map_err(Failure::Other)?;
        let body = message.to_body().map_err(Failure::Other)?;
        match self.sns.publish().topic_arn(&arn).message(body).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let reason = format!("cannot publish to `{arn}`: {}", aws::reason(&error));
                let is_gone = matches!(error.code(), Some("NotFound" | "NotFoundException"));
                Err(if is_gone { Failure::NoTopic(reason) } else { Failure::Other(reason) })
            }
        }
    }

    async fn topic_arn(&self) -> Result<String, String> {
        let mut known = self.arn.lock().await;
        if let Some(arn) = known.as_ref() {
            return Ok(arn.clone());
        }
        let arn = self.topic.ensure(&self.sns).await?;
        tracing::info!(arn, "publishing to this topic");
        Ok(known.insert(arn).clone())
    }

    /// Makes the topic again if it is gone and its own to make.
    ///
    /// # Errors
    /// AWS's reason.
    pub(crate) async fn ensure_topic(&self) -> Result<(), String> {
        self.forget_topic().await;
        self.topic_arn().await.map(drop)
    }

    async fn forget_topic(&self) {
        *self.arn.lock().await = None;
    }
}
