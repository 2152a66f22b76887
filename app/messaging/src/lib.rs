//! What the producer and the consumer agree on: messages, the topic, how to reach AWS, and their `/health`.

pub mod aws;
mod backoff;
mod health;
mod message;
mod topic;

pub use backoff::Backoff;
pub use health::{HealthDescription, health};
pub use message::Message;
pub use topic::{Topic, is_name};
