//! Proves that a service cannot be reached from where it must not be: a short-lived pod tries, and the same program has
//! to get through from where it may, or its failure would prove nothing.

use super::Kubernetes;
use crate::smoke::Outcome;
use crate::spec::smoke::DeniedPath;

pub(super) fn deny(_core: &Kubernetes, _denied: &DeniedPath) -> Outcome {
    Outcome::Failed("not yet".to_owned())
}
