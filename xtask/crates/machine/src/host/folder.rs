//! Services that run from a folder of the repository by a command of its own: what version of it that is, and how the
//! folder is prepared.

use super::build::INPUTS;
use crate::supervised::Supervised;
use crate::supervised::recipe::Folder;
use anyhow::{Context, Result};
use base::error::Fault;
use base::files;
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Preview, Work};
use keys::{Digest, Input, Kind, Manifest};
use model::name::ServiceName;
use model::system::HostRun;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// As many of a tool's last lines as its failure repeats.
const LAST_LINES: usize = 10;
/// Beside the programs that were installed: what folders were prepared for last.
const PREPARED: &str = "prepared";

/// A program by its name on PATH or by its path from a folder. That of a folder that is prepared may come with that.
pub(super) fn find(
    core: &Supervised,
    service: &ServiceName,
    run: &HostRun,
    program: &str,
    is_made: bool,
) -> Result<PathBuf, String> {
    let enable = run.enable.as_ref().map(|enable| format!("; to enable it: {enable}")).unwrap_or_default();
    if !program.contains('/') {
        let found = core.proc.find(program);
        return found.ok_or_else(|| format!("`{service}` needs `{program}`, which is not on PATH{enable}"));
    }
    let path = Path::new(&run.dir).join(program);
    match is_made || core.deployment.root.join(&path).is_file() {
        true => Ok(path),
        false => Err(format!("`{service}` needs `{}`, which is not there{enable}", path.display())),
    }
}

impl Folder {
    /// The folder as it is now.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub(super) fn now(core: &Supervised, path: PathBuf, run: &HostRun) -> Result<(Self, Manifest)> {
        // Where there is a `prepare`, it is that which reads only a part; the command runs from the whole folder.
        let reads = if run.prepare.is_empty() { run.reads.clone() } else { Vec::new() };
        let mut folder = Self { path, dir: run.dir.clone(), reads, prepare: run.prepare.clone(), key: String::new() };
        let manifest = folder.manifest(core)?;
        folder.key = manifest.key().to_string();
        Ok((folder, manifest))
    }

    /// What its key is made of.
    fn manifest(&self, core: &Supervised) -> Result<Manifest> {
        let mut manifest = keys::of_folder(&core.deployment.root, Path::new(&self.dir), &self.reads)?;
        if !self.prepare.is_empty() {
            manifest.add(Input::new(Kind::Argument, "prepare", self.prepare.join("\0")));
        }
        Ok(manifest)
    }

    /// Makes sure that what is about to start is what it is taken for, and keeps what that was.
    ///
    /// # Errors
    /// When the folder holds something else by now, or cannot be read.
    pub(super) fn check(&self, core: &Supervised, service: &ServiceName) -> Result<()> {
        let inputs = core.home().artifacts(service).join(&self.key).join(INPUTS);
        let now = self.manifest(core)?;
        if now.key().to_string() == self.key {
            return files::write_private(&inputs, now.to_text().as_bytes());
        }
        let then = std::fs::read_to_string(inputs).ok().and_then(|text| Manifest::from_text(&text).ok());
        let change = then.and_then(|then| keys::diff(&then, &now).first().map(ToString::to_string));
        let change = change.unwrap_or_else(|| "something in it changed".to_owned());
        let cause = format!("`{service}` runs from {}, which is not what it was: {change}", self.shown());
        let hint = "deploy again to run what is there now; for an earlier revision, put the folder back first";
        Err(Fault::failed("folder-changed", cause).hint(hint).into())
    }

    /// "`vote/`"
    fn shown(&self) -> String {
        if self.dir.is_empty() { "the repository".to_owned() } else { format!("`{}/`", self.dir) }
    }
}

/// Prepares a folder for the state that it is in, which must not change what the folder is to git.
pub(super) struct PrepareWork {
    pub(super) core: Arc<Supervised>,
    pub(super) service: ServiceName,
    pub(super) folder: Folder,
    pub(super) program: PathBuf,
    pub(super) reads: Vec<String>,
}

impl PrepareWork {
    fn command(&self) -> CommandLine {
        let root = &self.core.deployment.root;
        let args = self.folder.prepare.iter().skip(1);
        CommandLine::new(root.join(&self.program)).args(args).dir(root.join(&self.folder.dir))
    }

    /// What the command goes by.
    fn key(&self) -> Result<String> {
        let manifest = keys::of_folder(&self.core.deployment.root, Path::new(&self.folder.dir), &self.reads)?;
        Ok(manifest.key().full())
    }

    /// The file that has that key once all is prepared. Services that share a folder and a command share it.
    fn marker(&self) -> PathBuf {
        let command = [vec![self.folder.dir.clone()], self.folder.prepare.clone(), self.reads.clone()].concat();
        let name = Digest::of(command.join("\0")).to_string();
        self.core.home().tools().join(PREPARED).join(&name[..20])
    }

    fn is_prepared(&self) -> Result<bool> {
        Ok(std::fs::read_to_string(self.marker()).is_ok_and(|key| self.key().is_ok_and(|now| now == key)))
    }

    pub(super) fn preview(&self) -> Vec<Preview> {
        match self.is_prepared() {
            Ok(true) => vec![Preview::Do("nothing: what it reads is as it was".to_owned())],
            _ => vec![Preview::Run(self.command())],
        }
    }
}

impl Work for PrepareWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(self.is_prepared()?.then(|| "what it reads is as it was".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let tools = self.core.home().tools();
        self.core.enter_folder("tools", None, &tools)?;
        // What ends half way is no longer what it was for either.
        files::remove(&self.marker())?;
        let (key, before) = (self.key()?, self.folder.manifest(&self.core)?);
        let command = self.command();
        let finished = cx.try_run(&command, &|_, line| cx.status(line.trim()))?;
        if !finished.success {
            let said = [finished.stdout, finished.stderr].concat();
            let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            let last: Vec<String> = last.iter().map(|line| format!("\n    {}", base::redact::foreign(line))).collect();
            let (words, place, status) = (self.folder.prepare.join(" "), self.folder.shown(), finished.status);
            let cause = format!("`{words}`, which prepares {place} for `{}`, {status}{}", self.service, last.concat());
            return Err(Fault::failed("prepare-failed", cause).into());
        }
        if let Some(change) = keys::diff(&before, &self.folder.manifest(&self.core)?).first() {
            let words = self.folder.prepare.join(" ");
            let cause = format!("`{words}` left {} another one than it was to git: {change}", self.folder.shown());
            let hint =
                "have git ignore what it makes, or commit what it changes; a version is what git sees of its folder";
            return Err(Fault::failed("prepare-changes-folder", cause).hint(hint).into());
        }
        files::write_private(&self.marker(), key.as_bytes()).context("note what was prepared")?;
        Ok(Outcome::Done)
    }
}
