//! What one thing goes on to cost when a teardown has left it behind.

use super::HOURS_A_MONTH;
use super::region::Local;
use model::price::{Prices, Rate};
use serde_json::Value;

/// What is free for as long as it is there, or paid by requests that nobody makes any more.
const FREE: &[&str] = &[
    "access-entry",
    "addon",
    "alias",
    "auto-scaling-group",
    "budget",
    "certificate",
    "instance-profile",
    "internet-gateway",
    "launch-template",
    "listener",
    "network-interface",
    // Its instances are left in their own right.
    "node-group",
    "oidc-provider",
    "policy",
    "queue",
    "record",
    "role",
    "route-table",
    "security-group",
    "subnet",
    "subnet-group",
    "target-group",
    "topic",
    "vpc",
];

/// An internet-facing load balancer has an address in each of its zones.
const ZONES: f64 = 3.0;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// What a thing costs in a month (USD), from what was found out about it: `type` (of an instance or a node), `count`,
/// `zones`, `gib` or `bytes`, `scheme`, `state`. `None`: that cannot be told.
pub fn monthly(kind: &str, facts: &Value, prices: &Prices, region: &str) -> Option<f64> {
    let local = Local::of(prices, region);
    let hour = |rate| local.rate(rate) * HOURS_A_MONTH;
    let month = |rate| local.rate(rate);
    let number = |key: &str| facts[key].as_f64();
    let gib = number("gib").or_else(|| number("bytes").map(|bytes| bytes / GIB));
    let count = number("count").unwrap_or(1.0);
    let named = facts["type"].as_str();
    Some(match kind {
        "cluster" => hour(Rate::ClusterHour),
        "nat-gateway" => hour(Rate::NatGatewayHour),
        "address" => hour(Rate::PublicIpv4Hour),
        "load-balancer" => {
            let internal = facts["scheme"].as_str() == Some("internal");
            let addresses = if internal { 0.0 } else { number("zones").unwrap_or(ZONES) };
            hour(Rate::LoadBalancerHour) + addresses * hour(Rate::PublicIpv4Hour)
        }
        // That of S3 is free; the others are paid for in each zone.
        "endpoint" if named == Some("Gateway") => 0.0,
        "endpoint" => number("zones")? * hour(Rate::InterfaceEndpointHour),
        "volume" => gib? * month(Rate::Gp3GibMonth),
        "log-group" => gib.unwrap_or(0.0) * month(Rate::LogStorageGbMonth),
        "repository" => gib? * month(Rate::ImageGbMonth),
        // A key that is to be deleted is not paid for.
        "key" if facts["state"].as_str() == Some("PendingDeletion") => 0.0,
        "key" => month(Rate::KeyMonth),
        "dashboard" => month(Rate::DashboardMonth),
        "alarm" => month(Rate::AlarmMonth),
        "hosted-zone" => month(Rate::HostedZoneMonth),
        "instance" => local.instance(named?)? * HOURS_A_MONTH,
        "cache" => local.cache_node(named?)? * count * HOURS_A_MONTH,
        free if FREE.contains(&free) => 0.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;
    use std::path::Path;

    #[test]
    fn what_is_left_costs_what_is_known_of_it() {
        let prices = model::prices(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")).unwrap().unwrap();
        for (kind, facts, dollars) in [
            ("load-balancer", json!({}), Some(27.375)),
            ("load-balancer", json!({"scheme": "internal"}), Some(16.425)),
            ("volume", json!({"gib": 20}), Some(1.6)),
            ("volume", json!({}), None),
            ("nat-gateway", json!({}), Some(32.85)),
            ("address", json!({}), Some(3.65)),
            ("cluster", json!({}), Some(73.0)),
            ("log-group", json!({}), Some(0.0)),
            ("log-group", json!({"bytes": 10_737_418_240_u64}), Some(0.3)),
            ("endpoint", json!({"type": "Interface", "zones": 3}), Some(21.9)),
            ("endpoint", json!({"type": "Gateway"}), Some(0.0)),
            ("instance", json!({"type": "t3.large"}), Some(60.736)),
            ("node-group", json!({"type": "t3.large", "count": 3}), Some(0.0)),
            ("cache", json!({"type": "cache.t4g.micro", "count": 2}), Some(23.36)),
            ("key", json!({}), Some(1.0)),
            ("key", json!({"state": "PendingDeletion"}), Some(0.0)),
            ("target-group", json!({}), Some(0.0)),
            ("security-group", json!({}), Some(0.0)),
            ("something-new", json!({}), None),
        ] {
            let found = monthly(kind, &facts, &prices, "us-east-1");
            let near = found.zip(dollars).is_some_and(|(a, b)| (a - b).abs() < 1e-9);
            assert!(near || found == dollars, "{kind} {facts}: {found:?}");
        }
    }
}
