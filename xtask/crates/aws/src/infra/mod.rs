//! The AWS platform of one deployment: Terraform's private copy, its saved plans, and what it has made.
//!
//! Terraform runs in `.slipway/ENV/terraform`, so that `terraform/` stays as it is. The state is in a bucket of the
//! deployment's own ([`state`]), beside the lease, the ledger, and a note of what was applied last.

mod address;
mod applied;
pub mod certificate;
pub mod dns;
pub mod lease;
pub mod ledger;
mod locks;
pub mod names;
mod objects;
pub mod outputs;
pub mod priced_plan;
mod run;
pub mod state;
pub mod summary;
mod trouble;
mod variables;
mod workspace;

pub use outputs::Outputs;
pub use summary::Summary;

use self::applied::{Applied, Notes};
use self::names::Names;
use self::run::{DIFFERENCES, Say};
use self::state::Bucket;
use crate::Aws;
use anyhow::{Context, Result};
use base::ctx::{Ctx, Vars};
use base::error::Fault;
use base::files;
use base::proc::{Proc, Stream};
use base::signal::Interrupts;
use engine::deployment::Deployment;
use engine::plan::Preview;
use engine::plan::runner::StepCx;
use keys::Digest;
use remote_tools::terraform::platform;
use remote_tools::terraform::said::Complaint;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What Terraform is told and has told, for one deployment and one run.
pub struct Infra {
    pub deployment: Deployment,
    pub aws: Aws,
    pub names: Names,
    pub bucket: Arc<Bucket>,
    proc: Proc,
    interrupts: Interrupts,
    vars: Vars,
    /// From where the cluster's API is reached, once this run has asked.
    seen_from: Mutex<Option<String>>,
}

/// A plan that Terraform has written down, to be applied exactly so.
#[derive(Debug, Clone)]
pub struct Saved {
    pub file: PathBuf,
    pub summary: Summary,
    /// What `terraform show -json` says of it.
    pub document: Arc<Value>,
    /// Of what it was made: equal stamps are equal platforms.
    pub stamp: Digest,
    goal: Goal,
    /// Made against nothing, since there is no bucket with a state.
    stateless: bool,
    /// There is nothing to do, down to the outputs.
    idle: bool,
}

/// What Terraform is to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Platform,
    /// Its end.
    Nothing,
}

impl Saved {
    /// Whether there is nothing to do, down to the outputs.
    pub fn is_idle(&self) -> bool {
        self.idle
    }
}

impl Infra {
    /// # Errors
    /// When the environment is not one on AWS.
    pub fn new(ctx: &Ctx, deployment: &Deployment, names: Names) -> Result<Self> {
        let aws = Aws::new(ctx, &deployment.environment)?;
        let bucket = Arc::new(Bucket::new(aws.clone(), names.clone(), deployment));
        Ok(Self {
            deployment: deployment.clone(),
            aws,
            names,
            bucket,
            proc: ctx.proc.clone(),
            interrupts: ctx.interrupts.clone(),
            vars: ctx.vars.clone(),
            seen_from: Mutex::default(),
        })
    }

    /// What the platform is to be made from at this moment: `terraform/`, and its variables. It does not hang on who runs
    /// this, but for the address where `access_cidrs` is not set: from elsewhere the cluster is not reached.
    ///
    /// # Errors
    /// When a file cannot be read, or that address cannot be told.
    pub fn stamp(&self) -> Result<Digest> {
        let (sources, variables) = self.variables()?;
        Ok(stamp(sources.digest(), variables.digest(&self.cidrs(self.notes().read_here()?.as_ref())?)))
    }

    /// What was applied last, by whomever: its stamp and outputs. `None`: nothing yet, or not all that is wanted. While it
    /// is being changed, and after a change that did not come to its end, the stamp is that of nothing and the outputs are
    /// those of before.
    /// `fresh` asks the bucket; otherwise what this machine has noted will do.
    ///
    /// # Errors
    /// When AWS refuses or does not answer.
    pub fn applied(&self, fresh: bool) -> Result<Option<(Digest, Outputs)>> {
        Ok(self.notes().read(fresh)?.and_then(|applied| applied.parsed().ok()))
    }

    /// What was applied last, as the bucket says, and this machine's note of it renewed. Where both tell of something,
    /// `accept` compares the note's outputs with the bucket's first.
    ///
    /// # Errors
    /// Those of `accept`, and when AWS refuses or does not answer.
    pub fn renew_note(
        &self,
        accept: &dyn Fn(&Outputs, &Outputs) -> Result<(), Fault>,
    ) -> Result<Option<(Digest, Outputs)>> {
        let accept = |here: &Applied, there: &Applied| match (here.parsed(), there.parsed()) {
            (Ok((_, here)), Ok((_, there))) => Ok(accept(&here, &there)?),
            _ => Ok(()),
        };
        // What an end that was cut short, or another version of `terraform/`, has left out must not be in the way of
        // whoever is about to mend or remove it.
        Ok(self.notes().renew(&accept)?.and_then(|applied| applied.parsed().ok()))
    }

    /// Plans and writes the plan down. Nothing is changed on AWS but the lock of the state. Without a state bucket it is
    /// planned against nothing, and the plan cannot be applied.
    ///
    /// # Errors
    /// In Terraform's own words, the first one first.
    pub fn plan(&self, goal: Goal, say: Say<'_>) -> Result<Saved> {
        self.planned(goal, true, say)
    }

    /// The same only to be looked at: without the lock, so that it takes no right to write and is in nobody's way.
    ///
    /// # Errors
    /// Those of [`Infra::plan`].
    pub fn look(&self, goal: Goal, say: Say<'_>) -> Result<Saved> {
        self.planned(goal, false, say)
    }

    fn planned(&self, goal: Goal, lock: bool, say: Say<'_>) -> Result<Saved> {
        let has_state = self.bucket.is_there()?;
        let applied = if has_state { self.notes().read(true)? } else { None };
        let (sources, variables) = self.variables()?;
        let cidrs = match goal {
            Goal::Platform => self.cidrs(applied.as_ref())?,
            // It is not about to be reached from anywhere any more.
            Goal::Nothing => self.set_cidrs().unwrap_or_else(|| vec!["192.0.2.1/32".to_owned()]),
        };
        let stamp = stamp(sources.digest(), variables.digest(&cidrs));
        let workspace = self.workspace(sources, has_state, say)?;
        let lock = lock && has_state;
        if lock {
            self.recover(&workspace, say)?;
        }
        // Whoever was first is the owner, so that nothing changes with who comes next.
        let owner = applied.map_or_else(|| variables::tag(&self.vars.who()), |applied| applied.owner);
        workspace.write_variables(&variables, &owner, &cidrs)?;
        let file = workspace.plan_file()?;
        let terraform = || self.terraform(&variables.secret);
        let wanted = platform::Plan { file: &file, variables: &variables.set, destroy: goal == Goal::Nothing, lock };
        let line = platform::plan(terraform(), wanted);
        let told = match lock {
            true => {
                self.holding(&workspace, &line, &|line, on_line| self.to_its_end(&workspace, line, on_line), say)?
            }
            false => self.listen(&line, say)?,
        };
        if !told.success && told.status != DIFFERENCES {
            files::remove(&file)?;
            return Err(self.fault("plan the platform", &told).into());
        }
        let text = self.read("show its plan", &platform::show(terraform(), &file))?;
        let document: Value = serde_json::from_str(&text).context("read what `terraform show -json` printed")?;
        let summary = Summary::of(&document);
        let idle = told.status != DIFFERENCES;
        Ok(Saved { file, summary, document: Arc::new(document), stamp, goal, stateless: !has_state, idle })
    }

    /// Removes a plan that is not applied: it may hold secrets.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn discard(&self, saved: &Saved) -> Result<()> {
        files::remove(&saved.file)
    }

    /// Applies exactly this plan, and notes what came of it.
    ///
    /// # Errors
    /// In Terraform's own words. What was made until then is in the state, and the next run goes on from there.
    pub fn apply(&self, saved: &Saved, cx: &StepCx<'_>) -> Result<Outputs> {
        if saved.stateless {
            let cause = "this plan was made before there was a bucket for the state";
            return Err(Fault::failed("plan-stale", cause).hint("run the same command again").into());
        }
        let notes = self.notes();
        let before = notes.read(true)?;
        let owner = self.owner_of(saved, before.as_ref());
        let planned = &saved.document["variables"]["public_access_cidrs"]["value"];
        let cidrs = if self.set_cidrs().is_none() { applied::texts(planned) } else { Vec::new() };
        // Without what was there before, there is nothing to be told of half a platform. Who has been let in by half of it
        // is not to be shut out by the next run.
        let unfinished = before.map(|before| {
            let (stamp, cidrs) = (applied::unfinished(saved.stamp), cidrs.clone());
            Applied { stamp, cidrs, ..before }
        });
        let version = unfinished.map(|unfinished| notes.write(&unfinished, None)).transpose()?;
        let outputs = if saved.idle { self.outputs()? } else { self.carry_out(saved, cx)? };
        files::remove(&saved.file)?;
        let outputs = Applied { stamp: saved.stamp, owner, cidrs, outputs };
        notes.write(&outputs, version)?;
        Outputs::parse(&outputs.outputs)
    }

    /// Applies a plan for [`Goal::Nothing`], after which nothing is noted any more.
    ///
    /// # Errors
    /// Those of [`Infra::apply`].
    pub fn destroy(&self, saved: &Saved, cx: &StepCx<'_>) -> Result<()> {
        let notes = self.notes();
        if let Some(before) = notes.read(true)? {
            notes.write(&Applied { stamp: applied::unfinished(saved.stamp), ..before }, None)?;
        }
        if !saved.idle {
            self.carry_out(saved, cx)?;
        }
        files::remove(&saved.file)?;
        notes.remove()
    }

    fn carry_out(&self, saved: &Saved, cx: &StepCx<'_>) -> Result<Value> {
        let (sources, variables) = self.variables()?;
        let say = |text: String| cx.status(text);
        let workspace = self.workspace(sources, true, &say)?;
        let line = platform::apply(self.terraform(&variables.secret), &saved.file);
        let run = |line: &_, on_line: &(dyn Fn(Stream, &str) + Sync)| {
            cx.commanded(line);
            self.to_its_end(&workspace, line, on_line)
        };
        let told = self.holding(&workspace, &line, &run, &say)?;
        let only_release = told.outputs.is_some() && told.complaints.iter().all(Complaint::is_of_release);
        if only_release && !told.success {
            cx.news("everything was done, but the state lock could not be released: someone removed it");
        } else if !told.success {
            let title = if saved.goal == Goal::Nothing { "destroy the platform" } else { "make the platform" };
            let fault = self.fault(title, &told);
            let hint = "what was done until then is in the state; fix the cause, then run the same command again";
            return Err(if fault.code == "terraform" { fault.hint(hint) } else { fault }.into());
        }
        // Those that are secrets it does not say by itself.
        let is_whole =
            |outputs: &Value| outputs.as_object().is_some_and(|all| all.values().all(|one| one.get("value").is_some()));
        match told.outputs.filter(is_whole) {
            Some(outputs) => Ok(outputs),
            None => self.outputs(),
        }
    }

    /// The lines that a deploy would run, as `--dry-run` shows them.
    pub fn preview(&self, goal: Goal) -> Vec<Preview> {
        let terraform = || self.terraform(&BTreeMap::new());
        let file = workspace::plan_file(&workspace::folder(&self.deployment.home));
        let variables = self.variables().map(|(_, variables)| variables.set).unwrap_or_default();
        let wanted = platform::Plan { file: &file, variables: &variables, destroy: goal == Goal::Nothing, lock: true };
        let lines = [
            platform::init(terraform(), Some(&self.backend())),
            platform::plan(terraform(), wanted),
            platform::apply(terraform(), &file),
        ];
        lines.into_iter().map(Preview::Run).collect()
    }

    /// The addresses of what the state has; nothing where there is no state.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn resources(&self) -> Result<Vec<String>> {
        if !self.bucket.is_there()? {
            return Ok(Vec::new());
        }
        let (sources, _) = self.variables()?;
        let workspace = self.workspace(sources, true, &|_| {})?;
        let mut resources = self.listed(None)?;
        // What the last run made may not have reached the bucket yet.
        if let Some(stranded) = workspace.stranded() {
            resources.extend(self.listed(Some(&stranded))?);
        }
        Ok(resources.into_iter().collect())
    }

    fn listed(&self, file: Option<&Path>) -> Result<BTreeSet<String>> {
        let finished = self.proc.try_read(&platform::state_list(self.terraform(&BTreeMap::new()), file))?;
        if !finished.success && finished.stderr.contains("No state file was found") {
            return Ok(BTreeSet::new());
        }
        if !finished.success {
            let environment = &self.deployment.environment;
            return Err(trouble::fault("list the state", &[], &finished.stderr, environment).into());
        }
        Ok(finished.stdout.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect())
    }

    /// What the state has as outputs: `{"NAME": {"value": …, "sensitive": …}}`. Nothing where there is no state.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn output(&self) -> Result<Value> {
        if !self.bucket.is_there()? {
            return Ok(Value::Object(Map::new()));
        }
        let (sources, _) = self.variables()?;
        let _workspace = self.workspace(sources, true, &|_| {})?;
        self.outputs()
    }

    /// Those in the state that is open.
    fn outputs(&self) -> Result<Value> {
        let text = self.read("read its outputs", &platform::output(self.terraform(&BTreeMap::new())))?;
        serde_json::from_str(&text).context("read what `terraform output -json` printed")
    }

    fn notes(&self) -> Notes<'_> {
        Notes { bucket: &self.bucket, home: &self.deployment.home }
    }

    /// Whose tag the plan was made with.
    fn owner_of(&self, saved: &Saved, before: Option<&Applied>) -> String {
        let planned = saved.document["variables"]["owner"]["value"].as_str().map(str::to_owned);
        before.map(|before| before.owner.clone()).or(planned).unwrap_or_else(|| variables::tag(&self.vars.who()))
    }

    fn set_cidrs(&self) -> Option<Vec<String>> {
        let set = self.deployment.environment.aws.as_ref().map(|aws| &aws.access_cidrs)?;
        if set.is_empty() { None } else { Some(set.iter().map(ToString::to_string).collect()) }
    }

    /// From where the cluster's API is reached. Where nobody says so, those who have applied keep their way to it.
    fn cidrs(&self, applied: Option<&Applied>) -> Result<Vec<String>> {
        if let Some(set) = self.set_cidrs() {
            return Ok(set);
        }
        let mut seen = self.seen_from.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match &*seen {
            Some(own) => own.clone(),
            None => seen.insert(address::own(&self.proc, &self.deployment.environment)?).clone(),
        };
        Ok(applied::with_own(applied.map(|applied| applied.cidrs.clone()).unwrap_or_default(), own))
    }
}

/// Names what a platform is made from.
fn stamp(sources: Digest, variables: Digest) -> Digest {
    Digest::of(format!("{sources} {variables}"))
}
