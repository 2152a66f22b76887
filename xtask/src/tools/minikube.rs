//! `minikube`: clusters in a container or a virtual machine, called profiles.

use crate::proc::CommandLine;
use std::path::Path;

fn line(profile: &str) -> CommandLine {
    CommandLine::new("minikube").args(["--profile", profile])
}

pub fn load(profile: &str, archive: &Path) -> CommandLine {
    line(profile).args(["image", "load"]).arg(archive)
}

/// The names of the images that its nodes have, one a line.
pub fn images(profile: &str) -> CommandLine {
    line(profile).args(["image", "ls"])
}
