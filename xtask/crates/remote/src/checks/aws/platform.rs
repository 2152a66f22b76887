//! What a deploy begins with: its state, its cluster, the chart of its controller.

use super::{Subject, untold};
use aws::Trouble;
use base::proc::CommandLine;
use doctor::fix::Fix;
use doctor::{Finding, Scene, question};
use remote_tools::helm;
use serde_json::Value;

pub(super) fn state(subject: &Subject, _: &Scene) -> Finding {
    let want = "reachable, or not there yet";
    let Some(names) = subject.names() else { return Finding::skip("the account is not known") };
    match subject.answers.bucket(subject) {
        Some(Ok(true)) => Finding::pass(names.bucket()).want(want),
        Some(Ok(false)) => Finding::pass("made by the first deploy").want(want),
        Some(Err(refusal)) if refusal.trouble == Trouble::Denied => {
            let fault = aws::fault("look at it", &refusal);
            Finding::fail(format!("{}; a bucket of this name may also belong to another account", fault.cause))
                .found(names.bucket())
                .want(want)
                .fix(fault.hint.map(Fix::by_hand))
                .fix([Fix::by_hand(format!("or take another name: `deployment_id` in `{}`", subject.file()))])
        }
        Some(Err(refusal)) => untold("look for the state bucket", &refusal),
        None => Finding::skip("the account is not known"),
    }
}

pub(super) fn cluster(subject: &Subject, _: &Scene) -> Finding {
    let want = "active, or not there yet";
    let Some(names) = subject.names() else { return Finding::skip("the account is not known") };
    match subject.ask(&["eks", "describe-cluster", "--name", &names.base()]) {
        Ok(answer) => judge_cluster(&answer, &subject.environment.command("status")).want(want),
        Err(refusal) if refusal.is_absent() => Finding::pass("made by the first deploy").want(want),
        Err(refusal) => untold("look at the cluster", &refusal),
    }
}

fn judge_cluster(answer: &Value, look: &str) -> Finding {
    let text = |key: &str| answer["cluster"][key].as_str().unwrap_or("?").to_owned();
    let found = format!("{}, Kubernetes {}, {}", text("name"), text("version"), text("status").to_lowercase());
    match text("status").as_str() {
        "ACTIVE" => Finding::pass(found),
        "CREATING" | "UPDATING" => Finding::warn("nothing can be deployed to it until that is done").found(found),
        "DELETING" => Finding::warn("a teardown has begun: finish it first").found(found),
        _ => Finding::fail("nothing can be deployed to it").found(found).fix([Fix::by_hand(look)]),
    }
}

pub(super) fn chart(subject: &Subject, scene: &Scene) -> Finding {
    let want = "reachable";
    let chart = match eks::controller_chart(&scene.root, &subject.settings.controller_repository) {
        Ok(chart) => chart,
        Err(error) => return Finding::fail(format!("{error:#}")).want(want),
    };
    let place = subject.settings.controller_repository.as_str();
    let line = helm::show_chart(CommandLine::new("helm").env_remove("KUBECONFIG"), &chart);
    let asked = scene.proc.ask(&line, super::ANSWER);
    let failed = |why: String| {
        Finding::fail(why).found(place).want(want).fix([
            Fix::by_hand(line.to_string()),
            Fix::by_hand(format!("name another place: `controller_repository` in `{}`", subject.file())),
        ])
    };
    match asked {
        Ok(Some(finished)) if finished.success => Finding::pass(place).want(want),
        Ok(Some(finished)) => failed(question::complaint(&finished)),
        Ok(None) => failed("it does not answer".to_owned()),
        Err(error) => failed(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doctor::Outcome;
    use serde_json::json;

    #[test]
    fn a_cluster_that_is_not_active_cannot_be_deployed_to() {
        let judge = |status: &str| {
            judge_cluster(&json!({"cluster": {"name": "slipway-demo", "version": "1.34", "status": status}}), "look")
                .outcome
        };
        assert_eq!(judge("ACTIVE"), Outcome::Pass);
        assert_eq!(judge("DELETING"), Outcome::Warn);
        assert_eq!(judge("FAILED"), Outcome::Fail);
    }
}
