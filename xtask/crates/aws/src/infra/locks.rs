//! The lock of the state, which a killed Terraform leaves; and the lock file of the providers, which only a machine that
//! reaches their registry can write.

use super::workspace::Sources;
use super::{Infra, state, workspace};

use anyhow::{Context, Result};
use base::error::Fault;
use base::files;
use base::files::{write_private, write_with_mode};
use base::proc::CommandLine;
use engine::plan::runner::StepCx;
use engine::plan::{Action, Holds, Outcome, Preview, Step, StepId, Work};
use remote_tools::terraform::platform;
use remote_tools::terraform::said::Lock;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

impl Infra {
    /// Who holds the state, if anybody does.
    ///
    /// # Errors
    /// When AWS refuses or does not answer.
    pub fn lock_of_state(&self) -> Result<Option<Lock>> {
        let found =
            self.bucket.get(state::LOCK).map_err(|refusal| crate::fault("look for the lock of the state", &refusal))?;
        Ok(found.and_then(|object| Lock::read(&object.document)))
    }

    /// The step that takes a lock away from whoever is not there any more.
    pub fn unlocking(self: &Arc<Self>, lock: &Lock) -> Step {
        let line = platform::force_unlock(self.terraform(&BTreeMap::new()), &lock.id);
        Step {
            id: StepId::new(Action::new("unlock")),
            title: format!("release the state lock of {}", lock.holder()),
            system: None,
            needs: Vec::new(),
            holds: Holds::Nothing,
            preview: vec![Preview::Run(line)],
            work: Box::new(Unlock { infra: Arc::clone(self), lock: lock.clone() }),
        }
    }

    pub fn providers_line(&self) -> CommandLine {
        platform::providers_lock(self.terraform(&BTreeMap::new()).dir(self.locking()))
    }

    /// Where nothing is but what the repository has: what this machine has its providers from is not for others.
    fn locking(&self) -> PathBuf {
        self.deployment.home.dir().join("terraform-lock")
    }

    /// Writes the lock file of the providers into `terraform/`, and returns its path there.
    ///
    /// # Errors
    /// When the registry does not answer, or what it has is not what the lock file says.
    pub fn lock_providers(&self) -> Result<String> {
        let folder = self.locking();
        files::remove(&folder)?;
        let sources = Sources::read(&self.deployment.root)?;
        for (path, content) in sources.files() {
            write_private(&folder.join(path), content)?;
        }
        let locked = self.read("lock the versions of its providers", &self.providers_line());
        let written = locked.and_then(|_| {
            let name = workspace::PROVIDERS;
            let content = std::fs::read(folder.join(name)).with_context(|| format!("read `{name}`"))?;
            let file = format!("{}/{name}", workspace::SOURCES);
            write_with_mode(&self.deployment.root.join(&file), &content, 0o644)?;
            Ok(file)
        });
        files::remove(&folder)?;
        written.map_err(|error| match Fault::of(&error) {
            fault if fault.code == "provider-unavailable" => {
                fault.hint("run it on a machine that reaches `registry.terraform.io`, and commit the file").into()
            }
            _ => error,
        })
    }
}

struct Unlock {
    infra: Arc<Infra>,
    lock: Lock,
}

impl Work for Unlock {
    fn is_done(&self, _: &StepCx<'_>) -> Result<Option<String>> {
        let held = self.infra.lock_of_state()?;
        Ok(held.is_none_or(|held| held.id != self.lock.id).then(|| "that lock is gone".to_owned()))
    }

    fn run(&self, cx: &StepCx<'_>) -> Result<Outcome> {
        let infra = &self.infra;
        let (sources, _) = infra.variables()?;
        let _workspace = infra.workspace(sources, true, &|text| cx.status(text))?;
        let line = platform::force_unlock(infra.terraform(&BTreeMap::new()), &self.lock.id);
        let said = cx.try_run(&line, &|_, _| {})?;
        if said.success {
            return Ok(Outcome::DoneWith(format!("the lock of {} is gone", self.lock.holder())));
        }
        // Given back at this very moment.
        if infra.lock_of_state()?.is_none() {
            return Ok(Outcome::Done);
        }
        let fault = Fault::failed("unlock", format!("Terraform could not release the lock: {}", said.stderr.trim()));
        Err(fault.into())
    }
}
