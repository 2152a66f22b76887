//! What a service may reach, as the chart has it.

use model::reach::{Destination, Reach};
use serde_json::{Value, json};

/// Addresses that are not public: of this network and others like it, of nodes, of whoever hands out the credentials of
/// machines (iana.org/assignments/iana-ipv4-special-registry; 168.63.129.16 is Azure's).
const NOT_PUBLIC_V4: [&str; 12] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// The same of IPv6 (iana.org/assignments/iana-ipv6-special-registry), without what clusters take for IPv4.
const NOT_PUBLIC_V6: [&str; 5] = ["::/127", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "ff00::/8"];

/// The rules of a service's network policy. `listen` is where services listen: what enforces policies in a cluster without
/// IPv6 may not know its addresses, and `::` stands for both.
pub(super) fn rules(reaches: &[Reach], listen: &str) -> Vec<Value> {
    reaches.iter().flat_map(|reach| rules_of(reach, listen.contains(':'))).collect()
}

fn rules_of(reach: &Reach, has_v6: bool) -> Vec<Value> {
    let ports = json!([{"port": reach.port, "protocol": reach.protocol.as_str().to_uppercase()}]);
    let public = |all: &str, except: &[&str]| json!({"cidrs": [all], "except": except, "ports": ports});
    match reach.to {
        Destination::Internet => {
            let v6 = has_v6.then(|| public("::/0", &NOT_PUBLIC_V6));
            std::iter::once(public("0.0.0.0/0", &NOT_PUBLIC_V4)).chain(v6).collect()
        }
        Destination::Network(first, bits) => vec![json!({"cidrs": [format!("{first}/{bits}")], "ports": ports})],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internet_is_all_that_is_public() {
        let reaches = ["internet:443", "[2001:db8::/32]:53/udp"].map(|text| text.parse().unwrap());
        assert_eq!(super::rules(&reaches, "0.0.0.0").len(), 2);
        let rules = rules(&reaches, "::");
        let of = |rule: &Value, key: &str| rule[key].to_string();
        assert_eq!(rules.len(), 3);
        assert_eq!(
            [0, 1, 2].map(|n| of(&rules[n], "cidrs")),
            [r#"["0.0.0.0/0"]"#, r#"["::/0"]"#, r#"["2001:db8::/32"]"#]
        );
        let closed = |n: usize, cidr: &str| rules[n]["except"].as_array().unwrap().contains(&json!(cidr));
        assert!(closed(0, "169.254.0.0/16") && closed(0, "10.0.0.0/8") && closed(1, "fc00::/7"));
        assert_eq!(of(&rules[0], "ports"), r#"[{"port":443,"protocol":"TCP"}]"#);
        assert_eq!(of(&rules[2], "ports"), r#"[{"port":53,"protocol":"UDP"}]"#);
    }
}
