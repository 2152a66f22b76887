//! Starts one version of a service beside the one that runs, and lets it take over once it is ready. When it does not
//! become ready, the one that ran goes on, and the failure says the cause first.

use super::auto_rollback::{self, Changes, Switched};
use super::recipe::Recipe;
use super::records::newest_recipe;
use super::runtime::BuildErrors;
use super::succession::Succession;
use super::{Supervised, facts};
use anyhow::{Context, Result, anyhow};
use base::error::Fault;
use base::lasting;
use engine::plan::runner::StepCx;
use engine::plan::{Outcome, Work};
use engine::reconcile::UnitId;
use engine::release::{self, Restored};
use keys::Digest;
use model::name::{ServiceName, SystemName};
use model::system::{Piece, Reference, Template};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use supervisor::{Client, InstanceStatus, LaunchSpec, State};

/// How many of a service's last words a failure repeats.
const LOG_LINES: usize = 10;

pub(super) struct StartWork {
    pub(super) core: Arc<Supervised>,
    pub(super) recipe: Recipe,
    pub(super) system: SystemName,
    pub(super) errors: BuildErrors,
    /// Shared with the starts of the system's other services.
    pub(super) changes: Changes,
    /// What it takes the place of.
    pub(super) succession: Succession,
}

impl Work for StartWork {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let core = &self.core;
        let Some(spec) = core.runtime.launch_spec(core, &self.recipe, Secrets::Known)? else { return Ok(None) };
        let status = core.supervised_of(std::slice::from_ref(&self.recipe.service))?;
        let current = status.first().and_then(|status| status.current.as_ref());
        let same = current.filter(|current| current.release == spec.release && current.listen == spec.listen);
        let recorded = core.made_for(&self.recipe.service).as_ref() == Some(&self.system);
        if !recorded || !self.succession.is_done(core, &self.unit())? {
            return Ok(None);
        }
        Ok(same.filter(|current| current.state == State::Ready).map(|_| format!("{} runs", self.recipe.version())))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let all = || self.restore(&self.changes.failed(), cx);
        let outcome = release::or_restore(cx, || self.start(cx), |fault| fault, all)?;
        if self.changes.switched(&self.switched()) {
            return Ok(outcome);
        }
        let again = self.restore(&[self.switched()], cx)?;
        Ok(again.map_or(outcome, |again| Outcome::DoneWith(format!("{again}, since another part failed"))))
    }
}

impl StartWork {
    fn unit(&self) -> UnitId {
        UnitId::new(&self.system, &self.recipe.service)
    }

    fn switched(&self) -> Switched {
        Switched { recipe: self.recipe.clone(), succession: self.succession.clone() }
    }

    /// Takes what was switched back to the last proven revision.
    fn restore(&self, switched: &[Switched], cx: &StepCx<'_>) -> Result<Restored> {
        let units = auto_rollback::revert(&self.core, &self.system, switched, cx)?;
        let changed = |proven: &_| auto_rollback::differs(proven, switched);
        let revision = auto_rollback::restore(&self.core, &self.system, changed, cx)?;
        Ok(auto_rollback::restored(&units, revision))
    }

    fn start(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let service = &self.recipe.service;
        if let Some(error) = self.errors.lock().unwrap_or_else(PoisonError::into_inner).get(service) {
            return Err(Fault::failed("build-failed", format!("`{service}` does not compile:\n{error}")).into());
        }
        let unit = self.unit();
        let make = || {
            self.succession.begin(&self.core, &unit, cx)?;
            launch(&self.core, &self.recipe, &self.system, cx)
        };
        let listen = release::or_restore(
            cx,
            make,
            |fault| fault,
            || match self.succession.is_none() {
                true => Ok(None),
                false => Ok(auto_rollback::restored(&self.succession.revert(&self.core, &unit, cx)?, None)),
            },
        )?;
        self.succession.complete(&self.core, &unit)?;
        let opened = self.core.runtime.opened(&self.core, service, listen);
        let place = opened.map(|address| format!(" on {address}")).unwrap_or_default();
        Ok(Outcome::DoneWith(format!("{}{place}", self.recipe.version())))
    }
}

/// Whether a launch may make secrets that do not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    Make,
    /// Without them there is no launch to speak of.
    Known,
}

/// Takes a recipe to running, ready and serving; returns the address it listens on.
pub(super) fn launch(
    core: &Arc<Supervised>,
    recipe: &Recipe,
    system: &SystemName,
    cx: &StepCx<'_>,
) -> Result<SocketAddr> {
    let service = &recipe.service;
    let spec = core.runtime.launch_spec(core, recipe, Secrets::Make)?;
    let spec = spec.ok_or_else(|| anyhow!("`{service}` has no address yet"))?;
    if let Some(known) = core.service(service) {
        facts::keep(core.home(), system, known)?;
    }
    core.enter_planned()?;
    core.runtime.prepare(core, recipe, system)?;
    core.switch(&spec, cx).inspect_err(|_| put_back(core, recipe, system))?;
    Ok(spec.listen)
}

/// Has what serves on find its files as they were when it was proven. The failure is told, and not what comes of this.
pub(super) fn put_back(core: &Supervised, failed: &Recipe, system: &SystemName) {
    if let Ok(Some(proven)) = newest_recipe(core.home(), system, &failed.service)
        && proven.files != failed.files
    {
        let _ = core.runtime.prepare(core, &proven, system);
    }
}

impl Supervised {
    /// Starts what a specification says beside what runs, and lets it take over once it is ready.
    pub fn switch(&self, spec: &LaunchSpec, cx: &StepCx<'_>) -> Result<()> {
        let service = &spec.service;
        let log_start = std::fs::metadata(&spec.log).map_or(0, |log| log.len());
        let client = self.client()?;
        let before = client.service(service)?.and_then(|status| status.current);
        let instance = client.start(spec).with_context(|| format!("start `{service}`"))?;
        if let Err(error) = until_ready(&client, spec, instance, cx) {
            let seen = client.service(service).ok().flatten().and_then(|status| status.candidate);
            let fault = Fault::of(&error);
            let fault = match seen {
                Some(candidate) if fault.code == NOT_READY => {
                    let logs = self.deployment.environment.command(&format!("logs {service}"));
                    let seen = candidate.overdue.clone();
                    let elsewhere = seen.unwrap_or_else(|| self.runtime.elsewhere(spec, &candidate));
                    let fault = explain(spec, &candidate, &elsewhere, log_start, before.as_ref());
                    fault.hint(format!("`{logs}` has all it said"))
                }
                _ => fault,
            };
            let ended = client.discard(service, instance);
            return Err(with_trouble(fault, ended.err(), service).into());
        }
        client.promote(service, instance).with_context(|| format!("let the new `{service}` take over"))
    }
}

/// The cause of a failed start, and what kept it from being ended, should that be another matter.
fn with_trouble(fault: Fault, trouble: Option<anyhow::Error>, service: &ServiceName) -> Fault {
    match trouble.filter(|trouble| Fault::of(trouble).code != fault.code) {
        Some(trouble) => {
            let cause =
                format!("{}\n  and the failed start of `{service}` could not be ended: {trouble:#}", fault.cause);
            Fault { cause, ..fault }
        }
        None => fault,
    }
}

/// How long after its time a candidate is given: the supervisor, who sees more of it, is to judge it first.
const VERDICT: Duration = Duration::from_secs(3);

/// Stands for "look at the instance for the cause".
const NOT_READY: &str = "not-ready";

fn until_ready(client: &Client, spec: &LaunchSpec, instance: u64, cx: &StepCx<'_>) -> Result<()> {
    let not_ready = || Fault::failed(NOT_READY, format!("`{}` did not become ready", spec.service));
    let ask = || {
        let candidate = client.service(&spec.service)?.and_then(|status| status.candidate);
        let Some(candidate) = candidate.filter(|candidate| candidate.instance == instance) else {
            return Err(
                Fault::failed("start-superseded", format!("another start of `{}` took over", spec.service)).into()
            );
        };
        match candidate.state {
            State::Ready => Ok(Some(())),
            State::Failed => Err(not_ready().into()),
            _ => {
                cx.status(candidate.last_probe.unwrap_or_else(|| "starting".to_owned()));
                Ok(None)
            }
        }
    };
    cx.wait_for(spec.ready_within + VERDICT, ask, not_ready)
}

/// Why a candidate is not ready, the cause first: it ended, it listens elsewhere, or its probe was answered so.
fn explain(
    spec: &LaunchSpec,
    candidate: &InstanceStatus,
    elsewhere: &[u16],
    log_start: u64,
    before: Option<&InstanceStatus>,
) -> Fault {
    let service = &spec.service;
    let declared = spec.listen.port();
    // One that was given up was told to end, and did not end by itself.
    let ending = candidate.last_exit.filter(|_| candidate.overdue.is_none());
    let (code, cause) = if let Some(ending) = ending {
        ("service-crashed", format!("`{service}` {ending} before it was ready"))
    } else if !elsewhere.is_empty() {
        let ports = elsewhere.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        ("wrong-port", format!("`{service}` is declared on port {declared}, but listens on {ports}"))
    } else if let (None, None, Some(reason)) = (&candidate.overdue, &candidate.last_probe, &candidate.reason) {
        ("service-not-started", format!("`{service}` could not be started: {reason}"))
    } else {
        let why = candidate.last_probe.as_deref().or(candidate.reason.as_deref()).unwrap_or("no probe was answered");
        let seconds = spec.ready_within.as_secs_f64();
        ("service-not-ready", format!("`{service}` was not ready within {seconds} s; last answer: {why}"))
    };
    // What the supervisor knows beyond the exit: why the program could not be run at all.
    let known = |reason: &&str| ending.is_some_and(|ending| ending.to_string() != **reason);
    let reason = candidate.reason.as_deref().filter(known).map(|reason| format!(" ({reason})")).unwrap_or_default();
    let words = last_words(&spec.log, log_start);
    let words = if words.is_empty() { String::new() } else { format!("\n  its last words:\n{words}") };
    let old = match before {
        Some(_) => "\n  the version that ran before serves on",
        None => "",
    };
    Fault::failed(code, format!("{cause}{reason}{old}{words}"))
}

/// The last lines that were logged after `start`, indented.
fn last_words(log: &Path, start: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(log)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(1 << 20).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
    tail.iter().map(|line| format!("    {}", base::redact::foreign(line))).collect::<Vec<_>>().join("\n")
}

impl Supervised {
    /// What every service is given of this machine's environment, and the mark by which it is found again.
    pub fn surroundings(&self) -> BTreeMap<String, String> {
        let inherited = ["PATH", "HOME", "LANG", "TMPDIR", "TZ", "SSL_CERT_FILE"];
        let value = |name: &&str| Some(((*name).to_owned(), self.vars.get(name)?.to_owned()));
        let mut env: BTreeMap<_, _> = inherited.iter().filter_map(value).collect();
        env.insert("SLIPWAY_DEPLOYMENT".to_owned(), self.deployment.environment.deployment_id.to_string());
        env.insert(supervisor::MARK.to_owned(), self.home().dir().to_string_lossy().into_owned());
        env
    }

    /// A template with everything filled in; `None` while something is not known yet.
    pub(crate) fn render(&self, recipe: &Recipe, template: &Template, secrets: Secrets) -> Result<Option<String>> {
        // Where its files are goes with the version, and not with what the spec says now.
        let place = |piece: &Piece| match piece {
            Piece::Reference(Reference::File(name)) => Ok(Piece::Text(self.runtime.file(self, recipe, name)?)),
            piece => Ok(piece.clone()),
        };
        let template = Template(template.0.iter().map(place).collect::<Result<_>>()?);
        self.render_of(recipe, &recipe.service, &template, secrets)
    }

    fn render_of(
        &self,
        recipe: &Recipe,
        service: &ServiceName,
        template: &Template,
        secrets: Secrets,
    ) -> Result<Option<String>> {
        let filled = template.render(|reference| match self.resolve(recipe, service, reference, secrets) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(None),
            Err(error) => Err(Some(error)),
        });
        match filled {
            Ok(text) => Ok(Some(text)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    fn resolve(
        &self,
        recipe: &Recipe,
        service: &ServiceName,
        reference: &Reference,
        secrets: Secrets,
    ) -> Result<Option<String>> {
        match reference {
            Reference::Secret(name) => {
                let place = recipe.secret(service, name);
                match secrets {
                    Secrets::Make => self.secrets.get(&place, self.shape(service, name)).map(Some),
                    Secrets::Known => self.secrets.peek(&place),
                }
            }
            Reference::Provided { service: other, name } => {
                let provided = self.service(other).and_then(|other| other.provides.get(name));
                let template = provided.ok_or_else(|| anyhow!("`{other}` provides no `{name}`"))?;
                self.render_of(recipe, other, template, secrets)
            }
            _ => {
                let service = self.service(service);
                let service = service.ok_or_else(|| anyhow!("a revision names a service that is gone"))?;
                self.runtime.refer(self, service, reference)
            }
        }
    }

    /// A recipe's variables, arguments and files, filled in; `None` while something is not known yet.
    pub fn fill(&self, recipe: &Recipe, secrets: Secrets) -> Result<Option<Filled>> {
        let mut filled = Filled::default();
        for (name, template) in &recipe.env {
            let Some(value) = self.render(recipe, template, secrets)? else { return Ok(None) };
            filled.env.insert(name.clone(), value);
        }
        for template in &recipe.args {
            let Some(value) = self.render(recipe, template, secrets)? else { return Ok(None) };
            filled.args.push(value);
        }
        for (name, template) in recipe.files.iter().filter_map(|(name, asset)| Some((name, asset.text()?))) {
            let Some(value) = self.render(recipe, template, secrets)? else { return Ok(None) };
            filled.files.insert(name.clone(), value);
        }
        Ok(Some(filled))
    }
}

/// What a recipe comes to at this moment.
#[derive(Default)]
pub struct Filled {
    /// The service's own variables.
    pub env: BTreeMap<String, String>,
    pub args: Vec<String>,
    pub files: BTreeMap<String, String>,
}

impl Filled {
    /// Names what runs: equal releases are started alike to the last byte. What merely surrounds a service (PATH and
    /// the like) does not count, since it differs between the terminals of one user.
    pub fn release(&self, recipe: &Recipe) -> String {
        let [env, args, files] = [lasting::text(&self.env), lasting::text(&self.args), lasting::text(&self.files)];
        let text = format!("{}\n{env}\n{args}\n{files}", recipe.to_json());
        format!("{:.16}", Digest::of(text))
    }
}
