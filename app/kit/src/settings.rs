//! The configuration that all services have in common.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::config::{ConfigError, Env};
use crate::fault::Fault;

/// What every service reads from its environment.
#[derive(Debug)]
pub(crate) struct Settings {
    /// 0 means any free port.
    pub(crate) port: u16,
    pub(crate) address: IpAddr,
    /// How long requests in flight may take after a signal to stop.
    pub(crate) shutdown: Duration,
    pub(crate) log: Targets,
    pub(crate) fault: Option<Fault>,
}

impl Settings {
    pub(crate) fn parse(env: &Env, default_port: u16) -> Result<Self, ConfigError> {
        Ok(Self {
            port: env.get("PORT", "a port number, 0 to 65535")?.unwrap_or(default_port),
            address: env
                .get("LISTEN_ADDRESS", "an IP address such as `0.0.0.0`, `127.0.0.1` or `::`")?
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            shutdown: seconds(env, "SHUTDOWN_SECONDS", 20)?,
            log: env
                .parse_with("LOG", "`off`, `error`, `warn`, `info`, `debug` or `trace`, or `MODULE=LEVEL,…`", filter)?
                .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO)),
            fault: env.parse_with("FAULT", Fault::VALID, Fault::parse)?,
        })
    }
}

fn seconds(env: &Env, name: &str, default: u32) -> Result<Duration, ConfigError> {
    let seconds = env.get::<u32>(name, "a whole number of seconds")?.unwrap_or(default);
    Ok(Duration::from_secs(seconds.into()))
}

/// A bare word has to be a level here: [`Targets`] would take a misspelt one for a module and log nothing else.
fn filter(text: &str) -> Option<Targets> {
    let mut targets = Targets::new();
    for directive in text.split(',').map(str::trim) {
        targets = match directive.split_once('=') {
            Some((module, level)) if !module.is_empty() => {
                targets.with_target(module, level.parse::<LevelFilter>().ok()?)
            }
            Some(_) => return None,
            None => targets.with_default(directive.parse::<LevelFilter>().ok()?),
        };
    }
    Some(targets)
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use crate::config::Env;

    fn error(name: &str, value: &str) -> String {
        Settings::parse(&Env::of_pairs([(name, value)]), 80).unwrap_err().to_string()
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let settings = Settings::parse(&Env::default(), 1337).unwrap();
        assert_eq!((settings.port, settings.address.to_string().as_str()), (1337, "0.0.0.0"));
        assert_eq!(settings.shutdown.as_secs(), 20);
        assert_eq!(settings.fault, None);
    }

    #[test]
    fn every_bad_value_is_named() {
        assert_eq!(error("PORT", "65536"), "`PORT` is `65536`; valid is a port number, 0 to 65535");
        assert!(error("LISTEN_ADDRESS", "localhost").contains("an IP address"));
        assert!(error("SHUTDOWN_SECONDS", "-1").contains("a whole number of seconds"));
        assert!(error("LOG", "loud").contains("`off`, `error`"));
        assert!(error("LOG", "kit=loud").contains("`off`, `error`"));
        assert!(
            error("FAULT", "slow")
                .contains("`never-ready`, `unhealthy-after=SECONDS`, `wrong-port` or `crash-at-start`")
        );
    }

    #[test]
    fn a_filter_is_a_level_and_exceptions() {
        let settings = Settings::parse(&Env::of_pairs([("LOG", "warn,kit=debug")]), 80).unwrap();
        assert!(settings.log.would_enable("kit::serve", &tracing::Level::DEBUG));
        assert!(!settings.log.would_enable("redis", &tracing::Level::INFO));
    }
}
