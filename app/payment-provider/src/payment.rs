//! A payment as it is asked for, and the charge that is kept of it.

use std::fmt;

use money::{Amount, Currency};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request to be charged.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Payment {
    /// What makes it the same payment when it is asked for again: 1 to 128 characters.
    #[schema(value_type = String, example = "I1")]
    id: PaymentId,
    /// An exact decimal number greater than 0.
    #[schema(value_type = f64, example = 12.15)]
    value: Amount,
    /// Three letters from A to Z.
    #[schema(value_type = String, example = "EUR")]
    currency: Currency,
}

impl Payment {
    pub(crate) fn into_parts(self) -> (PaymentId, Charge) {
        (self.id, Charge { value: self.value, currency: self.currency })
    }
}

/// What was charged. Equal charges are worth the same, however they were written.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Charge {
    value: Amount,
    currency: Currency,
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.value, self.currency)
    }
}

/// The key of a payment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PaymentId(String);

impl PaymentId {
    const MAX_CHARS: usize = 128;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PaymentId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        if id.trim().is_empty() {
            return Err("an id must not be empty".to_owned());
        }
        if id.chars().count() > Self::MAX_CHARS {
            return Err(format!("an id has at most {} characters", Self::MAX_CHARS));
        }
        if id.contains(char::is_control) {
            return Err("an id has no control characters".to_owned());
        }
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::{Charge, PaymentId};

    #[test]
    fn ids_are_bounded() {
        for id in ["I1", "ключ", &"x".repeat(128)] {
            assert!(PaymentId::try_from(id.to_owned()).is_ok(), "{id}");
        }
        for id in ["", "  ", "a\nb", "\0", &"x".repeat(129)] {
            assert!(PaymentId::try_from(id.to_owned()).is_err(), "{id}");
        }
    }

    #[test]
    fn a_charge_is_what_it_is_worth() {
        let charge = |json| serde_json::from_str::<Charge>(json).unwrap();
        let one = charge(r#"{"value":10.50,"currency":"EUR"}"#);
        assert_eq!(one, charge(r#"{"value":10.5,"currency":"EUR"}"#));
        assert_ne!(one, charge(r#"{"value":10.5,"currency":"GBP"}"#));
        assert_eq!(one.to_string(), "10.50 EUR");
    }
}
