//! The program whose supervisor is tested.

use std::path::Path;

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_xtask"))
}
