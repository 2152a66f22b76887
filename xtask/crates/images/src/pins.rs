//! Fills and moves the digests behind the tags in `deploy/images.toml`.
//!
//! Every image is asked for at its public name, whatever `images.local.toml` says of it here. The file keeps its order,
//! its comments and its form: only what stands behind a tag changes.

use super::refusal::{Refusal, again};
use super::registry::Client;
use anyhow::{Context, Result};
use base::ctx::Ctx;
use base::error::Fault;
use base::files;
use model::image::{Digest, ImagePin, ImagePins};
use model::{IMAGES, public_images};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// The pauses before a registry is asked again.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// What became of one pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinChange {
    /// The short name that systems use.
    pub name: String,
    /// As it was before.
    pub pin: ImagePin,
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It had no digest.
    Filled(Digest),
    /// The tag stands for something else by now.
    Moved {
        from: Digest,
        to: Digest,
    },
    Unchanged,
    /// Its registry did not say, so it stays as it is.
    Kept(Refusal),
    /// Its registry has no such tag.
    Absent,
}

impl PinChange {
    fn new(name: &str, pin: &ImagePin, answer: Result<Option<Digest>, Refusal>) -> Self {
        let change = match (answer, pin.digest.clone()) {
            (Err(refusal), _) => Change::Kept(refusal),
            (Ok(None), _) => Change::Absent,
            (Ok(Some(to)), None) => Change::Filled(to),
            (Ok(Some(to)), Some(from)) if from == to => Change::Unchanged,
            (Ok(Some(to)), Some(from)) => Change::Moved { from, to },
        };
        Self { name: name.to_owned(), pin: pin.clone(), change }
    }

    /// `filled`, `moved`, `unchanged`, `kept`
    pub fn word(&self) -> &'static str {
        match self.change {
            Change::Filled(_) => "filled",
            Change::Moved { .. } => "moved",
            Change::Unchanged => "unchanged",
            Change::Kept(_) | Change::Absent => "kept",
        }
    }

    /// The pin as it is to be.
    pub fn now(&self) -> ImagePin {
        let digest = match &self.change {
            Change::Filled(to) | Change::Moved { to, .. } => Some(to.clone()),
            _ => self.pin.digest.clone(),
        };
        ImagePin { digest, ..self.pin.clone() }
    }

    /// Why it could not be looked at.
    pub fn failure(&self) -> Option<String> {
        match &self.change {
            Change::Kept(refusal) => Some(format!("`{}` ({}): {}", self.name, self.pin, refusal.words)),
            Change::Absent => {
                Some(format!("`{}` ({}): {} has no such tag", self.name, self.pin, self.pin.repository.host()))
            }
            _ => None,
        }
    }
}

/// Asks for every pin, all at once, and writes what changed.
///
/// # Errors
/// When the file is wrong or cannot be written, or a signal came; then nothing was written.
pub fn update(ctx: &Ctx, root: &Path) -> Result<Vec<PinChange>> {
    let pins = public_images(root).map_err(Fault::from)?;
    let client = Client::new(&ctx.proc, &ctx.interrupts, None);
    let changes =
        ask(&pins, |pin| again(&ctx.interrupts, &PAUSES, &|_| {}, || client.digest(&pin.repository, &pin.tag)));
    if let Some(signal) = ctx.interrupts.first() {
        return Err(Fault::interrupted(signal).into());
    }
    write(root, &changes)?;
    Ok(changes)
}

/// The failure of those that stay as they are since nobody could say.
pub fn failure(changes: &[PinChange]) -> Option<Fault> {
    let failures: Vec<String> = changes.iter().filter_map(PinChange::failure).collect();
    let cause = format!("these pins stay as they are:\n{}", failures.join("\n"));
    let hint = "run it on a machine that reaches these registries";
    (!failures.is_empty()).then(|| Fault::failed("pins-kept", cause).hint(hint))
}

fn ask(pins: &ImagePins, digest: impl Fn(&ImagePin) -> Result<Option<Digest>, Refusal> + Sync) -> Vec<PinChange> {
    let digest = &digest;
    std::thread::scope(|scope| {
        let asked: Vec<_> = pins.iter().map(|(name, pin)| (name, pin, scope.spawn(move || digest(pin)))).collect();
        let answer = |(name, pin, asked): (&String, &ImagePin, std::thread::ScopedJoinHandle<'_, _>)| {
            asked.join().ok().map(|answer| PinChange::new(name, pin, answer))
        };
        asked.into_iter().filter_map(answer).collect()
    })
}

fn write(root: &Path, changes: &[PinChange]) -> Result<()> {
    // A link is followed, so that it stays one.
    let path = fs::canonicalize(root.join(IMAGES)).with_context(|| format!("find `{IMAGES}`"))?;
    let before = fs::read_to_string(&path).with_context(|| format!("read `{IMAGES}`"))?;
    let after = edited(&before, changes);
    if after == before {
        return Ok(());
    }
    let mode = fs::metadata(&path).with_context(|| format!("read `{IMAGES}`"))?.permissions().mode() & 0o7777;
    files::write_with_mode(&path, after.as_bytes(), mode)
}

/// The text with the new pins. An entry that is no longer what was asked about stays as it is.
fn edited(text: &str, changes: &[PinChange]) -> String {
    let changes: BTreeMap<&str, &PinChange> = changes.iter().map(|change| (change.name.as_str(), change)).collect();
    let (table, _) = DeTable::parse_recoverable(text);
    let mut places = Vec::new();
    for (name, value) in table.get_ref() {
        let (DeValue::String(pin), Some(change)) = (value.get_ref(), changes.get(name.get_ref().as_ref())) else {
            continue;
        };
        let (before, now) = (change.pin.to_string(), change.now().to_string());
        if *pin == before && before != now {
            let literal = &text[value.span()];
            // Written plainly it keeps its kind of quotes; a pin in escapes is written plainly from now on.
            let plain = literal.contains(&before);
            let literal = if plain { literal.replacen(&before, &now, 1) } else { format!("\"{now}\"") };
            places.push((value.span(), literal));
        }
    }
    places.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    for (span, literal) in places {
        text.replace_range(span, &literal);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::refusal::Kind;
    use super::*;

    const FILE: &str = "# Ours.\nbase = \"gcr.io/a/base:1\" # why\n\nz   =   'docker.io/z:2@sha256:OLD'\n\
        e = \"docker.io\\u002fe:3\"\nm = \"\"\"docker.io/m:4\"\"\"\n";

    fn digest(digit: &str) -> Digest {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    fn file() -> String {
        FILE.replace("sha256:OLD", digest("0").as_str())
    }

    fn pins(text: &str) -> ImagePins {
        let (table, errors) = DeTable::parse_recoverable(text);
        assert!(errors.is_empty());
        let pin = |value: &DeValue<'_>| value.as_str().unwrap().parse().unwrap();
        table.get_ref().iter().map(|(name, value)| (name.get_ref().to_string(), pin(value.get_ref()))).collect()
    }

    #[test]
    fn only_what_stands_behind_a_tag_changes() {
        let changes = ask(&pins(&file()), |_| Ok(Some(digest("1"))));
        let now = edited(&file(), &changes);
        let one = digest("1");
        let wanted = format!(
            "# Ours.\nbase = \"gcr.io/a/base:1@{one}\" # why\n\nz   =   'docker.io/z:2@{one}'\n\
             e = \"docker.io/e:3@{one}\"\nm = \"\"\"docker.io/m:4@{one}\"\"\"\n"
        );
        assert_eq!(now, wanted);
        let words: Vec<_> = changes.iter().map(|change| (change.name.as_str(), change.word())).collect();
        assert_eq!(words, [("base", "filled"), ("e", "filled"), ("m", "filled"), ("z", "moved")]);
        let again = ask(&pins(&now), |_| Ok(Some(digest("1"))));
        assert!(again.iter().all(|change| change.change == Change::Unchanged));
        assert_eq!(edited(&now, &again), now);
    }

    #[test]
    fn what_nobody_can_tell_stays_and_is_named() {
        let changes = ask(&pins(&file()), |pin| match pin.repository.as_str() {
            "docker.io/z" => Err(Refusal { kind: Kind::Other, words: "Could not resolve host".to_owned() }),
            "docker.io/m" => Ok(None),
            _ => Ok(Some(digest("1"))),
        });
        let now = edited(&file(), &changes);
        assert!(now.contains("base:1@sha256:1") && now.contains(&format!("z:2@{}", digest("0"))), "{now}");
        let fault = failure(&changes).unwrap();
        let wanted = format!(
            "these pins stay as they are:\n`m` (docker.io/m:4): docker.io has no such tag\n\
             `z` (docker.io/z:2@{}): Could not resolve host",
            digest("0")
        );
        assert_eq!(fault.cause, wanted);
        assert_eq!(failure(&changes[..1]), None);
    }

    #[test]
    fn what_was_edited_meanwhile_is_not_touched() {
        let changes = ask(&pins(&file()), |_| Ok(Some(digest("1"))));
        let meanwhile = file().replace("base:1", "base:2").replace("docker.io/m:4", "docker.io/m:5");
        let now = edited(&meanwhile, &changes);
        assert!(now.contains("base:2\"") && now.contains("m:5\"") && now.contains("e:3@sha256:1"), "{now}");
    }
}
