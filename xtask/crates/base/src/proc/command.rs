//! A command line as data: built by pure functions, printed by `--dry-run`, asserted by tests, then run.

use crate::redact;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// A program, its arguments, where it runs, what differs in its environment and what it reads. Never a shell string, and
/// never a secret of ours among the arguments, which other users of the machine can see. The rest is never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    pub program: OsString,
    pub args: Vec<OsString>,
    pub dir: Option<PathBuf>,
    /// A value to set, or `None` to remove the variable.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// What it reads from standard input.
    pub stdin: Option<Input>,
}

/// What a program reads. It may hold a secret, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Input(pub(super) Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl CommandLine {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().to_owned(), args: Vec::new(), dir: None, env: Vec::new(), stdin: None }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(Input(text.into()));
        self
    }

    /// The program's name as people know it, without its folder.
    pub fn name(&self) -> String {
        let file = Path::new(&self.program).file_name().unwrap_or(&self.program);
        file.to_string_lossy().into_owned()
    }

    /// The program and its arguments as text.
    pub fn argv(&self) -> Vec<String> {
        let all = std::iter::once(&self.program).chain(&self.args);
        all.map(|part| part.to_string_lossy().into_owned()).collect()
    }

    /// The same as it is shown and recorded.
    pub fn shown(&self) -> Vec<String> {
        self.argv().iter().map(|part| redact::argument(part)).collect()
    }
}

/// The line as one would type it.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argv = self.shown();
        let line = shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_else(|_| argv.join(" "));
        f.write_str(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_quoted_as_one_would_type_it() {
        let line = CommandLine::new("/usr/bin/cargo").args(["build", "--bin", "a b"]).env("SECRET", "x");
        assert_eq!(line.to_string(), "/usr/bin/cargo build --bin 'a b'");
        assert_eq!(line.name(), "cargo");
    }

    #[test]
    fn what_an_argument_hides_is_not_shown() {
        let line = CommandLine::new("docker").args(["run", "--env", "API_TOKEN=a b"]);
        assert_eq!(line.to_string(), "docker run --env 'API_TOKEN=[redacted]'");
        assert_eq!(line.argv()[3], "API_TOKEN=a b");
    }

    #[test]
    fn what_a_program_reads_is_not_shown() {
        let line = CommandLine::new("curl").stdin("user = me:secret");
        assert_eq!(line.to_string(), "curl");
        assert!(!format!("{line:?}").contains("secret"));
    }
}
