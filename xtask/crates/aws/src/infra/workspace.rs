//! The private copy of `terraform/`, in which Terraform runs.
//!
//! It holds what the repository has, the variables, the providers, and for as long as it is needed the saved plan; only
//! its owner may read it. Of those who use it on this machine there is one at a time.

use super::variables::Variables;
use anyhow::{Context, Result};
use base::error::Fault;
use base::files;
use base::files::{read_json, write_json, write_private};
use base::signal::Interrupts;
use engine::home::Home;
use keys::Digest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The folder of the repository.
pub(super) const SOURCES: &str = "terraform";
/// The lock file of the providers. Terraform writes one where the repository has none.
pub(super) const PROVIDERS: &str = ".terraform.lock.hcl";
/// What is not copied: the tests, and what Terraform leaves where it runs.
const LEFT_OUT: [&str; 2] = ["tests", "terraform.tfvars.json"];
const STATE: &str = ".tfstate";
/// What this module notes of the copy.
const NOTE: &str = ".copy.json";
const BUSY: &str = ".busy";
/// Where Terraform leaves the state that it could not bring to the bucket.
const STRANDED: &str = "errored.tfstate";
/// Without a bucket there is nothing yet, so that a plan is made against nothing. Its state would be a file, and is never
/// written, since such a plan is not applied.
const WITHOUT_STATE: (&str, &str) = ("backend_override.tf", "terraform {\n  backend \"local\" {}\n}\n");

/// How often it is seen whether somebody else is done.
const POLL: Duration = Duration::from_millis(100);

/// What `terraform/` holds, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources(BTreeMap<PathBuf, Vec<u8>>);

impl Sources {
    /// # Errors
    /// When something cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut sources = Self::default();
        sources.gather(&root.join(SOURCES), Path::new(""))?;
        Ok(sources)
    }

    fn gather(&mut self, folder: &Path, below: &Path) -> Result<()> {
        let context = || format!("read `{}`", folder.display());
        for entry in std::fs::read_dir(folder).with_context(context)? {
            let entry = entry.with_context(context)?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let hidden = text.starts_with('.') && text != PROVIDERS;
            if hidden || LEFT_OUT.contains(&text.as_ref()) || text.contains(STATE) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                self.gather(&path, &below.join(&name))?;
            } else {
                let content = std::fs::read(&path).with_context(|| format!("read `{}`", path.display()))?;
                self.0.insert(below.join(&name), content);
            }
        }
        Ok(())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, &Vec<u8>)> {
        self.0.iter()
    }

    /// What is written in Terraform's language.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let files = self.0.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "tf"));
        files.filter_map(|(_, content)| std::str::from_utf8(content).ok())
    }

    pub(super) fn digest(&self) -> Digest {
        let all: BTreeMap<String, String> = self
            .0
            .iter()
            .map(|(path, content)| (path.display().to_string(), Digest::of(content).to_string()))
            .collect();
        Digest::of(json!(all).to_string())
    }

    fn without_state(mut self) -> Self {
        let (name, content) = WITHOUT_STATE;
        self.0.insert(name.into(), content.into());
        self
    }
}

/// The copy, for as long as this run has it to itself.
pub(super) struct Workspace {
    pub(super) folder: PathBuf,
    sources: Digest,
    // Closing the file gives it back.
    _busy: File,
}

pub(super) fn folder(home: &Home) -> PathBuf {
    home.dir().join("terraform")
}

impl Workspace {
    /// Brings the copy up to date, once nobody else on this machine uses it.
    ///
    /// # Errors
    /// When it cannot be written, or the wait is interrupted.
    pub(super) fn open(
        home: &Home,
        sources: Sources,
        has_state: bool,
        interrupts: &Interrupts,
        say: &dyn Fn(String),
    ) -> Result<Self> {
        let folder = folder(home);
        let attempt = || {
            std::fs::create_dir_all(&folder)?;
            // What a plan holds is for nobody else.
            std::fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
            File::options().create(true).truncate(false).write(true).open(folder.join(BUSY))
        };
        let busy = attempt().with_context(|| format!("open `{}`", folder.display()))?;
        wait_for(&busy, interrupts, say)?;
        let sources = if has_state { sources } else { sources.without_state() };
        let digest = sources.digest();
        refresh(&folder, &sources)?;
        Ok(Self { folder, sources: digest, _busy: busy })
    }

    pub(super) fn write_variables(&self, variables: &Variables, owner: &str, cidrs: &[String]) -> Result<()> {
        write_json(&self.folder.join("terraform.tfvars.json"), &variables.file(owner, cidrs))
    }

    /// Where the plan is saved: a file that is private before Terraform writes it.
    pub(super) fn plan_file(&self) -> Result<PathBuf> {
        let file = plan_file(&self.folder);
        write_private(&file, b"")?;
        Ok(file)
    }

    /// Whether the providers are there and the state is open, for what is there now.
    pub(super) fn is_initialised(&self, with: &[String]) -> Result<bool> {
        let noted = note(&self.folder)?;
        Ok(noted["initialised"] == json!(self.initialisation(with)) && self.folder.join(".terraform").is_dir())
    }

    pub(super) fn note_initialised(&self, with: &[String]) -> Result<()> {
        let mut noted = note(&self.folder)?;
        noted["initialised"] = json!(self.initialisation(with));
        write_json(&self.folder.join(NOTE), &noted)
    }

    fn initialisation(&self, with: &[String]) -> String {
        Digest::of(json!({"sources": self.sources.to_string(), "with": with}).to_string()).to_string()
    }

    /// Notes that Terraform takes the lock of the state from here, until it has given it back.
    pub(super) fn note_taken(&self) -> Result<()> {
        self.note_since(json!(humantime::format_rfc3339(SystemTime::now()).to_string()))
    }

    pub(super) fn note_given_back(&self) -> Result<()> {
        self.note_since(Value::Null)
    }

    fn note_since(&self, since: Value) -> Result<()> {
        let mut noted = note(&self.folder)?;
        noted["locked_since"] = since;
        write_json(&self.folder.join(NOTE), &noted)
    }

    /// Since when Terraform has had the lock, for one that has not given it back: it was killed, or its credentials had
    /// run out by then. Whoever has the copy to himself knows that it does not run any more.
    pub(super) fn taken_since(&self) -> Result<Option<SystemTime>> {
        let noted = note(&self.folder)?;
        Ok(noted["locked_since"].as_str().and_then(|text| humantime::parse_rfc3339_weak(text).ok()))
    }

    /// The state that Terraform could not bring to the bucket, with the credentials gone or the network down.
    pub(super) fn stranded(&self) -> Option<PathBuf> {
        Some(self.folder.join(STRANDED)).filter(|file| file.is_file())
    }
}

pub(super) fn plan_file(folder: &Path) -> PathBuf {
    folder.join("saved.tfplan")
}

fn wait_for(busy: &File, interrupts: &Interrupts, say: &dyn Fn(String)) -> Result<()> {
    let mut told = false;
    loop {
        match busy.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context("lock the private copy of `terraform/`"),
        }
        if !told {
            say("another run on this machine uses Terraform for this environment; waiting for it".to_owned());
            told = true;
        }
        if interrupts.pause(POLL)
            && let Some(signal) = interrupts.first()
        {
            return Err(Fault::interrupted(signal).into());
        }
    }
}

fn note(folder: &Path) -> Result<Value> {
    Ok(read_json(&folder.join(NOTE))?.unwrap_or_else(|| json!({})))
}

/// Writes what differs and removes what the repository has no more. What Terraform has made stays.
fn refresh(folder: &Path, sources: &Sources) -> Result<()> {
    let mut noted = note(folder)?;
    let before: BTreeSet<PathBuf> = noted["files"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(|file| Some(PathBuf::from(file.as_str()?)))
        .collect();
    let now: BTreeSet<PathBuf> = sources.0.keys().cloned().collect();
    // Noted before they are written, so that none is left behind by a run that was killed.
    if before != now {
        let all: Vec<String> = before.union(&now).map(|path| path.display().to_string()).collect();
        noted["files"] = json!(all);
        write_json(&folder.join(NOTE), &noted)?;
    }
    for (path, content) in &sources.0 {
        let file = folder.join(path);
        if std::fs::read(&file).is_ok_and(|there| there == *content) {
            continue;
        }
        write_private(&file, content)?;
    }
    if before != now {
        before.difference(&now).try_for_each(|gone| files::remove(&folder.join(gone)))?;
        let all: Vec<String> = now.iter().map(|path| path.display().to_string()).collect();
        noted["files"] = json!(all);
        write_json(&folder.join(NOTE), &noted)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn repository(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        files::remove(&root).unwrap();
        write(&root, "terraform/a.tf", "a");
        write(&root, "terraform/modules/b/b.tf", "b");
        write(&root, "terraform/tests/c.tftest.hcl", "c");
        write(&root, "terraform/.terraform/d", "d");
        write(&root, "terraform/terraform.tfstate.backup", "e");
        root
    }

    fn open(root: &Path, home: &Home, has_state: bool) -> Workspace {
        Workspace::open(home, Sources::read(root).unwrap(), has_state, &Interrupts::default(), &|_| {}).unwrap()
    }

    #[test]
    fn the_copy_follows_the_sources_and_keeps_what_terraform_made() {
        let root = repository("terraform-copy");
        let home = Home::new(&root, &"aws".parse().unwrap());
        let folder = folder(&home);
        let one = open(&root, &home, true);
        one.note_initialised(&[]).unwrap();
        write(&folder, ".terraform.lock.hcl", "made by init");
        write(&folder, ".terraform/providers", "");
        assert!(one.is_initialised(&[]).unwrap() && !one.is_initialised(&["bucket".to_owned()]).unwrap());
        drop(one);
        let there = |path: &str| folder.join(path).exists();
        assert!(there("a.tf") && there("modules/b/b.tf"));
        assert!(!there("tests") && !there("terraform.tfstate.backup") && !there(".terraform/d"));
        files::remove(&root.join("terraform/modules")).unwrap();
        write(&root, "terraform/a.tf", "changed");
        let two = open(&root, &home, false);
        assert!(!two.is_initialised(&[]).unwrap());
        assert!(!there("modules/b/b.tf") && there(".terraform.lock.hcl") && there(WITHOUT_STATE.0));
        assert_eq!(std::fs::read_to_string(folder.join("a.tf")).unwrap(), "changed");
        drop(two);
        drop(open(&root, &home, true));
        assert!(!there(WITHOUT_STATE.0));
        files::remove(&root).unwrap();
    }

    #[test]
    fn one_at_a_time_and_for_its_owner_alone() {
        let root = repository("terraform-busy");
        let home = Home::new(&root, &"aws".parse().unwrap());
        let one = open(&root, &home, true);
        let interrupts = Interrupts::default();
        interrupts.stop();
        let sources = Sources::read(&root).unwrap();
        let refused = Workspace::open(&home, sources, true, &interrupts, &|_| {}).err().unwrap();
        assert_eq!(Fault::of(&refused).code, "interrupted");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&one.folder), mode(&one.plan_file().unwrap())), (0o700, 0o600));
        files::remove(&root).unwrap();
    }
}
