//! Codes: what a short URL ends with.

use rand::Rng as _;
use rand::distr::Alphanumeric;

/// 62⁷ codes, 3.5 × 10¹².
const LENGTH: usize = 7;

/// First segments of paths that are the service's own or that others expect to be.
const RESERVED: [&str; 12] = [
    "api",
    "docs",
    "favicon.ico",
    "health",
    "healthz",
    "livez",
    "metrics",
    "openapi.json",
    "pw",
    "readyz",
    "robots.txt",
    "status",
];

/// A random code that is none of the service's own paths.
pub(crate) fn random() -> String {
    loop {
        let code: String = rand::rng().sample_iter(Alphanumeric).take(LENGTH).map(char::from).collect();
        if !is_reserved(&code) {
            return code;
        }
    }
}

fn is_reserved(code: &str) -> bool {
    RESERVED.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::{is_reserved, random};
    use std::collections::HashSet;

    #[test]
    fn codes_fit_into_a_path_and_differ() {
        let codes: HashSet<String> = (0..1000).map(|_| random()).collect();
        assert_eq!(codes.len(), 1000);
        assert!(codes.iter().all(|code| code.len() == 7 && code.chars().all(|c| c.is_ascii_alphanumeric())));
    }

    #[test]
    fn the_services_own_paths_are_no_codes() {
        for path in ["pw", "api", "docs", "openapi.json", "livez", "readyz", "metrics", "health"] {
            assert!(is_reserved(path), "{path}");
        }
        assert!(!is_reserved("Metrics"));
    }
}
