//! Credentials for a registry, and the file that hands them to an engine for one run.
//!
//! Nothing is ever signed in: what the user's own engine knows is neither changed nor read by anybody but the engine.

use anyhow::{Context, Result};
use base::base64;
use base::ctx::Vars;
use base::error::Fault;
use model::container::EngineKind;
use serde_json::{Map, Value, json};
use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The variables that hold them.
const USER: &str = "REGISTRY_USER";
const PASSWORD: &str = "REGISTRY_PASSWORD";

/// Who asks one registry, and the proof. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub host: String,
    pub user: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} at {})", self.user, self.host)
    }
}

impl Credentials {
    pub fn new(host: impl Into<String>, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { host: host.into(), user: user.into(), password: password.into() }
    }

    /// Those that the environment has for this host. Without any, the engine uses what it has by itself.
    ///
    /// # Errors
    /// When only one of the two variables is set.
    pub fn of_vars(vars: &Vars, host: &str) -> Result<Option<Self>, Fault> {
        match (vars.get(USER), vars.get(PASSWORD)) {
            (Some(user), Some(password)) => Ok(Some(Self::new(host, user, password))),
            (None, None) => Ok(None),
            (user, _) => {
                let (set, unset) = if user.is_some() { (USER, PASSWORD) } else { (PASSWORD, USER) };
                let cause = format!("`{set}` is set and `{unset}` is not, and a registry takes both");
                Err(Fault::could_not_run("half-credentials", cause).hint(format!("set `{unset}`, too, or neither")))
            }
        }
    }

    /// As `Authorization: Basic` and the files of engines have them.
    pub(super) fn encoded(&self) -> String {
        base64::encode(format!("{}:{}", self.user, self.password).as_bytes())
    }

    fn document(&self) -> Map<String, Value> {
        // The name under which engines have kept what is for docker.io since it was the only one.
        let host = if self.host == "docker.io" { "https://index.docker.io/v1/" } else { &self.host };
        let auths = json!({ host: {"auth": self.encoded()} });
        Map::from_iter([("auths".to_owned(), auths)])
    }
}

/// Asks whoever owns a registry for credentials.
pub type Ask = Arc<dyn Fn() -> Result<Credentials> + Send + Sync>;

/// What signs in at a registry during one run.
#[derive(Default)]
pub enum SignIn {
    /// The engine by itself, with what it knows.
    #[default]
    Engine,
    Known(Credentials),
    /// Asked for when something is first asked or sent, and once: a run that sends nothing asks nobody.
    Late {
        ask: Ask,
        known: Mutex<Option<Credentials>>,
    },
}

impl SignIn {
    pub fn late(ask: Ask) -> Self {
        Self::Late { ask, known: Mutex::default() }
    }

    /// Whether there are credentials, or will be.
    pub fn has_credentials(&self) -> bool {
        !matches!(self, Self::Engine)
    }

    /// # Errors
    /// When they cannot be had. The next call asks again.
    pub fn credentials(&self) -> Result<Option<Credentials>> {
        match self {
            Self::Engine => Ok(None),
            Self::Known(credentials) => Ok(Some(credentials.clone())),
            Self::Late { ask, known } => {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.is_none() {
                    *known = Some(ask()?);
                }
                Ok(known.clone())
            }
        }
    }
}

/// A folder that nobody else may look into, gone in the end.
#[derive(Debug)]
pub struct Private(PathBuf);

impl Private {
    /// What a run that was killed has left there is removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(folder: &Path) -> Result<Self> {
        base::files::remove(folder)?;
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).with_context(|| format!("make `{}`", parent.display()))?;
        }
        DirBuilder::new().mode(0o700).create(folder).with_context(|| format!("make `{}`", folder.display()))?;
        Ok(Self(folder.to_owned()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // What stays in spite of this is removed by the next run.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Credentials in the form that an engine reads, there for as long as this lives.
#[derive(Debug)]
pub struct AuthFile {
    /// For podman the file, for docker the folder that it is in.
    path: PathBuf,
    _folder: Private,
}

/// What docker's client reads beside its configuration to find its engine.
const BESIDE: [&str; 4] = ["contexts", "ca.pem", "cert.pem", "key.pem"];
/// Where docker's client would look for credentials before it looks into its own file.
const STORES: [&str; 3] = ["auths", "credsStore", "credHelpers"];

impl AuthFile {
    /// # Errors
    /// When it cannot be written, or docker's own configuration cannot be read.
    pub fn new(folder: &Path, kind: EngineKind, credentials: &Credentials, vars: &Vars) -> Result<Self> {
        let private = Private::new(folder)?;
        let mut document = credentials.document();
        let path = Self::path_in(folder, kind);
        let file = match kind {
            EngineKind::Podman => path.clone(),
            EngineKind::Docker => {
                if let Some(own) = docker_folder(vars) {
                    keep_the_way(&own, folder, &mut document)?;
                }
                path.join("config.json")
            }
        };
        base::files::write_private(&file, Value::Object(document).to_string().as_bytes())?;
        Ok(Self { path, _folder: private })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn path_in(folder: &Path, kind: EngineKind) -> PathBuf {
        match kind {
            EngineKind::Podman => folder.join("auth.json"),
            EngineKind::Docker => folder.to_owned(),
        }
    }
}

fn docker_folder(vars: &Vars) -> Option<PathBuf> {
    let own = vars.get("DOCKER_CONFIG").map(PathBuf::from);
    own.or_else(|| vars.get("HOME").map(|home| Path::new(home).join(".docker")))
}

/// What docker's client tells every container to ask without a proxy, where its configuration has proxies at all. One that
/// cannot be read is for the client to complain about.
pub fn docker_no_proxy(vars: &Vars) -> Option<String> {
    let document = base::files::read_json(&docker_folder(vars)?.join("config.json")).ok()??;
    let proxies = document["proxies"].as_object()?.values();
    let without: Vec<&str> = proxies.filter_map(|proxy| proxy["noProxy"].as_str()).collect();
    Some(without.join(","))
}

/// A folder of its own would hide from docker's client where the user's engine is: the context in use, and how it is
/// reached. All else of the user's configuration stays in force, too, but for where other credentials are.
fn keep_the_way(own: &Path, folder: &Path, document: &mut Map<String, Value>) -> Result<()> {
    for name in BESIDE.iter().filter(|name| own.join(name).exists()) {
        let own = fs::canonicalize(own.join(name)).with_context(|| format!("read `{}`", own.join(name).display()))?;
        symlink(own, folder.join(name)).with_context(|| format!("link to docker's `{name}`"))?;
    }
    let path = own.join("config.json");
    let Some(text) = base::files::read(&path).context("docker's own configuration")? else { return Ok(()) };
    let kept: Map<String, Value> = serde_json::from_slice(&text).map_err(|error| unreadable(&path, &error))?;
    document.extend(kept.into_iter().filter(|(key, _)| !STORES.contains(&key.as_str())));
    Ok(())
}

/// The file is the user's own, with all that they are signed in to: nothing that we tell may lose it.
fn unreadable(path: &Path, error: &serde_json::Error) -> Fault {
    let path = path.display();
    let cause = format!("docker's own configuration `{path}` cannot be read: {error}");
    Fault::could_not_run("docker-config", cause).hint(
        "correct it where the error says; or run this with `DOCKER_CONFIG` set to a folder with one that is right",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("slipway-auth-{name}-{}", std::process::id()))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_docker_asks_without_a_proxy_is_read_from_its_configuration() {
        let folder = scratch("proxies");
        fs::create_dir_all(&folder).unwrap();
        let vars = Vars::of([("DOCKER_CONFIG", folder.to_str().unwrap())]);
        let read = |text: &str| {
            fs::write(folder.join("config.json"), text).unwrap();
            docker_no_proxy(&vars)
        };
        let proxies = r#"{"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "a,b"}, "tcp://d:1": {}}}"#;
        assert_eq!(read(proxies).as_deref(), Some("a,b"));
        assert_eq!(read(r#"{"auths": {}}"#), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn nobody_else_can_read_the_file_and_it_goes_with_its_owner() {
        let folder = scratch("file");
        fs::create_dir_all(folder.join("left/by/a/killed/run")).unwrap();
        let credentials = Credentials::new("h:1", "me", "secret");
        let file = AuthFile::new(&folder, EngineKind::Podman, &credentials, &Vars::default()).unwrap();
        assert_eq!((mode(&folder), mode(file.path())), (0o700, 0o600));
        assert!(!folder.join("left").exists());
        assert_eq!(fs::read_to_string(file.path()).unwrap(), r#"{"auths":{"h:1":{"auth":"bWU6c2VjcmV0"}}}"#);
        assert!(!format!("{credentials:?}{file:?}").contains("secret"));
        drop(file);
        assert!(!folder.exists());
    }

    #[test]
    fn docker_still_finds_its_engine_and_no_other_credentials() {
        let (own, folder) = (scratch("own"), scratch("docker"));
        fs::create_dir_all(own.join("contexts/meta")).unwrap();
        let config = json!({
            "currentContext": "colima", "credsStore": "desktop", "credHelpers": {"h": "x"}, "auths": {"o": {}},
        });
        fs::write(own.join("config.json"), config.to_string()).unwrap();
        let vars = Vars::of([("DOCKER_CONFIG", own.to_str().unwrap())]);
        let credentials = Credentials::new("docker.io", "me", "secret");
        let file = AuthFile::new(&folder, EngineKind::Docker, &credentials, &vars).unwrap();
        let written = base::files::read_json(&file.path().join("config.json")).unwrap().unwrap();
        let auths = json!({"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"}});
        assert_eq!(written, json!({"auths": auths, "currentContext": "colima"}));
        assert!(folder.join("contexts/meta").is_dir());
        drop(file);
        assert!(!folder.exists() && own.join("contexts/meta").is_dir());
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn a_broken_configuration_of_docker_s_is_left_to_its_owner() {
        let (own, folder) = (scratch("broken"), scratch("broken-copy"));
        fs::create_dir_all(&own).unwrap();
        let vars = Vars::of([("DOCKER_CONFIG", own.to_str().unwrap())]);
        for text in ["{\"auths\": {", "[]", ""] {
            fs::write(own.join("config.json"), text).unwrap();
            let made = AuthFile::new(&folder, EngineKind::Docker, &Credentials::new("h", "me", "secret"), &vars);
            let fault = Fault::of(&made.unwrap_err());
            let hint = fault.hint.unwrap();
            assert!(fault.cause.contains("config.json` cannot be read"), "{}", fault.cause);
            assert!(!hint.contains("rm ") && !hint.contains("remove"), "{hint}");
            assert_eq!(fs::read_to_string(own.join("config.json")).unwrap(), text);
        }
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn credentials_are_asked_for_once_and_late() {
        let asked = Arc::new(Mutex::new(0));
        let count = Arc::clone(&asked);
        let sign_in = SignIn::late(Arc::new(move || {
            *count.lock().unwrap() += 1;
            Ok(Credentials::new("h", "me", "secret"))
        }));
        assert!(sign_in.has_credentials());
        assert_eq!(*asked.lock().unwrap(), 0, "nobody has needed them yet");
        for _ in 0..2 {
            assert_eq!(sign_in.credentials().unwrap(), Some(Credentials::new("h", "me", "secret")));
        }
        assert_eq!(*asked.lock().unwrap(), 1);
        assert!(!SignIn::default().has_credentials() && SignIn::default().credentials().unwrap().is_none());
    }

    #[test]
    fn one_variable_of_two_is_a_mistake() {
        let of = |pairs: &[(&str, &str)]| Credentials::of_vars(&Vars::of(pairs.iter().copied()), "h");
        assert_eq!(of(&[]), Ok(None));
        let both = [("REGISTRY_USER", "me"), ("REGISTRY_PASSWORD", "secret")];
        assert_eq!(of(&both), Ok(Some(Credentials::new("h", "me", "secret"))));
        let fault = of(&both[1..]).unwrap_err();
        assert_eq!(fault.cause, "`REGISTRY_PASSWORD` is set and `REGISTRY_USER` is not, and a registry takes both");
        assert!(!format!("{fault:?}").contains("secret"));
    }
}
