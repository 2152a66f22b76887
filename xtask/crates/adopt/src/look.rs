//! What an image says of itself: fetched where it is not there, and removed again then.

use anyhow::Result;
use base::error::Fault;
use base::proc::Proc;
use model::container::User;
use model::image::ImagePin;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tools::oci::{Found, Image, Labels};

/// What is made for a look carries this, so that it is found whatever happens.
pub(crate) const LABEL: &str = "dev.slipway.look";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// As `USER` has it; empty for root.
    pub(crate) user: String,
    pub(crate) ports: BTreeSet<u16>,
    pub(crate) volumes: BTreeSet<String>,
    pub(crate) stop_signal: String,
    /// The users that it knows by name.
    pub(crate) users: BTreeMap<String, User>,
}

/// An image that is here for now.
pub struct Fetched<'a> {
    pub(crate) found: &'a Found,
    pub(crate) proc: &'a Proc,
    reference: String,
    /// The last part of its name.
    name: String,
    pub(crate) image: Image,
    is_ours: bool,
}

impl<'a> Fetched<'a> {
    /// # Errors
    /// When it is not here and cannot be fetched.
    pub fn new(found: &'a Found, proc: &'a Proc, pin: &ImagePin) -> Result<Self> {
        let reference = pin.pull_reference();
        let name = pin.repository.path().rsplit('/').next().unwrap_or_default().to_owned();
        let is_here = |reference: &str| found.engine.image(proc, reference);
        if let Some(image) = is_here(&reference)? {
            return Ok(Self { found, proc, reference, name, image, is_ours: false });
        }
        let strange = || {
            Fault::could_not_run("no-platform", "the engine is not for x86-64 or ARM64, and nothing else is known here")
        };
        let platform = found.facts.platform.ok_or_else(strange)?;
        proc.read(&found.engine.pull(&reference, platform))?;
        let gone = || Fault::failed("image-gone", format!("`{reference}` was fetched, and is not there"));
        let image = is_here(&reference)?.ok_or_else(gone)?;
        Ok(Self { found, proc, reference, name, image, is_ours: true })
    }

    /// What it says of itself. Without a list of users in it, none is known by name.
    pub fn looked(&self, scratch: &Path) -> Looked {
        Looked {
            user: self.image.user.clone(),
            ports: self.image.ports.clone(),
            volumes: self.image.volumes.clone(),
            stop_signal: self.image.stop_signal.clone(),
            users: self.users(scratch).map(|text| users(&text)).unwrap_or_default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its `/etc/passwd`, out of a container that never runs.
    fn users(&self, scratch: &Path) -> Option<String> {
        let engine = &self.found.engine;
        let name = format!("slipway-look-{}", std::process::id());
        let labels = Labels::from([(LABEL.to_owned(), name.clone())]);
        let to = scratch.join(format!("{name}.passwd"));
        let made = self.proc.read(&engine.create(&name, &labels, &self.image.id));
        let copied = made.and_then(|_| self.proc.read(&engine.copy_out(&name, "/etc/passwd", &to)));
        let text = copied.ok().and_then(|_| std::fs::read_to_string(&to).ok());
        let _ = self.proc.try_read(&engine.container_remove(&name));
        let _ = std::fs::remove_file(&to);
        text
    }
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        if self.is_ours {
            // Nothing is lost when it stays.
            let _ = self.found.engine.remove_image(self.proc, &self.reference);
        }
    }
}

/// The users of a `/etc/passwd`.
fn users(text: &str) -> BTreeMap<String, User> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        Some((name.to_owned(), User { uid: uid.parse().ok()?, gid: gid.parse().ok()? }))
    };
    text.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::users;

    #[test]
    fn users_have_numbers() {
        let known =
            users("root:x:0:0:root:/root:/bin/bash\npostgres:x:999:998::/var/lib/postgresql:/bin/bash\nbroken\n");
        assert_eq!((known.len(), known["postgres"].to_string().as_str()), (2, "999:998"));
    }
}
