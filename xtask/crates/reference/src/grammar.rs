//! All keys of a kind of file, by what its reader asks of a sample that has every one of them.

use crate::example::{Item, examples, items};
use anyhow::{Context, Result, anyhow, bail};
use model::environment::Origin;
use model::system::TargetKind;
use model::trace::{self, Reading, Trace};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the sample of a system names.
const CRATES: [&str; 1] = ["tally"];
const IMAGES: [&str; 2] = ["postgres", "python"];
/// What the reader says of a setting that another target has.
const ELSEWHERE: &str = "does nothing on target";

/// A key, wherever it stands: `services.NAME.port`, `smoke[].name`.
pub(crate) type Pattern = String;

#[derive(Debug, Default)]
pub(crate) struct Key {
    pub(crate) readings: BTreeSet<Reading>,
    pub(crate) is_required: bool,
    /// As it stands in the sample: `port = 80`.
    pub(crate) example: Option<String>,
    /// What counts where nothing is said, and the targets on which it does something, where the reader knows.
    pub(crate) default: Option<String>,
    pub(crate) targets: BTreeSet<TargetKind>,
}

#[derive(Debug, Default)]
pub(crate) struct Grammar {
    /// The file itself is the key without a name.
    pub(crate) keys: BTreeMap<Pattern, Key>,
}

impl Grammar {
    pub(crate) fn of_system(root: &Path, sample: &str) -> Result<Self> {
        let trace = trace::system(root, sample, &CRATES, &IMAGES).context("read the sample of a system")?;
        let mut grammar = Self::of(&[trace]);
        grammar.show(sample)?;
        Ok(grammar)
    }

    /// Each setting is tried by itself on every target.
    pub(crate) fn of_environment(sample: &str) -> Result<Self> {
        let mut traces = Vec::new();
        let mut found = BTreeMap::new();
        for item in items(sample)? {
            // What may be a list of the tool's own may be a text with commas, too.
            if let Some(text) = item.as_text() {
                traces.extend(TargetKind::ALL.into_iter().filter_map(|target| attempt(&text, target).ok().flatten()));
            }
            let tried = TargetKind::ALL.map(|target| Some((target, attempt(&item, target).transpose()?)));
            let mut targets = BTreeSet::new();
            for (target, trace) in tried.into_iter().flatten() {
                traces.push(trace?);
                targets.insert(target);
            }
            if targets.is_empty() {
                bail!("`{}` of the sample does something on no target", item.key);
            }
            found.insert(item.key, targets);
        }
        let mut grammar = Self::of(&traces);
        grammar.show(sample)?;
        let names = names(&traces);
        for (key, targets) in found {
            grammar.keys.entry(pattern(&key, &names)).or_default().targets.extend(targets);
        }
        for (key, default) in defaults()? {
            grammar.keys.entry(key).or_default().default = Some(default);
        }
        Ok(grammar)
    }

    fn of(traces: &[Trace]) -> Self {
        let names = names(traces);
        let mut keys: BTreeMap<Pattern, Key> = BTreeMap::new();
        let mut tables: BTreeMap<Pattern, usize> = BTreeMap::new();
        let mut required: BTreeMap<Pattern, usize> = BTreeMap::new();
        for trace in traces {
            // Twice asked is once asked.
            for (key, reading) in trace.iter().collect::<BTreeSet<_>>() {
                let pattern = pattern(key, &names);
                match reading {
                    Reading::Table => *tables.entry(pattern.clone()).or_default() += 1,
                    Reading::Required => *required.entry(pattern.clone()).or_default() += 1,
                    _ => {}
                }
                keys.entry(pattern).or_default().readings.insert(reading.clone());
            }
        }
        // What a table has to have in each of its forms.
        for (pattern, count) in required {
            let always = tables.get(parent(&pattern)) == Some(&count);
            keys.entry(pattern).or_default().is_required = always;
        }
        // What is within is whatever JSON can hold, too.
        let any = |key: &Key| key.readings.contains(&Reading::Any);
        let free: Vec<Pattern> = keys.iter().filter(|(_, key)| any(key)).map(|(pattern, _)| pattern.clone()).collect();
        keys.retain(|pattern, _| !free.iter().any(|free| pattern != free && is_within(pattern, free)));
        Self { keys }
    }

    fn show(&mut self, sample: &str) -> Result<()> {
        for Item { key, text } in examples(sample)? {
            let pattern = self.pattern(&key);
            if let Some(known) = self.keys.get_mut(&pattern) {
                known.example.get_or_insert(text);
            }
        }
        Ok(())
    }

    /// A dotted key of whatever file of this kind.
    fn pattern(&self, key: &str) -> Pattern {
        let names = |pattern: &str| self.keys.get(pattern).is_some_and(|key| key.readings.contains(&Reading::Names));
        shape(key, &|_, pattern| names(pattern))
    }

    /// Whether the reader takes a key, be it one of those that are whatever the file wants.
    #[cfg(test)]
    pub(crate) fn takes(&self, key: &str) -> bool {
        let pattern = self.pattern(key);
        let any = |(free, key): (&Pattern, &Key)| key.readings.contains(&Reading::Any) && is_within(&pattern, free);
        self.keys.contains_key(&pattern) || self.keys.iter().any(any)
    }

    /// The keys that the reader knows, without the names that a file chooses.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (&Pattern, &Key)> {
        self.keys.iter().filter(|(_, key)| key.readings.contains(&Reading::Asked))
    }
}

/// What is asked of a setting on a target; `None` where it does nothing.
fn attempt(item: &Item, target: TargetKind) -> Result<Option<Trace>> {
    let own = if item.key == "target" { String::new() } else { format!("{} = {}\n", item.key, item.value()) };
    let text = format!("target = \"{target}\"\n{own}");
    match trace::environment(&text) {
        Ok((trace, _)) => Ok(Some(trace)),
        Err(errors) if errors.iter().any(|error| error.message.contains(ELSEWHERE)) => Ok(None),
        Err(errors) => Err(anyhow!("`{}` of the sample on `{target}`: {errors}", item.key)),
    }
}

fn defaults() -> Result<BTreeMap<Pattern, String>> {
    let mut defaults = BTreeMap::new();
    for target in TargetKind::ALL {
        let (_, environment) = trace::environment(&format!("target = \"{target}\""))?;
        let unset = environment.origins.into_iter().filter(|setting| setting.origin == Origin::Default);
        // The name of this environment is nobody's default.
        let fixed = unset.filter(|setting| setting.key != "deployment_id" && !setting.value.is_empty());
        defaults.extend(fixed.map(|setting| (setting.key, setting.value)));
    }
    Ok(defaults)
}

/// The tables whose keys are names.
fn names(traces: &[Trace]) -> BTreeSet<&str> {
    let all = traces.iter().flatten().filter(|(_, reading)| *reading == Reading::Names);
    all.map(|(key, _)| key.as_str()).collect()
}

fn pattern(key: &str, names: &BTreeSet<&str>) -> Pattern {
    shape(key, &|before, _| names.contains(before))
}

/// A dotted key with `NAME` where the file chooses one, and without the numbers of elements. `chosen` tells of what comes
/// before a part, as it is and as a pattern, whether its keys are names.
fn shape(key: &str, chosen: &dyn Fn(&str, &str) -> bool) -> Pattern {
    let mut shape = String::new();
    let mut end = 0;
    for part in parts(key) {
        let (before, is_first) = (&key[..end], end == 0);
        end += part.len() + usize::from(!is_first);
        let (name, index) =
            part.find('[').filter(|_| !part.starts_with('"')).map_or((part, ""), |at| part.split_at(at));
        let name = if !is_first && chosen(before, &shape) { "NAME" } else { name };
        let dot = if is_first { "" } else { "." };
        let element = if index.is_empty() { "" } else { "[]" };
        shape.push_str(&format!("{dot}{name}{element}"));
    }
    shape
}

/// What stands between the dots, quoted parts whole.
fn parts(key: &str) -> Vec<&str> {
    let mut quoted = false;
    key.split(|c| {
        quoted ^= c == '"';
        c == '.' && !quoted
    })
    .collect()
}

/// The table that a key is in.
pub(crate) fn parent(pattern: &str) -> &str {
    pattern.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn is_within(pattern: &str, outer: &str) -> bool {
    pattern.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_wherever_it_stands() {
        let names = BTreeSet::from(["services", "services.web.files", "smoke[1].headers"]);
        for (key, expected) in [
            ("", ""),
            ("description", "description"),
            ("services.web.port", "services.NAME.port"),
            ("services.web.files.\"a.conf\".at", "services.NAME.files.NAME.at"),
            ("services.web.needs[3]", "services.NAME.needs[]"),
            ("smoke[1].headers.accept", "smoke[].headers.NAME"),
        ] {
            assert_eq!(pattern(key, &names), expected);
        }
    }
}
