use super::*;
use crate::plan::Plan;
use crate::plan::testing::Nothing;
use serde_json::Value;

const STOP: Action = Action::new("stop");
const VOLUMES: Action = Action::new("volumes");
const FILES: Action = Action::new("files");
const REST: Action = Action::new("rest");

fn names(names: &[&str]) -> BTreeSet<SystemName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn removal() -> Removal {
    Removal::new("remove it", Vec::new(), Nothing)
}

fn stage(action: Action, after: &[Action], has: &'static [&'static str]) -> Stage<'static> {
    Stage::of_systems(action, after, |system| has.contains(&system.as_str()).then(removal))
}

/// The steps as a plan has them, each with what it comes after.
fn told(stages: Vec<Stage<'_>>, systems: &[&str]) -> Vec<String> {
    let plan = Plan::new(steps(stages, names(systems))).unwrap();
    let needs = |step: &Step| step.needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    plan.steps().iter().map(|step| format!("{} < {}", step.id, needs(step)).trim_end().to_owned()).collect()
}

#[test]
fn systems_go_side_by_side_and_what_they_share_goes_last() {
    let stages = vec![
        stage(STOP, &[], &["a", "b"]),
        stage(VOLUMES, &[STOP], &["a"]),
        // One that has no volumes comes after what these come after.
        stage(FILES, &[VOLUMES], &["a", "b"]),
        Stage::shared(REST, &[STOP, VOLUMES, FILES], removal()),
    ];
    let expected = [
        "stop:a <",
        "volumes:a < stop:a",
        "files:a < volumes:a",
        "stop:b <",
        "files:b < stop:b",
        "rest < stop:a volumes:a files:a stop:b files:b",
    ];
    assert_eq!(told(stages, &["a", "b"]), expected);
}

#[test]
fn what_others_do_first_and_what_is_shared_comes_before_systems() {
    let given = vec![Action::new("prove").of("shop")];
    let stages =
        vec![Stage::given(REST, given), Stage::shared(VOLUMES, &[], removal()), stage(STOP, &[REST, VOLUMES], &["a"])];
    let of_a = steps(stages, names(&["a"])).pop().unwrap();
    assert_eq!(of_a.needs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["prove:shop", "volumes"]);
    assert_eq!(of_a.system.as_deref(), Some("a"));
}

#[test]
fn a_stage_after_none_is_refused() {
    let steps = steps(vec![stage(STOP, &[REST], &["a"])], names(&["a"]));
    assert_eq!(Plan::new(steps).err().unwrap().to_string(), "step `stop:a` needs `rest`, which is not in the plan");
}

#[test]
fn the_ledger_tells_which_systems_go() {
    let entry = |system: Option<&str>| Entry {
        kind: "folder".to_owned(),
        id: "x".to_owned(),
        system: system.map(str::to_owned),
        identity: Value::Null,
    };
    let entries = [entry(Some("gone")), entry(None), entry(Some("other")), entry(Some("Not a name"))];
    let scope = |systems: &[&str], everything| Scope { systems: names(systems).into_iter().collect(), everything };
    assert_eq!(going(&scope(&[], true), &entries, names(&["new"])), names(&["gone", "new", "other"]));
    assert_eq!(going(&scope(&["gone", "new"], false), &entries, names(&["new"])), names(&["gone", "new"]));
    let kept = |entry: &Entry| entry.system.as_deref() == Some("other");
    let struck = |scope: &Scope| entries.iter().map(|entry| is_struck(entry, scope, kept)).collect::<Vec<_>>();
    assert_eq!(struck(&scope(&[], true)), [true, true, false, true]);
    assert_eq!(struck(&scope(&["gone", "other"], false)), [true, false, false, false]);
}
