//! Amounts and currencies, exact, as the invoices and their payments state them.
//!
//! In JSON an [`Amount`] is a number and keeps every digit it was written with; it never passes through floating point.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::Number;

/// An exact decimal number greater than 0, of at most 28 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(Decimal);

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.contains(['e', 'E']) {
            true => Decimal::from_scientific(text),
            false => Decimal::from_str_exact(text),
        };
        let amount = parsed.map_err(|error| format!("`{text}` is not an amount that can be kept exactly: {error}"))?;
        if amount <= Decimal::ZERO {
            return Err(format!("`{text}` is not more than 0"));
        }
        Ok(Self(amount))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number: Number = self.to_string().parse().map_err(ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Number::deserialize(deserializer)?.to_string().parse().map_err(de::Error::custom)
    }
}

/// A currency's code: three letters from `A` to `Z`, as in ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([char; 3]);

impl FromStr for Currency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut letters = text.chars();
        let code = (letters.next(), letters.next(), letters.next(), letters.next());
        match code {
            (Some(a), Some(b), Some(c), None) if [a, b, c].iter().all(char::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(format!("`{}` is not a currency of three letters from A to Z", text.escape_debug())),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Amount, Currency};

    #[test]
    fn an_amount_keeps_its_digits() {
        for text in ["12.15", "10.50", "0.1", "1234567890123456789012.345678", "0.0000000000000000000000000001"] {
            let amount: Amount = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&amount).unwrap(), text);
        }
    }

    #[test]
    fn equal_is_what_is_worth_the_same() {
        assert_eq!("10.5".parse::<Amount>(), "10.50".parse());
        assert_eq!("1e2".parse::<Amount>(), "100".parse());
        assert_ne!("10.5".parse::<Amount>(), "10.51".parse());
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in
            ["0", "-1", "0.00", "-0.0", "1e400", "1e-40", "0.00000000000000000000000000001", "\"1\"", "null", "[1]"]
        {
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!(serde_json::to_string(&"EUR".parse::<Currency>().unwrap()).unwrap(), r#""EUR""#);
        for text in ["", "eur", "EU", "EURO", "E R", "ÄÖÜ", "€"] {
            assert!(text.parse::<Currency>().is_err(), "{text}");
        }
    }
}
