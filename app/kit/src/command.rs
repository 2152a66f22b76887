//! The command line of a service: serve, `healthcheck`, `reach`, `sockets`, `--version`, `--help`.

use std::ffi::OsString;

use crate::reach::Destination;

/// What a service's binary is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve,
    Healthcheck,
    Reach(Destination),
    /// The same, and again until it can be reached or there was time enough.
    ReachAtLast(Destination),
    Sockets,
    Version,
    Help,
}

/// Shown for `--help` and after a wrong argument.
pub(crate) const USAGE: &str = "\
usage: SERVICE                    serve until SIGTERM or SIGINT
       SERVICE healthcheck        ask the service on this machine's $PORT whether it is alive; exit code 0 or 1
       SERVICE reach HOST:PORT    connect to a TCP port, to prove that it is within reach; exit code 0 or 1
       SERVICE reach --again HOST:PORT
                                  try again for 10 s: a network may hear late of a new container
       SERVICE sockets            print the kernel's tables of TCP sockets, to tell who listens where; exit code 0 or 1
       SERVICE --version          print name and version
configuration comes from environment variables only";

impl Command {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// The argument that was not understood.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let arguments: Vec<_> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
        let refused = |argument: &str| Err(argument.to_owned());
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(Self::Serve),
            ["reach", "--again", destination] => {
                destination.parse().map(Self::ReachAtLast).or_else(|()| refused(destination))
            }
            ["reach", destination] => destination.parse().map(Self::Reach).or_else(|()| refused(destination)),
            ["reach", _, extra, ..] => refused(extra),
            ["healthcheck"] => Ok(Self::Healthcheck),
            ["sockets"] => Ok(Self::Sockets),
            ["--version" | "-V"] => Ok(Self::Version),
            ["--help" | "-h"] => Ok(Self::Help),
            [only] => refused(only),
            [_, extra, ..] => refused(extra),
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
        assert_eq!(parse(&["reach", "redis:6379"]), Ok(Command::Reach("redis:6379".parse().unwrap())));
        assert_eq!(parse(&["reach", "--again", "a:1"]), Ok(Command::ReachAtLast("a:1".parse().unwrap())));
        assert_eq!(parse(&["sockets"]), Ok(Command::Sockets));
        assert_eq!(parse(&["--version"]), Ok(Command::Version));
        assert_eq!(parse(&["--help"]), Ok(Command::Help));
        assert_eq!(parse(&["serve"]), Err("serve".into()));
        assert_eq!(parse(&["healthcheck", "now"]), Err("now".into()));
        assert_eq!(parse(&["sockets", "all"]), Err("all".into()));
        assert_eq!(parse(&["reach"]), Err("reach".into()));
        assert_eq!(parse(&["reach", "--again"]), Err("--again".into()));
        assert_eq!(parse(&["reach", "redis"]), Err("redis".into()));
        assert_eq!(parse(&["reach", "redis:6379", "now"]), Err("now".into()));
    }
}
