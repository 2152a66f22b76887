//! The way to the cluster: a private kubeconfig with the one context that the environment names, and what uses it.
//!
//! The current context is never used, nor anything else that would lead to another cluster than the one that is named.

use super::identity::Identity;
use super::kubeconfig::{self, Kubeconfig};
use super::platform::Platform;
use anyhow::Result;
use base::ctx::{Ctx, Vars};
use base::error::Fault;
use base::proc::{CommandLine, Proc};
use base::signal::Interrupts;
use engine::deployment::Deployment;
use keys::Digest;
use kube::Api;
use model::environment::Environment;
use remote_tools::kubectl;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The path of a Unix socket has to be shorter than this everywhere (macOS: 104 with the zero at its end).
const SOCKET_PATH: usize = 100;

pub struct Access {
    environment: Environment,
    platform: Arc<dyn Platform>,
    /// The folder of the deployment's state on this machine.
    home: PathBuf,
    vars: Vars,
    proc: Proc,
    interrupts: Interrupts,
    own_program: PathBuf,
    /// Made once in a run.
    kubeconfig: Mutex<Option<Kubeconfig>>,
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    api: Arc<Api>,
    identity: Identity,
}

impl Access {
    pub(super) fn new(deployment: &Deployment, ctx: &Ctx, platform: Arc<dyn Platform>) -> Result<Self> {
        Ok(Self {
            platform,
            environment: deployment.environment.clone(),
            home: deployment.home.dir().to_owned(),
            vars: ctx.vars.clone(),
            proc: ctx.proc.clone(),
            interrupts: ctx.interrupts.clone(),
            own_program: Ctx::own_program()?,
            kubeconfig: Mutex::default(),
            open: Mutex::default(),
        })
    }

    /// The API, opened when it is first asked for, of the cluster that was deployed to before and no other.
    ///
    /// # Errors
    /// When the environment names no context, kubeconfig has no such one, the cluster cannot be reached, or is another
    /// one than before.
    pub fn api(&self) -> Result<Arc<Api>> {
        self.open().map(|open| open.api)
    }

    /// Which cluster this is.
    ///
    /// # Errors
    /// Those of [`Access::api`].
    pub fn identity(&self) -> Result<Identity> {
        self.open().map(|open| open.identity)
    }

    fn open(&self) -> Result<Open> {
        let mut opened = lock(&self.open);
        if let Some(open) = &*opened {
            return Ok(open.clone());
        }
        let (kubeconfig, command) = (self.kubeconfig()?, self.kubectl()?);
        let folder = socket_folder(&self.home, &self.temporary());
        let api = Api::open(&self.proc, &self.own_program, command, &folder, &self.interrupts)?;
        let identity = Identity::ask(&api, &kubeconfig)?;
        identity.check_noted(&self.home, &self.environment)?;
        let open = Open { api: Arc::new(api), identity };
        *opened = Some(open.clone());
        Ok(open)
    }

    /// Lets the next question find the way anew: the cluster may have been made, or made anew, meanwhile.
    pub fn forget(&self) {
        *lock(&self.open) = None;
        *lock(&self.kubeconfig) = None;
    }

    /// Whether there is a cluster yet, as far as this can be told without a question to it.
    ///
    /// # Errors
    /// Those of [`Platform::is_there`].
    pub(super) fn is_there(&self) -> Result<bool> {
        self.platform.is_there()
    }

    fn temporary(&self) -> PathBuf {
        PathBuf::from(self.vars.get("TMPDIR").unwrap_or("/tmp"))
    }

    /// `kubectl` with the private kubeconfig and the context, up to the verb.
    ///
    /// # Errors
    /// Those of the private kubeconfig.
    pub(super) fn kubectl(&self) -> Result<CommandLine> {
        let kubeconfig = self.kubeconfig()?;
        Ok(self.platform.prepared(kubectl::within(&kubeconfig.path, &kubeconfig.context)))
    }

    /// `helm` likewise.
    ///
    /// # Errors
    /// Those of the private kubeconfig.
    pub fn helm(&self) -> Result<CommandLine> {
        let kubeconfig = self.kubeconfig()?;
        Ok(self.helm_within(&kubeconfig.path, &kubeconfig.context))
    }

    /// The same line as `--dry-run` shows it: nothing is read or made for it.
    pub fn helm_as_typed(&self) -> CommandLine {
        let context = self.environment.cluster.context.as_deref().unwrap_or("<context>");
        self.helm_within(&kubeconfig::path(&self.home), context)
    }

    fn helm_within(&self, kubeconfig: &Path, context: &str) -> CommandLine {
        let line = self.platform.prepared(CommandLine::new("helm").env_remove("KUBECONFIG"));
        let redirections = self.vars.starting_with("HELM_").into_iter().filter(|(name, _)| redirects_helm(name));
        let line = redirections.fold(line, |line, (name, _)| line.env_remove(name));
        line.arg("--kubeconfig").arg(kubeconfig).arg("--kube-context").arg(context)
    }

    /// The private kubeconfig, made if need be.
    ///
    /// # Errors
    /// When there is no cluster, or no kubectl.
    pub fn kubeconfig(&self) -> Result<Kubeconfig> {
        let mut made = lock(&self.kubeconfig);
        if let Some(kubeconfig) = &*made {
            return Ok(kubeconfig.clone());
        }
        if self.proc.find("kubectl").is_none() {
            let hint = format!("`{}` says how to install it", self.environment.command("doctor"));
            return Err(Fault::could_not_run("tool-missing", "`kubectl` is not installed, or not on PATH")
                .hint(hint)
                .into());
        }
        let kubeconfig = self.platform.kubeconfig()?;
        *made = Some(kubeconfig.clone());
        Ok(kubeconfig)
    }
}

/// Whether a variable would lead helm to another cluster or namespace, or to another place for its releases.
fn redirects_helm(name: &str) -> bool {
    name.starts_with("HELM_KUBE") || name.starts_with("HELM_DRIVER") || name == "HELM_NAMESPACE"
}

/// Where the socket goes: the deployment's own folder, unless a path in it would be too long for a socket.
fn socket_folder(home: &Path, temporary: &Path) -> PathBuf {
    let folder = home.join("api");
    if folder.as_os_str().len() + "/api-4294967295.sock".len() < SOCKET_PATH {
        return folder;
    }
    let digest = Digest::of(home.as_os_str().as_encoded_bytes());
    temporary.join(format!("slipway-{}-{digest:.8}", nix::unistd::Uid::current()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_lead_helm_elsewhere_is_known() {
        for name in ["HELM_KUBECONTEXT", "HELM_KUBEAPISERVER", "HELM_NAMESPACE", "HELM_DRIVER"] {
            assert!(redirects_helm(name), "{name}");
        }
        for name in ["HELM_CACHE_HOME", "HELM_REGISTRY_CONFIG", "HELM_DEBUG", "HELM_MAX_HISTORY"] {
            assert!(!redirects_helm(name), "{name}");
        }
    }

    #[test]
    fn a_socket_is_never_too_deep() {
        let temporary = Path::new("/tmp");
        assert_eq!(socket_folder(Path::new("/r/.slipway/a"), temporary), Path::new("/r/.slipway/a/api"));
        let deep = PathBuf::from("/r").join("d".repeat(90));
        let folder = socket_folder(&deep, temporary);
        assert!(folder.starts_with(temporary) && folder.as_os_str().len() < 50, "{}", folder.display());
        assert_ne!(folder, socket_folder(&deep.join("x"), temporary));
    }
}
