//! Puts a system's file where the model looks for it, with the pins and secrets that it refers to; all of it or nothing.

use crate::render::render;
use crate::sketch::{SecretContent, Sketch};
use anyhow::{Context, Result};
use base::error::Fault;
use base::files::{write_private, write_with_mode};
use model::IMAGES;
use model::secret::FOLDER;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const MODE: u32 = 0o644;

/// What is to be written: paths from the root, and what each is for people.
pub struct Files<'a> {
    root: &'a Path,
    sketch: &'a Sketch,
    /// The system's file, from the root.
    pub path: String,
    pub text: String,
    /// The lines that are new among the pins.
    pub pins: String,
}

impl<'a> Files<'a> {
    /// # Errors
    /// When the system has a file already, or nothing of it can be a service.
    pub fn new(root: &'a Path, sketch: &'a Sketch) -> Result<Self> {
        let path = path(sketch.name.as_str());
        if root.join(&path).exists() {
            return Err(taken(&path).into());
        }
        if sketch.services.is_empty() {
            let cause = format!("nothing of `{}` is a service here, so nothing is written", sketch.from);
            let told = sketch.notes.iter().map(|note| format!("\n  {note}")).collect::<String>();
            let hint = "its notes say why; a file by hand: README, Add anything else";
            return Err(Fault::failed("no-services", format!("{cause}{told}")).hint(hint).into());
        }
        let pins = sketch.images.iter().map(|(name, pin)| format!("{name} = \"{pin}\"\n")).collect();
        Ok(Self { root, sketch, path, text: render(sketch), pins })
    }

    /// The secrets that are copied to where git ignores them, from the root.
    pub fn secrets(&self) -> BTreeMap<String, &SecretContent> {
        let copies = self.sketch.copies.iter();
        copies.map(|copy| (format!("{FOLDER}/{}", copy.to), &copy.content)).collect()
    }

    /// Everything that is written or changed.
    pub fn paths(&self) -> Vec<String> {
        let pins = (!self.pins.is_empty()).then(|| IMAGES.to_owned());
        std::iter::once(self.path.clone()).chain(pins).chain(self.secrets().into_keys()).collect()
    }

    /// Writes it all. What the model does not read is taken back.
    ///
    /// # Errors
    /// When something cannot be written or read; nothing is written then.
    pub fn write(&self) -> Result<()> {
        let mut written = Written::default();
        let done = self.write_each(&mut written).and_then(|()| self.check());
        if done.is_err() {
            written.undo();
        }
        done
    }

    fn write_each(&self, written: &mut Written) -> Result<()> {
        for (path, content) in self.secrets() {
            let at = self.root.join(&path);
            // One that is there already is what somebody wanted it to be.
            if at.exists() {
                continue;
            }
            let content = match content {
                SecretContent::File(from) => fs::read(from).with_context(|| format!("read `{}`", from.display()))?,
                SecretContent::Text(text) => text.clone().into_bytes(),
            };
            parents(&at)?;
            write_private(&at, &content)?;
            written.new.push(at);
        }
        if !self.pins.is_empty() {
            let at = self.root.join(IMAGES);
            let before = if at.exists() {
                Some(fs::read_to_string(&at).with_context(|| format!("read `{IMAGES}`"))?)
            } else {
                None
            };
            let start = before.as_deref().unwrap_or_default();
            let end = if start.is_empty() || start.ends_with('\n') { "" } else { "\n" };
            write_with_mode(&at, format!("{start}{end}{}", self.pins).as_bytes(), MODE)?;
            match before {
                Some(before) => written.changed.push((at, before)),
                None => written.new.push(at),
            }
        }
        let at = self.root.join(&self.path);
        parents(&at)?;
        // Somebody may have made it meanwhile.
        fs::OpenOptions::new().write(true).create_new(true).open(&at).map_err(|_| taken(&self.path))?;
        written.new.push(at.clone());
        write_with_mode(&at, self.text.as_bytes(), MODE)
    }

    /// Whether the model reads it. What was wrong before is not its concern.
    fn check(&self) -> Result<()> {
        let read = model::load_readable(self.root);
        let Some(errors) = read.errors.filter(|_| read.unreadable.contains(&self.sketch.name)) else { return Ok(()) };
        let own: Vec<String> = errors
            .iter()
            .filter(|error| error.system().as_ref() == Some(&self.sketch.name))
            .map(ToString::to_string)
            .collect();
        let cause = format!(
            "what was made of `{}` is not a system's file, so it is not written:\n{}",
            self.sketch.from,
            own.join("\n")
        );
        Err(Fault::failed("not-loaded", cause).hint("`--dry-run` prints it; write it by hand from that").into())
    }
}

/// Where a system's file is, from the root.
pub fn path(name: &str) -> String {
    format!("deploy/systems/{name}.toml")
}

/// That there is one already.
pub fn taken(path: &str) -> Fault {
    Fault::usage(format!("`{path}` is there already, and is not written over")).hint("name another: `--name NAME`")
}

fn parents(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).with_context(|| format!("make `{}`", parent.display()))
}

#[derive(Default)]
struct Written {
    new: Vec<PathBuf>,
    changed: Vec<(PathBuf, String)>,
}

impl Written {
    fn undo(self) {
        for path in self.new {
            let _ = fs::remove_file(path);
        }
        for (path, before) in self.changed {
            let _ = write_with_mode(&path, before.as_bytes(), MODE);
        }
    }
}
