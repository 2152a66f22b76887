//! What AWS asks for what a deployment makes. Read from `deploy/prices.toml`; what it adds up to is `cost`'s to say.

use super::decode::{Document, Table, Value};
use super::error::{Sink, SpecErrors};
use super::source;
use std::collections::BTreeMap;
use std::path::Path;

pub const PRICES: &str = "deploy/prices.toml";

/// The table of all regions.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// The day that the figures are of.
    pub as_of: String,
    /// The pages that they can be checked against, by what they are about.
    pub sources: BTreeMap<String, String>,
    pub regions: BTreeMap<String, Region>,
}

/// The prices of one region, in US dollars.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Region {
    pub rates: BTreeMap<Rate, f64>,
    /// By instance type, for an hour.
    pub instances: BTreeMap<String, f64>,
    /// By node type, for an hour.
    pub cache_nodes: BTreeMap<String, f64>,
}

/// What has one price in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    ClusterHour,
    AutoModeShare,
    NatGatewayHour,
    NatGatewayGb,
    InterfaceEndpointHour,
    InterfaceEndpointGb,
    PublicIpv4Hour,
    LoadBalancerHour,
    LoadBalancerLcuHour,
    Gp3GibMonth,
    KeyMonth,
    LogIngestionGb,
    LogStorageGbMonth,
    DashboardMonth,
    AlarmMonth,
    ImageGbMonth,
    HostedZoneMonth,
    QueueMillion,
    TopicMillion,
}

impl Rate {
    /// With the keys of the file.
    pub const ALL: [(&'static str, Self); 19] = [
        ("cluster_hour", Self::ClusterHour),
        ("auto_mode_share", Self::AutoModeShare),
        ("nat_gateway_hour", Self::NatGatewayHour),
        ("nat_gateway_gb", Self::NatGatewayGb),
        ("interface_endpoint_hour", Self::InterfaceEndpointHour),
        ("interface_endpoint_gb", Self::InterfaceEndpointGb),
        ("public_ipv4_hour", Self::PublicIpv4Hour),
        ("load_balancer_hour", Self::LoadBalancerHour),
        ("load_balancer_lcu_hour", Self::LoadBalancerLcuHour),
        ("gp3_gib_month", Self::Gp3GibMonth),
        ("key_month", Self::KeyMonth),
        ("log_ingestion_gb", Self::LogIngestionGb),
        ("log_storage_gb_month", Self::LogStorageGbMonth),
        ("dashboard_month", Self::DashboardMonth),
        ("alarm_month", Self::AlarmMonth),
        ("image_gb_month", Self::ImageGbMonth),
        ("hosted_zone_month", Self::HostedZoneMonth),
        ("queue_million", Self::QueueMillion),
        ("topic_million", Self::TopicMillion),
    ];
}

/// Loads `deploy/prices.toml` below the root. Without the file nothing can be said of costs.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn prices(root: &Path) -> Result<Option<Prices>, SpecErrors> {
    let sink = Sink::default();
    let prices = match source::read_optional(root, PRICES, &sink) {
        Some(source) => parse(&source.path, &source.text, &sink).map(Some),
        None => Some(None),
    };
    sink.finish(prices)
}

fn parse(path: &str, text: &str, sink: &Sink) -> Option<Prices> {
    let document = Document::parse(path, text, sink)?;
    document.root(sink).table(read)?
}

fn read(table: &Table<'_>) -> Option<Prices> {
    let as_of = table.required("as_of").and_then(|value| value.checked(&day));
    let sources = table.required("sources").and_then(|value| read_sources(&value));
    let entries = table.required("regions").and_then(|value| value.entries())?;
    if entries.is_empty() {
        table.missing("a region in `regions`");
        return None;
    }
    let region = |(name, value): &(&str, Value<'_>)| Some(((*name).to_owned(), value.table(read_region)??));
    // All are looked at, so that one run tells what is wrong with any of them.
    let regions = entries.iter().filter_map(region).collect();
    Some(Prices { as_of: as_of?, sources: sources?, regions })
}

fn day(text: &str) -> Result<(), String> {
    let shape = |(place, byte): (usize, u8)| if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    if text.len() == 10 && text.bytes().enumerate().all(shape) {
        return Ok(());
    }
    Err(format!("`{text}` is not a day such as `2026-06-01`"))
}

fn read_sources(value: &Value<'_>) -> Option<BTreeMap<String, String>> {
    let entries = value.entries()?;
    entries.iter().map(|(name, value)| Some(((*name).to_owned(), value.sentence()?))).collect()
}

fn read_region(table: &Table<'_>) -> Option<Region> {
    let rates: Vec<_> = Rate::ALL.into_iter().map(|(key, rate)| Some((rate, price(&table.required(key)?)?))).collect();
    let instances = table.required("instance_hour").and_then(|value| by_type(&value));
    let cache_nodes = table.required("cache_node_hour").and_then(|value| by_type(&value));
    Some(Region { rates: rates.into_iter().collect::<Option<_>>()?, instances: instances?, cache_nodes: cache_nodes? })
}

fn by_type(value: &Value<'_>) -> Option<BTreeMap<String, f64>> {
    let prices: Vec<_> =
        value.entries()?.iter().map(|(name, value)| Some(((*name).to_owned(), price(value)?))).collect();
    prices.into_iter().collect()
}

/// A number of dollars. Nothing here costs a thousand of them; what does has lost its decimal point.
fn price(value: &Value<'_>) -> Option<f64> {
    let dollars = value.json(&|_| Ok(()))?.as_f64().filter(|dollars| (0.0..1000.0).contains(dollars));
    if dollars.is_none() {
        value.report("expected a price in dollars such as `0.045`");
    }
    dollars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Prices, String> {
        let sink = Sink::default();
        let prices = parse(PRICES, text, &sink);
        sink.finish(prices).map_err(|errors| errors.to_string())
    }

    fn own() -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        std::fs::read_to_string(root.join(PRICES)).unwrap()
    }

    #[test]
    fn the_table_of_this_repository_is_read() {
        let prices = read_text(&own()).unwrap();
        let regions: Vec<_> = prices.regions.keys().map(String::as_str).collect();
        assert_eq!(regions, ["eu-central-1", "eu-west-1", "us-east-1"]);
        let region = &prices.regions["us-east-1"];
        assert_eq!((region.rates[&Rate::ClusterHour], region.instances["t3.large"]), (0.10, 0.0832));
        assert!(prices.sources.values().all(|page| page.starts_with("https://aws.amazon.com/")));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let own = own();
        let line = |text: &str| 1 + own.lines().position(|line| line.starts_with(text)).unwrap();
        for (from, to, at, error) in [
            ("cluster_hour = 0.10", "cluster_hours = 0.10", "cluster_hour =", "unknown key `cluster_hours`"),
            ("cluster_hour = 0.10", "", "[regions.us-east-1]", "missing key `cluster_hour`"),
            ("key_month = 1.0", "key_month = '1'", "key_month", "expected a price in dollars such as `0.045`"),
            ("key_month = 1.0", "key_month = -1", "key_month", "expected a price in dollars such as `0.045`"),
            ("\"t3.large\" = 0.0832", "\"t3.large\" = 8320", "\"t3.large\"", "expected a price in dollars"),
            ("2026-06-01", "June 2026", "as_of", "`June 2026` is not a day such as `2026-06-01`"),
        ] {
            let errors = read_text(&own.replacen(from, to, 1)).unwrap_err();
            let place = format!("{PRICES}:{}: ", line(at));
            let told = errors.lines().any(|line| line.starts_with(&place) && line.contains(error));
            assert!(told, "{place}{error}\n{errors}");
        }
    }
}
