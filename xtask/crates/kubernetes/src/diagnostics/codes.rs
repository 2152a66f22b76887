//! The codes of findings. They are part of the interface: scripts and the journal's readers go by them.

/// Each code with the check of `doctor` that would have told before anything was deployed; empty where none could.
pub const CODES: &[(&str, &str)] = &[
    ("image-pull", "cluster.registry"),
    ("image-platform", "cluster.platform"),
    ("image-user", "spec.user"),
    ("crash", ""),
    ("oom-killed", ""),
    ("unschedulable", "cluster.room"),
    ("probe-failed", ""),
    ("wrong-port", ""),
    ("quota", "cluster.quota"),
    ("admission-refused", "cluster.admission"),
    ("no-storage-class", "cluster.storage"),
    ("volume-pending", "cluster.storage"),
    ("config-missing", ""),
    ("node-gone", "cluster.reachable"),
    ("not-ready", ""),
    // What the cluster or Helm says no to at once.
    ("cluster-forbidden", "cluster.rights"),
    ("cluster-unreachable", "cluster.reachable"),
    ("kind-unknown", "cluster.version"),
    ("values-invalid", ""),
    ("object-invalid", ""),
    ("field-fixed", ""),
    ("field-conflict", ""),
    ("not-ours", ""),
    ("release-refused", ""),
];

/// The check of `doctor` that would have caught it.
pub fn check(code: &str) -> Option<&'static str> {
    let (_, check) = CODES.iter().find(|(other, _)| *other == code)?;
    (!check.is_empty()).then_some(*check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_stands_there_once_with_a_check_of_the_cluster_or_the_spec() {
        let codes: BTreeSet<&str> = CODES.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), CODES.len());
        for (code, check) in CODES {
            assert!(check.is_empty() || check.starts_with("cluster.") || check.starts_with("spec."), "{code}: {check}");
        }
    }

    #[test]
    fn a_code_names_the_check_that_would_have_caught_it() {
        assert_eq!(check("no-storage-class"), Some("cluster.storage"));
        assert_eq!((check("crash"), check("no-such-code")), (None, None));
    }
}
