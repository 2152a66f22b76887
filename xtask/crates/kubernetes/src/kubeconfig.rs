//! The deployment's own kubeconfig: one context with all that it needs, made again only when what it was made from has
//! changed, so that most runs start no process for it.

use anyhow::Result;
use base::ctx::Vars;
use base::error::Fault;
use base::files;
use keys::Digest;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The name of what is noted in it beside what kubectl wrote.
const EXTENSION: &str = "slipway";

/// What a kubeconfig refers to by path; kubectl copies their contents.
const REFERRED: [&str; 3] = ["certificate-authority", "client-certificate", "client-key"];

#[derive(Debug, Clone)]
pub struct Kubeconfig {
    pub path: PathBuf,
    pub context: String,
    /// The URL of the API server.
    pub server: String,
    /// The digest of the certificates that it is known by; empty where it is known by public ones.
    pub ca: String,
}

/// Where it is in the folder of a deployment's state.
pub(super) fn path(home: &Path) -> PathBuf {
    home.join("kubeconfig")
}

impl Kubeconfig {
    /// The one that is there, if it was made for this context from what this stamp stands for.
    pub fn read(home: &Path, context: &str, stamp: &Digest) -> Option<Self> {
        let document = files::read_json(&path(home)).ok()??;
        let noted = document.pointer("/extensions/0/extension/stamp")?.as_str()?;
        (noted == stamp.to_string()).then(|| Self::of(home, context, &document))
    }

    /// Writes what kubectl has printed for this context.
    ///
    /// # Errors
    /// When that is no kubeconfig, or the file cannot be written.
    pub(super) fn write(home: &Path, context: &str, stamp: &Digest, printed: &str) -> Result<Self> {
        let parsed: Option<Value> = serde_json::from_str(printed).ok();
        let Some(document) = parsed.filter(|parsed| parsed.pointer("/clusters/0/cluster/server").is_some()) else {
            let cause = format!("kubeconfig does not say where the cluster of context `{context}` is");
            let hint = format!("look at it with `kubectl config view --minify --context {context}`");
            return Err(Fault::could_not_run("no-context", cause).hint(hint).into());
        };
        Self::keep(home, context, stamp, document)
    }

    /// Writes one that was made here.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(home: &Path, context: &str, stamp: &Digest, mut document: Value) -> Result<Self> {
        // In the same file, so that no kubeconfig ever stands beside the stamp of another one.
        document["extensions"] = json!([{"name": EXTENSION, "extension": {"stamp": stamp.to_string()}}]);
        files::write_json(&path(home), &document)?;
        Ok(Self::of(home, context, &document))
    }

    fn of(home: &Path, context: &str, document: &Value) -> Self {
        let text = |key: &str| document["clusters"][0]["cluster"][key].as_str().unwrap_or_default().to_owned();
        let ca = text("certificate-authority-data");
        let ca = if ca.is_empty() { ca } else { Digest::of(ca).to_string() };
        Self { path: path(home), context: context.to_owned(), server: text("server"), ca }
    }
}

/// Stands for everything that a context's kubeconfig is made from: the user's files and those that they refer to.
pub(super) fn stamp(vars: &Vars, context: &str) -> Digest {
    let mut parts = format!("{context}\n");
    for file in sources(vars) {
        let content = std::fs::read(&file).unwrap_or_default();
        parts.push_str(&format!("{} {}\n", file.display(), Digest::of(&content)));
        let folder = file.parent().unwrap_or(Path::new(""));
        for referred in referred(&String::from_utf8_lossy(&content)) {
            let content = std::fs::read(folder.join(referred)).unwrap_or_default();
            parts.push_str(&format!("  {}\n", Digest::of(content)));
        }
    }
    Digest::of(parts)
}

/// The files that kubectl would read (kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig).
fn sources(vars: &Vars) -> Vec<PathBuf> {
    match (vars.get("KUBECONFIG"), vars.get("HOME")) {
        (Some(list), _) => std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect(),
        (None, Some(home)) => vec![Path::new(home).join(".kube/config")],
        (None, None) => Vec::new(),
    }
}

/// The paths that a kubeconfig names, in YAML or JSON. It is not parsed: a path too many is harmless here.
fn referred(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for key in REFERRED {
        for (at, _) in text.match_indices(key) {
            let rest = text[at + key.len()..].trim_start_matches('"').trim_start();
            // `certificate-authority-data:` is another key.
            let Some(value) = rest.strip_prefix(':') else { continue };
            let value = value.trim_start_matches([' ', '\t']);
            let path = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split(quote).next(),
                _ => value.split(['\n', '\r', ',', '}']).next(),
            };
            found.extend(path.map(str::trim).filter(|path| !path.is_empty()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-kubeconfig-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_kubeconfig_refers_to_is_found() {
        let yaml = "    certificate-authority: /a/ca.crt\n    certificate-authority-data: TFM=\n    server: x\n\
                    \x20   client-certificate: 'b c.crt'\n";
        assert_eq!(referred(yaml), ["/a/ca.crt", "b c.crt"]);
        assert_eq!(referred(r#"{"client-key": "k.pem", "client-key-data": "x"}"#), ["k.pem"]);
    }

    #[test]
    fn a_stamp_changes_with_everything_that_counts() {
        let scratch = Scratch::new("stamp");
        let (config, key) = (scratch.0.join("config"), scratch.0.join("key.pem"));
        let vars = Vars::of([("KUBECONFIG", config.to_str().unwrap())]);
        let mut stamps = vec![stamp(&vars, "a"), stamp(&vars, "b")];
        std::fs::write(&config, "client-key: key.pem\n").unwrap();
        stamps.push(stamp(&vars, "a"));
        std::fs::write(&key, "new").unwrap();
        stamps.push(stamp(&vars, "a"));
        assert_eq!(stamp(&vars, "a"), stamps[3]);
        stamps.sort();
        stamps.dedup();
        assert_eq!(stamps.len(), 4);
    }

    #[test]
    fn one_that_was_made_from_something_else_is_not_used() {
        let scratch = Scratch::new("made");
        let printed = r#"{"clusters": [{"cluster": {"server": "https://a", "certificate-authority-data": "TFM="}}]}"#;
        let (old, new) = (Digest::of("old"), Digest::of("new"));
        let made = Kubeconfig::write(&scratch.0, "a", &old, printed).unwrap();
        let read = Kubeconfig::read(&scratch.0, "a", &old).unwrap();
        assert_eq!((read.server, read.ca), (made.server, made.ca));
        assert!(Kubeconfig::read(&scratch.0, "a", &new).is_none());
        assert!(Kubeconfig::write(&scratch.0, "a", &old, "{}").is_err());
    }
}
