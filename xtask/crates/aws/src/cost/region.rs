//! The prices that hold in a region, those of other regions standing in for what it does not list.

use model::price::{Prices, Rate, Region};
use std::collections::BTreeMap;

/// The prices of one region without a gap, as far as any region has them.
pub(super) struct Local<'p> {
    prices: &'p Prices,
    own: Option<&'p Region>,
}

impl<'p> Local<'p> {
    pub(super) fn of(prices: &'p Prices, region: &str) -> Self {
        Self { prices, own: prices.regions.get(region) }
    }

    /// Whether the table has this region.
    pub(super) fn known(&self) -> bool {
        self.own.is_some()
    }

    pub(super) fn rate(&self, rate: Rate) -> f64 {
        // The table is refused unless every region has every rate.
        self.find(&rate, |region| &region.rates).unwrap_or_default()
    }

    pub(super) fn instance(&self, kind: &str) -> Option<f64> {
        self.find(kind, |region| &region.instances)
    }

    pub(super) fn cache_node(&self, kind: &str) -> Option<f64> {
        self.find(kind, |region| &region.cache_nodes)
    }

    /// The region's own price, else the dearest known.
    fn find<K, Q>(&self, key: &Q, list: impl Fn(&'p Region) -> &'p BTreeMap<K, f64>) -> Option<f64>
    where
        K: Ord + std::borrow::Borrow<Q> + 'p,
        Q: Ord + ?Sized,
    {
        let own = self.own.and_then(|region| list(region).get(key).copied());
        own.or_else(|| {
            let all = self.prices.regions.values().filter_map(|region| list(region).get(key).copied());
            all.reduce(f64::max)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        let region = |cluster, instances: &[(&str, f64)]| Region {
            rates: BTreeMap::from([(Rate::ClusterHour, cluster)]),
            instances: instances.iter().map(|(name, price)| ((*name).to_owned(), *price)).collect(),
            cache_nodes: BTreeMap::new(),
        };
        let regions =
            [("cheap", region(1.0, &[("small", 0.1), ("big", 2.0)])), ("dear", region(3.0, &[("small", 0.2)]))];
        let regions = regions.map(|(name, region)| (name.to_owned(), region)).into();
        Prices { as_of: "2026-06-01".to_owned(), sources: BTreeMap::new(), regions }
    }

    #[test]
    fn a_region_has_its_own_prices_and_the_dearest_others_where_it_has_none() {
        let prices = prices();
        let cheap = Local::of(&prices, "cheap");
        assert_eq!((cheap.rate(Rate::ClusterHour), cheap.instance("small")), (1.0, Some(0.1)));
        let dear = Local::of(&prices, "dear");
        assert_eq!((dear.instance("small"), dear.instance("big"), dear.instance("huge")), (Some(0.2), Some(2.0), None));
        let elsewhere = Local::of(&prices, "elsewhere");
        assert!(!elsewhere.known() && cheap.known());
        assert_eq!((elsewhere.rate(Rate::ClusterHour), elsewhere.instance("small")), (3.0, Some(0.2)));
    }
}
