//! Short questions to the programs that every macOS has, for what Linux answers in files.

use std::process::{Command, Stdio};

/// What a program prints, when it succeeds. The languages of the user and the time zone do not show in it.
///
/// Only for programs that answer at once: there is no deadline.
#[expect(clippy::disallowed_methods, reason = "asking the system is part of what spawns")]
pub(super) fn answer(argv: &[&str]) -> Option<String> {
    let (program, args) = argv.split_first()?;
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").env("TZ", "UTC").stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
