//! Systems as plain manifests, for those who apply them by other means than this tool.

use crate::backend::SkippedSystem;
use std::collections::BTreeMap;

/// How files that were made begin, so that they are known again.
pub const MADE_BY: &str = "Made by `cargo xtask render`";

/// Where the manifests of an environment will be found by who applies them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The address of the git repository, where that is known.
    pub repository: Option<String>,
    /// The folder of the environment within it, without a slash at either end.
    pub folder: String,
}

/// The files of all systems of a command, by their paths below the environment's folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rendering {
    pub systems: Vec<RenderedSystem>,
    pub skipped: Vec<SkippedSystem>,
    pub files: BTreeMap<String, String>,
    /// What was assumed, since no setting says it.
    pub assumed: Vec<String>,
}

/// A system of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedSystem {
    pub name: String,
    pub namespace: String,
    pub objects: usize,
}
