//! `FAULT`: makes a service fail on purpose, so that tests of what surrounds it need not patch source.

use std::time::Duration;

/// How the service is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Readiness never comes.
    NeverReady,
    /// Liveness fails this long after the start.
    UnhealthyAfter(Duration),
    /// Listens on a free port instead of the one it was given.
    WrongPort,
    /// Exits before it serves.
    CrashAtStart,
}

impl Fault {
    pub(crate) const VALID: &str = "`never-ready`, `unhealthy-after=SECONDS`, `wrong-port` or `crash-at-start`";

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "never-ready" => Some(Self::NeverReady),
            "wrong-port" => Some(Self::WrongPort),
            "crash-at-start" => Some(Self::CrashAtStart),
            _ => {
                let seconds: u32 = text.strip_prefix("unhealthy-after=")?.parse().ok()?;
                Some(Self::UnhealthyAfter(Duration::from_secs(seconds.into())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;
    use std::time::Duration;

    #[test]
    fn every_fault_and_nothing_else() {
        assert_eq!(Fault::parse("never-ready"), Some(Fault::NeverReady));
        assert_eq!(Fault::parse("unhealthy-after=7"), Some(Fault::UnhealthyAfter(Duration::from_secs(7))));
        assert_eq!(Fault::parse("wrong-port"), Some(Fault::WrongPort));
        assert_eq!(Fault::parse("crash-at-start"), Some(Fault::CrashAtStart));
        for text in ["", "off", "unhealthy-after", "unhealthy-after=", "unhealthy-after=-1", "Never-Ready"] {
            assert_eq!(Fault::parse(text), None, "{text}");
        }
    }
}
