//! What a service may reach beyond its system: nothing but what is named.

use super::decode::Table;
use super::error::quoted;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// `internet:443`, `198.51.100.0/24:5432`, `[2001:db8::/32]:443`, `internet:123/udp`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reach {
    pub to: Destination,
    pub port: u16,
    pub protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// Every public address.
    Internet,
    /// The addresses that begin with these bits.
    Network(IpAddr, u8),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Destination::Internet => f.write_str("internet")?,
            Destination::Network(first @ IpAddr::V4(_), bits) => write!(f, "{first}/{bits}")?,
            Destination::Network(first, bits) => write!(f, "[{first}/{bits}]")?,
        }
        write!(f, ":{}", self.port)?;
        if self.protocol == Protocol::Udp { f.write_str("/udp") } else { Ok(()) }
    }
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{} is nothing to reach; valid forms: `internet:443`, `198.51.100.0/24:5432`, `[2001:db8::/32]:443`, \
                 each with `/udp` behind it for UDP",
                quoted(text)
            )
        };
        let (place, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (port, protocol) = match port.strip_suffix("/udp") {
            Some(port) => (port, Protocol::Udp),
            None => (port.strip_suffix("/tcp").unwrap_or(port), Protocol::Tcp),
        };
        let port = port.parse().ok().filter(|port: &u16| *port > 0).ok_or_else(wrong)?;
        if place == "internet" {
            return Ok(Self { to: Destination::Internet, port, protocol });
        }
        let bracketed = place.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let network = bracketed.unwrap_or(place);
        let (first, bits) = match network.split_once('/') {
            Some((first, bits)) => (first, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (network, None),
        };
        let first: IpAddr = first.parse().map_err(|_| wrong())?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most || first.is_ipv6() != bracketed.is_some() {
            return Err(wrong());
        }
        let begins = first_of(first, bits);
        if begins != first {
            let network = Self { to: Destination::Network(begins, bits), port, protocol };
            return Err(format!("{} is not where a network begins; did you mean `{network}`?", quoted(text)));
        }
        Ok(Self { to: Destination::Network(first, bits), port, protocol })
    }
}

/// The first address of the network that an address is in.
fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)).into()
        }
        IpAddr::V6(v6) => {
            Ipv6Addr::from_bits(v6.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)).into()
        }
    }
}

/// "`internet:443`, `198.51.100.0/24:5432`"
pub fn shown(reaches: &[Reach]) -> String {
    let all: Vec<String> = reaches.iter().map(|reach| format!("`{reach}`")).collect();
    all.join(", ")
}

/// Reads `reaches` of a service.
pub(super) fn read(table: &Table<'_>) -> Vec<Reach> {
    let mut reaches: Vec<Reach> = Vec::new();
    for value in table.optional("reaches").and_then(|value| value.list()).into_iter().flatten() {
        match value.parse() {
            Some(reach) if reaches.contains(&reach) => value.report(format!("`{reach}` is named twice")),
            Some(reach) => reaches.push(reach),
            None => {}
        }
    }
    reaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_is_a_network_or_all_that_is_public_and_a_port() {
        for text in ["internet:443", "198.51.100.0/24:5432", "0.0.0.0/0:1", "[2001:db8::/32]:443", "internet:123/udp"] {
            assert_eq!(text.parse::<Reach>().unwrap().to_string(), text);
        }
        assert_eq!("10.1.2.3:53".parse::<Reach>().unwrap().to_string(), "10.1.2.3/32:53");
        assert_eq!("[2001:db8::1]:53".parse::<Reach>().unwrap().to_string(), "[2001:db8::1/128]:53");
        let wrong = ["", "internet", "internet:0", "internet:65536", "10.0.0.0/8", "10.0.0.0/33:1", "[10.0.0.0/8]:1"];
        for text in wrong.into_iter().chain(["2001:db8::/32:443", "[2001:db8::/129]:1", "example.com:443", "all:1"]) {
            let why = text.parse::<Reach>().unwrap_err();
            assert!(why.contains("valid forms: `internet:443`, "), "{text}: {why}");
        }
        let why = "10.1.2.3/8:1".parse::<Reach>().unwrap_err();
        assert_eq!(why, "`10.1.2.3/8:1` is not where a network begins; did you mean `10.0.0.0/8:1`?");
    }
}
