//! Where a service listens, by what others say of it: in their variables, arguments and files.

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
}
