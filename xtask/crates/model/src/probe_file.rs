//! Reads how a service is asked whether it is ready, and whether it is alive.

use super::decode::{Table, Value};
use super::grammar::check_path;
use super::service_file::LONGEST_WAIT;
use super::system::Probe;
use std::time::Duration;

/// How long a worker has to run to be taken for ready, unless it says so itself.
const RUNS: Duration = Duration::from_secs(5);

/// All crates with a port answer the same paths, and workers can be seen to run; of anything else nothing is known.
pub(super) fn read(table: &Table<'_>, is_foreign: bool, is_worker: bool) -> (Option<Probe>, Option<Probe>) {
    let (ready, live) = (table.optional("ready"), table.optional("live"));
    if ready.is_none() && is_foreign && !is_worker {
        table.missing("key `ready`; an image needs one, such as `ready = { http = \"/\" }` or `ready = { tcp = {} }`");
    }
    let usual = |path: &str| match (is_worker, is_foreign) {
        (true, _) => Some(Probe::Runs(RUNS)),
        (_, true) => None,
        _ => Some(Probe::Http { path: path.to_owned() }),
    };
    let ready = ready.map_or_else(|| usual("/readyz"), |value| parse(&value, false, is_worker));
    let live = match live {
        Some(value) => parse(&value, true, is_worker).filter(|probe| {
            let runs = matches!(probe, Probe::Runs(_));
            if runs {
                value.report("what has ended is started again in any case; leave `live` out");
            }
            !runs
        }),
        None if is_worker => ready.clone(),
        None => usual("/livez").or_else(|| ready.clone()),
    };
    (ready, live)
}

const KINDS: [&str; 4] = ["http", "tcp", "command", "runs"];

fn parse(value: &Value<'_>, is_live: bool, is_worker: bool) -> Option<Probe> {
    value.table(|probe| {
        // How long it has run says nothing of whether it is alive.
        let asked = |kind| if kind == "runs" && is_live { probe.misplaced(kind) } else { probe.optional(kind) };
        let mut there = KINDS.into_iter().filter_map(|kind| Some((kind, asked(kind)?)));
        let (Some((kind, how)), None) = (there.next(), there.next()) else {
            value.report("expected one of `http`, `tcp`, `command` and `runs`");
            return None;
        };
        if is_worker && ["http", "tcp"].contains(&kind) {
            how.report("a service without `port` is not asked over the network; `command` or `runs` is for it");
            return None;
        }
        match kind {
            "http" => how.checked(&check_path).map(|path| Probe::Http { path }),
            "tcp" => how.table(|tcp| {
                let text = |key| tcp.optional(key).and_then(|value| value.text().map(str::to_owned));
                let (send, expect) = (text("send"), text("expect"));
                Probe::Tcp { send, expect }
            }),
            "command" => command(&how),
            _ => how.duration(Duration::from_secs(1)..=LONGEST_WAIT).map(Probe::Runs),
        }
    })?
}

fn command(value: &Value<'_>) -> Option<Probe> {
    let words: Vec<String> = value.list()?.iter().map(|word| Some(word.text()?.to_owned())).collect::<Option<_>>()?;
    if words.first().is_none_or(String::is_empty) {
        value.report("names no program: a list of words such as `[\"pgrep\", \"sidekiq\"]`");
        return None;
    }
    Some(Probe::Command(words))
}
