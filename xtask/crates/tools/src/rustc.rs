//! rustc: which toolchain it is.

use base::ctx::Vars;
use base::proc::CommandLine;

/// Asks for the version, the commit and the host it builds for.
pub fn version(vars: &Vars) -> CommandLine {
    CommandLine::new(vars.rustc()).arg("-vV")
}
