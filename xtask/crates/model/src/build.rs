//! How the image of a service is built from a Dockerfile of the repository.

use std::collections::BTreeMap;

/// What `docker build` is told. Paths are relative to the root of the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerBuild {
    /// The folder whose files the builder sees; empty for the root itself.
    pub context: String,
    pub file: String,
    /// The stage to end in; the last one unless set.
    pub target: Option<String>,
    pub args: BTreeMap<String, String>,
    /// What `FROM` calls a base, and the name of the pin in `deploy/images.toml` that is taken in its place.
    pub bases: BTreeMap<String, String>,
    /// Secrets of the service by name, which instructions mount (`RUN --mount=type=secret,id=NAME`). They are in no image and
    /// in no key.
    pub secrets: Vec<String>,
}
