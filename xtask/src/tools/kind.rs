//! `kind`: clusters whose nodes are containers of docker or podman.

use crate::proc::CommandLine;
use crate::spec::container::EngineKind;
use std::path::Path;

/// podman is used only when it is asked for.
fn line(provider: Option<EngineKind>) -> CommandLine {
    let line = CommandLine::new("kind");
    match provider {
        Some(provider) => line.env("KIND_EXPERIMENTAL_PROVIDER", provider.as_str()),
        None => line,
    }
}

/// An archive of one image: of several, podman would write one image that has all the names.
pub fn load(cluster: &str, provider: Option<EngineKind>, archive: &Path) -> CommandLine {
    line(provider).args(["load", "image-archive", "--name", cluster]).arg(archive)
}
