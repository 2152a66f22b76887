//! What an environment says of the Kubernetes cluster that it deploys to.

use super::error::quoted;
use super::name::DeploymentId;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The settings of the targets `kubernetes` and `eks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Which one, by the name that kubeconfig has for it. The current context is never used unasked.
    pub context: Option<String>,
    /// Unset: the cluster's default class.
    pub ingress_class: Option<String>,
    /// Where the ingress controller is reached. Unset: what it reports as its address.
    pub ingress_address: Option<IngressAddress>,
    /// The namespace of the ingress controller, which public services take connections from. Unset: where one of the
    /// class's usual controllers is found.
    pub ingress_namespace: Option<String>,
    /// Unset: the cluster's default class.
    pub storage_class: Option<String>,
    /// Public services are `NAME.DOMAIN`.
    pub domain: Option<Domain>,
    /// Before the name of every namespace and every host, so that deployments live side by side.
    pub namespace_prefix: Prefix,
    /// Where services listen in their pods: on every address of IPv4 or, as `::`, of both.
    pub listen: IpAddr,
    /// Who answers for names in the cluster, besides what most clusters have.
    pub dns: Vec<NameServer>,
    /// What nodes sign in to registries with.
    pub pull_secrets: Vec<PullSecret>,
    /// How many of each service that can have several.
    pub replicas: u32,
    /// How many requests may fail while a public service is replaced, before that counts as a failure.
    pub max_failed: u32,
    /// How many requests a second a public service is asked while it is replaced.
    pub probe_rate: u32,
}

impl Cluster {
    /// The namespace that holds the deployment's own state.
    pub fn home_namespace(&self, id: &DeploymentId) -> String {
        format!("{}slipway-{id}", self.namespace_prefix)
    }

    /// A name with the prefix: that of a system's namespace, or of a public service's host.
    pub fn prefixed(&self, name: impl fmt::Display) -> String {
        format!("{}{name}", self.namespace_prefix)
    }
}

/// A Secret of type `kubernetes.io/dockerconfigjson`: `NAME`, or `NAMESPACE/NAME`. It is used where a system's own
/// namespace has it, and else copied there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PullSecret {
    /// Where it is copied from.
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for PullSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        let plain = |part: &str, most: usize| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            (1..=most).contains(&part.len())
                && part.chars().all(inner)
                && part.starts_with(ends)
                && part.ends_with(ends)
        };
        match plain(namespace, 63) && plain(name, 253) {
            true => Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() }),
            false => {
                Err(format!("{} is not the name of a Secret such as `regcred` or `NAMESPACE/regcred`", quoted(text)))
            }
        }
    }
}

/// `NAMESPACE/LABEL=VALUE` or `CIDR`, with `:PORT` behind it where that is not 53.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServer {
    pub place: NameServerPlace,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameServerPlace {
    Pods {
        namespace: String,
        label: String,
        value: String,
    },
    /// Such as `169.254.20.10/32`.
    Network(String),
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            NameServerPlace::Pods { namespace, label, value } => write!(f, "{namespace}/{label}={value}"),
            NameServerPlace::Network(cidr) if cidr.contains(':') => write!(f, "[{cidr}]"),
            NameServerPlace::Network(cidr) => f.write_str(cidr),
        }?;
        if self.port == 53 { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{} is no name server such as `openshift-dns/KEY=VALUE:5353` or `169.254.20.10/32`", quoted(text))
        };
        let (place, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((network, port)) => (network, port.strip_prefix(':')),
            None if text.matches(':').count() == 1 => {
                text.split_once(':').map(|(place, port)| (place, Some(port))).ok_or_else(wrong)?
            }
            None => (text, None),
        };
        let port = port.map_or(Ok(53), str::parse).map_err(|_| wrong())?;
        let (first, rest) = place.split_once('/').ok_or_else(wrong)?;
        let place = match rest.split_once('=') {
            Some((label, value)) => {
                let plain = |part: &str| {
                    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
                };
                let (namespace, label, value) = (first.to_owned(), label.to_owned(), value.to_owned());
                if ![&namespace, &label, &value].into_iter().all(|part| plain(part)) {
                    return Err(wrong());
                }
                NameServerPlace::Pods { namespace, label, value }
            }
            None => {
                let address: IpAddr = first.parse().map_err(|_| wrong())?;
                let most = if address.is_ipv4() { 32 } else { 128 };
                rest.parse().ok().filter(|bits: &u8| *bits <= most).ok_or_else(wrong)?;
                NameServerPlace::Network(place.to_owned())
            }
        };
        Ok(Self { place, port })
    }
}

/// A DNS name below which public services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let label = |label: &str| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (1..=63).contains(&label.len())
                && label.chars().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 200 && text.split('.').all(label) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{} is not a domain such as `shop.example.com`", quoted(text)))
    }
}

/// What names begin with: nothing, or up to 20 lower-case letters, digits and hyphens, the first a letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts = text.chars().next().is_none_or(|first| first.is_ascii_lowercase());
        if text.len() <= 20 && starts && text.chars().all(inner) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{} is not a prefix such as `try-` (at most 20 characters)", quoted(text)))
    }
}

/// `ADDRESS` or `ADDRESS:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IngressAddress {
    pub ip: IpAddr,
    /// 80 unless named.
    pub port: u16,
}

impl FromStr for IngressAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ip) = text.parse() {
            return Ok(Self { ip, port: 80 });
        }
        let address: std::net::SocketAddr = text
            .parse()
            .map_err(|_| format!("{} is not an address such as `127.0.0.1` or `127.0.0.1:8081`", quoted(text)))?;
        Ok(Self { ip: address.ip(), port: address.port() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_only_what_a_cluster_takes() {
        for text in ["example.com", "a.b-c.d", "localhost"] {
            assert_eq!(text.parse::<Domain>().unwrap().to_string(), text);
        }
        for text in ["", ".", "a..b", "-a.b", "A.b", "a b"] {
            assert!(text.parse::<Domain>().is_err(), "{text}");
        }
        for text in ["", "try-", "a1"] {
            assert_eq!(text.parse::<Prefix>().unwrap().as_str(), text);
        }
        for text in ["-a", "1a", "A", "a.b", "abcdefghijklmnopqrstu"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn name_servers_are_pods_or_networks() {
        let openshift = "openshift-dns/dns.operator.openshift.io/daemonset-dns=default:5353";
        for text in [openshift, "kube-system/k8s-app=coredns", "169.254.20.10/32", "10.0.0.0/8:5353", "[fd00::/64]:54"]
        {
            assert_eq!(text.parse::<NameServer>().unwrap().to_string(), text);
        }
        assert_eq!("fd00::10/128".parse::<NameServer>().unwrap().to_string(), "[fd00::10/128]");
        let pods = openshift.parse::<NameServer>().unwrap();
        let (label, value) = ("dns.operator.openshift.io/daemonset-dns".to_owned(), "default".to_owned());
        let place = NameServerPlace::Pods { namespace: "openshift-dns".to_owned(), label, value };
        assert_eq!(pods, NameServer { place, port: 5353 });
        for text in ["", "10.0.0.1", "10.0.0.0/33", "a/b", "a/=c", "a/b=c:x", "a/b=c d", "/b=c", "fd00::/129"] {
            assert!(text.parse::<NameServer>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_ingress_is_at_port_80_unless_it_says_otherwise() {
        let parse = |text: &str| text.parse::<IngressAddress>().map(|address| (address.ip.to_string(), address.port));
        assert_eq!(parse("127.0.0.1"), Ok(("127.0.0.1".to_owned(), 80)));
        assert_eq!(parse("127.0.0.1:8081"), Ok(("127.0.0.1".to_owned(), 8081)));
        assert_eq!(parse("[::1]:81"), Ok(("::1".to_owned(), 81)));
        assert!(parse("localhost").is_err());
    }
}
