//! The queue, and its subscription to the topic where they are the consumer's own to make.

use std::time::Duration;

use aws_sdk_sqs::types::{Message, QueueAttributeName};
use kit::{ConfigError, Env};
use messaging::aws::SdkConfig;
use messaging::{Topic, aws, is_name};

/// The longest that SQS waits for messages.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How long a message is kept from others once it was given out; handling one takes far less. A consumer that ends while
/// it waits may still be given one, which is lost on it and comes again after this time.
const HANDLED_WITHIN: Duration = Duration::from_secs(5);

/// How many messages are taken at once: the most that SQS allows.
const AT_ONCE: i32 = 10;

/// Which queue to take messages from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The URL of a queue that is there.
    Given(String),
    /// The name of a queue that is made and subscribed to the topic when it is not there.
    Made(String),
}

impl Source {
    /// `QUEUE_URL` if it is set, otherwise `QUEUE_NAME` (default `messages`).
    pub(crate) fn parse(env: &Env) -> Result<Self, ConfigError> {
        let url = "the URL of a queue, with `http` or `https`";
        if let Some(url) = env.parse_with("QUEUE_URL", url, |text| aws::is_url(text).then(|| text.to_owned()))? {
            return Ok(Self::Given(url));
        }
        let name = "1 to 80 letters, digits, hyphens and underscores";
        let name = env.parse_with("QUEUE_NAME", name, |text| is_name(text, 80).then(|| text.to_owned()))?;
        Ok(Self::Made(name.unwrap_or_else(|| "messages".to_owned())))
    }
}

pub(crate) struct Queue {
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    source: Source,
    topic: Topic,
}

impl Queue {
    pub(crate) fn new(aws: &SdkConfig, source: Source, topic: Topic) -> Self {
        Self { sqs: aws_sdk_sqs::Client::new(aws), sns: aws_sdk_sns::Client::new(aws), source, topic }
    }

    /// The URL of the queue. One that is to be made is made, with its subscription; doing that again changes nothing.
    ///
    /// # Errors
    /// AWS's reason.
    pub(crate) async fn ensure(&self) -> Result<String, String> {
        match &self.source {
            Source::Given(url) => Ok(url.clone()),
            Source::Made(name) => {
                let topic = self.topic.ensure(&self.sns).await?;
                let url = self.make(name).await?;
                let arn = self.arn(&url).await?;
                self.admit(&url, &arn, &topic).await?;
                self.subscribe(&arn, &topic).await?;
                Ok(url)
            }
        }
    }

    async fn make(&self, name: &str) -> Result<String, String> {
        let made = self.sqs.create_queue().queue_name(name).send().await;
        let made = made.map_err(|error| format!("cannot make the queue `{name}`: {}", aws::reason(&error)))?;
        made.queue_url.ok_or_else(|| format!("the queue `{name}` was made without a URL"))
    }

    async fn arn(&self, url: &str) -> Result<String, String> {
        let request = self.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
        let found = request.send().await;
        let found = found.map_err(|error| format!("cannot ask for the ARN of `{url}`: {}", aws::reason(&error)))?;
        let arn = found.attributes.and_then(|mut attributes| attributes.remove(&QueueAttributeName::QueueArn));
        arn.ok_or_else(|| format!("`{url}` has no ARN"))
    }

    /// Allows the topic, and nobody else, to put messages into the queue.
    async fn admit(&self, url: &str, arn: &str, topic: &str) -> Result<(), String> {
        let request = self.sqs.set_queue_attributes().queue_url(url);
        let request = request.attributes(QueueAttributeName::Policy, policy(arn, topic));
        let admitted = request.send().await;
        admitted.map(drop).map_err(|error| format!("cannot admit `{topic}` to `{url}`: {}", aws::reason(&error)))
    }

    /// Without attributes: asking again with others than the subscription has would be refused.
    async fn subscribe(&self, arn: &str, topic: &str) -> Result<(), String> {
        let request = self.sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn);
        let subscribed = request.send().await;
        subscribed.map(drop).map_err(|error| format!("cannot subscribe `{arn}` to `{topic}`: {}", aws::reason(&error)))
    }

    /// Waits for messages, at most for `wait` in whole seconds.
    ///
    /// # Errors
    /// AWS's reason.
    pub(crate) async fn receive(&self, url: &str, wait: Duration) -> Result<Vec<Message>, String> {
        let request = self.sqs.receive_message().queue_url(url);
        let request = request.wait_time_seconds(wait.as_secs() as i32).max_number_of_messages(AT_ONCE);
        let request = request.visibility_timeout(HANDLED_WITHIN.as_secs() as i32);
        let received = request.send().await;
        let received = received.map_err(|error| format!("cannot receive from `{url}`: {}", aws::reason(&error)))?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Deletes a message that was received.
    ///
    /// # Errors
    /// AWS's reason; the queue will bring the message again.
    pub(crate) async fn delete(&self, url: &str, message: &Message) -> Result<(), String> {
        let request = self.sqs.delete_message().queue_url(url).set_receipt_handle(message.receipt_handle.clone());
        let deleted = request.send().await;
        deleted.map(drop).map_err(|error| format!("cannot delete from `{url}`: {}", aws::reason(&error)))
    }
}

fn policy(queue_arn: &str, topic_arn: &str) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::Source;
    use kit::Env;

    fn source(name: &'static str, value: &'static str) -> Option<Source> {
        Source::parse(&Env::of_pairs([(name, value)])).ok()
    }

    #[test]
    fn given_or_made() {
        let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders";
        assert_eq!(source("QUEUE_URL", url), Some(Source::Given(url.into())));
        assert_eq!(source("QUEUE_NAME", "orders"), Some(Source::Made("orders".into())));
        assert_eq!(source("QUEUE_NAME", ""), Some(Source::Made("messages".into())));
        assert_eq!(source("QUEUE_URL", "orders"), None);
        assert_eq!(source("QUEUE_NAME", "two words"), None);
    }
}
