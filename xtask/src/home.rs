//! `.slipway/ENV/`: where a deployment to this machine keeps its state, and how files there are written.

use crate::error::Fault;
use crate::spec::name::{EnvironmentName, ServiceName, SystemName};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use xshell::Shell;

/// The folder of one environment. It is ignored by git and never below `target/`, so that `cargo clean` keeps it.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    pub fn new(root: &Path, environment: &EnvironmentName) -> Self {
        Self { dir: root.join(".slipway").join(environment.as_str()) }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    pub fn runs(&self) -> PathBuf {
        self.dir.join("runs")
    }

    pub fn lease(&self) -> PathBuf {
        self.dir.join("lease.json")
    }

    pub fn lease_lock(&self) -> PathBuf {
        self.dir.join("lease.lock")
    }

    pub fn ledger(&self) -> PathBuf {
        self.dir.join("ledger.json")
    }

    pub fn secrets(&self) -> PathBuf {
        self.dir.join("secrets.json")
    }

    pub fn ports(&self) -> PathBuf {
        self.dir.join("ports.json")
    }

    pub fn releases(&self, system: &SystemName) -> PathBuf {
        self.dir.join("releases").join(format!("{system}.json"))
    }

    pub fn log(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("logs").join(format!("{service}.log"))
    }

    pub fn data(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("data").join(service.as_str())
    }

    pub fn files(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("files").join(service.as_str())
    }

    pub fn artifacts(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("artifacts").join(service.as_str())
    }

    /// What the chart was given for a system when it was released last.
    pub fn values(&self, system: &SystemName) -> PathBuf {
        self.dir.join("values").join(format!("{system}.json"))
    }

    /// What is known of the images of a service that were built for this environment.
    pub fn images(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("images").join(service.as_str())
    }

    /// What a registry has of a service for several platforms.
    pub fn index(&self, service: &ServiceName) -> PathBuf {
        self.dir.join("indexes").join(format!("{service}.json"))
    }

    /// What is known of base images, by their ID.
    pub fn bases(&self) -> PathBuf {
        self.dir.join("bases")
    }

    /// What images are built from, while they are being built.
    pub fn contexts(&self) -> PathBuf {
        self.dir.join("contexts")
    }

    /// That of one service.
    pub fn context(&self, service: &ServiceName) -> PathBuf {
        self.contexts().join(service.as_str())
    }

    /// What engines are given for a push, while there is one.
    pub fn push(&self) -> PathBuf {
        self.dir.join("push")
    }

    /// What the edges of systems are given.
    pub fn edges(&self) -> PathBuf {
        self.dir.join("edge")
    }

    /// Where the public services of a system are published by its edge, by name.
    pub fn published(&self, system: &SystemName) -> PathBuf {
        self.edges().join(system.as_str()).join("published.json")
    }

    /// Where cargo puts what it has built for this deployment, before it is kept as an artifact.
    pub fn built(&self) -> PathBuf {
        self.dir.join("built")
    }

    /// Programs installed for this deployment alone.
    pub fn tools(&self) -> PathBuf {
        self.dir.join("tools")
    }
}

/// Writes a file that only its owner may read, so that a reader sees the old content or the new, never a part.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    write_with_mode(path, content, 0o600)
}

/// The same for a file of any mode.
///
/// # Errors
/// Those of [`write_private`].
pub fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let attempt = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Steps that run side by side may write the same file.
        let writer = format!("{}-{:?}", std::process::id(), std::thread::current().id());
        let beside = path.with_extension(format!("tmp{}", writer.replace(|c: char| !c.is_ascii_digit(), "")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    attempt().with_context(|| format!("write `{}`", path.display()))
}

/// # Errors
/// Those of [`write_private`].
pub fn write_json(path: &Path, value: &Value) -> Result<()> {
    write_private(path, format!("{value:#}\n").as_bytes())
}

/// The document in a file, `None` when there is no file.
///
/// # Errors
/// When the file cannot be read or is not JSON; what a disk that was full or a hand has done to it is not guessed at.
pub fn read_json(path: &Path) -> Result<Option<Value>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read `{}`", path.display())),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let cause = format!("`{}` is not as it was written: {error}", path.display());
        let hint = format!("remove it, the next deploy makes what is missing again: rm {}", path.display());
        Fault::could_not_run("state-broken", cause).hint(hint).into()
    })
}

/// Removes a file, or a folder with all in it; what is not there is already as it should be.
///
/// # Errors
/// When something of it cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    Ok(Shell::new()?.remove_path(path)?)
}

/// Opens a file for appending, making its folder when needed.
///
/// # Errors
/// When either cannot be made.
pub fn append(path: &Path) -> Result<File> {
    let attempt = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    };
    attempt().with_context(|| format!("open `{}`", path.display()))
}
