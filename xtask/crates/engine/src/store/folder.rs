//! Documents that are at home in a folder of this machine.

use super::{DocumentName, Found, Place, StateStore, Swapped, Version, Versioned};
use anyhow::Result;
use base::files;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A folder with a file for each document. A version is what is in the file, as there is little and nothing else tells it.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The home of the document in a file, and its name there.
    pub fn of(path: &Path) -> (Self, DocumentName) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        (Self::new(path.parent().unwrap_or(Path::new("."))), DocumentName::new(stem))
    }

    /// The right to look at a file and write it, with nobody in between, for as long as the result is kept. Where a folder
    /// cannot be locked (NFS), the lease on the environment is what keeps others away.
    fn lock(&self, path: &Path) -> Option<File> {
        let folder = path.parent().unwrap_or(&self.dir);
        let folder = std::fs::create_dir_all(folder).and_then(|()| File::open(folder)).ok()?;
        folder.lock().ok().map(|()| folder)
    }
}

impl StateStore for Folder {
    fn read(&self, name: &DocumentName) -> Result<Found> {
        let path = name.file(&self.dir);
        let Some(text) = files::read(&path)? else { return Ok(Found::Nothing) };
        Ok(Found::Document(Versioned { document: files::parse_json(&path, &text)?, version: version(&text) }))
    }

    fn swap(&self, name: &DocumentName, from: Option<&Version>, to: &Value) -> Result<Swapped> {
        let path = name.file(&self.dir);
        let _lock = self.lock(&path);
        if files::read(&path)?.map(|text| version(&text)).as_ref() != from {
            return Ok(Swapped::Conflict);
        }
        let text = files::json_text(to);
        files::write_private(&path, text.as_bytes())?;
        Ok(Swapped::Done(Version(text)))
    }

    fn remove(&self, name: &DocumentName) -> Result<()> {
        files::remove(&name.file(&self.dir))
    }

    fn place(&self, name: &DocumentName) -> Place {
        let path = name.file(&self.dir);
        Place { words: format!("`{}`", path.display()), removal: format!("rm {}", path.display()) }
    }

    fn folder(&self) -> &Path {
        &self.dir
    }
}

fn version(text: &[u8]) -> Version {
    Version(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::contract::{self, Bench};
    use super::*;

    struct Scratch(PathBuf);

    impl Bench for Scratch {
        type Store = Folder;

        fn new(name: &str) -> Self {
            let scratch = std::env::temp_dir().join(format!("folder-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&scratch).unwrap();
            Self(scratch)
        }

        fn store(&self) -> Folder {
            Folder::new(&self.0)
        }

        fn spoil(&self, name: &DocumentName, text: &str) {
            files::write_private(&name.file(&self.0), text.as_bytes()).unwrap();
        }

        fn lose_an_answer(&self) -> bool {
            false
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn it_keeps_the_contract_of_a_store() {
        contract::is_kept::<Scratch>();
    }

    #[test]
    fn a_file_s_place_gives_its_home_and_its_name() {
        let path = Path::new("/r/.slipway/local/releases/shop.json");
        let (folder, name) = Folder::of(path);
        assert_eq!((name.as_str(), name.file(&folder.dir).as_path()), ("shop", path));
    }
}
