//! What a plan of Terraform would cost, and what a deploy makes beside it: load balancers and volumes.
//!
//! Read from `terraform show -json PLANFILE`. What a plan leaves unknown is never guessed: a resource without the value
//! that its price hangs on is unpriced.

use super::region::Local;
use super::{Estimate, HOURS_A_MONTH, Item, Usage, free};
use model::price::{Prices, Rate};
use serde_json::Value;

/// An internet-facing load balancer has an address in each of its zones.
const ZONES: u64 = 3;
/// What a node gets that nobody gave a volume (GiB).
const NODE_VOLUME: u64 = 20;
/// What Auto Mode is priced by: it takes no burstable instances.
const AUTO_MODE_EXAMPLE: &str = "m6i.large";

/// What is there after the plan was applied, with that many internet-facing load balancers and so much in volumes.
pub fn estimate(plan: &Value, prices: &Prices, region: &str, balancers: usize, volumes_gib: u64) -> Estimate {
    let local = Local::of(prices, region);
    let resources = managed(&plan["planned_values"]["root_module"]);
    let mut bill = Bill { local, items: Vec::new(), usage: Vec::new(), unpriced: Vec::new() };
    for resource in &resources {
        if bill.add(resource, &resources).is_none() {
            bill.unpriced.push(resource.address.to_owned());
        }
    }
    bill.beside(&resources, balancers, volumes_gib);
    bill.items.sort_by(|a, b| b.hourly().total_cmp(&a.hourly()).then_with(|| a.what.cmp(&b.what)));
    Estimate {
        as_of: prices.as_of.clone(),
        region: region.to_owned(),
        known: bill.local.known(),
        items: bill.items,
        usage: bill.usage,
        unpriced: bill.unpriced,
    }
}

/// A resource as it is planned.
struct Resource<'v> {
    address: &'v str,
    kind: &'v str,
    values: &'v Value,
}

/// The resources of a module and of those below it; data sources make nothing.
fn managed(module: &Value) -> Vec<Resource<'_>> {
    let list = |key: &str| module[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = list("resources").iter().filter(|resource| resource["mode"].as_str() != Some("data"));
    let own = own.filter_map(|resource| {
        let address = resource["address"].as_str()?;
        Some(Resource { address, kind: resource["type"].as_str()?, values: &resource["values"] })
    });
    own.chain(list("child_modules").iter().flat_map(managed)).collect()
}

struct Bill<'p> {
    local: Local<'p>,
    items: Vec<Item>,
    usage: Vec<Usage>,
    unpriced: Vec<String>,
}

impl Bill<'_> {
    /// Puts a resource on the bill; `None` when it cannot be told what it costs.
    fn add(&mut self, resource: &Resource<'_>, all: &[Resource<'_>]) -> Option<()> {
        let values = resource.values;
        match resource.kind {
            "aws_eks_cluster" => self.cluster(values),
            "aws_eks_node_group" => return self.nodes(values, all),
            "aws_vpc_endpoint" => return self.endpoint(values),
            "aws_elasticache_replication_group" => return self.cache(values),
            "aws_nat_gateway" => {
                self.hour("NAT gateway", 1, Rate::NatGatewayHour);
                self.used("data through NAT", "GB", Rate::NatGatewayGb);
            }
            "aws_eip" => self.hour("public IPv4 address", 1, Rate::PublicIpv4Hour),
            "aws_kms_key" => self.month("KMS key", 1, Rate::KeyMonth),
            "aws_cloudwatch_dashboard" => self.month("dashboard", 1, Rate::DashboardMonth),
            "aws_cloudwatch_metric_alarm" => self.month("alarm", 1, Rate::AlarmMonth),
            "aws_route53_zone" => self.month("hosted zone", 1, Rate::HostedZoneMonth),
            "aws_cloudwatch_log_group" => {
                self.used("logs taken in", "GB", Rate::LogIngestionGb);
                self.used("logs kept", "GB a month", Rate::LogStorageGbMonth);
            }
            "aws_ecr_repository" => self.used("images kept", "GB a month", Rate::ImageGbMonth),
            "aws_sqs_queue" => self.used("requests to queues", "million", Rate::QueueMillion),
            "aws_sns_topic" => self.used("requests to topics", "million", Rate::TopicMillion),
            kind => return free::reason(kind).map(|_| ()),
        }
        Some(())
    }

    /// What no plan of Terraform has, since the cluster makes it.
    fn beside(&mut self, all: &[Resource<'_>], balancers: usize, volumes_gib: u64) {
        let balancers = u64::try_from(balancers).unwrap_or(u64::MAX);
        let public = |resource: &&Resource<'_>| {
            resource.kind == "aws_subnet" && !resource.values["tags"]["kubernetes.io/role/elb"].is_null()
        };
        let zones = match all.iter().filter(public).count() {
            0 => ZONES,
            count => u64::try_from(count).unwrap_or(ZONES),
        };
        if balancers > 0 {
            self.hour("load balancer", balancers, Rate::LoadBalancerHour);
            self.hour("public IPv4 address", balancers.saturating_mul(zones), Rate::PublicIpv4Hour);
            self.used("load balancer capacity", "LCU-hour", Rate::LoadBalancerLcuHour);
        }
        self.month("GiB of gp3 volume", volumes_gib, Rate::Gp3GibMonth);
    }

    fn cluster(&mut self, values: &Value) {
        self.hour("EKS cluster", 1, Rate::ClusterHour);
        if values["compute_config"][0]["enabled"].as_bool() == Some(true) {
            // There are as many as the pods need, of whichever type suits them.
            let instance = self.local.instance(AUTO_MODE_EXAMPLE).unwrap_or_default();
            let each = instance * (1.0 + self.local.rate(Rate::AutoModeShare));
            self.usage.push(Usage { what: "nodes of Auto Mode, such as m6i.large", unit: "node-hour", each });
        }
    }

    fn nodes(&mut self, values: &Value, all: &[Resource<'_>]) -> Option<()> {
        let count = values["scaling_config"][0]["desired_size"].as_u64()?;
        let types: Vec<&str> = values["instance_types"].as_array()?.iter().filter_map(Value::as_str).collect();
        // Any of them may be what there is to be had.
        let dearest = types.iter().map(|kind| Some((*kind, self.local.instance(kind)?))).collect::<Option<Vec<_>>>()?;
        let (kind, each) = dearest.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        self.item(format!("{kind} node"), count, each);
        let volume = match values["launch_template"].as_array().map(Vec::as_slice) {
            None | Some([]) => values["disk_size"].as_u64().unwrap_or(NODE_VOLUME),
            Some(_) => template_volumes(all)?,
        };
        self.month("GiB of gp3 volume", count.saturating_mul(volume), Rate::Gp3GibMonth);
        Some(())
    }

    fn endpoint(&mut self, values: &Value) -> Option<()> {
        match values["vpc_endpoint_type"].as_str()? {
            "Gateway" => Some(()),
            "Interface" => {
                let zones = values["subnet_ids"].as_array()?.len();
                self.hour("interface endpoint in a zone", u64::try_from(zones).ok()?, Rate::InterfaceEndpointHour);
                self.used("data through endpoints", "GB", Rate::InterfaceEndpointGb);
                Some(())
            }
            _ => None,
        }
    }

    fn cache(&mut self, values: &Value) -> Option<()> {
        let kind = values["node_type"].as_str()?;
        let count = values["num_cache_clusters"].as_u64()?;
        self.item(format!("{kind} node"), count, self.local.cache_node(kind)?);
        Some(())
    }

    fn hour(&mut self, what: &str, count: u64, rate: Rate) {
        let each = self.local.rate(rate);
        self.item(what.to_owned(), count, each);
    }

    fn month(&mut self, what: &str, count: u64, rate: Rate) {
        let each = self.local.rate(rate) / HOURS_A_MONTH;
        self.item(what.to_owned(), count, each);
    }

    /// More of what is on the bill already is one line with it.
    fn item(&mut self, what: String, count: u64, each: f64) {
        match self.items.iter_mut().find(|item| item.what == what) {
            _ if count == 0 => {}
            Some(item) => item.count = item.count.saturating_add(count),
            None => self.items.push(Item { what, count, each }),
        }
    }

    fn used(&mut self, what: &'static str, unit: &'static str, rate: Rate) {
        let each = self.local.rate(rate);
        if !self.usage.iter().any(|usage| usage.what == what) {
            self.usage.push(Usage { what, unit, each });
        }
    }
}

/// What a node has in volumes (GiB). Which template a group takes is unknown in a plan, so there must be just one.
fn template_volumes(all: &[Resource<'_>]) -> Option<u64> {
    let mut templates = all.iter().filter(|resource| resource.kind == "aws_launch_template");
    let (Some(template), None) = (templates.next(), templates.next()) else { return None };
    let devices = template.values["block_device_mappings"].as_array()?;
    devices.iter().map(|device| device["ebs"][0]["volume_size"].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;
    use std::path::Path;

    const NODES: &str = include_str!("testdata/nodes-nat.json");
    const AUTO: &str = include_str!("testdata/auto-endpoints.json");

    fn prices() -> Prices {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        model::prices(&root).unwrap().unwrap()
    }

    fn read(plan: &str) -> Value {
        serde_json::from_str(plan).unwrap()
    }

    fn cents(amount: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "far below what would not fit")]
        let cents = (amount * 100.0).round() as i64;
        cents
    }

    fn count(estimate: &Estimate, what: &str) -> u64 {
        estimate.items.iter().find(|item| item.what == what).map_or(0, |item| item.count)
    }

    #[test]
    fn nodes_behind_a_nat_gateway_with_two_load_balancers() {
        let estimate = estimate(&read(NODES), &prices(), "us-east-1", 2, 10);
        assert_eq!(count(&estimate, "t3.large node"), 3);
        // Three disks of 30 GiB, and what the services keep.
        assert_eq!(count(&estimate, "GiB of gp3 volume"), 100);
        // That of the NAT gateway, and three for each load balancer.
        assert_eq!(count(&estimate, "public IPv4 address"), 7);
        // 73 + 182.208 + 8 + 32.85 + 25.55 + 32.85 + 1 + 3 + 0.3
        assert_eq!((cents(estimate.monthly()), estimate.unpriced.as_slice()), (35_876, [].as_slice()));
        assert_eq!(estimate.items[0].what, "t3.large node");
        assert!(estimate.usage.iter().any(|usage| usage.what == "data through NAT"));
    }

    #[test]
    fn auto_mode_behind_endpoints_with_a_cache() {
        let estimate = estimate(&read(AUTO), &prices(), "us-east-1", 0, 0);
        assert_eq!((count(&estimate, "interface endpoint in a zone"), count(&estimate, "NAT gateway")), (33, 0));
        assert_eq!(count(&estimate, "cache.t4g.micro node"), 2);
        // 73 + 240.9 + 23.36 + 1 + 3 + 0.2; the nodes are as many as the pods need.
        assert_eq!((cents(estimate.monthly()), estimate.unpriced.as_slice()), (34_146, [].as_slice()));
        let nodes = estimate.usage.iter().find(|usage| usage.what.starts_with("nodes of Auto Mode")).unwrap();
        assert_eq!(cents(nodes.each * 100.0), 1_075);
    }

    #[test]
    fn a_region_without_prices_is_as_dear_as_the_dearest_and_says_so() {
        let elsewhere = estimate(&read(NODES), &prices(), "ap-south-1", 2, 10);
        let dearest = estimate(&read(NODES), &prices(), "eu-central-1", 2, 10);
        assert_eq!(cents(elsewhere.monthly()), cents(dearest.monthly()));
        assert!(
            elsewhere
                .to_string()
                .contains("for ap-south-1 (not in the price table: the highest known prices are used)")
        );
        assert!(!dearest.to_string().contains("dearest"));
    }

    #[test]
    fn what_has_no_price_is_named_and_what_is_only_read_is_not() {
        let resource =
            |mode, kind, values| json!({"mode": mode, "address": format!("{kind}.x"), "type": kind, "values": values});
        let group =
            |kind| json!({"scaling_config": [{"desired_size": 2}], "instance_types": [kind], "launch_template": []});
        let below = resource("managed", "aws_db_instance", json!({}));
        let plan = json!({"planned_values": {"root_module": {
            "resources": [
                resource("managed", "aws_eks_node_group", group("x9.huge")),
                resource("data", "aws_partition", json!({})),
                resource("managed", "aws_elasticache_replication_group", json!({"node_type": "cache.t4g.micro"})),
            ],
            "child_modules": [{"resources": [below]}],
        }}});
        let estimate = estimate(&plan, &prices(), "us-east-1", 0, 0);
        let named = ["aws_eks_node_group.x", "aws_elasticache_replication_group.x", "aws_db_instance.x"];
        assert_eq!(estimate.unpriced, named);
        assert!(estimate.to_string().contains("aws_db_instance.x"));
        assert_eq!(estimate.document()["monthly_usd"], 0.0);
    }

    /// A type of resource that comes to `terraform/` has to get a price, or a reason why it has none.
    #[test]
    fn every_type_in_terraform_is_priced_or_free() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../terraform");
        let planned = [NODES, AUTO].map(read);
        let planned: Vec<&str> = planned
            .iter()
            .flat_map(|plan| managed(&plan["planned_values"]["root_module"]))
            .map(|one| one.kind)
            .collect();
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "tf")) {
            let text = std::fs::read_to_string(&file).unwrap();
            for kind in text.lines().filter_map(|line| line.strip_prefix("resource \"")?.split('"').next()) {
                assert!(planned.contains(&kind) || free::reason(kind).is_some(), "{kind} of {}", file.display());
            }
        }
    }

    #[test]
    fn a_plan_is_shown_with_its_total_first_and_as_a_document() {
        let estimate = estimate(&read(NODES), &prices(), "us-east-1", 2, 10);
        let text = estimate.to_string();
        let first = "about $0.49 an hour, $358.76 a month before usage, at prices of 2026-06-01 for us-east-1\n";
        assert!(text.starts_with(first), "{text}");
        assert!(text.contains("\n    3 × t3.large node "), "{text}");
        let document = estimate.document();
        assert_eq!((document["monthly_usd"].as_f64(), document["as_of"].as_str()), (Some(358.758), Some("2026-06-01")));
    }
}
