//! Where a service listens: on sockets that a supervisor passes, in systemd's way, or on an address of its own.
//!
//! The protocol is that of [sd_listen_fds(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html):
//! `LISTEN_PID` names the process that is meant, `LISTEN_FDS` sockets start at descriptor 3, `LISTEN_FDNAMES` names them.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use anyhow::Context as _;
use listenfd::ListenFd;

use crate::config::{ConfigError, Env};

/// The sockets of a service.
pub(crate) struct Sockets {
    /// Where the public comes in.
    pub(crate) http: TcpListener,
    /// Private to the supervisor: tells it about this process while another one may still serve on `http`.
    pub(crate) admin: Option<TcpListener>,
}

/// What a passed socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Http,
    Admin,
}

impl Sockets {
    /// Takes what was passed to this process, and binds `address`:`port` unless `http` was among it.
    pub(crate) fn open(env: &Env, address: IpAddr, port: u16) -> anyhow::Result<Self> {
        let mut passed = passed(env)?;
        let (mut http, mut admin) = (None, None);
        for (index, role) in roles(env, passed.len())?.into_iter().enumerate() {
            let socket = passed.take_tcp_listener(index).context("the passed sockets cannot be used")?;
            match role {
                Role::Http => http = socket,
                Role::Admin => admin = socket,
            }
        }
        let http = match http {
            Some(http) => http,
            None => bind(address, port)?,
        };
        Ok(Self { http, admin })
    }

    /// Ignores what was passed and binds any free port.
    pub(crate) fn elsewhere(address: IpAddr) -> anyhow::Result<Self> {
        Ok(Self { http: bind(address, 0)?, admin: None })
    }
}

/// The sockets that are meant for this process. Without its own id in `LISTEN_PID` they are another's, inherited.
fn passed(env: &Env) -> Result<ListenFd, ConfigError> {
    let meant: Option<u32> = env.get("LISTEN_PID", "a process id")?;
    if meant == Some(std::process::id()) { Ok(ListenFd::from_env()) } else { Ok(ListenFd::empty()) }
}

fn bind(address: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).with_context(|| format!("cannot listen on `{address}`"))
}

/// Makes a listener known to the runtime, and its address to the log.
pub(crate) fn register(name: &str, listener: TcpListener) -> anyhow::Result<tokio::net::TcpListener> {
    let ready = || -> io::Result<_> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok((listener.local_addr()?, listener))
    };
    let (address, listener) = ready().with_context(|| format!("the socket `{name}` cannot be used"))?;
    tracing::info!(socket = name, %address, "listening");
    Ok(listener)
}

/// The roles of `count` passed sockets, in their order. A single socket without a name is `http`.
fn roles(env: &Env, count: usize) -> Result<Vec<Role>, ConfigError> {
    let name = "LISTEN_FDNAMES";
    let valid = format!("`http`, `admin` or both, separated by a colon, for {count} passed socket(s)");
    let names: Option<String> = if count == 0 { None } else { env.get(name, &valid)? };
    let Some(names) = names else {
        return match count {
            0 => Ok(vec![]),
            1 => Ok(vec![Role::Http]),
            _ => Err(ConfigError::new(name, "", &valid)),
        };
    };
    let parsed: Option<Vec<Role>> = names.split(':').map(role).collect();
    parsed
        .filter(|roles| roles.len() == count && (count < 2 || (count == 2 && roles[0] != roles[1])))
        .ok_or_else(|| ConfigError::new(name, &names, &valid))
}

fn role(name: &str) -> Option<Role> {
    match name {
        "http" => Some(Role::Http),
        "admin" => Some(Role::Admin),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Role::{Admin, Http};
    use super::{Role, roles};
    use crate::config::Env;

    fn named(names: &str, count: usize) -> Option<Vec<Role>> {
        roles(&Env::of_pairs([("LISTEN_FDNAMES", names)]), count).ok()
    }

    #[test]
    fn names_say_what_a_socket_is_for() {
        assert_eq!(named("http:admin", 2), Some(vec![Http, Admin]));
        assert_eq!(named("admin:http", 2), Some(vec![Admin, Http]));
        assert_eq!(named("admin", 1), Some(vec![Admin]));
        assert_eq!(named("", 1), Some(vec![Http]));
        assert_eq!(named("http:admin", 0), Some(vec![]));
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        for (names, count) in
            [("http", 2), ("http:admin", 1), ("http:http", 2), ("https", 1), ("", 2), ("http:admin:admin", 3)]
        {
            assert_eq!(named(names, count), None, "{names} for {count}");
        }
    }
}
