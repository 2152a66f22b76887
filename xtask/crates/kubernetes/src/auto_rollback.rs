//! The way back: a release that failed returns to the newest one that was proven, so that what never served does not
//! stay in the place of what did.

use super::records::VerifiedRelease;
use super::release_context::{Candidate, DesiredRelease, Fingerprint, ReleaseContext};
use super::running::Record;
use super::{claims, drift, handover, helm, rollout, running};
use anyhow::{Context, Result};
use engine::plan::runner::StepCx;
use engine::release::Restored;
use model::name::SystemName;

/// What became of a release that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Helm had changed nothing yet.
    Untouched,
    /// This revision serves again.
    VerifiedRelease(u64),
    /// What this revision of Helm's has is there again, though it was never proven.
    Unproven(u64),
    /// There was none before, so there is none now.
    Removed,
}

/// Goes back from what a run has made of a release. `tried` is what failed, `before` the number of Helm's newest record
/// before the run.
///
/// # Errors
/// When what was verified last does not come up again.
pub(super) fn restore(
    run: &ReleaseContext,
    candidate: &Candidate,
    tried: &Fingerprint,
    before: u64,
    cx: &StepCx<'_>,
) -> Result<Restored> {
    let system = &candidate.system.name;
    let way = go_back(run, candidate, tried, before, cx);
    way.map(told).with_context(|| format!("roll back to the last proven revision of `{system}`"))
}

fn go_back(
    run: &ReleaseContext,
    candidate: &Candidate,
    tried: &Fingerprint,
    before: u64,
    cx: &StepCx<'_>,
) -> Result<Way> {
    let system = &candidate.system.name;
    let records = running::records(&run.core, system)?;
    let proven = run.core.records.history(system)?.pop();
    let way = choose(&records, proven.as_ref(), tried, before);
    if way != Way::Untouched {
        cx.status("goes back");
    }
    handover::give_back(&run.core, system, cx)?;
    match (way, proven) {
        (Way::VerifiedRelease(_), Some(proven)) => {
            let desired = run.again(candidate, &proven)?;
            let helm_revision = reinstate(run, &desired, &proven, cx)?;
            rollout::watch(&run.core, cx, &desired.wanted)?;
            let objects = drift::capture(&run.core, system)?;
            run.core.records.prove(system, VerifiedRelease { helm_revision, objects, ..proven })?;
        }
        (Way::Unproven(revision), _) => helm::roll_back(run, system, revision, cx)?,
        (Way::Removed, _) => helm::uninstall(run, system, cx)?,
        _ => {}
    }
    Ok(way)
}

/// Where to go back to. A run that was interrupted may have left what fails now.
fn choose(records: &[Record], proven: Option<&VerifiedRelease>, tried: &Fingerprint, before: u64) -> Way {
    let Some((newest, earlier)) = records.split_last() else { return Way::Untouched };
    let failed = newest.revision > before || tried.is_on(newest);
    let stands = proven.is_some_and(|proven| newest.is_deployed() && newest.stamp == proven.stamp);
    if !failed || stands {
        return Way::Untouched;
    }
    match (proven, earlier.iter().rev().find(|record| record.has_served())) {
        (Some(proven), _) => Way::VerifiedRelease(proven.number),
        (None, Some(record)) => Way::Unproven(record.revision),
        (None, None) => Way::Removed,
    }
}

/// Makes the release what was proven, by Helm's own record of it where that is still kept. The revision it then has.
///
/// # Errors
/// When Helm or the cluster refuses.
pub(super) fn reinstate(
    run: &ReleaseContext,
    desired: &DesiredRelease,
    proven: &VerifiedRelease,
    cx: &StepCx<'_>,
) -> Result<u64> {
    let system = &desired.wanted.system;
    // Helm counts from one again for a release that was removed, so that a number alone may mean another.
    let records = running::records(&run.core, system)?;
    let kept = records.iter().rev().find(|record| record.stamp == proven.stamp && record.has_served());
    match kept {
        Some(record) => {
            claims::make_way(&run.core, system, &desired.values, cx)?;
            helm::roll_back(run, system, record.revision, cx)?;
        }
        None => helm::upgrade(run, desired, cx)?,
    }
    newest(run, system)
}

/// The number of Helm's newest record of a release; 0 when it has none.
///
/// # Errors
/// Those of [`running::records`].
pub(super) fn newest(run: &ReleaseContext, system: &SystemName) -> Result<u64> {
    Ok(running::records(&run.core, system)?.last().map_or(0, |record| record.revision))
}

fn told(way: Way) -> Restored {
    match way {
        Way::Untouched => None,
        Way::VerifiedRelease(number) => Some(format!("revision {number} serves again")),
        Way::Unproven(_) => Some("what ran before is running again, though it was never proven".to_owned()),
        Way::Removed => Some(
            "no version of it was ever proven, so the release was removed again; what it stores was kept".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(revision: u64, status: &str, stamp: &str) -> Record {
        let labels = json!({"version": revision.to_string(), "status": status, "stamp": stamp});
        Record::of(&json!({"metadata": {"labels": labels}})).unwrap()
    }

    #[track_caller]
    fn chosen(records: &[(u64, &str, &str)], proven: Option<&str>, before: u64, way: Way) {
        let records: Vec<_> = records.iter().map(|(number, status, stamp)| record(*number, status, stamp)).collect();
        let proven = proven.map(|stamp| VerifiedRelease {
            number: 7,
            at: String::new(),
            stamp: stamp.to_owned(),
            helm_revision: 1,
            values: serde_json::Value::Null,
            versions: std::collections::BTreeMap::new(),
            objects: Vec::new(),
        });
        assert_eq!(choose(&records, proven.as_ref(), &Fingerprint::for_test("new"), before), way);
    }

    #[test]
    fn a_release_goes_back_to_the_best_that_there_was() {
        chosen(&[(1, "superseded", "old"), (2, "deployed", "new")], Some("old"), 1, Way::VerifiedRelease(7));
        chosen(&[(1, "deployed", "old"), (2, "failed", "new")], Some("old"), 1, Way::VerifiedRelease(7));
        chosen(&[(1, "superseded", "old"), (2, "deployed", "new")], None, 1, Way::Unproven(1));
        chosen(&[(1, "deployed", "new")], None, 0, Way::Removed);
        chosen(&[(1, "failed", "new")], None, 0, Way::Removed);
    }

    #[test]
    fn what_an_interrupted_run_has_left_is_not_taken_for_what_was_before() {
        chosen(&[(1, "superseded", "old"), (2, "deployed", "new")], Some("old"), 2, Way::VerifiedRelease(7));
        chosen(&[(1, "deployed", "new")], None, 1, Way::Removed);
    }

    #[test]
    fn what_helm_refused_to_touch_is_as_it_was() {
        chosen(&[], None, 0, Way::Untouched);
        chosen(&[(1, "deployed", "old")], Some("old"), 1, Way::Untouched);
        chosen(&[(1, "deployed", "other")], None, 1, Way::Untouched);
        chosen(&[(1, "deployed", "new")], Some("new"), 1, Way::Untouched);
    }
}
