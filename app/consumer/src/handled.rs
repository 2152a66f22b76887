//! The messages that this process has handled last, in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use messaging::Message;
use serde::Serialize;
use utoipa::ToSchema;

/// How many are remembered.
const REMEMBERED: usize = 100;

/// A message and when it was handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Handled {
    #[schema(example = "67e55044-10b1-426f-9247-bb680e5fe0c8")]
    pub(crate) id: String,
    pub(crate) text: String,
    /// Seconds since the Unix epoch.
    pub(crate) time: u64,
}

/// The last messages, the latest first. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct HandledMessages(Arc<Mutex<VecDeque<Handled>>>);

impl HandledMessages {
    /// False if the message is remembered already: a queue may bring the same one twice.
    pub(crate) fn add(&self, message: Message, time: u64) -> bool {
        let mut messages = self.lock();
        if messages.iter().any(|handled| handled.id == message.id) {
            return false;
        }
        messages.push_front(Handled { id: message.id, text: message.text, time });
        messages.truncate(REMEMBERED);
        true
    }

    pub(crate) fn all(&self) -> Vec<Handled> {
        self.lock().iter().cloned().collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<Handled> {
        self.lock().iter().find(|handled| handled.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Handled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::HandledMessages;
    use messaging::Message;

    #[test]
    fn the_last_hundred_are_remembered_once_each() {
        let handled = HandledMessages::default();
        let message = |number: u64| Message { id: number.to_string(), text: "x".into() };
        for number in 0..150 {
            assert!(handled.add(message(number), number));
        }
        assert!(!handled.add(message(149), 200));
        let times: Vec<u64> = handled.all().iter().map(|handled| handled.time).collect();
        assert_eq!(times, (50..150).rev().collect::<Vec<_>>());
        assert_eq!(handled.find("149").unwrap().time, 149);
        assert_eq!(handled.find("49"), None);
    }
}
