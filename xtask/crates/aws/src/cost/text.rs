//! An estimate for people and for programs.

use super::{Estimate, Item, Usage};
use base::table;
use serde_json::{Value, json};
use std::fmt;

impl fmt::Display for Estimate {
    /// The total first, then what it is made of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = if self.known { "" } else { " (not in the price table: the highest known prices are used)" };
        write!(
            f,
            "about ${:.2} an hour, ${:.2} a month before usage, at prices of {} for {}{standing}",
            self.hourly(),
            self.monthly(),
            self.as_of,
            self.region,
        )?;
        let mut rows: Vec<_> = self.items.iter().map(item_row).collect();
        rows.extend(self.usage.iter().map(usage_row));
        for line in table::layout(&rows).lines() {
            write!(f, "\n  {line}")?;
        }
        if !self.unpriced.is_empty() {
            write!(f, "\nand what these cost, which the price table does not have: {}", self.unpriced.join(", "))?;
        }
        Ok(())
    }
}

fn item_row(item: &Item) -> Vec<String> {
    let what = format!("{:>3} × {}", item.count, item.what);
    vec![
        what,
        format!("{:>9}", dollars(item.hourly())),
        "an hour".to_owned(),
        format!("${:>7.2} a month", item.monthly()),
    ]
}

fn usage_row(usage: &Usage) -> Vec<String> {
    let what = format!("  + {}", usage.what);
    vec![what, format!("{:>9}", dollars(usage.each)), format!("per {}", usage.unit)]
}

/// As many digits as hourly prices need, since most are below a cent.
fn dollars(amount: f64) -> String {
    format!("${amount:.4}")
}

/// To the hundredth of a cent, so that a sum does not show how floats add up.
fn rounded(amount: f64) -> f64 {
    (amount * 10_000.0).round() / 10_000.0
}

impl Estimate {
    /// For `plan --json`.
    pub fn document(&self) -> Value {
        let item = |item: &Item| {
            json!({
                "what": item.what, "count": item.count,
                "hourly_usd": rounded(item.hourly()), "monthly_usd": rounded(item.monthly()),
            })
        };
        let usage = |usage: &Usage| json!({"what": usage.what, "unit": usage.unit, "usd": rounded(usage.each)});
        json!({
            "as_of": self.as_of, "region": self.region, "region_known": self.known,
            "hourly_usd": rounded(self.hourly()), "monthly_usd": rounded(self.monthly()),
            "items": self.items.iter().map(item).collect::<Vec<_>>(),
            "usage": self.usage.iter().map(usage).collect::<Vec<_>>(),
            "unpriced": self.unpriced,
        })
    }
}
