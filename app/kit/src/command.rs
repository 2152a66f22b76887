//! The command line of a service: serve, `healthcheck`, `--version`, `--help`.

use std::ffi::OsString;

/// What a service's binary is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve,
    Healthcheck,
    Version,
    Help,
}

/// Shown for `--help` and after a wrong argument.
pub(crate) const USAGE: &str = "\
usage: SERVICE                serve until SIGTERM or SIGINT
       SERVICE healthcheck    ask the service on this machine's $PORT whether it is alive; exit code 0 or 1
       SERVICE --version      print name and version
configuration comes from environment variables only";

impl Command {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// The argument that was not understood.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let Some(first) = arguments.next() else {
            return Ok(Self::Serve);
        };
        if let Some(extra) = arguments.next() {
            return Err(extra.to_string_lossy().into_owned());
        }
        match first.to_str() {
            Some("healthcheck") => Ok(Self::Healthcheck),
            Some("--version" | "-V") => Ok(Self::Version),
            Some("--help" | "-h") => Ok(Self::Help),
            _ => Err(first.to_string_lossy().into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Command;

    fn parse(arguments: &[&str]) -> Result<Command, String> {
        Command::parse(arguments.iter().map(Into::into))
    }

    #[test]
    fn the_whole_surface() {
        assert_eq!(parse(&[]), Ok(Command::Serve));
        assert_eq!(parse(&["healthcheck"]), Ok(Command::Healthcheck));
        assert_eq!(parse(&["--version"]), Ok(Command::Version));
        assert_eq!(parse(&["--help"]), Ok(Command::Help));
        assert_eq!(parse(&["serve"]), Err("serve".into()));
        assert_eq!(parse(&["healthcheck", "now"]), Err("now".into()));
    }
}
