//! `k3d`: clusters of k3s whose nodes are containers of docker.

use crate::proc::CommandLine;
use std::path::Path;

pub fn load(cluster: &str, archive: &Path) -> CommandLine {
    CommandLine::new("k3d").args(["image", "import", "--cluster", cluster]).arg(archive)
}
