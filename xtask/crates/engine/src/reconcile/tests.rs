//! A table of cases: what the files say, what was recorded, what runs, and what is to be done.

use super::*;
use model::name::{ServiceName, SystemName};
use std::collections::BTreeSet;

fn system(name: &str) -> SystemName {
    name.parse().unwrap()
}

fn service(name: &str) -> ServiceName {
    name.parse().unwrap()
}

fn unit(name: &str) -> UnitId {
    let (of, name) = name.split_once('/').unwrap();
    UnitId::new(&system(of), &service(name))
}

/// "SYSTEM/SERVICE PORT was=NAME", "leaves=NAME" for a service that has its state and that it would no longer use, and
/// "SYSTEM was=NAME" for a system's earlier name; "SYSTEM!" cannot be read.
fn desired(text: &str) -> Desired {
    let mut desired = Desired::default();
    for line in text.split(", ").filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        if let Some(name) = name.strip_suffix('!') {
            desired.unreadable.insert(system(name));
            continue;
        }
        let (of, own) = name.split_once('/').map_or((name, None), |(of, own)| (of, Some(own)));
        let declared = desired.systems.entry(system(of)).or_default();
        for word in words {
            match (own, word.strip_prefix("was=")) {
                (None, Some(was)) => drop(declared.was.insert(system(was))),
                (None, None) => panic!("{line}"),
                (Some(own), _) if word.starts_with("leaves=") => {
                    let holder = word.trim_start_matches("leaves=");
                    let from = format!("`{holder}`");
                    let holder = Some(UnitId::new(&system(of), &service(holder)));
                    let moved = StateMove { holder, from, to: "a place of its own".to_owned() };
                    desired.moving.insert(UnitId::new(&system(of), &service(own)), moved);
                }
                (Some(own), was) => {
                    let own = declared.services.entry(service(own)).or_default();
                    match was {
                        Some(was) => drop(own.was.insert(service(was))),
                        None => drop(own.entrances.insert(Entrance::Port(word.parse().unwrap()))),
                    }
                }
            }
        }
        if let Some(own) = own {
            declared.services.entry(service(own)).or_default();
        }
    }
    desired
}

/// "SYSTEM/SERVICE PORT data"; "only-data" for what does not run any more.
fn recorded(text: &str) -> Recorded {
    let mut recorded = Recorded::default();
    for line in text.split(", ").filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let id = unit(words.next().unwrap());
        let mut known = RecordedService::default();
        for word in words {
            match word {
                "data" => known.data = Some(Stored { size: Some(7) }),
                "only-data" => (known.data, known.only_data) = (Some(Stored { size: Some(7) }), true),
                port => drop(known.entrances.insert(Entrance::Port(port.parse().unwrap()))),
            }
        }
        recorded.systems.entry(id.system).or_default().services.insert(id.service, known);
    }
    recorded
}

fn extent(text: &str) -> Extent {
    match text {
        "" => Extent::Everything,
        names => Extent::Systems(names.split(' ').map(system).collect()),
    }
}

fn names(units: &BTreeSet<UnitId>) -> String {
    units.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
}

fn shown(changes: &Changes) -> String {
    let change = |(unit, change): (&UnitId, &Change)| {
        let what = match change {
            Change::Keep => "keep".to_owned(),
            Change::Create => "create".to_owned(),
            Change::Replace { old } => format!("replace {}", names(old)),
            Change::Adopt { from, old } if old.is_empty() => format!("adopt {from}"),
            Change::Adopt { from, old } => format!("adopt {from} replace {}", names(old)),
            Change::Blocked { reason } => format!("blocked: {reason}"),
            Change::Moves { reason } => format!("moves: {reason}"),
            Change::Remove { data, order, why } => {
                let data = match data {
                    DataPolicy::None => String::new(),
                    DataPolicy::Keep(stored) => format!(", keep {}", stored.size.unwrap()),
                    DataPolicy::Hand { to } => format!(", data to {to}"),
                };
                let order = match order {
                    Order::Free => String::new(),
                    Order::After(units) => format!(" after {}", names(units)),
                    Order::Before(units) => format!(" before {}", names(units)),
                };
                format!("remove{order}{data}: {why}")
            }
        };
        format!("{unit} {what}")
    };
    let left = changes.left.iter().map(|left| format!("{} left: {}", left.unit, left.reason));
    changes.units.iter().map(change).chain(left).collect::<Vec<_>>().join("\n")
}

struct Case<'a> {
    files: &'a str,
    records: &'a str,
    named: &'a str,
}

#[track_caller]
fn expect(case: &Case<'_>, lines: &[&str]) {
    let Case { files, records, named } = case;
    let changes = compare(&desired(files), &recorded(records), &Observed::default(), &extent(named));
    assert_eq!(shown(&changes), lines.join("\n"));
}

macro_rules! case {
    ($name:ident: $files:literal, $records:literal, $named:literal => $($line:literal),* $(,)?) => {
        #[test]
        fn $name() {
            expect(&Case { files: $files, records: $records, named: $named }, &[$($line),*]);
        }
    };
}

case!(nothing_is_recorded_yet: "a/x 1", "", "" => "a/x create");
case!(what_is_declared_and_recorded_stays: "a/x 1", "a/x 1 data", "" => "a/x keep");
case!(a_renamed_service_takes_over_the_port: "a/clock 1337", "a/epoch 1337", "a" =>
    "a/clock replace a/epoch",
    "a/epoch remove after a/clock: its system declares it no longer",
);
case!(a_renamed_service_does_not_get_data_unasked: "a/clock 1337", "a/epoch 1337 data", "" =>
    "a/clock replace a/epoch",
    "a/epoch remove after a/clock, keep 7: its system declares it no longer",
);
case!(an_earlier_name_hands_data_over: "a/clock 1337 was=epoch", "a/epoch 1337 data", "" =>
    "a/clock adopt a/epoch replace a/epoch",
    "a/epoch remove before a/clock, data to a/clock: it is called `a/clock` now",
);
case!(an_earlier_name_without_data_is_only_replaced: "a/clock 1 was=epoch", "a/epoch 2", "" =>
    "a/clock replace a/epoch",
    "a/epoch remove after a/clock: it is called `a/clock` now",
);
case!(kept_data_goes_to_the_new_name: "a/clock 1 was=epoch", "a/epoch only-data", "a" =>
    "a/clock adopt a/epoch",
    "a/epoch remove before a/clock, data to a/clock: it is called `a/clock` now",
);
case!(a_name_that_is_declared_again_finds_its_data: "a/x 1", "a/x only-data", "" => "a/x adopt a/x");
case!(kept_data_is_told_of: "", "a/x only-data", "" =>
    "a/x left: nothing declares it any more; what it stored is kept",
);
case!(state_does_not_move_unasked: "a/x 1 leaves=redis", "a/x 1, a/redis data", "" =>
    "a/x moves: `x` keeps its state in `redis` (7 bytes) and would begin with nothing in a place of its own",
    "a/redis left: `a/x` keeps its state in it",
);
case!(two_heirs_are_none: "a/p was=x, a/q was=x", "a/x data", "" =>
    "a/p blocked: `a/q` claims the same earlier name",
    "a/q blocked: `a/p` claims the same earlier name",
    "a/x left: `a/p`, which is to take its place, cannot",
);
case!(an_earlier_name_that_is_declared_is_no_earlier_name: "a/p was=x, a/x", "a/x", "" =>
    "a/p blocked: it `was` `x`, and `a/x` is declared beside it",
    "a/x keep",
);
case!(data_on_both_sides_is_not_mixed: "a/p was=x", "a/x only-data, a/p data", "" =>
    "a/p blocked: `a/x`, which it was, has stored data, and so has `a/p` itself by now",
    "a/x left: `a/p`, which is to take its place, cannot",
);
case!(a_service_moves_to_another_system: "b/x 1, a/y 2", "a/x 1 data, a/y 2", "" =>
    "a/x remove before b/x, data to b/x: it belongs to `b` now",
    "a/y keep",
    "b/x adopt a/x replace a/x",
);
case!(a_service_that_moved_is_found_by_its_new_system_alone: "b/x 1, a/y 2", "a/x 1, a/y 2", "b" =>
    "a/x remove after b/x: it belongs to `b` now",
    "b/x replace a/x",
);
case!(a_service_is_deleted: "a/x 1", "a/x 1, a/y 2 data", "a" =>
    "a/x keep",
    "a/y remove, keep 7: its system declares it no longer",
);
case!(a_system_is_deleted: "a/x 1", "a/x 1, b/y 2, b/z 3 data", "" =>
    "a/x keep",
    "b/y remove: no file declares its system any more",
    "b/z remove, keep 7: no file declares its system any more",
);
case!(a_system_is_renamed: "b was=a, b/x 1", "a/x 1 data", "" =>
    "a/x remove before b/x, data to b/x: it is called `b/x` now",
    "b/x adopt a/x replace a/x",
);
case!(a_system_and_its_service_are_renamed: "b was=a, b/p 1 was=x", "a/x 1 data", "" =>
    "a/x remove before b/p, data to b/p: it is called `b/p` now",
    "b/p adopt a/x replace a/x",
);
case!(a_narrowed_deploy_leaves_what_is_elsewhere: "a/x 1, c/z 3", "a/x 1, b/y 2", "a" =>
    "a/x keep",
    "b/y left: nothing declares it any more; a whole `deploy` removes it",
);
case!(a_narrowed_deploy_takes_what_is_in_its_way: "a/x 2", "a/x 1, b/y 2, b/z 3", "a" =>
    "a/x replace b/y",
    "b/y remove after a/x: nothing declares it any more, and it holds port 2, which `a/x` declares",
    "b/z left: nothing declares it any more; a whole `deploy` removes it",
);
case!(what_is_declared_elsewhere_is_never_in_the_way: "a/x 2, b/y 2", "a/x 1, b/y 2", "a" => "a/x keep");
case!(a_file_that_cannot_be_read_undeclares_nothing: "a/x 1, b!", "a/x 1, b/y 2, c/z 3", "" =>
    "a/x keep",
    "c/z left: nothing declares it, and nothing is removed while the file of `b` cannot be read",
);
case!(what_cannot_be_read_keeps_its_port: "a/x 2, b!", "a/x 1, b/y 2", "a" =>
    "a/x blocked: port 2 is that of `b/y`, whose file cannot be read",
);
case!(nothing_is_replaced_while_a_file_cannot_be_read: "a/p 1, b!", "a/x 1", "a" =>
    "a/p blocked: it takes the place of what nothing declares any more, and while the file of `b` cannot be read, nothing \
     is removed",
    "a/x left: nothing declares it, and nothing is removed while the file of `b` cannot be read",
);

#[test]
fn what_runs_without_a_record_is_removed_too() {
    let mut observed = Observed::default();
    observed.units.insert(unit("a/ghost"), Unit { entrances: BTreeSet::from([Entrance::Port(1)]) });
    let changes = compare(&desired("a/x 1"), &recorded(""), &observed, &extent("a"));
    let lines = ["a/ghost remove after a/x: its system declares it no longer", "a/x replace a/ghost"];
    assert_eq!(shown(&changes), lines.join("\n"));
}

#[test]
fn a_move_that_was_cut_short_is_still_a_move() {
    let observed = Observed { units: [(unit("b/x"), Unit::default())].into() };
    let changes = compare(&desired("b/x 1"), &recorded("a/x 1 data"), &observed, &extent(""));
    let lines = ["a/x remove before b/x, data to b/x: it belongs to `b` now", "b/x adopt a/x replace a/x"];
    assert_eq!(shown(&changes), lines.join("\n"));

    // Neither of the two was ever proven.
    let observed = Observed { units: ["a/x", "b/x"].map(|name| (unit(name), Unit::default())).into() };
    let changes = compare(&desired("b/x 1"), &recorded(""), &observed, &extent(""));
    let lines = ["a/x remove after b/x: it belongs to `b` now", "b/x replace a/x"];
    assert_eq!(shown(&changes), lines.join("\n"));
}

#[test]
fn a_refused_move_names_every_service_and_how_to_have_it_all_the_same() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    let environment = model::environment(root, "containers", &[]).unwrap();
    let (files, records) = ("a/x leaves=redis, a/y leaves=redis, b/z", "a/x, a/y, a/redis data, b/z");
    let changes = compare(&desired(files), &recorded(records), &Observed::default(), &extent(""));
    let Refusal { service, fault } = changes.refusal(&system("a"), &environment).unwrap();
    assert_eq!((service.as_str(), fault.code), ("x", "state-moves"));
    let moves = |name: &str| {
        format!("`{name}` keeps its state in `redis` (7 bytes) and would begin with nothing in a place of its own")
    };
    assert_eq!(fault.cause, [moves("x"), moves("y")].join("; "));
    assert!(fault.hint.unwrap().ends_with("`cargo xtask deploy a --move-state a --env containers`"));
    assert_eq!(changes.refusal(&system("b"), &environment), None);

    let changes = compare(&desired("a/p was=x, a/x"), &recorded("a/x"), &Observed::default(), &extent(""));
    let Refusal { service, fault } = changes.refusal(&system("a"), &environment).unwrap();
    assert_eq!((service.as_str(), fault.code), ("p", "system-blocked"));
    assert_eq!(fault.cause, "`a` is left as it is: it `was` `x`, and `a/x` is declared beside it");
}
