//! The topic: one that somebody else has made, or one that the services make themselves.

use aws_sdk_sns::Client;
use kit::{ConfigError, Env};

use crate::aws;

/// Where messages are published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// The ARN of a topic that is there.
    Given(String),
    /// The name of a topic that is made when it is not there.
    Made(String),
}

impl Topic {
    /// `TOPIC_ARN` if it is set, otherwise `TOPIC_NAME` (default `messages`).
    ///
    /// # Errors
    /// One of them is not what it should be.
    pub fn parse(env: &Env) -> Result<Self, ConfigError> {
        let arn = "the ARN of a topic, `arn:aws:sns:REGION:ACCOUNT:NAME`";
        if let Some(arn) = env.parse_with("TOPIC_ARN", arn, |text| is_topic_arn(text).then(|| text.to_owned()))? {
            return Ok(Self::Given(arn));
        }
        let name = env.parse_with("TOPIC_NAME", NAME, |text| is_name(text, 256).then(|| text.to_owned()))?;
        Ok(Self::Made(name.unwrap_or_else(|| "messages".to_owned())))
    }

    /// The ARN of the topic, which is made first if it is one to be made. Doing that again changes nothing.
    ///
    /// # Errors
    /// AWS's reason.
    pub async fn ensure(&self, sns: &Client) -> Result<String, String> {
        match self {
            Self::Given(arn) => Ok(arn.clone()),
            Self::Made(name) => {
                let made = sns.create_topic().name(name).send().await;
                let made = made.map_err(|error| format!("cannot make the topic `{name}`: {}", aws::reason(&error)))?;
                made.topic_arn.ok_or_else(|| format!("the topic `{name}` was made without an ARN"))
            }
        }
    }
}

const NAME: &str = "1 to 256 letters, digits, hyphens and underscores";

/// Whether this can be the name of a topic or a queue.
#[must_use]
pub fn is_name(text: &str, longest: usize) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=longest).contains(&text.len()) && text.chars().all(fits)
}

fn is_topic_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts.as_slice(), ["arn", _, "sns", region, account, name]
        if !region.is_empty() && !account.is_empty() && is_name(name, 256))
}

#[cfg(test)]
mod tests {
    use super::Topic;
    use kit::Env;

    fn topic(name: &'static str, value: &'static str) -> Option<Topic> {
        Topic::parse(&Env::of_pairs([(name, value)])).ok()
    }

    #[test]
    fn given_or_made() {
        let arn = "arn:aws:sns:eu-central-1:123456789012:orders";
        assert_eq!(topic("TOPIC_ARN", arn), Some(Topic::Given(arn.into())));
        assert_eq!(topic("TOPIC_NAME", "orders"), Some(Topic::Made("orders".into())));
        assert_eq!(topic("TOPIC_NAME", ""), Some(Topic::Made("messages".into())));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for arn in ["messages", "arn:aws:sqs:eu-central-1:123456789012:orders", "arn:aws:sns:::", "arn:aws:sns:a:b:c:d"]
        {
            assert_eq!(topic("TOPIC_ARN", arn), None, "{arn}");
        }
        for name in ["two words", "a.fifo", "ключ"] {
            assert_eq!(topic("TOPIC_NAME", name), None, "{name}");
        }
    }
}
