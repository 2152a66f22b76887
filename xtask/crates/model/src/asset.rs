//! A file or folder that a service is given: a text of the spec, or a copy of what lies in the repository.

use super::container::FILES;
use super::error::quoted;
use super::system::{Reference, Service, TargetKind, Template};
use keys::Digest;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a service is given under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub content: Content,
    /// Where it finds it: a path in its container, or one below the folder that it works in. `None`: under its name in the
    /// folder of its files.
    pub at: Option<String>,
    /// What is said of its mode.
    pub mode: Option<Mode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(Template),
    Copy(Copy),
}

/// What lies at a path of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Relative to the root.
    pub from: String,
    /// By their paths below `from`, with `/`; a file alone has the path "".
    pub files: BTreeMap<String, CopiedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedFile {
    pub digest: Digest,
    pub size: u64,
    pub executable: bool,
}

impl Copy {
    /// Whether it is one file, and no folder.
    pub fn is_file(&self) -> bool {
        self.files.contains_key("")
    }

    /// Where one of its files is in the repository.
    pub fn source(&self, root: &Path, path: &str) -> PathBuf {
        let from = root.join(&self.from);
        if path.is_empty() { from } else { from.join(path) }
    }
}

impl Asset {
    pub fn text(&self) -> Option<&Template> {
        match &self.content {
            Content::Text(template) => Some(template),
            Content::Copy(_) => None,
        }
    }

    pub fn copy(&self) -> Option<&Copy> {
        match &self.content {
            Content::Text(_) => None,
            Content::Copy(copy) => Some(copy),
        }
    }

    /// Whether it is a text and nothing else is said of it.
    pub fn is_plain(&self) -> bool {
        self.text().is_some() && self.at.is_none() && self.mode.is_none()
    }

    pub fn is_folder(&self) -> bool {
        self.copy().is_some_and(|copy| !copy.is_file())
    }

    /// Its path below the folder that the service works in, where it is to be there.
    pub fn beside(&self) -> Option<&str> {
        self.at.as_deref().filter(|at| !at.starts_with('/'))
    }

    /// Where a container has it.
    pub fn in_container(&self, name: &str) -> String {
        self.at.clone().unwrap_or_else(|| format!("{FILES}/{name}"))
    }

    /// The mode of one of its files where nobody but the service is to be kept from it.
    pub fn mode_of(&self, executable: bool) -> Mode {
        self.mode.unwrap_or_default().of_file(executable)
    }

    /// For state that outlives a run: a plain text is one.
    pub fn to_json(&self) -> Value {
        if let (Some(text), true) = (self.text(), self.is_plain()) {
            return json!(text.to_string());
        }
        let mut value = match &self.content {
            Content::Text(text) => json!({"text": text.to_string()}),
            Content::Copy(copy) => {
                let file = |(path, file): (&String, &CopiedFile)| {
                    let said =
                        json!({"digest": file.digest.to_string(), "size": file.size, "executable": file.executable});
                    (path.clone(), said)
                };
                json!({"from": copy.from, "files": copy.files.iter().map(file).collect::<Map<_, _>>()})
            }
        };
        if let Some(at) = &self.at {
            value["at"] = json!(at);
        }
        if let Some(mode) = self.mode {
            value["mode"] = json!(mode.to_string());
        }
        value
    }

    /// `None` when the value was not made by [`Asset::to_json`].
    pub fn from_json(value: &Value) -> Option<Self> {
        if let Some(text) = value.as_str() {
            return Some(text.parse::<Template>().ok()?.into());
        }
        let content = match value["text"].as_str() {
            Some(text) => Content::Text(text.parse().ok()?),
            None => {
                let file = |(path, value): (&String, &Value)| {
                    let digest = value["digest"].as_str()?.parse().ok()?;
                    let (size, executable) = (value["size"].as_u64()?, value["executable"].as_bool()?);
                    Some((path.clone(), CopiedFile { digest, size, executable }))
                };
                let files = value["files"].as_object()?.iter().map(file).collect::<Option<_>>()?;
                Content::Copy(Copy { from: value["from"].as_str()?.to_owned(), files })
            }
        };
        let mode = match value.get("mode") {
            Some(mode) => Some(mode.as_str()?.parse().ok()?),
            None => None,
        };
        Some(Self { content, at: value["at"].as_str().map(str::to_owned), mode })
    }
}

impl From<Template> for Asset {
    fn from(text: Template) -> Self {
        Self { content: Content::Text(text), at: None, mode: None }
    }
}

impl Service {
    /// Why it cannot have one of its files where that has to be, if so.
    pub fn without_file(&self, target: TargetKind) -> Option<String> {
        let is_lacking = |(name, asset): &(&String, &Asset)| match (target, &asset.at) {
            (_, None) => false,
            (TargetKind::Host, Some(_)) => asset.beside().is_none() && !self.refers_to_file(name),
            (_, Some(_)) => asset.beside().is_some(),
        };
        let (name, asset) = self.files.iter().find(is_lacking)?;
        let (service, at) = (&self.name, asset.at.as_deref().unwrap_or_default());
        Some(match target {
            TargetKind::Host => format!(
                "`{service}` has its file `{name}` at `{at}` alone, and a process of this machine has no such paths of its \
                 own: have a variable or an argument name it as `${{file.{name}}}`"
            ),
            _ => format!(
                "`{service}` has its file `{name}` at `{at}`, below the folder that it works in, which only `host` knows: \
                 give it an absolute path"
            ),
        })
    }

    fn refers_to_file(&self, name: &str) -> bool {
        let templates = self.templates().chain(self.run.iter().flat_map(|run| &run.args));
        templates
            .flat_map(Template::references)
            .any(|reference| matches!(reference, Reference::File(file) if file == name))
    }
}

/// The texts among these.
pub fn texts(files: &BTreeMap<String, Asset>) -> impl Iterator<Item = &Template> {
    files.values().filter_map(Asset::text)
}

/// All of them, for state that outlives a run.
pub fn to_json(files: &BTreeMap<String, Asset>) -> Value {
    files.iter().map(|(name, asset)| (name.clone(), asset.to_json())).collect::<Map<_, _>>().into()
}

/// `None` when the value was not made by [`to_json`].
pub fn from_json(value: &Value) -> Option<BTreeMap<String, Asset>> {
    value.as_object()?.iter().map(|(name, value)| Some((name.clone(), Asset::from_json(value)?))).collect()
}

/// Who may do what with a file: the permissions of its owner, its group and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Default for Mode {
    fn default() -> Self {
        Self(0o444)
    }
}

impl Mode {
    /// That of one file of several: whoever may read one that can be executed may execute it.
    #[must_use]
    pub fn of_file(self, executable: bool) -> Self {
        if executable { Self(self.0 | (self.0 & 0o444) >> 2) } else { self }
    }

    /// What its owner may do but write, for everybody: its service is not who owns it.
    #[must_use]
    pub fn for_others(self) -> Self {
        let owner = self.0 >> 6 & 0o5;
        Self(self.0 | owner << 3 | owner)
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
        let mode = mode.ok_or_else(|| format!("{} is not a mode such as `0444` or `0755`", quoted(text)))?;
        if mode & 0o400 == 0 {
            return Err(format!("with {} nobody could read it", quoted(text)));
        }
        Ok(Self(mode))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_survives_being_kept() {
        let plain: Asset = "port ${port}".parse::<Template>().unwrap().into();
        assert_eq!(plain.to_json(), json!("port ${port}"));
        let file = CopiedFile { digest: Digest::of("x"), size: 1, executable: true };
        let copy = Copy { from: "proxy".to_owned(), files: BTreeMap::from([("a/b".to_owned(), file)]) };
        let placed = Asset { content: Content::Copy(copy), at: Some("/etc/proxy".to_owned()), mode: Some(Mode(0o440)) };
        let text = Asset { mode: Some(Mode(0o555)), ..plain.clone() };
        for asset in [plain, placed, text] {
            assert_eq!(Asset::from_json(&asset.to_json()), Some(asset));
        }
        assert_eq!(Asset::from_json(&json!({"text": "x", "mode": "no"})), None);
        assert_eq!(Asset::from_json(&json!({"from": "x"})), None);
    }

    #[test]
    fn modes_are_permissions_in_octal() {
        for (text, executable, others) in [("0444", 0o555, 0o444), ("640", 0o750, 0o644), ("0500", 0o500, 0o555)] {
            let mode: Mode = text.parse().unwrap();
            assert_eq!((mode.of_file(true).0, mode.for_others().0), (executable, others), "{text}");
            assert_eq!(mode.of_file(false), mode);
        }
        assert_eq!("640".parse::<Mode>().unwrap().to_string(), "0640");
        for text in ["", "4", "44", "04755", "0888", "+444", "0x44", "0044", "1755", "rw"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }
}
