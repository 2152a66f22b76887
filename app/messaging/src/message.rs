//! A message, and the forms in which a queue brings it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What travels from the producer to the consumer, as a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Told to whoever had it published, and by which it is found again.
    pub id: String,
    pub text: String,
}

/// What a topic makes of a message on its way to a queue, unless the subscription asks for raw delivery.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    message: String,
}

impl Message {
    /// The body to publish.
    ///
    /// # Errors
    /// None in practice; a message is plain text.
    pub fn to_body(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| error.to_string())
    }

    /// Reads a message out of the body that a queue delivers, raw or in the envelope of a topic.
    ///
    /// # Errors
    /// Why it is none.
    pub fn of_body(body: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(body).map_err(|error| format!("the body is not JSON: {error}"))?;
        let is_envelope = json.get("Type").is_some_and(|kind| kind == "Notification");
        let message = if is_envelope {
            let envelope: Envelope = serde_json::from_value(json).map_err(|error| format!("the envelope: {error}"))?;
            serde_json::from_str(&envelope.message)
        } else {
            serde_json::from_value(json)
        };
        message.map_err(|error| format!("not a message: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn comes_raw_or_in_an_envelope() {
        let message = Message { id: "1".into(), text: "said \"ключ\"\n\u{0}".into() };
        let raw = message.to_body().unwrap();
        assert_eq!(Message::of_body(&raw), Ok(message.clone()));
        let envelope = serde_json::json!({"Type": "Notification", "MessageId": "x", "Message": raw}).to_string();
        assert_eq!(Message::of_body(&envelope), Ok(message));
    }

    #[test]
    fn what_is_none_is_said() {
        for (body, reason) in [
            ("", "not JSON"),
            ("hello", "not JSON"),
            ("5", "not a message"),
            ("{}", "missing field `id`"),
            (r#"{"id":1,"text":"x"}"#, "expected a string"),
            (r#"{"Type":"Notification"}"#, "the envelope: missing field `Message`"),
            (r#"{"Type":"Notification","Message":"hello"}"#, "not a message"),
            (r#"{"Type":"SubscriptionConfirmation","Message":"{}"}"#, "not a message"),
        ] {
            let error = Message::of_body(body).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }
}
