//! What the results of a contract come to as a whole.

use super::{CheckResult, Outcome};
use base::error::Fault;
use model::name::SystemName;

/// The number of checks that passed, if none failed.
///
/// # Errors
/// When one failed; the fault names each.
pub fn verdict(system: &SystemName, results: &[CheckResult]) -> Result<usize, Fault> {
    let failed = |result: &CheckResult| match &result.outcome {
        Outcome::Failed(why) => Some(format!("{} ({}): {why}", result.name, result.service)),
        Outcome::Passed | Outcome::Skipped(_) => None,
    };
    let failures: Vec<_> = results.iter().filter_map(failed).collect();
    if failures.is_empty() {
        return Ok(results.iter().filter(|result| result.outcome == Outcome::Passed).count());
    }
    let cause = format!("`{system}` fails its smoke contract:\n  {}", failures.join("\n  "));
    Err(Fault::failed("smoke-failed", cause))
}
