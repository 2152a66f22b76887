//! Whose account it is, for how long it may be used, and whether the region is one of its own.

use super::{Subject, untold};
use aws::{Caller, Trouble, fault};
use doctor::fix::Fix;
use doctor::{Finding, Scene};
use model::aws::{Account, Region};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// What a deploy into an empty account takes, a control plane being made in 10 to 15 minutes of it.
const DEPLOY_TAKES: Duration = Duration::from_secs(45 * 60);

pub(super) fn credentials(subject: &Subject) -> Finding {
    match subject.answers.caller() {
        Ok(caller) => time_left(&caller, subject.answers.expiry(), SystemTime::now()),
        Err(refusal) => {
            let fault = fault("look up whose credentials these are", &refusal);
            let found = match refusal.trouble {
                Trouble::Unknown | Trouble::Expired => "none that AWS takes",
                Trouble::Unanswered => "unknown: AWS does not answer",
                _ => "unknown",
            };
            Finding::fail(fault.cause).found(found).fix(fault.hint.map(Fix::by_hand))
        }
    }
}

fn time_left(caller: &Caller, expiry: Option<SystemTime>, now: SystemTime) -> Finding {
    let want = "good for 45 minutes";
    let Some(expiry) = expiry else { return Finding::pass(&caller.arn).want(want) };
    let left = expiry.duration_since(now).unwrap_or_default();
    let words = humantime::format_duration(Duration::from_secs(left.as_secs() / 60 * 60));
    let found = format!("{}, {words} left", caller.arn);
    if left >= DEPLOY_TAKES {
        return Finding::pass(found).want(want);
    }
    Finding::warn("a deploy into an empty account takes longer; one that is cut short is resumed by the next")
        .found(found)
        .want(want)
        .fix([Fix::by_hand("renew them: `aws sso login`, or `aws-vault exec` with a longer `--duration`")])
}

pub(super) fn account(subject: &Subject, _: &Scene) -> Finding {
    match subject.answers.caller() {
        Ok(caller) => judge_account(&caller, subject.settings.account.as_ref(), &subject.file()),
        Err(refusal) => untold("look up whose credentials these are", &refusal),
    }
}

fn judge_account(caller: &Caller, named: Option<&Account>, file: &str) -> Finding {
    match named {
        None => Finding::pass(format!("{} (deploy asks once whether it is meant)", caller.account)),
        Some(named) if *named == caller.account => Finding::pass(named.as_str()).want(named.as_str()),
        Some(named) => Finding::fail(format!("the credentials are those of {}", caller.arn))
            .found(caller.account.as_str())
            .want(named.as_str())
            .fix([
                Fix::by_hand(format!("name a profile of {named}: `profile = \"NAME\"` in `{file}`")),
                Fix::by_hand(format!("if {} is meant: `account = \"{}\"` in `{file}`", caller.account, caller.account)),
            ]),
    }
}

pub(super) fn region(subject: &Subject, _: &Scene) -> Finding {
    let region = &subject.settings.region;
    match subject.ask(&["ec2", "describe-regions", "--all-regions", "--region-names", region.as_str()]) {
        Ok(answer) => judge_region(&answer, region, &subject.file()),
        Err(refusal) if refusal.code == "InvalidParameterValue" => unknown(region, &subject.file()),
        Err(refusal) => untold("ask for the region", &refusal),
    }
}

fn judge_region(answer: &Value, region: &Region, file: &str) -> Finding {
    let want = "enabled";
    match answer["Regions"][0]["OptInStatus"].as_str() {
        None => unknown(region, file),
        Some("not-opted-in") => Finding::fail("nothing can be made in a region that the account has not enabled")
            .found(format!("{region} is not enabled"))
            .want(want)
            .fix([Fix::by_hand(format!("aws account enable-region --region-name {region}"))]),
        Some(_) => Finding::pass(region.as_str()).want(want),
    }
}

fn unknown(region: &Region, file: &str) -> Finding {
    Finding::fail("AWS has no region of this name")
        .found(region.as_str())
        .want("enabled")
        .fix([Fix::by_hand(format!("name an existing one: `region = \"eu-central-1\"` in `{file}`"))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use doctor::Outcome;
    use serde_json::json;

    fn caller() -> Caller {
        Caller { account: "123456789012".parse().unwrap(), arn: "arn:aws:iam::123456789012:user/x".to_owned() }
    }

    #[test]
    fn credentials_that_end_too_soon_are_a_warning() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let left = |minutes: u64| time_left(&caller(), Some(now + Duration::from_secs(minutes * 60)), now);
        assert_eq!(time_left(&caller(), None, now).outcome, Outcome::Pass);
        assert_eq!(left(90).outcome, Outcome::Pass);
        assert_eq!(left(90).found.as_deref(), Some("arn:aws:iam::123456789012:user/x, 1h 30m left"));
        assert_eq!(left(44).outcome, Outcome::Warn);
        assert_eq!(time_left(&caller(), Some(now - Duration::from_secs(1)), now).outcome, Outcome::Warn);
    }

    #[test]
    fn only_the_account_that_is_named_will_do() {
        let judge =
            |named: Option<&str>| judge_account(&caller(), named.map(|text| text.parse().unwrap()).as_ref(), "f");
        assert_eq!(judge(None).outcome, Outcome::Pass);
        assert_eq!(judge(Some("123456789012")).outcome, Outcome::Pass);
        let other = judge(Some("210987654321"));
        assert_eq!((other.outcome, other.found.as_deref()), (Outcome::Fail, Some("123456789012")));
    }

    #[test]
    fn a_region_has_to_be_enabled() {
        let judge = |answer| judge_region(&answer, &"af-south-1".parse().unwrap(), "f").outcome;
        assert_eq!(judge(json!({"Regions": [{"OptInStatus": "opt-in-not-required"}]})), Outcome::Pass);
        assert_eq!(judge(json!({"Regions": [{"OptInStatus": "opted-in"}]})), Outcome::Pass);
        assert_eq!(judge(json!({"Regions": [{"OptInStatus": "not-opted-in"}]})), Outcome::Fail);
        assert_eq!(judge(json!({"Regions": []})), Outcome::Fail);
    }
}
