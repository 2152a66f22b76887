//! What others say of a service in their variables, arguments and files: where it listens, and that they need it.

use std::collections::BTreeMap;

/// The port behind a service's name in these texts, the one that is named most.
pub(crate) fn port(name: &str, texts: &[String]) -> Option<u16> {
    let mut counted: BTreeMap<u16, usize> = BTreeMap::new();
    for text in texts {
        for (at, _) in text.match_indices(name) {
            let before = &text[..at];
            let after = &text[at + name.len()..];
            let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if before.ends_with(inner) {
                continue;
            }
            let digits = after.strip_prefix(':').map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
            let is_url = before.ends_with("http://") && !after.starts_with(|c| inner(c) || c == ':');
            let port = match digits.flatten().and_then(|digits| digits.parse().ok()) {
                Some(port) => Some(port),
                None => is_url.then_some(80),
            };
            if let Some(port) = port.filter(|port| *port != 0) {
                *counted.entry(port).or_default() += 1;
            }
        }
    }
    counted.into_iter().max_by_key(|(_, times)| *times).map(|(port, _)| port)
}

/// What in the name of a variable says that its value is whom to connect to.
const FOR_HOSTS: [&str; 8] = ["addr", "broker", "endpoint", "host", "node", "server", "url", "uri"];

/// Whether the value of a variable of this name is somebody to connect to.
pub(crate) fn is_for_host(variable: &str) -> bool {
    let variable = variable.to_lowercase();
    FOR_HOSTS.iter().any(|word| variable.contains(word))
}

/// Whether a text has a service's name where only one to connect to stands: in an address, or as the value of a `host`.
pub(crate) fn is_host(name: &str, text: &str) -> bool {
    text.lines().any(|line| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if before.ends_with(inner) || after.starts_with(inner) {
                return false;
            }
            let in_address = before.ends_with("://") || before.ends_with('@');
            let port = after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            let quoted = before.ends_with(['"', '\'']) && after.starts_with(['"', '\'']);
            in_address || port || quoted && before.to_lowercase().contains("host")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_behind_a_name_is_found() {
        let port = |text: &str| port("backend", &[text.to_owned()]);
        for (text, wanted) in [
            ("proxy_pass http://backend:8000;", Some(8000)),
            ("proxy_pass http://backend;", Some(80)),
            ("http://backend/x", Some(80)),
            ("HOST=backend", None),
            ("my-backend:9000 backend-2:9001", None),
            ("a:b@backend:5432/db", Some(5432)),
            ("backend:x", None),
        ] {
            assert_eq!(port(text), wanted, "{text}");
        }
    }

    #[test]
    fn whom_to_connect_to_is_told_from_what_is_only_called_so() {
        for (text, wanted) in [
            ("r = redis.Redis(host='redis', port=6379)", true),
            ("redis://redis", true),
            ("redis://:secret@redis/0", true),
            ("tcp(redis:6379)/x", true),
            ("upstream { server redis:6379; }", true),
            ("const redis = require('redis');", false),
            ("import redis", false),
            ("image: redis:latest", false),
            ("my-redis:6379 redis.example.com:6379", false),
        ] {
            assert_eq!(is_host("redis", text), wanted, "{text}");
        }
        assert!(
            is_for_host("WORDPRESS_DB_HOST") && is_for_host("discovery.seed_hosts") && !is_for_host("POSTGRES_USER")
        );
    }
}
