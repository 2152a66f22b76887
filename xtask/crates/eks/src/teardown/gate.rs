//! Waits until AWS reports that something is deleted, and removes what can be removed by its identity.

use super::aws_resource::AwsResource;
use anyhow::Result;
use aws::{Aws, Trouble};
use base::error::Fault;
use engine::plan::runner::StepCx;
use std::time::{Duration, Instant};

/// Between two looks: each is several programs that take half a second.
const PAUSE: Duration = Duration::from_secs(2);
/// How many resources are named.
const NAMED: usize = 4;

/// Asks again and again until there is an answer.
///
/// # Errors
/// When a question fails, a signal arrives, or `within` has passed.
pub(super) fn until<T>(
    cx: &StepCx<'_>,
    within: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
    expired: impl FnOnce() -> Fault,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(expired().into());
        }
        if cx.interrupts.pause(PAUSE) {
            return Err(cx.interrupts.first().map_or_else(expired, Fault::interrupted).into());
        }
    }
}

/// How it went with the removal of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Removal {
    Done,
    /// Something else still uses it: AWS's words.
    Held(String),
}

/// Removes one resource by its identity; what is gone already is as it should be.
///
/// # Errors
/// When AWS refuses for another reason than that it is still used.
pub(super) fn remove(aws: &Aws, resource: &AwsResource) -> Result<Removal> {
    let line: Vec<&str> = resource.remove.iter().map(String::as_str).collect();
    match aws.persist(&line) {
        Ok(_) => Ok(Removal::Done),
        Err(refusal) if refusal.is_absent() => Ok(Removal::Done),
        Err(refusal) if [Trouble::InUse, Trouble::Conflict].contains(&refusal.trouble) => {
            Ok(Removal::Held(refusal.to_string()))
        }
        Err(refusal) => Err(aws::fault(&format!("remove {}", resource.title()), &refusal).into()),
    }
}

/// "`load-balancer a`, `volume b` and 3 more"
pub(super) fn named<'t>(resources: impl IntoIterator<Item = &'t AwsResource>) -> String {
    let titles: Vec<String> = resources.into_iter().map(|resource| format!("`{}`", resource.title())).collect();
    match titles.len().saturating_sub(NAMED) {
        0 => titles.join(", "),
        more => format!("{} and {more} more", titles[..NAMED].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named() {
        let resources: Vec<AwsResource> = (0..6).map(|n| AwsResource::new("volume", format!("vol-{n}"), &[])).collect();
        assert_eq!(named(&resources[..2]), "`volume vol-0`, `volume vol-1`");
        assert!(named(&resources).ends_with("`volume vol-3` and 2 more"));
    }
}
