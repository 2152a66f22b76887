//! `healthcheck`: asks the service on this machine whether it is alive, for containers without a shell or `curl`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::listeners;

/// The time for each of connecting, sending and receiving.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// `GET /livez` on `port` of the address the service listens on.
///
/// # Errors
/// Why it is not alive.
pub(crate) fn ask(listens_on: IpAddr, port: u16) -> Result<(), String> {
    let address = SocketAddr::new(reachable(listens_on), port);
    let status = status_line(address).map_err(|error| {
        let listeners = if error.kind() == ErrorKind::ConnectionRefused { listeners::ports() } else { None };
        let elsewhere = listeners.map(|ports| format!("; {}", elsewhere(port, &ports)));
        format!("`http://{address}/livez`: {error}{}", elsewhere.unwrap_or_default())
    })?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(format!("`http://{address}/livez` answered `{}`", status.trim_end()))
}

/// What there is instead of a connection to `port`.
fn elsewhere(port: u16, listened_on: &BTreeSet<u16>) -> String {
    if listened_on.contains(&port) {
        return format!("port {port} is listened on, but not at this address");
    }
    let ports: Vec<String> = listened_on.iter().map(u16::to_string).collect();
    match ports.as_slice() {
        [] => format!("nothing listens on {port} or on any other port"),
        [other] => format!("nothing listens on {port}; port {other} is listened on"),
        others => format!("nothing listens on {port}; ports {} are listened on", others.join(", ")),
    }
}

/// "All addresses" is where one can listen, not where one can connect to.
fn reachable(listens_on: IpAddr) -> IpAddr {
    match listens_on {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

fn status_line(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    write!(stream, "GET /livez HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::elsewhere;

    #[test]
    fn a_refused_connection_is_explained_by_what_is_listened_on() {
        for (listened_on, said) in [
            (&[][..], "nothing listens on 1337 or on any other port"),
            (&[41231], "nothing listens on 1337; port 41231 is listened on"),
            (&[80, 443], "nothing listens on 1337; ports 80, 443 are listened on"),
            (&[80, 1337], "port 1337 is listened on, but not at this address"),
        ] {
            assert_eq!(elsewhere(1337, &listened_on.iter().copied().collect()), said);
        }
    }
}
