//! Running Terraform in the private copy: what it is given, what it says meanwhile, and what became of it.

use super::variables::{FROM_ENVIRONMENT, Made, Variables};
use super::workspace::{Sources, Workspace};
use super::{Infra, state, trouble, workspace};
use anyhow::Result;
use base::error::Fault;
use base::proc::{CommandLine, Finished, Stream};
use remote_tools::terraform;
use remote_tools::terraform::platform;
use remote_tools::terraform::platform::Backend;
use remote_tools::terraform::said;
use remote_tools::terraform::said::{Complaint, Lock, Said};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Runs a line and hands on what it says.
pub(super) type Runner<'r> = &'r dyn Fn(&CommandLine, &(dyn Fn(Stream, &str) + Sync)) -> Result<Finished>;
/// Says what is being done.
pub(super) type Say<'s> = &'s (dyn Fn(String) + Sync);

/// How Terraform ended, with what it said.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) success: bool,
    /// Its exit code, as text: "exit status: 2".
    pub(super) status: String,
    pub(super) complaints: Vec<Complaint>,
    pub(super) stderr: String,
    pub(super) outputs: Option<Value>,
}

impl Infra {
    /// `terraform` in the private copy, signed in as `aws` is.
    pub(super) fn terraform(&self, secret: &BTreeMap<String, String>) -> CommandLine {
        let mut line = terraform::command(&workspace::folder(&self.deployment.home));
        line.env.extend(self.aws.command().env);
        // What is set for other configurations is not meant for this one, and no stamp would know of it.
        let unwanted =
            [FROM_ENVIRONMENT, "TF_CLI_ARGS_"].into_iter().flat_map(|prefix| self.vars.starting_with(prefix));
        let line = unwanted.fold(line, |line, (name, _)| line.env_remove(name));
        let line = self.aws.variables().into_iter().fold(line, |line, (name, value)| line.env(name, value));
        secret.iter().fold(line, |line, (name, value)| line.env(format!("{FROM_ENVIRONMENT}{name}"), value))
    }

    pub(super) fn backend(&self) -> Backend {
        Backend { bucket: self.bucket.name(), key: state::STATE, region: self.names.region.to_string() }
    }

    /// The private copy, up to date and with its providers.
    pub(super) fn workspace(&self, sources: Sources, has_state: bool, say: Say<'_>) -> Result<Workspace> {
        let tell = |text| say(text);
        let workspace = Workspace::open(&self.deployment.home, sources, has_state, &self.interrupts, &tell)?;
        let backend = has_state.then(|| self.backend());
        self.initialise(&workspace, backend.as_ref(), say)?;
        Ok(workspace)
    }

    /// What a run that was killed has left is put right: its lock, and the state that did not reach the bucket. Only for
    /// whoever holds the lease.
    pub(super) fn recover(&self, workspace: &Workspace, say: Say<'_>) -> Result<()> {
        self.give_back(workspace, say)?;
        self.bring_back(workspace, say)
    }

    /// A lock that was taken from here, since Terraform was started and has not come to its end, is nobody's any more.
    fn give_back(&self, workspace: &Workspace, say: Say<'_>) -> Result<()> {
        let Some(since) = workspace.taken_since()? else { return Ok(()) };
        let own = |lock: &Lock| {
            let created = humantime::parse_rfc3339_weak(&lock.created);
            lock.is_of_this_machine() && created.is_ok_and(|created| created >= since)
        };
        if let Some(lock) = self.lock_of_state()?.filter(own) {
            say(format!("terraform force-unlock: the last run from here was killed and could not release {}", lock.id));
            let line = platform::force_unlock(self.terraform(&BTreeMap::new()), &lock.id);
            let told = self.listen(&line, say)?;
            if !told.success {
                return Err(self.fault("release the state lock", &told).into());
            }
        }
        workspace.note_given_back()
    }

    fn initialise(&self, workspace: &Workspace, backend: Option<&Backend>, say: Say<'_>) -> Result<()> {
        let line = platform::init(self.terraform(&BTreeMap::new()), backend);
        let with = line.argv();
        if workspace.is_initialised(&with)? {
            return Ok(());
        }
        say("terraform init: gets its providers, opens the state".to_owned());
        let told = self.listen(&line, say)?;
        if !told.success {
            return Err(self.fault("get its providers and open the state", &told).into());
        }
        workspace.note_initialised(&with)
    }

    /// A state that could not be brought to the bucket is brought there now. Terraform refuses one that is older than what
    /// is there.
    fn bring_back(&self, workspace: &Workspace, say: Say<'_>) -> Result<()> {
        let Some(file) = workspace.stranded() else { return Ok(()) };
        say("terraform state push: uploads the state, which the last run could not".to_owned());
        let line = platform::state_push(self.terraform(&BTreeMap::new()), &file);
        let told = self.listen(&line, say)?;
        if !told.success {
            let fault = self.fault(&format!("bring `{}` to the bucket", file.display()), &told);
            let hint =
                "it is what the last run had made when it lost its connection; compare it with the state in the bucket";
            return Err(if fault.code == "terraform" { fault.hint(hint) } else { fault }.into());
        }
        // It is kept beside, until the next one.
        Ok(std::fs::rename(&file, file.with_extension("tfstate.pushed"))?)
    }

    /// Runs a line that takes the lock of the state, and notes whether it was given back.
    pub(super) fn holding(
        &self,
        workspace: &Workspace,
        line: &CommandLine,
        run: Runner<'_>,
        say: Say<'_>,
    ) -> Result<Told> {
        workspace.note_taken()?;
        let told = listen(run, line, say)?;
        let ended = told.status.starts_with("exit status");
        if ended && !told.complaints.iter().any(Complaint::is_of_release) {
            workspace.note_given_back()?;
        }
        self.judged(told)
    }

    /// Runs a line to its end. One that a signal has ended was interrupted.
    pub(super) fn listen(&self, line: &CommandLine, say: Say<'_>) -> Result<Told> {
        self.judged(listen(&|line, on_line| self.proc.try_follow(line, on_line), line, say)?)
    }

    /// Runs a line to its end, even when this program is killed.
    pub(super) fn to_its_end(
        &self,
        workspace: &Workspace,
        line: &CommandLine,
        on_line: &(dyn Fn(Stream, &str) + Sync),
    ) -> Result<Finished> {
        self.proc.try_follow_to_its_end(line, &workspace.folder, on_line)
    }

    fn judged(&self, told: Told) -> Result<Told> {
        match self.interrupts.first() {
            Some(signal) if !told.success && told.status != DIFFERENCES => Err(Fault::interrupted(signal).into()),
            _ => Ok(told),
        }
    }

    /// A short question, whose whole answer is needed.
    pub(super) fn read(&self, goal: &str, line: &CommandLine) -> Result<String> {
        let finished = self.proc.try_read(line)?;
        if finished.success {
            return Ok(finished.stdout);
        }
        if let Some(signal) = self.interrupts.first() {
            return Err(Fault::interrupted(signal).into());
        }
        Err(trouble::fault(goal, &[], &finished.stderr, &self.deployment.environment).into())
    }

    pub(super) fn fault(&self, goal: &str, told: &Told) -> Fault {
        // What Terraform advises where it could not give back the lock or save the state is what the next run does.
        let lasting = |complaint: &&Complaint| !complaint.is_of_stranded_state() && !complaint.is_of_release();
        let mut complaints: Vec<Complaint> = told.complaints.iter().filter(lasting).cloned().collect();
        if complaints.is_empty() {
            complaints.clone_from(&told.complaints);
        }
        trouble::fault(goal, &complaints, &told.stderr, &self.deployment.environment)
    }

    /// The variables at this moment, and what they are for.
    pub(super) fn variables(&self) -> Result<(Sources, Variables)> {
        let sources = Sources::read(&self.deployment.root)?;
        let sensitive = super::variables::sensitive(sources.texts());
        let variables = super::variables::read(&self.deployment, &self.names, &sensitive, &self.vars, &self.made()?)?;
        Ok((sources, variables))
    }

    /// What there is that a file may declare no longer, by this machine's note: whoever is about to plan has renewed it.
    fn made(&self) -> Result<Made> {
        let outputs = self.notes().read_here()?.and_then(|applied| applied.parsed().ok());
        Ok(outputs.map(|(_, outputs)| Made::of(&outputs)).unwrap_or_default())
    }
}

/// How a plan ends that has something to do (`-detailed-exitcode`).
pub(super) const DIFFERENCES: &str = "exit status: 2";

/// Runs a line and takes apart what it says.
pub(super) fn listen(run: Runner<'_>, line: &CommandLine, say: Say<'_>) -> Result<Told> {
    let heard = Mutex::new(Told::default());
    let finished = run(line, &|stream, text| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if stream == Stream::Err {
            heard.stderr.push_str(text);
            heard.stderr.push('\n');
            return;
        }
        match said::read(text) {
            Said::Progress(text) => say(text),
            Said::Error(complaint) => heard.complaints.push(complaint),
            Said::Outputs(outputs) => heard.outputs = Some(outputs),
            Said::Other => {}
        }
    })?;
    let heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Told { success: finished.success, status: finished.status, ..heard })
}
