//! Whether the credentials last as long as the run will need them.
//!
//! Those that are in variables end when they end, and a run that would outlive them is not begun. Those of a profile the
//! CLI and Terraform renew for as long as its session lasts, so that their end is only worth a word.

use anyhow::Result;
use aws::infra::Infra;
use base::ctx::Ctx;
use base::error::Fault;
use engine::journal::Journal;
use engine::lease::timestamp;
use std::time::{Duration, SystemTime};

/// What a run is about to do, which says how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The control plane, nodes and systems from nothing.
    Everything,
    /// The platform is another one than is wanted.
    Changes,
    /// The way back, load balancers and network interfaces included.
    Removal,
    /// Nothing of the platform.
    Little,
}

impl Need {
    /// # Errors
    /// Those of `is_as_wanted`, which is asked only where something is applied that a deploy may change.
    pub(super) fn of(
        command: &str,
        everything: bool,
        is_applied: bool,
        is_as_wanted: &dyn Fn() -> Result<bool>,
    ) -> Result<Self> {
        Ok(match command {
            "deploy" | "infra apply" if !is_applied => Self::Everything,
            "deploy" | "infra apply" if !is_as_wanted()? => Self::Changes,
            "infra destroy" => Self::Removal,
            "teardown" if everything => Self::Removal,
            _ => Self::Little,
        })
    }

    fn lasts(self) -> Duration {
        let minutes = match self {
            Self::Everything => 45,
            Self::Removal => 30,
            Self::Changes => 20,
            Self::Little => 5,
        };
        Duration::from_secs(minutes * 60)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Everything => "making everything",
            Self::Removal => "removing everything",
            Self::Changes => "changing the platform",
            Self::Little => "this run",
        }
    }
}

/// Compares what is left of the credentials' time with what the run needs. `need` is asked only where they end.
///
/// # Errors
/// `credentials-short`, when they cannot be renewed on the way; those of `need`.
pub(super) fn last(infra: &Infra, ctx: &Ctx, journal: &Journal, need: &dyn Fn() -> Result<Need>) -> Result<()> {
    let in_variables = infra.aws.profile.is_none() && ctx.vars.get("AWS_ACCESS_KEY_ID").is_some();
    let now = SystemTime::now();
    if !in_variables {
        let need = need()?;
        // The question is a call that a run without changes has no time for.
        if need != Need::Little
            && let Some(end) = infra.aws.expiry().filter(|end| is_short(*end, need, now))
        {
            journal
                .note(format!("{}; unless they are renewed by then, the same command continues", left(end, need, now)));
        }
        return Ok(());
    }
    match infra.aws.expiry() {
        Some(end) => {
            let need = need()?;
            if is_short(end, need, now) { Err(short(end, need, now).into()) } else { Ok(()) }
        }
        // A session ends, even if it does not say when.
        None if ctx.vars.get("AWS_SESSION_TOKEN").is_some() => {
            let need = need()?;
            if need != Need::Little {
                journal.note(format!(
                    "these credentials do not say when they expire (`AWS_CREDENTIAL_EXPIRATION`); {} takes up to {} \
                     min",
                    need.words(),
                    minutes(need.lasts())
                ));
            }
            Ok(())
        }
        None => Ok(()),
    }
}

fn is_short(end: SystemTime, need: Need, now: SystemTime) -> bool {
    end.duration_since(now).unwrap_or_default() < need.lasts()
}

fn short(end: SystemTime, need: Need, now: SystemTime) -> Fault {
    Fault::could_not_run("credentials-short", left(end, need, now)).hint(
        "renew them (`aws-vault exec NAME -- …`, or where they were exported from), or name a profile, which is renewed by \
         itself: `--set profile=NAME`",
    )
}

/// "the credentials end at 2026-11-21T08:14:03Z, in 12 min, and making everything takes up to 45 min"
fn left(end: SystemTime, need: Need, now: SystemTime) -> String {
    let when = match end.duration_since(now) {
        Ok(left) => format!("end at {}, in {} min", timestamp(end), minutes(left)),
        Err(_) => format!("ended at {}", timestamp(end)),
    };
    format!("the credentials {when}, and {} takes up to {} min", need.words(), minutes(need.lasts()))
}

fn minutes(duration: Duration) -> u64 {
    duration.as_secs() / 60
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(command: &str, everything: bool, is_applied: bool, as_wanted: bool) -> Need {
        Need::of(command, everything, is_applied, &|| Ok(as_wanted)).unwrap()
    }

    #[test]
    fn what_a_run_needs_is_what_it_is_about_to_do() {
        assert_eq!(need("deploy", true, false, false), Need::Everything);
        assert_eq!(need("infra apply", true, true, false), Need::Changes);
        assert_eq!(need("deploy", false, true, true), Need::Little);
        assert_eq!(need("teardown", true, true, true), Need::Removal);
        assert_eq!(need("teardown", false, true, true), Need::Little);
        assert_eq!(need("rollback", true, true, false), Need::Little);
    }

    #[test]
    fn what_would_end_on_the_way_is_told_before() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let after = |minutes: u64| now + Duration::from_secs(minutes * 60);
        assert!(is_short(after(44), Need::Everything, now) && !is_short(after(45), Need::Everything, now));
        assert!(is_short(now - Duration::from_secs(1), Need::Little, now));
        let fault = short(after(12), Need::Changes, now);
        assert_eq!((fault.code, fault.exit.code()), ("credentials-short", 3));
        assert_eq!(
            fault.cause,
            "the credentials end at 2027-01-15T08:12:00Z, in 12 min, and changing the platform takes up to 20 min"
        );
        assert!(left(now - Duration::from_secs(60), Need::Little, now).starts_with("the credentials ended at "));
    }
}
