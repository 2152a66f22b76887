//! What a deployment on AWS costs: of a plan before it is applied, and of what a teardown has left behind.
//!
//! Pure arithmetic over the price table of [`model::price`]. It knows nothing of discounts, free tiers, taxes or
//! traffic between zones and out to the internet; what depends on use is shown with its unit price and not added up.

mod estimate;
mod free;
mod left;
mod region;
mod text;

pub use estimate::estimate;
pub use left::monthly;

/// As AWS's own calculator counts a month.
pub const HOURS_A_MONTH: f64 = 730.0;

/// What there will be and what it costs for as long as it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The day of the prices.
    pub as_of: String,
    pub region: String,
    /// Whether the table has prices of this region, or the dearest of the others stand for them.
    pub known: bool,
    /// The dearest first.
    pub items: Vec<Item>,
    pub usage: Vec<Usage>,
    /// What may cost something that the table does not know: addresses as Terraform has them.
    pub unpriced: Vec<String>,
}

/// Some of one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub what: String,
    pub count: u64,
    /// One of it, for an hour.
    pub each: f64,
}

impl Item {
    pub fn hourly(&self) -> f64 {
        // Nobody has as many of anything that the number would not fit.
        #[expect(clippy::cast_precision_loss, reason = "a count of things that are paid for")]
        let count = self.count as f64;
        self.each * count
    }

    pub fn monthly(&self) -> f64 {
        self.hourly() * HOURS_A_MONTH
    }
}

/// What is paid by how much it is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    pub what: &'static str,
    pub unit: &'static str,
    pub each: f64,
}

impl Estimate {
    pub fn hourly(&self) -> f64 {
        self.items.iter().map(Item::hourly).sum()
    }

    pub fn monthly(&self) -> f64 {
        self.hourly() * HOURS_A_MONTH
    }
}
