//! The steps that make a cluster on this machine and remove it again.

use super::addons;
use super::made::{self, Made};
use anyhow::Result;
use base::error::Fault;
use base::proc::CommandLine;
use engine::home::Home;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use kubernetes::local_settings;
use model::environment::Environment;
use model::image::ImagePins;
use remote_tools::local_cluster::Maker;
use remote_tools::{kubectl, minikube};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const CREATE: &str = "cluster:create";
/// How long a cluster may take to say that it is ready.
const WITHIN: Duration = Duration::from_secs(5);

/// What all steps share.
pub(super) struct Site {
    pub(super) root: PathBuf,
    pub(super) home: Home,
    pub(super) environment: Environment,
    pub(super) images: ImagePins,
    pub(super) made: Made,
}

impl Site {
    fn file(&self) -> PathBuf {
        local_settings::file(&self.root, self.environment.name.as_str())
    }

    fn kubectl(&self) -> CommandLine {
        kubectl::named(&self.made.context())
    }

    fn answers(&self, cx: &StepCx<'_>) -> Result<bool> {
        let ready = self.kubectl().args(["get", "--raw", "/readyz"]);
        Ok(cx.proc.ask(&ready, WITHIN)?.is_some_and(|finished| finished.success))
    }

    fn pin(&self, name: &str) -> Result<String, Fault> {
        let cause = || format!("`deploy/images.toml` has no image `{name}`, which a cluster on this machine needs");
        self.images.get(name).map(ToString::to_string).ok_or_else(|| Fault::could_not_run("no-image", cause()))
    }
}

fn step(
    id: &'static str,
    needs: &[&'static str],
    title: String,
    preview: Vec<Preview>,
    work: impl Work + 'static,
) -> Step {
    let named = |name: &'static str| StepId::new(Action::new(name));
    let needs = needs.iter().copied().map(named).collect();
    Step { id: named(id), title, system: None, needs, holds: Holds::Nothing, preview, work: Box::new(work) }
}

/// The steps to a cluster that the environment is led to.
///
/// # Errors
/// When what it takes is not pinned.
pub(super) fn up(site: &Arc<Site>) -> Result<Vec<Step>, Fault> {
    let made = &site.made;
    let create = vec![Preview::Run(made.create())];
    let title = format!("make the {} cluster `{}`", made.maker, made.name);
    let mut steps = vec![step(CREATE, &[], title, create, Create(Arc::clone(site)))];
    let apply = |id: &'static str, what: &str, place, manifest| {
        let work = Apply { site: Arc::clone(site), place, manifest };
        let preview = work.lines().into_iter().map(Preview::Run).collect();
        step(id, &[CREATE], format!("install {what}"), preview, work)
    };
    if made.maker != Maker::K3d {
        let manifest = addons::traefik(&site.pin("edge")?);
        steps.push(apply("cluster:ingress", "the ingress controller Traefik", addons::TRAEFIK, manifest));
    }
    match made.maker {
        Maker::Kind => {
            let manifest = addons::metrics(&site.pin("metrics-server")?);
            steps.push(apply("cluster:metrics", "metrics-server", addons::METRICS, manifest));
        }
        Maker::Minikube => {
            let line = minikube::metrics(&made.name);
            let preview = vec![Preview::Run(line.clone())];
            steps.push(step("cluster:metrics", &[CREATE], "install metrics-server".to_owned(), preview, Run(line)));
        }
        Maker::K3d => {}
    }
    let file = format!("deploy/environments/{}.local.toml", site.environment.name);
    let lines: Vec<String> = made.settings().iter().map(|(key, value)| format!("{key} = \"{value}\"")).collect();
    let preview = vec![Preview::Do(format!("{} in `{file}`", lines.join(", ")))];
    let title = format!("point environment `{}` to it", site.environment.name);
    steps.push(step("cluster:settings", &[CREATE], title, preview, Settings(Arc::clone(site))));
    Ok(steps)
}

/// The steps to no cluster.
pub(super) fn down(site: &Arc<Site>) -> Vec<Step> {
    let made = &site.made;
    let delete = vec![Preview::Run(made.delete())];
    let title = format!("remove the {} cluster `{}`", made.maker, made.name);
    vec![step("cluster:delete", &[], title, delete, Delete(Arc::clone(site)))]
}

struct Create(Arc<Site>);

impl Work for Create {
    fn is_done(&self, cx: &StepCx<'_>) -> Result<Option<String>> {
        let (site, made) = (&self.0, &self.0.made);
        let exists = made.exists(cx.proc)?;
        if exists && made::noted(&site.root, &site.environment)?.is_none() {
            let cause = format!("there is a {} cluster `{}` already, and it was not made here", made.maker, made.name);
            let hint = format!(
                "to deploy to it: `context = \"{}\"` in `deploy/environments/{}.local.toml`; it is never removed from here",
                made.context(),
                site.environment.name
            );
            return Err(Fault::could_not_run("cluster-not-ours", cause).hint(hint).into());
        }
        let is_so = exists && made.whole && site.answers(cx)?;
        Ok(is_so.then(|| format!("`{}` is there", made.name)))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (site, made) = (&self.0, &self.0.made);
        let exists = made.exists(cx.proc)?;
        if exists && made.whole {
            cx.run(&made.start())?;
            cx.wait_for(
                Duration::from_secs(120),
                || Ok(site.answers(cx)?.then_some(())),
                || {
                    Fault::failed("cluster-unreachable", format!("`{}` was started but does not answer", made.name))
                        .hint(format!(
                            "remove it and create it again: `{}`, then `{}`",
                            site.environment.command("cluster down"),
                            site.environment.command("cluster up")
                        ))
                },
            )?;
            return Ok(Outcome::DoneWith("started".to_owned()));
        }
        if exists {
            cx.news(format!("`{}` was only created in part: creating it again", made.name));
            cx.run(&made.delete())?;
        }
        let before = context_before(cx, made)?;
        let noted = Made { context_before: Some(before.clone()), whole: false, ..made.clone() };
        made::write_note(&site.root, &site.environment, &noted)?;
        let finished = cx.try_run(&made.create(), &|_, line| cx.status(line.trim()));
        restore_context(cx, &before);
        let finished = finished?;
        if !finished.success {
            let words = finished.stderr.trim().to_owned();
            let cause = format!("{} did not make the cluster ({}):\n{words}", made.maker, finished.status);
            return Err(Fault::failed("cluster-not-made", cause).into());
        }
        made::write_note(&site.root, &site.environment, &Made { whole: true, context_before: None, ..made.clone() })?;
        Ok(Outcome::DoneWith(format!("its context is `{}`", made.context())))
    }
}

/// The current context before the cluster is made or removed; where a run was killed while it made the cluster, before that.
fn context_before(cx: &StepCx<'_>, made: &Made) -> Result<String> {
    match &made.context_before {
        Some(before) => Ok(before.clone()),
        None => Ok(cx.proc.try_read(&kubectl::current())?.stdout.trim().to_owned()),
    }
}

/// What else runs on this machine may rely on the current context; kind would change it.
fn restore_context(cx: &StepCx<'_>, before: &str) {
    let now = cx.proc.try_read(&kubectl::current()).map(|finished| finished.stdout).unwrap_or_default();
    if now.trim() != before {
        let _ = cx.proc.try_read(&kubectl::use_context(before));
    }
}

/// Objects that are applied, and the workload among them that has to be ready then.
struct Apply {
    site: Arc<Site>,
    place: (&'static str, &'static str),
    manifest: Value,
}

impl Apply {
    fn lines(&self) -> [CommandLine; 2] {
        let (namespace, name) = self.place;
        let manifest = self.manifest.to_string();
        let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager", kube::MANAGER];
        [
            self.site.kubectl().args(apply).args(["--filename", "-"]).stdin(manifest),
            self.site
                .kubectl()
                .args(["rollout", "status", "--namespace", namespace, "--timeout", "5m"])
                .arg(format!("deployment/{name}")),
        ]
    }
}

impl Work for Apply {
    /// To apply the same again changes nothing, and takes no longer than to ask.
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        for line in self.lines() {
            cx.run(&line)?;
        }
        Ok(Outcome::Done)
    }
}

struct Run(CommandLine);

impl Work for Run {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        cx.run(&self.0)?;
        Ok(Outcome::Done)
    }
}

struct Settings(Arc<Site>);

impl Work for Settings {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let has = local_settings::has(&self.0.file(), &self.0.made.settings())?;
        Ok(has.then(|| "it is".to_owned()))
    }

    fn run(&self, _: &StepCx<'_>) -> Result<Outcome> {
        local_settings::write(&self.0.file(), &self.0.made.settings())?;
        Ok(Outcome::Done)
    }
}

struct Delete(Arc<Site>);

impl Work for Delete {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        Ok(None)
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let (site, made) = (&self.0, &self.0.made);
        let before = context_before(cx, made)?;
        if made.exists(cx.proc)? {
            cx.run(&made.delete())?;
            if before != made.context() {
                restore_context(cx, &before);
            }
        }
        local_settings::remove(&site.file(), &made.settings())?;
        // The next cluster of this name is another one, and may be deployed to.
        kubernetes::forget_cluster(&site.home)?;
        made::forget(&site.root, &site.environment)?;
        Ok(Outcome::Done)
    }
}
