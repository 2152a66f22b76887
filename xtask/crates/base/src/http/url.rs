//! Who is asked for what.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// How the two speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

impl Scheme {
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that no URL names.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Who is asked: the name and port that the request carries, and the address to connect to when that name does not
/// resolve from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub scheme: Scheme,
    /// A name or an address, that of IPv6 without brackets.
    pub host: String,
    pub port: u16,
    pub via: Option<Via>,
}

/// What is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    Address(SocketAddr),
    /// Another name, whose addresses may change from one moment to the next, and a port.
    Name(String, u16),
    /// A Unix socket, which only those may use who may write to its file.
    Socket(PathBuf),
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let (host, port) = (address.ip().to_string(), address.port());
        Self { scheme: Scheme::Http, host, port, via: Some(Via::Address(address)) }
    }
}

impl Endpoint {
    /// A program on this machine that listens on a Unix socket.
    pub fn socket(path: impl Into<PathBuf>) -> Self {
        Self { scheme: Scheme::Http, host: "localhost".to_owned(), port: 80, via: Some(Via::Socket(path.into())) }
    }

    /// What a browser is given.
    pub fn url(&self) -> String {
        format!("{}://{}/", self.scheme.word(), self.authority())
    }

    /// `HOST` or `HOST:PORT`, as the `Host` header and a URL have it.
    pub(super) fn authority(&self) -> String {
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => self.host.clone(),
        };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }
}

/// `http://HOST[:PORT][/PATH][?QUERY]`, or the same with `https`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub endpoint: Endpoint,
    /// Path and query, as they go on the wire: it starts with `/` and is printable ASCII.
    pub path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.endpoint.scheme.word();
        write!(f, "{scheme}://{}{}", self.endpoint.authority(), self.path)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{}` is not a URL such as `http://127.0.0.1:80/`", text.escape_debug());
        let (scheme, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (Scheme::Http, rest),
            (_, Some(rest)) => (Scheme::Https, rest),
            _ => return Err(refuse()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.rsplit_once(':') {
            // The last colon of a bare IPv6 address starts no port.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (authority, Some(scheme.port())),
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match inner {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        match port {
            Some(port) if valid && port != 0 && is_path(&path) => {
                let host = inner.unwrap_or(host).to_owned();
                Ok(Self { endpoint: Endpoint { scheme, host, port, via: None }, path })
            }
            _ => Err(refuse()),
        }
    }
}

/// Whether a path and query can go on the wire as they are.
pub fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic() && c != '#')
}

/// Whether a host, with or without a port and a path, is this machine.
pub fn is_here(host: &str) -> bool {
    let authority = host.split(['/', '?']).next().unwrap_or_default();
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !authority.contains('@') && (name == "localhost" || loopback)
}

/// A text as a part of an address: as `%XX` stands what is not unreserved (RFC 3986 section 2.3) and not to be `kept`.
pub fn percent_encode(text: &str, kept: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_the_same() {
        for text in [
            "http://localhost/",
            "http://127.0.0.1:8000/pw/x?a=b",
            "http://[::1]:5000/",
            "http://[::1]/",
            "http://a-b.example:1/",
            "https://a.example/x",
            "https://a.example:80/",
        ] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
        let url: Url = "http://a:80?q".parse().unwrap();
        assert_eq!(url.to_string(), "http://a/?q");
        assert_eq!((url.endpoint.host.as_str(), url.endpoint.port), ("a", 80));
    }

    #[test]
    fn what_cannot_be_asked_is_no_url() {
        for text in [
            "",
            "http://",
            "ftp://a/",
            "http://a:0/",
            "http://a:65536/",
            "http://a:/",
            "http://a b/",
            "http://a/b c",
            "http://u@a/",
            "http://[::1/",
            "http://::1/",
            "http://a/#b",
            "http://a/\r\nx: y",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_in_the_open() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9/x", "[::1]:5000", "localhost:1/token?x"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["", "a", "localhost.example", "128.0.0.1", "[::2]", "localhost@example", "127.0.0.1.example"] {
            assert!(!is_here(host), "{host}");
        }
    }
}
